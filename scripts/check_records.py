"""Print (and check) what is claimed of the demonstration records.

    python scripts/check_records.py src/rote/demonstration/records/*.jsonl [--against MTS.jsonl] [--pretrain DIR]

Checks: no two records share a run of 60 characters; a dialogue has 80 to 160 words; personal details stand in the
text and come from invented ranges; with --against, the dialogues' distinct 4-gram ratio is at least that of the other
file's prompts at equal size. With --pretrain, prints the longest run shared with the pre-training text.
"""

import argparse
import gzip
import json
import os
import re
import sys
from collections import Counter
from pathlib import Path

SHARED_RUN_CHARS = 60
SEED_CHARS = 20
DIALOGUE_WORDS = (80, 160)
DETAIL_PATTERNS = {
    "phone": r"\(?\d{3}\)?[ -]555-01\d\d",
    "email": r"[\w.+-]+@(?:[\w-]+\.)?example\.(?:org|com|net)",
    "record_number": r"[A-Z]{2}-\d{6}",
}


def load(path: Path) -> list[dict]:
    """The records of one JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def texts_of(record: dict) -> list[str]:
    """All text of a record, field by field (not its id or its list of details)."""
    return [value for key, value in record.items() if key != "id" and isinstance(value, str)]


def shared_runs(records: list[dict], length: int = SHARED_RUN_CHARS) -> list[tuple[str, str, str]]:
    """(id, id, run) for each pair of records that share a run of `length` characters, one run a pair.

    A field that is equal in both (a passage under several questions, a label) is not a run: it is the same field.
    """
    seen: dict[str, tuple[str, str]] = {}
    pairs: dict[tuple[str, str], str] = {}
    for record in records:
        for text in texts_of(record):
            for start in range(len(text) - length + 1):
                window = text[start : start + length]
                owner, field = seen.setdefault(window, (record["id"], text))
                if owner != record["id"] and field != text:
                    pairs.setdefault((owner, record["id"]), window)
    return [(a, b, run) for (a, b), run in pairs.items()]


def distinct_ngram_ratio(texts: list[str], *, n: int = 4, words: int | None = None) -> float:
    """Distinct n-grams / all n-grams over the texts, lower-cased words; only the first `words` words are counted."""
    left = sum(len(text.split()) for text in texts) if words is None else words
    grams: Counter[tuple[str, ...]] = Counter()
    for text in texts:
        tokens = re.findall(r"\w+", text.lower())[: max(left, 0)]
        left -= len(tokens)
        grams.update(zip(*(tokens[i:] for i in range(n)), strict=False))
    return len(grams) / max(1, sum(grams.values()))


def equal_size_ratios(ours: list[str], theirs: list[str]) -> tuple[float, float, int]:
    """Distinct 4-gram ratios of both over the same number of words, and that number."""
    words = min(sum(len(re.findall(r"\w+", text)) for text in texts) for texts in (ours, theirs))
    return distinct_ngram_ratio(ours, words=words), distinct_ngram_ratio(theirs, words=words), words


def dialogue_problems(record: dict) -> list[str]:
    """What is wrong with one dialogue record."""
    words = len(record["document"].split())
    problems = [] if DIALOGUE_WORDS[0] <= words <= DIALOGUE_WORDS[1] else [f"{record['id']}: {words} words"]
    whole = record["document"] + "\n" + record["summary"]
    for kind, value in record["details"].items():
        if value not in whole:
            problems.append(f"{record['id']}: {kind} {value!r} stands in neither the dialogue nor the note")
        if kind in DETAIL_PATTERNS and not re.fullmatch(DETAIL_PATTERNS[kind], value):
            problems.append(f"{record['id']}: {kind} {value!r} is not of the invented range")
    for field, pattern in (("document", r"\d{3}-\d{4}"), ("document", r"\S+@\S+")):
        for found in re.findall(pattern, record[field]):
            if "555-01" not in found and "example." not in found:
                problems.append(f"{record['id']}: {found!r} is not of the invented range")
    return problems


def longest_run_in(records: list[dict], folder: Path) -> str:
    """The longest run of characters that a record shares with the pre-training text (at least SEED_CHARS long)."""
    fields = [field for record in records for field in texts_of(record)]
    places: dict[str, list[tuple[str, int]]] = {}
    for field in fields:
        for start in range(len(field) - SEED_CHARS + 1):
            places.setdefault(field[start : start + SEED_CHARS], []).append((field, start))
    best = ""
    for path in sorted(folder.glob("*.txt.gz")):
        text = gzip.decompress(path.read_bytes()).decode("utf-8")
        for start in range(len(text) - SEED_CHARS + 1):
            for field, offset in places.get(text[start : start + SEED_CHARS], ()):
                run = os.path.commonprefix([text[start : start + 2000], field[offset:]])  # noqa: RUF071
                best = max(best, run, key=len)
    return best


def main() -> int:
    """Print the figures; exit status 1 where a check fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--against", type=Path, help="JSONL whose prompts are the dialogues to compare with")
    parser.add_argument("--pretrain", type=Path, help="folder of pre-training text (*.txt.gz)")
    options = parser.parse_args()
    by_file = {path: load(path) for path in options.files}
    records = [record for part in by_file.values() for record in part]
    dialogues = [record for record in records if "details" in record]
    problems = [problem for record in dialogues for problem in dialogue_problems(record)]
    problems += [f"{a} and {b} share {run!r}" for a, b, run in shared_runs(records)]
    counts = Counter(record["id"] for record in records)
    problems += [f"id {name} stands {count} times" for name, count in counts.items() if count > 1]
    for path, part in by_file.items():
        words = [sum(len(text.split()) for text in texts_of(record)) for record in part]
        print(f"{path.name}: {len(part)} records, {min(words)}-{max(words)} words (mean {sum(words) / len(words):.0f})")
    if dialogues:
        ours = [record["document"] for record in dialogues]
        print(f"dialogues: distinct 4-gram ratio {distinct_ngram_ratio(ours):.4f}")
        if options.against:
            mine, other, size = equal_size_ratios(ours, [record["prompt"] for record in load(options.against)])
            print(f"at {size} words: dialogues {mine:.4f}, {options.against.stem} {other:.4f}")
            if mine < other:
                problems.append(f"distinct 4-gram ratio {mine:.4f} is below {other:.4f}")
    if options.pretrain:
        run = longest_run_in(records, options.pretrain)
        print(f"longest run shared with the pre-training text: {len(run)} characters, {run!r}")
    print(f"{len(problems)} problems")
    for problem in problems[:100]:
        print("  " + problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
