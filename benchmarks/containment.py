"""Non-members inside members: are planted ones found, are others left alone, and what does it cost?

Records of about 1,000 characters of novels under $ROTE_SHARED. Of every hundred non-members ten hold text of a member:
quoted behind "> ", a third of the record, or a short excerpt of one.

One JSON object per line on stdout:

    python benchmarks/containment.py
    python benchmarks/containment.py --members 100000 --nonmembers 10000
"""

import argparse
import resource
import time
from collections.abc import Sequence
from itertools import islice

from machine import machine, report
from shared_records import records

from rote.corpus.containment import shared_runs
from rote.corpus.near_duplicates import Components
from rote.corpus.overlaps import join_overlapping

RECORD_CHARS = 1000


def main() -> int:
    """Runs the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=20_000, help="records that are members (default: 20,000)")
    parser.add_argument("--nonmembers", type=int, default=2_000, help="records that are not (default: 2,000)")
    arguments = parser.parse_args()
    texts = list(islice(records(RECORD_CHARS), arguments.members + arguments.nonmembers))
    members, others = texts[: arguments.members], texts[arguments.members :]
    report("machine", **machine())
    report("texts", members=len(members), nonmembers=len(others), megabytes=round(sum(map(len, texts)) / 1e6, 1))
    measure(members, others)
    started = time.perf_counter()
    components = Components(len(members))
    join_overlapping(range(len(members)), members.__getitem__, components)
    groups = len({components.find(number) for number in range(len(members))})
    report("groups", groups=groups, seconds=round(time.perf_counter() - started, 1))
    return 0


def measure(members: Sequence[str], others: Sequence[str]) -> None:
    """Plants, looks, and reports what was found of each kind."""
    planted = [plant(text, members[number % len(members)], number % 100) for number, text in enumerate(others)]
    started = time.perf_counter()
    found = shared_runs(members, [text for text, _ in planted]).found
    seconds = time.perf_counter() - started
    inside = {number for number, one in found.items() if one.is_no_control}
    for kind in ("quoted", "a third", "excerpt", "none"):
        of_kind = [number for number, (_, name) in enumerate(planted) if name == kind]
        report("found", planted=kind, left_out=len(inside.intersection(of_kind)), of=len(of_kind))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    report("cost", seconds=round(seconds, 1), peak_megabytes=peak)


def plant(text: str, member: str, place: int) -> tuple[str, str]:
    """The non-member with some text of the member, by its place among a hundred; and the name of what was done."""
    if place < 4:
        return "> " + member.upper().replace("\n", "\n> "), "quoted"
    if place < 7:
        return f"{text[:650]} {member[:350]}", "a third"
    if place < 10:
        start = member.find(" ", 300) + 1
        return " ".join(member[start:].split()[:20]), "excerpt"
    return text, "none"


if __name__ == "__main__":
    raise SystemExit(main())
