"""What a teacher was asked and answered, without the models that answer: limits, and the outputs by input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from distill_tui.teachers import cache
from distill_tui.teachers.description import Described
from distill_tui.terms import TeacherSource

if TYPE_CHECKING:
    from pathlib import Path

    from distill_tui.rules import entities
    from distill_tui.store.artifacts import Artifacts
    from distill_tui.teachers.endpoint import Limits


def tried(artifacts: Artifacts, teacher: str) -> bool:
    """Whether this teacher, asked in these words, has answered anything yet."""
    return bool(cache.answered(artifacts.folder, teacher))


def read_limits(values: Mapping[str, Any]) -> Limits:
    """Read how an endpoint is asked, as a command, a form or a run's spec gives it. Raises ValueError."""
    from decimal import InvalidOperation

    from distill_tui.teachers.endpoint import Limits

    kinds = {name: type(getattr(Limits(), name)) for name in Limits.__dataclass_fields__}
    try:
        limits = Limits(**{name: kinds[name](str(value)) for name, value in values.items() if name in kinds})
    except (ValueError, InvalidOperation):
        raise ValueError("Budget and prices are numbers like 5.00, requests and attempts whole numbers.") from None
    if limits.problem():
        raise ValueError(limits.problem())
    return limits


def writes(artifacts: Artifacts, play: entities.Play) -> bool:
    """Whether the play's teacher is one that writes its answers, and does not choose among labels."""
    if not play.teacher_source.writes:
        return False
    text = artifacts.path(play.teacher_digest).read_text(encoding="utf-8")
    return not Described.from_json(text).labels


Said = tuple[str | None, list[float] | None]  # a label, and probabilities in label order, where there are some


def outputs(folder: Path, source: TeacherSource, teacher: str, labels: tuple[str, ...]) -> Mapping[str, Said]:
    """Give what the teacher said, by input digest; an answer that named no label is nothing said."""
    if source is TeacherSource.ENDPOINT or not labels:
        return cache.answers(folder, teacher)
    said = cache.outputs(folder, teacher)
    return {digest: (labels[shares.index(max(shares))], shares) for digest, shares in said.items()}
