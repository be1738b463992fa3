"""A transformer that starts from chosen layers of the teacher and its head (Sanh et al. 2019 took every second one)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distill_tui.spec import Spec
from distill_tui.training import models
from distill_tui.training.starts import layers_problems
from distill_tui.training.students import NO_TEACHER
from distill_tui.training.students.encoder import Student, from_layers


def build(
    spec: Spec, labels: tuple[str, ...], texts: Sequence[str], teacher: Path | None, start: Path | None
) -> Student:
    """Take the spec's layers of the teacher, with the pieces of its vocabulary that the texts use."""
    if teacher is None:
        raise ValueError(NO_TEACHER)
    model, tokenizer = models.load(teacher)
    for problem in layers_problems(model.config.to_dict(), spec):
        raise ValueError(problem)
    return from_layers(spec, labels, spec.layers, texts, model, tokenizer)
