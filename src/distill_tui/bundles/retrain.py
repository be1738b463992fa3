"""`python -m distill_tui.bundles.retrain BUNDLE DATA OUT …`: run the recipe of a bundle again, without its project.

The data set that the recipe names reproduces the student: the same data, teacher, thread count and libraries give the
same weights. Other data give another student, which is neither judged nor signed off. Loads torch, so it runs in a
process of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_tui import tasks
from distill_tui.dataset import build, frozen, readers, traffic
from distill_tui.dataset.frozen import Rows
from distill_tui.dataset.split import SplitRule
from distill_tui.dataset.traces import call_mapping
from distill_tui.dataset.traces.call_mapping import CallMapping
from distill_tui.digests import folder_digest
from distill_tui.gates.scale import Scale
from distill_tui.runs import task_rows
from distill_tui.spec import Spec
from distill_tui.tasks.label_map import LabelMap
from distill_tui.teachers.description import GIVEN_ALONE, Described
from distill_tui.terms import Split, StudentKind, Task
from distill_tui.training import local_teachers, predict, ranks
from distill_tui.training.folders import teacher_labels
from distill_tui.training.ladder import ship
from distill_tui.training.loop import Places

FORMAT = "distill-tui recipe 1"


@dataclass(frozen=True)
class Recipe:
    """How a bundle's student was made."""

    spec: Spec
    data: str
    teacher: str  # the digest of a local teacher's folder, or `recorded`
    task: Task
    labels: tuple[str, ...]
    student: str  # the digest of the student in the bundle
    seed: int
    held_out_rows: int
    validation_share: str
    asked: Described | None = None  # how a teacher that writes was asked
    calls: CallMapping | None = None  # how logged calls became inputs
    names: Mapping[str, str] = dataclasses.field(default_factory=dict)  # the label map: as written → label

    @property
    def label_map(self) -> LabelMap:
        return LabelMap(self.labels, self.names)

    @property
    def local(self) -> bool:
        """Whether the student learnt from a model folder, and not from recorded outputs or written answers alone."""
        return self.teacher.startswith("sha256:") and (not self.spec.writes or self.spec.alpha > 0)

    @property
    def folder(self) -> str:
        """The digest of the teacher's folder."""
        return self.asked.model if self.asked is not None else self.teacher


def read(bundle: Path) -> Recipe:
    """Read a bundle's recipe. Raises ValueError with one sentence."""
    recipe, gate = _json(bundle / "recipe.json"), _json(bundle / "gate.json")
    if recipe.get("format") != FORMAT:
        raise ValueError(f"{bundle.name} has a recipe that this release cannot read; use the release that wrote it.")
    asked, calls = recipe.get("asked"), recipe.get("calls")
    return Recipe(
        Spec.from_json(recipe["spec"]).kept(recipe.get("rung", "")),
        recipe["data"],
        recipe["teacher"],
        Task(recipe["task"]),
        tuple(recipe["labels"]),
        folder_digest(bundle / "model"),
        int(gate["seed"]),
        int(gate["held_out_rows"]),
        str(gate["validation_share"]),
        Described.from_json(asked) if isinstance(asked, str) else None,
        CallMapping.read(calls) if isinstance(calls, str) else None,
        dict(recipe.get("names", {})),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ValueError(f"{path.parent.name} is not a bundle: {path.name} cannot be read.") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path.parent.name} is not a bundle: {path.name} is not a JSON object.")
    return value


# --- the data --------------------------------------------------------------------------------------------------------


def data_set(recipe: Recipe, data: Path, teacher: Path | None, scratch: Path) -> tuple[Path, bool]:
    """Return a frozen data set and whether it is the recipe's: the file itself, or one built from traffic.

    Raises ValueError with one sentence where the data cannot be used.
    """
    if _is_frozen(data):
        digest = f"sha256:{frozen.content_digest(data)}"
        if frozen.task_of(data) is not recipe.task:
            raise ValueError(f"{data.name} is a data set of the task {frozen.task_of(data)}, not {recipe.task}.")
        if frozen.labels_of(data) != recipe.labels:
            labels = ", ".join(recipe.labels) or "none: its answers are texts"
            raise ValueError(f"{data.name} has other labels than the recipe ({labels}).")
        return data, digest == recipe.data
    return _built(recipe, data, teacher, scratch), False


def _is_frozen(path: Path) -> bool:
    try:
        frozen.labels_of(path)
    except ValueError:
        return False
    return True


def _built(recipe: Recipe, data: Path, teacher: Path | None, scratch: Path) -> Path:
    """Build a data set from traffic by the locked rule; a fifth is held out at most, so that something is left."""
    file, out = scratch / "traffic.parquet", scratch / "data.parquet"
    calls = recipe.calls or call_mapping.DEFAULT
    columns = readers.guess_mapping(data, calls.template)
    scale = Scale.of(recipe.labels).text if recipe.task is Task.SCORE else ""
    columns = readers.with_answers(columns, data, several=tasks.of(recipe.task).several, scale=scale)
    report = traffic.import_traffic(data, columns, file, calls=calls)
    outputs = _answers(file, teacher, recipe.asked) if teacher is not None and report.teacher_share < 1 else {}
    held_out = max(1, min(recipe.held_out_rows, report.rows // 5))
    rule = SplitRule(recipe.seed, held_out, float(recipe.validation_share))
    made = build.build([file], outputs, rule, recipe.label_map, task=recipe.task, scratch=scratch)
    build.write(made, out, recipe.calls)
    return out


def _answers(file: Path, teacher: Path, asked: Described | None) -> dict[str, Any]:
    """Ask a local teacher, one that writes as it was asked before, for what the traffic does not hold."""
    unanswered = [r for r in traffic.rows([file]) if r["teacher_output"] is None and r["teacher_probabilities"] is None]
    texts = {row["input_digest"]: row["input"] for row in unanswered}
    digests, found = list(texts), dict[str, Any]()
    if asked is not None:
        for at, answer, _, _ in local_teachers.written(teacher, list(texts.values()), asked, threads=1):
            text = asked.read(answer)
            found |= {} if text is None else {digests[at]: build.TeacherOutput(text, None)}
        return found
    labels = teacher_labels(teacher)
    for positions, shares in local_teachers.label(teacher, list(texts.values()), threads=1):
        for at, share in zip(positions, shares.tolist(), strict=True):
            found[digests[at]] = build.TeacherOutput(
                labels[share.index(max(share))], dict(zip(labels, share, strict=True))
            )
    return found


def check_folders(recipe: Recipe, teacher: Path | None, start: Path | None) -> None:
    """Check that the folders a recipe starts from are there. Raises ValueError with one sentence."""
    if recipe.spec.folder:
        if start is None:
            raise ValueError(f"The student starts from the model {recipe.spec.folder[7:19]}…; give it with --start.")
        if folder_digest(start) != recipe.spec.folder:
            print(f"{start.name} is not the recipe's start ({recipe.spec.folder[7:19]}…); the student will differ.")
    if teacher is None:
        if recipe.local:
            short = recipe.folder[7:19]
            why = "it starts from that teacher's layers" if recipe.spec.student is StudentKind.LAYERS else "it uses it"
            raise ValueError(f"The recipe needs its teacher ({short}…), {why}; give the folder with --teacher.")
        return
    if not teacher.is_dir():
        raise ValueError(f"{teacher.name} is not a folder; name the teacher's folder.")
    if recipe.local and folder_digest(teacher) != recipe.folder:
        print(f"{teacher.name} is not the recipe's teacher ({recipe.folder[7:19]}…); the student will differ.")


# --- the process -----------------------------------------------------------------------------------------------------


def make(
    bundle: Path, data: Path, out: Path, teacher: Path | None, start: Path | None, threads: int | None
) -> Mapping[str, Any]:
    """Run the recipe and write the student; return what it is. Raises ValueError with one sentence."""
    if out.exists():
        raise ValueError(f"{out.name} exists already; name a new folder.")
    recipe = read(bundle)
    if recipe.spec.writes and recipe.spec.alpha > 0 and recipe.asked is None:
        raise ValueError(
            "This student learnt its teacher's probabilities of tokens, and its bundle, of an earlier release, does "
            "not say how the teacher was asked; only its project can train it again."
        )
    check_folders(recipe, teacher, start)
    spec = dataclasses.replace(recipe.spec, threads=threads) if threads else recipe.spec
    with tempfile.TemporaryDirectory(dir=out.absolute().parent) as name:
        scratch = Path(name)
        path, same_data = data_set(recipe, data, teacher, scratch)
        places = Places(teacher if recipe.local else None, scratch / "checkpoints", scratch / "student", start)
        for step in task_rows.train_again(spec, path, places, recipe.asked or GIVEN_ALONE):
            if step.validation is not None:
                print(f"step {step.number:,} of {step.total:,}: loss {step.loss:.3f}, validation {step.validation:.3f}")
        student = ship(places.out, spec, scratch / "shipped")
        scored = _score(student, spec, frozen.load(path, Split.HELD_OUT))
        made = folder_digest(student)
        shutil.move(student, out)
    return {
        "student": str(out),
        "digest": made,
        "same_data": same_data,
        "same_student": made == recipe.student,
        **scored,
    }


def _score(student: Path, spec: Spec, rows: Rows) -> dict[str, Any]:
    """Compare a student with gold, or where there is none with the teacher, on the held-out rows."""
    judged = task_rows.of(rows.task).arm_rows(rows, rows, GIVEN_ALONE)
    score = judged.score(predict.predictions(student, rows.inputs, spec))
    return {"rows_aside": judged.counted, "score_name": "accuracy" if judged.has_gold else "agreement", "score": score}


def main(arguments: list[str]) -> int:
    """Run the recipe for the command line; the last line is JSON. 0 done, 4 what was given cannot be used."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args(arguments)
    try:
        if ranks.count() > 1:
            raise ValueError("A recipe is run again by one process; several train a run of a project.")
        result = make(given.bundle, given.data, given.out, given.teacher, given.start, given.threads)
    except (ValueError, OSError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 4
    print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
