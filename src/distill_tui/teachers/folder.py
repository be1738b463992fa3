"""Where a teacher that is a model on this machine stands."""

from __future__ import annotations

from pathlib import Path

from distill_tui import tasks
from distill_tui.rules import entities
from distill_tui.store.artifacts import Artifacts
from distill_tui.teachers.description import GIVEN_ALONE, Described
from distill_tui.terms import TeacherSource


def local_teacher(artifacts: Artifacts, play: entities.Play) -> tuple[Path | None, Described]:
    """Return the folder of a teacher that is a model on this machine, and its prompt if it writes."""
    if play.teacher_source is TeacherSource.LOCAL:
        return artifacts.path(play.teacher_digest), GIVEN_ALONE
    if play.teacher_source is not TeacherSource.PROMPTED or tasks.of(play.task).has_labels:
        return None, GIVEN_ALONE
    described = Described.from_json(artifacts.text(play.teacher_digest))
    return artifacts.path(described.model), described
