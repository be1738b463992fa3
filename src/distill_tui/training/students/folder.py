"""A transformer that starts from all layers of a local model: an encoder, whose head is then new, or a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distill_tui.spec import Spec
from distill_tui.training.students.encoder import Student, from_layers, load_start

NO_FOLDER = "A student of kind folder starts from a local model folder, and none was given."


def build(
    spec: Spec, labels: tuple[str, ...], texts: Sequence[str], teacher: Path | None, start: Path | None
) -> Student:
    """Take all layers of the model in `start`, with the pieces of its vocabulary that the texts use."""
    if start is None:
        raise ValueError(NO_FOLDER)
    model, tokenizer = load_start(spec, start)
    return from_layers(spec, labels, tuple(range(model.config.num_hidden_layers)), texts, model, tokenizer)
