"""Looks for texts that break the alignment, for a while: coverage-guided with atheris, else at random.

    python scripts/fuzz.py --minutes 60
    NUMBA_DISABLE_JIT=1 python scripts/fuzz.py --minutes 60

The laws are those of the tests (`tests/support/hostile.py`): no crash, spans in both texts, verbatim passages are equal text,
same input same output, a text is found in itself. With NUMBA_DISABLE_JIT=1 the kernels run as plain Python: slower, but
every index out of bounds is an error, and atheris sees into them. `pip install atheris` where it is not there; without
it the choices are random. A finding is printed as a pair of Python strings, to be kept in `tests/alignment/test_hostile_text.py`.
"""

import argparse
import os
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

try:
    import atheris
except ImportError:
    atheris = None

if atheris is None:
    import hostile
else:
    with atheris.instrument_imports(
        include=["rote.alignment", "rote.text", "rote.text.characters", "rote.text.bulk", "rote.text.splitting"]
    ):
        import hostile

from rote.alignment.matching import make_aligner
from rote.config import AlignmentConfig


def main() -> int:
    """Runs until the time is over or a law is broken; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the choices (default: 0)")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # hashes overflow on purpose where kernels run as plain Python
    aligner = make_aligner(AlignmentConfig())
    tried = 0
    end = time.monotonic() + 60 * arguments.minutes

    def attempt(choose: hostile.Choose) -> None:
        nonlocal tried
        pair, language = hostile.pair_of(choose), hostile.LANGUAGES[choose(len(hostile.LANGUAGES))]
        try:
            for text in pair:
                hostile.check_text(text, language)
            hostile.check_pair(*pair, language)
            hostile.check_matches(*pair, aligner)
        except BaseException:
            print(f"after {tried} pairs, language {language}: {pair!a}", file=sys.stderr, flush=True)
            raise
        tried += 1
        if time.monotonic() > end:
            print(f"{tried} pairs, nothing found", flush=True)
            os._exit(0)  # atheris has no other way to stop that is not a finding

    if atheris is None:
        draw = random.Random(arguments.seed)
        while True:
            attempt(draw.randrange)

    def attempt_bytes(content: bytes) -> None:
        provider = atheris.FuzzedDataProvider(content)
        attempt(lambda most: provider.ConsumeIntInRange(0, most - 1))

    atheris.Setup(
        [
            sys.argv[0],
            f"-seed={arguments.seed + 1}",
            "-max_len=400",
            "-len_control=0",
            "-timeout=300",
            f"-artifact_prefix={tempfile.gettempdir()}/",
        ],
        attempt_bytes,
    )
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
