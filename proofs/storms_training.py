"""Kill training again and again, mostly inside a checkpoint: the resumed run ends with the same bits as one left alone.

    python proofs/storms_training.py               # 200 kills
    python proofs/storms_training.py --kills 20

A real student is trained (a small transformer from scratch) with a checkpoint after every step. Each child is forked
from a process that has trained the same student on one thread, so that a kill costs no import. Compared at the end: the
student's files, and every tensor and number of the last checkpoint (weights, optimizer, random state).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from trials import MEMORY, Child, Row, table

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads would not survive a fork

from distill_tui.terms import StudentKind
from distill_tui.training import classification, loop
from support.training import LABELS, SPEC, examples


def train(folder: Path, tell: Any) -> None:
    """Train in this process to the end; with a checkpoint after every step."""
    loop.CHECKPOINT_SECONDS = 0.0
    spec = replace(SPEC, student=StudentKind.SCRATCH, epochs=2)
    steps = classification.train(
        spec, LABELS, examples(), examples(60, seed=1), teacher=None,
        checkpoints=folder / "checkpoints", out=folder / "student",
    )  # fmt: skip
    for step in steps:
        tell(str(step.number))
    tell("end")


def contents(folder: Path) -> dict[str, Any]:
    """Give all that must be the same: files of the student, tensors and facts of the newest checkpoint."""
    newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
    facts = json.loads((newest / "manifest.json").read_text())
    files = {each.name: each.read_bytes() for each in sorted((folder / "student").iterdir())}
    return {"facts": facts, "tensors": (newest / "state.safetensors").read_bytes(), "student": files}


def storm(kills: int, chance: Random) -> Row:
    """Kill runs at random moments until there were so many kills; each run goes on until it ends."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as parent:
        alone = Path(parent) / "alone"
        moments: list[float] = []
        train(alone, lambda said: moments.append(time.monotonic()))  # here, so that the children need no imports
        each = (moments[-1] - moments[0]) / len(moments)
        wanted, lost, done, inside, runs, steps = contents(alone), [], 0, 0, 0, 0
        while done < kills:
            folder, runs, reached = Path(parent) / f"run{runs}", runs + 1, 0
            while True:
                child = Child(lambda tell, folder=folder: train(folder, tell))  # type: ignore[misc]
                child.go()
                first = child.line()
                if first.startswith("!"):
                    lost.append(first[:300])
                    child.end()
                    break
                if first != "end" and int(first) <= reached - 1:
                    lost.append(f"it went back from step {reached} to {first}")
                time.sleep(chance.uniform(0, 6 * each))
                child.kill()
                told = [first, *child.end()]
                if "end" in told:
                    break
                done, steps = done + 1, steps + len(told)
                reached = max(reached, int(told[-1]))
                inside += any((folder / "checkpoints").glob(".tmp-*"))
            if contents(folder) != wanted:
                lost.append(f"run {runs - 1} ended with other bits than the one left alone")
            shutil.rmtree(folder)
        lost += [] if inside >= kills / 4 else [f"only {inside} kills were inside a checkpoint"]
        said = f"{inside} inside a checkpoint; {runs} runs ended, {steps:,} steps before kills; compared bit by bit"
        return Row("SIGKILL: training", done, said, lost)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    return table([storm(max(8, round(given.kills * given.scale)), Random(given.seed))])


if __name__ == "__main__":
    sys.exit(main())
