"""Check a bundle, its verdict and a retraining with another thread count, here or on another machine.

    make prove-elsewhere                                     # makes a play here, and checks it with other thread counts
    make prove-elsewhere ARGS='make FOLDER'                  # writes what another machine needs: a bundle and its data
    make prove-elsewhere ARGS='check FOLDER'                 # on the other machine, after copying FOLDER

What must be the same everywhere: every file's digest, the signatures, every verdict computed again from the record, and
the verdict of the gate on the student that is trained again. With the thread count and the processor of the recipe the
weights are the same to the bit. With others they are not promised to be: the share of rows that are answered
differently is printed. Exit code 1 where something that must be the same differs.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from distill_tui.bundles import retrain, verify
from distill_tui.dataset import frozen
from distill_tui.gates import judging, written
from distill_tui.gates.record import Record
from distill_tui.runs import task_rows
from distill_tui.terms import Split
from distill_tui.training import predict

THREADS = (1, 2, 4)


@dataclass(frozen=True)
class Line:
    """One line of the table: what was checked, whether it must be the same, and whether it is."""

    what: str
    same: bool
    promised: bool
    detail: str

    @property
    def wrong(self) -> bool:
        return self.promised and not self.same

    def __str__(self) -> str:
        told = "same" if self.same else "DIFFERS" if self.promised else "differs"
        return f"{self.what:<44} {told:<8} {'promised' if self.promised else 'not promised':<13} {self.detail}"


def machine() -> dict[str, str]:
    """Describe what weights depend on besides the thread count."""
    names = [line for line in _cpuinfo() if line.startswith("model name")]
    processor = names[0].split(":", 1)[1].strip() if names else platform.processor()
    return {"processor": processor, "system": platform.platform(), "torch": version("torch")}


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def make(folder: Path) -> None:
    """Write a signed bundle, the data set that it names, its signer and this machine into a folder."""
    from support import real_play, served  # only what makes a play needs the test helpers

    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_STATE_HOME"] = f"{scratch}/state"
        play = real_play.copy_to(Path(scratch), served.SPEC)
        play.sign(comment="Read 30 cases; fine.")
        play.ship()
        dossier = play.project.dossier(play.id)
        data = next(each for each in dossier.data_sets if each.frozen_at)
        folder.mkdir(parents=True)
        subprocess.run(["cp", "-r", str(served.bundle_of(play)), str(folder / "bundle")], check=True)
        subprocess.run(
            ["cp", str(play.project.artifacts.path(data.artifact)), str(folder / "data.parquet")], check=True
        )
        about = machine() | {"threads": served.SPEC.threads, "signer": play.public("vera").fingerprint}
        (folder / "made.json").write_text(json.dumps(about, indent=1) + "\n")
        play.project.close()


def check(folder: Path, thread_counts: Sequence[int] = THREADS) -> list[Line]:
    """Check what `make` wrote, and train again with each thread count, in a process of its own."""
    made: dict[str, Any] = json.loads((folder / "made.json").read_text())
    here = machine()
    for name in here:
        print(f"{name}: made on {made[name]}; this is {here[name]}")
    bundle = folder / "bundle"
    report = verify.verify_bundle(bundle, made["signer"])
    found = "; ".join(each.sentence for each in report.problems) or report.facts["verdicts"]
    lines = [Line("bundle: digests, signatures, verdicts", not report.problems, True, found)]
    if report.problems:
        return lines  # nothing is trained from what was changed
    recipe, data = retrain.read(bundle), folder / "data.parquet"
    digest = f"sha256:{frozen.content_digest(data)}"
    lines.append(Line("data set: the digest that the recipe names", digest == recipe.data, True, digest[:19]))
    for threads in thread_counts:
        like = threads == recipe.spec.threads and made["processor"] == here["processor"]
        lines += again(bundle, data, threads, like and made["torch"] == here["torch"])
    return lines


def again(bundle: Path, data: Path, threads: int, same_weights: bool) -> list[Line]:
    """Train the recipe again with a thread count; compare its weights, its answers and its verdict."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "student"
        words = ["-m", "distill_tui.bundles.retrain", str(bundle), str(data), str(out), "--threads", str(threads)]
        env = os.environ | {"OMP_NUM_THREADS": str(threads)}
        done = subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            return [Line(f"retrained, {threads} threads", False, True, done.stdout[-200:] + done.stderr[-200:])]
        student = json.loads(done.stdout.splitlines()[-1])
        line = Line(
            f"retrained, {threads} threads: weights", student["same_student"], same_weights, student["digest"][:19]
        )
        return [line, *judged(bundle, data, out, threads)]


def judged(bundle: Path, data: Path, student: Path, threads: int) -> list[Line]:
    """Judge the retrained student by the bundle's gate on the same held-out rows."""
    recipe, gate = retrain.read(bundle), written.from_json((bundle / "gate.json").read_text())
    record = Record.from_json(next(iter(sorted((bundle / "records").glob("*.json")))).read_text())
    rows = frozen.load(data, Split.HELD_OUT)
    spec = replace(recipe.spec, threads=threads)
    given = predict.predictions(student, rows.inputs, spec)
    task = task_rows.of(rows.task)
    words = task.fit_baseline(frozen.load(data, Split.TRAIN), recipe.spec.seed)
    columns = task.columns(rows, given, words.predict(rows.inputs), words.majority, {})
    mine = replace(
        record, student=columns["student"], confidence=columns["confidence"], scores=columns["scores"], controls={}
    )
    differ = sum(one != other for one, other in zip(record.student, mine.student, strict=True))
    answers = f"{differ} of {len(record.rows)} held-out rows are answered differently"
    before, after = (
        {f"{each.criterion.words} {each.scope}": each.verdict.value for each in judging.judge(gate, one)}
        for one in (record, mine)
    )
    name, verdicts = f"retrained, {threads} threads", ", ".join(sorted(set(after.values())))
    return [
        Line(f"{name}: answers", differ == 0, False, answers),
        Line(f"{name}: verdict of the gate", before == after, True, verdicts),
    ]


def main(words: Sequence[str]) -> int:
    if words and words[0] == "make":
        make(Path(words[1]))
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(words[1]) if words else Path(scratch) / "made"
        if not words:
            make(folder)
        lines = check(folder)
    print(*lines, sep="\n")
    return int(any(line.wrong for line in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
