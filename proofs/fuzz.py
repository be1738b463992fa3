"""Bytes that a coverage-guided fuzzer makes, through each reader: a value, or one line; anything else is a crash.

    pip install atheris            # not among this project's dependencies: its wheels are for some Pythons only
    python proofs/fuzz.py --seconds 60                # for each reader
    python proofs/fuzz.py --only gate.toml
    python proofs/fuzz.py --plain                     # without atheris, where it is installed too

Each reader runs in a process of its own, from a folder of good examples; the fuzzer's own report says how often it was
called. A crash leaves its bytes beside the corpus, whose place is printed. Where there is no atheris, bytes are changed
at random, and what gave an answer that was not heard before is changed further.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trials import Row  # nothing of the program is imported before the fuzzer can look into it

MEMORY = 500  # MB; the readers' imports are about 200 of it
LONGEST = 20_000  # bytes of a file that is changed at random
QUOTED = re.compile(r"\d+|['\"“].*?['\"”]")  # what an answer repeats of what was read


def fuzz(name: str, corpus: Path, seconds: int) -> None:
    """Fuzz one reader in this process; never returns."""
    import atheris

    with atheris.instrument_imports(include=["distill_tui"]):
        from bad_input import ANSWERS, seeds
    from bad_input import a_model

    work = Path(tempfile.mkdtemp())
    good, read = seeds(work, a_model(work / "model"))[name]
    (corpus / "good").write_bytes(good)

    def once(data: bytes) -> None:
        try:
            read(data)
        except (*ANSWERS, ValueError) as error:
            assert str(error) and "\n" not in str(error), error

    options = [
        f"-max_total_time={seconds}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={corpus}/crash-",
        "-timeout=20",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], once)
    atheris.Fuzz()


def plain(name: str, seconds: int, chance: Random) -> Row:
    """Change bytes at random, and go on from whatever gave an answer of a new kind."""
    from bad_input import a_model, mutated, seeds
    from trials import MEMORY as FAST
    from trials import Row

    answers, times, lost = set[str](), 0, []
    with tempfile.TemporaryDirectory(dir=FAST) as place:
        good, read = seeds(Path(place), a_model(Path(place) / "model"))[name]
        pool, end = [good], time.monotonic() + seconds
        while time.monotonic() < end:
            data, times = mutated(chance.choice(pool), chance)[:LONGEST], times + 1
            answer, well = answer_of(read, data)
            lost += [] if well else [f"{answer:.200}: {data[:200]!r}"]
            if (kind := QUOTED.sub("", answer)) not in answers:
                answers.add(kind)
                pool.append(data)
    lost += [] if times > 10 * seconds else [f"only {times} calls in {seconds} s"]
    return Row(f"fuzzed at random: {name}", times, f"{seconds} s; {len(answers)} kinds of answers", lost)


def answer_of(read: Callable[[bytes], object], data: bytes) -> tuple[str, bool]:
    """Give what a reader answers, and whether that is a value or one line."""
    from bad_input import ANSWERS

    try:
        return type(read(data)).__name__, True
    except (*ANSWERS, ValueError) as error:
        return str(error), bool(str(error)) and "\n" not in str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}", False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--one", nargs=2, metavar=("READER", "CORPUS"), help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help="at random, without atheris")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.one:
        fuzz(given.one[0], Path(given.one[1]), given.seconds)
    from trials import MEMORY as FAST
    from trials import Row, table

    rows, seconds = [], max(5, round(given.seconds * given.scale))
    names = [each for each in READERS if given.only in each]
    if given.plain or importlib.util.find_spec("atheris") is None:
        chance = Random(given.seed)
        return table([plain(name, seconds, chance) for name in names])
    for name in names:
        corpus = Path(tempfile.mkdtemp(dir=FAST))
        words = [sys.executable, __file__, "--seconds", str(seconds), "--one", name, str(corpus)]
        done = subprocess.run(words, capture_output=True, text=True, errors="replace")
        ran = re.findall(r"^Done (\d+) runs|^#(\d+)\t", done.stderr, re.MULTILINE)
        times = int(next(filter(None, ran[-1]))) if ran else 0
        lost = [] if done.returncode == 0 else [f"{' '.join(done.stderr.split())[-600:]} (bytes in {corpus})"]
        lost += [] if times > 10 * seconds else [f"only {times} calls in {seconds} s"]
        rows.append(Row(f"fuzzed: {name}", times, f"{seconds} s", lost))
    return table(rows)


READERS = (
    "jsonl", "log of calls", "chat log", "csv", "tsv", "gzip", "parquet", "gate.toml", "gate.json", "record", "spec",
    "statement", "described teacher", "public key", "signature", "config.json", "safetensors",
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
