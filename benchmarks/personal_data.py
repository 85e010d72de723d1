"""Personal data: how much of what is planted is found, how much of what is found is none, and how long it takes.

- *names*: `planted_people`: made-up sentences with names of many cultures, and sentences with capitals and no person. The
  lists of given names were written without these sentences; the rules were mended with a look at them.
- *names of Faker*: the same sentences with names that the package Faker draws by locale (`--faker`; pip install faker):
  nothing here was written with a look at them.
- *records*: the details of the shipped dialogues (names, addresses …), which the rules were tried on while they were
  written: their recall is the best to be expected.
- *speed*: generations and members, the recogniser once (as counting reads a text) and the finder (which searches again what
  is left), beside the recognisers that are patterns alone, in the same run. Times are processor seconds.

One JSON object per line:

    python benchmarks/personal_data.py                  # half a minute
    python benchmarks/personal_data.py --show           # and what was missed or wrongly found
    python benchmarks/personal_data.py --faker          # names of Faker, too
"""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files

from machine import machine, report
from planted_people import NOBODY, TEMPLATES, planted_names

from rote.personal_data.finding import Finder
from rote.personal_data.names import find_names
from rote.personal_data.recognized import Recognized
from rote.personal_data.recognizing import BuiltInRecognizer, find_all_but_names
from rote.statistics.intervals import wilson

GENERATIONS = 10_000
GENERATION_CHARS = 250
FAKED = 200
LOCALES = ("en_GB", "en_US", "de_DE", "fr_FR", "es_ES", "it_IT", "pt_BR", "nl_NL", "pl_PL", "sv_SE", "fi_FI", "tr_TR", "en_IN", "cs_CZ", "hu_HU", "ru_RU", "el_GR")  # fmt: skip
TYPE_OF = {"name": "NAME", "address": "ADDRESS", "born": "BIRTH_DATE", "phone": "PHONE", "email": "EMAIL", "record_number": "RECORD_NUMBER"}  # fmt: skip


def share(found: int, n: int) -> dict[str, object]:
    """Counts, the share and its 95 % interval."""
    interval = wilson(found, n)
    bounds = [None if end is None else round(end, 4) for end in (interval.low, interval.high)]
    return {"found": found, "of": n, "share": round(found / n, 4), "interval": bounds}


def measure_names(*, show: bool) -> None:
    finder = Finder(BuiltInRecognizer())
    hits, totals, right, claimed = Counter[str](), Counter[str](), 0, 0
    for case in planted_names():
        end = case.start + len(case.name)
        names = [item for item in finder.find(case.text) if item.type == "NAME"]
        is_found = any(item.span.start <= case.start and item.span.end >= end for item in names)
        for group in (case.culture, f"written {case.written}", "all"):
            totals[group] += 1
            hits[group] += is_found
        claimed += len(names)
        right += sum(item.span.start < end and item.span.end > case.start for item in names)
        if show and not is_found:
            print(f"missed {case.name!r} in {case.text!r}: {[item.span.of(case.text) for item in names]}")
    for group in totals:
        report("names, recall", group=group, **share(hits[group], totals[group]))
    wrong = [(text, item.span.of(text)) for text in NOBODY for item in finder.find(text) if item.type == "NAME"]
    report(
        "names, sentences without a person that are free of names",
        **share(len(NOBODY) - len({t for t, _ in wrong}), len(NOBODY)),
    )
    report("names, precision over both", **share(right, claimed + len(wrong)))
    for text, name in wrong if show else ():
        print(f"wrongly {name!r} in {text!r}")


def measure_faker() -> None:
    """Recall of 200 names of each locale, each in a sentence drawn by seed."""
    from faker import Faker

    finder, rng = Finder(BuiltInRecognizer()), random.Random(0)
    for locale in LOCALES:
        fake = Faker(locale)
        fake.seed_instance(0)
        found = 0
        for _ in range(FAKED):
            name, template = f"{fake.first_name()} {fake.last_name()}", rng.choice(TEMPLATES)
            text = template.format(name)
            found += _covers(finder.find(text), text.index(name), text.index(name) + len(name))
        report("names of Faker, recall", locale=locale, **share(found, FAKED))


def texts_of_records() -> list[tuple[str, dict[str, str]]]:
    """The shipped dialogues with their notes, and their details."""
    lines = (files("rote.demonstration") / "records" / "dialogue.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [(f"{row['document']}\n{row['summary']}", row["details"]) for row in rows]


def measure_records(*, show: bool) -> None:
    records = texts_of_records()
    alone = Finder(BuiltInRecognizer())
    finder = Finder(BuiltInRecognizer(), {item.key for text, _ in records for item in alone.find(text)})
    hits, totals = Counter[str](), Counter[str]()
    for text, details in records:
        items = finder.find(text)
        for kind, value in details.items():
            is_found = _covers(items, text.index(value), text.index(value) + len(value))
            totals[kind] += 1
            hits[kind] += is_found
            if show and not is_found:
                print(f"missed {kind} {value!r}")
    for kind in totals:
        report("records, recall", detail=kind, type=TYPE_OF[kind], **share(hits[kind], totals[kind]))
    report("records, recall", detail="all", **share(hits.total(), totals.total()))


def _covers(items: Iterable[Recognized], start: int, end: int) -> bool:
    return any(item.span.start <= start and item.span.end >= end for item in items)


def measure_speed() -> None:
    rng = random.Random(0)
    members = [text for text, _ in texts_of_records()]
    generations = []
    for _ in range(GENERATIONS):
        text = rng.choice(members)
        at = rng.randrange(len(text) - GENERATION_CHARS)
        generations.append(text[at : at + GENERATION_CHARS])
    recognizer, known = BuiltInRecognizer(), Finder(BuiltInRecognizer())
    finder = Finder(recognizer, {item.key for text in members for item in known.find(text)})
    ways: dict[str, Callable[[str], object]] = {
        "patterns, dates and addresses": lambda text: list(find_all_but_names(text)),
        "names": lambda text: list(find_names(text)),
        "recogniser": recognizer.find,
        "finder with known data": finder.find,
    }
    for name, texts in (("members", members), (f"{GENERATIONS:,} generations", generations)):
        for way, read in ways.items():
            report("speed", texts=name, chars=sum(map(len, texts)), way=way, seconds=round(_seconds(read, texts), 2))


def _seconds(read: Callable[[str], object], texts: Sequence[str]) -> float:
    start = time.process_time()
    for text in texts:
        read(text)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", action="store_true", help="print what was missed and what was wrongly found")
    parser.add_argument("--faker", action="store_true", help="measure on names of Faker, too")
    options = parser.parse_args()
    report("machine", **machine())
    measure_names(show=options.show)
    if options.faker:
        measure_faker()
    measure_records(show=options.show)
    measure_speed()


if __name__ == "__main__":
    main()
