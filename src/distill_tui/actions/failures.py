"""A student's errors, one row at a time: those that the teacher has right first.

Builders see the validation split. The validator, who is never a builder, sees the held-out split; opening a row there
is logged, and burns nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from distill_tui import tasks
from distill_tui.actions.data import open_row
from distill_tui.gates.record import CERTAIN, Record
from distill_tui.review import errors
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import TrainResult
from distill_tui.rules.training import trained
from distill_tui.store.json_columns import result_of
from distill_tui.store.project import Project
from distill_tui.store.records import read_record
from distill_tui.terms import Role, Split


@dataclass(frozen=True)
class Failures:
    """The errors of a student on one split, in the order to review them."""

    play_id: int
    split: Split
    run: int  # that trained the student
    data: str  # artifact of the data set
    record: Record
    order: tuple[int, ...]  # positions in the record


@dataclass(frozen=True)
class Failure:
    """One error of a student, with all answers to its input."""

    number: int  # from 1, of `total`
    total: int
    split: Split
    row: int
    segment: str
    input: str
    gold: str
    teacher: str
    student: str
    sure: float | None  # the student's probability of its answer
    teacher_right: bool
    apart: tuple[str, ...] = ()  # of JSON answers: the fields that the student has wrong


def failures(project: Project, dossier: PlayDossier, actor: Actor) -> Failures | None:
    """Return the errors that this person may see; None before a student was trained or evaluated."""
    play, evaluation = dossier.play, dossier.evaluation
    assert play.id is not None
    sealed_for = actor.person != dossier.roles.get(Role.VALIDATOR) or actor.person in dossier.builders
    if not sealed_for and evaluation is not None and dossier.record is not None:
        data = next((each for each in dossier.data_sets if each.digest == dossier.record.data_set), None)
        if data is not None:
            order = tuple(errors.failures(dossier.record))
            return Failures(play.id, Split.HELD_OUT, evaluation.run_id, data.artifact, dossier.record, order)
    run = dossier.run(evaluation.run_id) if evaluation else next(iter(trained(dossier)), None)
    return _on_validation(project, dossier, play.id, run)


def _on_validation(project: Project, dossier: PlayDossier, play_id: int, run: entities.Run | None) -> Failures | None:
    data = next((each for each in dossier.data_sets if run is not None and each.id == run.data_set_id), None)
    if data is None or run is None:
        return None
    digest = result_of(TrainResult, run).validation
    record = read_record(project.artifacts, digest)
    return Failures(play_id, Split.VALIDATION, run.id, data.artifact, record, tuple(errors.failures(record)))


def look(project: Project, actor: Actor, found: Failures, number: int) -> Failure:
    """Return error `number`, from 1; a held-out row is opened as an action, which is logged."""
    from distill_tui.dataset import frozen

    record, position = found.record, found.order[number - 1]
    row = record.rows[position]
    if found.split is Split.HELD_OUT:
        stored = open_row(project, found.play_id, actor, row)
    else:
        stored = frozen.row_of(project.artifacts.path(found.data), row) or {}
    truth = record.gold[position] if record.gold[position] >= 0 else record.teacher[position]
    said = _label(record, record.student[position])
    lists = frozen.lists_of(project.artifacts.path(found.data))
    return Failure(
        number=number,
        total=len(found.order),
        split=found.split,
        row=row,
        segment=record.segments[record.segment[position]] if record.segment[position] >= 0 else "",
        input=str(stored.get("input", "")),
        gold=_label(record, record.gold[position]),
        teacher=_label(record, record.teacher[position]),
        student=said,
        sure=record.confidence[position] / CERTAIN if record.confidence else None,
        teacher_right=record.teacher[position] == truth,
        apart=tasks.compared(record.task, lists).differing_fields(said, _label(record, truth)),
    )


def _label(record: Record, index: int) -> str:
    return record.labels[index] if index >= 0 else ""
