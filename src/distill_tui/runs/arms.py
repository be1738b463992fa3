"""What a worker trains for one student: its rungs, and the arms beside it; and what these say of the held-out rows.

It stands between the worker, which knows the project, and `training`, which knows rows and folders only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_tui.rules import entities
from distill_tui.runs.claim import Claim, Companion
from distill_tui.store import tables
from distill_tui.store.json_columns import stored
from distill_tui.teachers.description import GIVEN_ALONE, Described
from distill_tui.terms import Task, TeacherSource

if TYPE_CHECKING:
    from distill_tui.store.artifacts import Artifacts


def teacher_of(artifacts: Artifacts, play: entities.Play) -> tuple[Path | None, Described]:
    """Give the folder of a teacher that is a model on this machine, and how it is asked to write."""
    if play.teacher_source is TeacherSource.LOCAL:
        return artifacts.path(play.teacher_digest), GIVEN_ALONE
    if play.teacher_source is not TeacherSource.PROMPTED or play.task is not Task.GENERATION:
        return None, GIVEN_ALONE
    described = Described.from_json(artifacts.text(play.teacher_digest))
    return artifacts.path(described.model), described


def climb(
    claimed: Claim | Companion, spec: Any, training: Any, validation: Any, teacher: Path | None, asked: Described
) -> tuple[Any, int]:
    """Drive the trainings of a run, reporting each step; gives what was trained, and how many steps that took.

    The curve is that of the student, or of one rung after the other; controls and probe are told of in words.
    """
    from distill_tui.training.ladder import Climb

    start = claimed.project.artifacts.path(spec.folder) if spec.folder else None
    trained = Climb(spec, rows(training, validation, asked), teacher=teacher, start=start, folder=claimed.folder)
    total, last, steps = trained.total(), 0, trained.steps()
    try:
        for name, step in steps:
            last = trained.before + step.number  # the same numbers for a run that was killed and goes on
            point = None if name.startswith(("control", "probe")) else _point(claimed.id, last, step)
            always = point is not None and step.validation is not None
            claimed.report(last, max(last, total), _step_told(name, step), point=point, always=always)
    finally:
        steps.close()  # type: ignore[attr-defined]
    return trained, last


def rows(training: Any, validation: Any, asked: Described = GIVEN_ALONE) -> Any:
    """Turn the rows of two splits into what a climb, or a single training, learns from: of labels, or of answers."""
    return _label_rows(training, validation) if training.labels else _answer_rows(training, validation, asked)


def _label_rows(training: Any, validation: Any) -> Any:
    from distill_tui.training.ladder import Rows

    return Rows(
        labels=training.labels,
        training=examples(training),
        controls=control_examples(training),
        validation=examples(validation),
        truth=validation.gold if (validation.gold >= 0).any() else validation.teacher,
        teacher=validation.teacher,
    )


def _answer_rows(training: Any, validation: Any, asked: Described) -> Any:
    from distill_tui.runs import answer_columns
    from distill_tui.training.answer_rows import AnswerRows

    return AnswerRows(
        training=pairs(training, answer_columns.taught(training)),
        gold=pairs(training, training.gold_texts),
        validation=pairs(validation, answer_columns.taught(validation)),
        truth=answer_columns.truth(validation),
        teacher=answer_columns.spelled(validation.teacher_texts),
        asked=asked,
    )


def pairs(rows: Any, outputs: Sequence[str | None]) -> Any:
    """Turn the rows of a split of a generation task into what training reads, with what each is to say."""
    import numpy as np

    from distill_tui.training.sequences import Pairs

    return Pairs(rows.inputs, tuple(outputs), rows.weights.astype(np.float32))


def _point(run_id: int, number: int, step: Any) -> tables.RunPoint:
    return tables.RunPoint(
        run_id=run_id,
        step=number,
        loss=step.loss,
        validation=step.validation,
        rows_per_second=step.rows_per_second,
    )


def _step_told(name: str, step: Any) -> str:
    """Say in one line what a step did: the arm, the loss and the size of each of its terms."""
    terms = ", ".join(f"{term} {size:.3f}" for term, size in vars(step.terms).items() if size)
    return f"{name} · epoch {step.epoch} · loss {step.loss:.3f} ({terms}) · {step.rows_per_second:.0f} rows a second"


def told(arm: Any, enough: bool) -> dict[str, Any]:
    """Give what a run's result keeps of one student that it trained."""
    from distill_tui.training import measure

    parameters, size = measure.size(arm.folder)
    return {
        "rung": arm.spec.rung,
        "score": arm.score,
        "good_enough": enough,
        "seconds": round(arm.seconds, 1),
        "parameters": parameters,
        "bytes": size,
    }


def examples(rows: Any) -> Any:
    """Turn the rows of a split into what training reads."""
    import numpy as np

    from distill_tui.training.distill import Examples

    hard = np.where(rows.gold >= 0, rows.gold, np.where(np.isnan(rows.soft).any(axis=1), rows.teacher, -1))
    return Examples(rows.inputs, hard, rows.soft, rows.weights.astype(np.float32))


def control_examples(rows: Any) -> dict[Any, Any]:
    """Give the training rows as each control arm sees them: hard labels, and none of the teacher's probabilities."""
    import numpy as np

    from distill_tui.terms import Control
    from distill_tui.training.distill import Examples

    weights = rows.weights.astype(np.float32)
    hard = np.where(rows.gold >= 0, rows.gold, rows.teacher)
    return {
        Control.HARD: Examples(rows.inputs, hard, None, weights),
        Control.GOLD: Examples(rows.inputs, rows.gold, None, weights),
    }


def answers(claimed: Claim, run: entities.Run, spec: Any, texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Ask the control arms of a training run what they say of some texts: arm → label numbers."""
    from distill_tui.training import evaluate

    options = {"threads": spec.threads, "max_tokens": spec.max_tokens}
    said = {}
    for name, folder in _controls(claimed, run):
        said[name] = tuple(int(label) for label in evaluate.predict(folder, texts, **options).argmax(axis=1))
    return said


def written(claimed: Claim, run: entities.Run, spec: Any, texts: Sequence[str]) -> dict[str, list[str]]:
    """Ask the control arms of a generation task what they answer to some texts: arm → answers."""
    from distill_tui.training import answering

    options = {"threads": spec.threads, "max_tokens": spec.max_tokens}
    return {
        name: [each.text for each in answering.answer(folder, texts, **options)]
        for name, folder in _controls(claimed, run)
    }


def _controls(claimed: Claim, run: entities.Run) -> Iterator[tuple[str, Path]]:
    for name, arm in stored(run.result, f"the result of run {run.id}", "controls").items():
        trouble = claimed.project.artifacts.trouble(arm["artifact"])
        if trouble:
            raise ValueError(trouble)
        yield name, claimed.project.artifacts.path(arm["artifact"])
