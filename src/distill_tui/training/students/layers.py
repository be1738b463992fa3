"""A transformer that starts from chosen layers of the teacher and its head (Sanh et al. 2019 took every second one)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from distill_tui.spec import Spec
from distill_tui.training import models
from distill_tui.training.students import NO_TEACHER
from distill_tui.training.students.encoder import FAMILIES, Student, from_layers

if TYPE_CHECKING:
    from distill_tui.training.models import Config


def build(
    spec: Spec, labels: tuple[str, ...], texts: Sequence[str], teacher: Path | None, start: Path | None
) -> Student:
    """Take the spec's layers of the teacher, with the pieces of its vocabulary that the texts use."""
    if teacher is None:
        raise ValueError(NO_TEACHER)
    model, tokenizer = models.load(teacher)
    problem = _problem(model.config, spec)
    if problem:
        raise ValueError(problem)
    return from_layers(spec, labels, spec.layers, texts, model, tokenizer)


def _problem(config: Config, spec: Spec) -> str | None:
    if config.model_type not in FAMILIES:
        return (
            f"The teacher is a {config.model_type}; layers can be taken from {', '.join(FAMILIES)}: "
            "choose scratch or static for the student."
        )
    absent = [layer for layer in spec.layers if not 0 <= layer < config.num_hidden_layers]
    if absent:
        return f"The teacher has layers 0 to {config.num_hidden_layers - 1}, and the spec asks for layer {absent[0]}."
    if spec.max_tokens > models.positions(config):
        return f"max_tokens is {spec.max_tokens}, and the teacher reads at most {models.positions(config)} tokens."
    return None
