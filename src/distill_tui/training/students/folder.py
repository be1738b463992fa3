"""A transformer that starts from all layers of a local model: an encoder, whose head is then new, or a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from distill_tui.spec import Spec
from distill_tui.training import vocabulary
from distill_tui.training.students.encoder import FAMILIES, Student, from_layers, load_start

NO_FOLDER = "A student of kind folder starts from a local model folder, and none was given."


def build(
    spec: Spec, labels: tuple[str, ...], texts: Sequence[str], teacher: Path | None, start: Path | None
) -> Student:
    """Take all layers of the model in `start`, with the pieces of its vocabulary that the texts use."""
    if start is None:
        raise ValueError(NO_FOLDER)
    model, tokenizer = load_start(spec, start)
    kept = None
    if vocabulary.is_word_piece(tokenizer) and model.config.model_type in FAMILIES:
        tokenizer, kept = vocabulary.prune(tokenizer, texts, spec.vocabulary)
    return from_layers(spec, labels, tuple(range(model.config.num_hidden_layers)), kept, model, tokenizer)
