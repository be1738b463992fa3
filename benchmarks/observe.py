"""What `observe` takes beyond the student's own work: the command, and the student alone, on the same rows.

    python benchmarks/observe.py [ROWS]

Both are processes of their own, each three times in turn; the medians, and their difference, are printed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from distill_tui.spec import Spec
from distill_tui.terms import StudentKind
from support.live_play import rows, shipped, workers_here, write

TIMES = 3
ALONE = """
import json, sys
from pathlib import Path
from distill_tui.training.predict import outputs
texts = [json.loads(line)["input"] for line in open(sys.argv[2])]
outputs(Path(sys.argv[1]), texts, threads=1)
"""


def seconds(words: list[str]) -> float:
    began = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode in (0, 6, 7, 8), done.stderr
    return time.monotonic() - began


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with workers_here():
            project, _ = shipped(folder, spec=Spec(student=StudentKind.NGRAM, alpha=0, controls=()))
        student = project.artifacts.path(project.dossier(1).evaluations[0].model)
        took: dict[str, list[float]] = {"observe": [], "alone": []}
        for turn in range(TIMES + 1):
            path = write(folder / f"{turn}.jsonl", rows(count, 100 + turn, start="2026-02-01"))
            program = [sys.executable, "-m", "distill_tui", "--project", str(project.path)]
            command = seconds([*program, "observe", "P-001", str(path), "--any-time"])
            alone = seconds([sys.executable, "-c", ALONE, str(student), str(path)])
            if turn:  # the first also scores the held-out rows
                took["observe"].append(command)
                took["alone"].append(alone)
        project.close()
    command, alone = (statistics.median(each) for each in took.values())
    print(f"{count:,} rows: observe {command:.2f} s, the student alone {alone:.2f} s, overhead {command - alone:.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
