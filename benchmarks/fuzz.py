"""Bytes that a coverage-guided fuzzer makes, through each reader: a value, or one line; anything else is a crash.

    pip install atheris            # not among this project's dependencies: its wheels are for some Pythons only
    python benchmarks/fuzz.py --seconds 60                # for each reader
    python benchmarks/fuzz.py --only "gate in TOML"

Each reader runs in a process of its own, from a folder of good examples; the fuzzer's own report says how often it was
called. A crash leaves its bytes beside the corpus, whose place is printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

MEMORY = 500  # MB; the readers' imports are about 200 of it


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", default="")
    parser.add_argument("--one", nargs=2, metavar=("READER", "CORPUS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        fuzz(given.one[0], Path(given.one[1]), given.seconds)
    from trials import MEMORY as FAST
    from trials import Row, table

    if importlib.util.find_spec("atheris") is None:
        return table([Row("fuzzed readers", 0, "not tried: atheris is not installed", [])])
    rows, seconds = [], max(5, round(given.seconds * given.scale))
    for name in (each for each in READERS if given.only in each):
        corpus = Path(tempfile.mkdtemp(dir=FAST))
        words = [sys.executable, __file__, "--seconds", str(seconds), "--one", name, str(corpus)]
        done = subprocess.run(words, capture_output=True, text=True, errors="replace")
        ran = re.findall(r"^Done (\d+) runs|^#(\d+)\t", done.stderr, re.MULTILINE)
        times = int(next(filter(None, ran[-1]))) if ran else 0
        lost = [] if done.returncode == 0 else [f"{' '.join(done.stderr.split())[-600:]} (bytes in {corpus})"]
        lost += [] if times > 10 * seconds else [f"only {times} calls in {seconds} s"]
        rows.append(Row(f"fuzzed: {name}", times, f"{seconds} s", lost))
    return table(rows)


READERS = ("jsonl", "csv", "parquet", "gate.toml", "gate.json", "record", "spec", "public key", "signature",
           "config.json", "safetensors")  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())
