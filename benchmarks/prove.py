"""Everything that is too long for the tests, one after the other, and one line for each at the end.

make prove                        # full counts: hours on two cores
make prove ARGS='--scale 0.1'     # a tenth of each
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
STORIES, TERMINALS = 10_000, 100


def proofs(scale: float) -> dict[str, list[str]]:
    """Name each proof, and how it is run."""
    often = ["--scale", str(scale)]
    return {
        "people": ["people.py", "--stories", str(round(STORIES * scale))],
        "storms": ["storms.py", *often],
        "training": ["storms_training.py", *often],
        "disks": ["storms_disk.py", *often],
        "flips": ["flips.py", *often],
        "bad input": ["bad_input.py", *often],
        "terminals": ["sessions.py", "--only", "drops", "--terminals", str(max(1, round(TERMINALS * scale)))],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", default="", help="the proofs whose name holds this word")
    given, ends = parser.parse_args(), []
    for name, words in proofs(given.scale).items():
        if given.only in name:
            print(f"\n=== {name}: {' '.join(words)}", flush=True)
            started = time.monotonic()
            code = subprocess.run([sys.executable, str(HERE / words[0]), *words[1:]]).returncode
            ends.append((name, code, time.monotonic() - started))
    print("\n" + "\n".join(f"{n:<10} {'held' if not c else 'NOT HELD'} ({s:,.0f} s)" for n, c, s in ends))
    return int(any(code for _, code, _ in ends))


if __name__ == "__main__":
    sys.exit(main())
