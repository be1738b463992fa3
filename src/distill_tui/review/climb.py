"""What a training run tried, which student it kept, and why: one printer for screens and commands. Pure."""

from __future__ import annotations

from distill_tui.gates.headline import FIRST, lower_is_better, worded
from distill_tui.gates.wording import DASH, megabytes
from distill_tui.review.sections import Column, Line, Section
from distill_tui.rules import entities
from distill_tui.rules.results import TrainedArm, TrainResult
from distill_tui.spec import Spec
from distill_tui.terms import Task

COLUMNS = tuple(map(Column, ("rung", "validation", "size", "parameters", "seconds", ""), (0, 0, 1, 3, 2, 0)))


def section(run: entities.Run, result: TrainResult, task: Task = Task.CLASSIFICATION) -> Section:
    """Describe a finished run: its rungs in the order in which they were tried, those that it did not need, and why."""
    planned = _planned(run)
    tried = [each.rung for each in result.rungs]
    rows = [_row(each, "kept" if each.rung == result.rung else "", task) for each in result.rungs]
    rows += [(rung, DASH, DASH, DASH, DASH, "not needed") for rung in planned if rung not in tried]
    rows += [_row(arm, f"control: {name} labels", task) for name, arm in sorted(result.controls.items())]
    measure = FIRST.get(task, result.score_name)
    less = " (less is better)" if lower_is_better(measure) else ""
    note = f"run {run.id}, cheapest first; {measure}{less} on {_rows(result)}"
    return Section("climb", "What it tried", note, (Line(why(result, task), "done"),), COLUMNS, tuple(rows))


def _shown(score: float | None, task: Task) -> str:
    """Write the score by which rungs are compared as the task's own metric; a distance is kept as one minus itself."""
    metric = FIRST.get(task)
    if metric is None or score is None:
        return worded("", score)
    return f"{metric} {worded(metric, 1 - score if lower_is_better(metric) else score)}"


def _rows(result: TrainResult) -> str:
    """Return which rows compare the rungs: those that calibrate the student are left out."""
    if result.compared in (0, result.validation_rows):
        return f"{result.validation_rows:,} validation rows"
    return f"{result.compared:,} of {result.validation_rows:,} validation rows; the others do not choose"


def why(result: TrainResult, task: Task = Task.CLASSIFICATION) -> str:
    """Return why this student was kept."""
    kept = next((each for each in result.rungs if each.rung == result.rung), None)
    score = _shown(kept.score if kept is not None else result.validation_score, task)
    if result.enough is None:
        return f"Kept {result.rung} ({score}): no teacher's score to compare with, so the best was kept."
    enough = f"{_shown(result.enough, task)}, the spec's share of the teacher's own score"
    if kept is not None and kept.good_enough:
        first = "the only rung" if len(result.rungs) == 1 else "the cheapest rung"
        return f"Kept {result.rung} ({score}): {first} that reaches {enough}."
    best = "the only rung" if len(result.rungs) == 1 else "the best of all rungs"
    return f"Kept {result.rung} ({score}), {best}: none reaches {enough}."


def _planned(run: entities.Run) -> list[str]:
    try:
        return [each.rung for each in Spec.from_json(run.spec).rungs()]
    except (ValueError, TypeError, AttributeError):
        return []


def _row(arm: TrainedArm, says: str, task: Task) -> tuple[str, ...]:
    return (arm.rung, _shown(arm.score, task), megabytes(arm.bytes), f"{arm.parameters:,}", f"{arm.seconds:,.0f}", says)
