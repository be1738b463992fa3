"""A small BERT that starts from random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import transformers

from distill_tui.spec import Spec
from distill_tui.training import models
from distill_tui.training.students.encoder import Student, small, student_tokenizer


def build(
    spec: Spec, labels: tuple[str, ...], texts: Sequence[str], teacher: Path | None, start: Path | None
) -> Student:
    """Make the model of the spec's width and depth; its tokenizer is the teacher's, pruned, where there is one."""
    source = models.load(teacher) if teacher else None
    tokenizer, _ = student_tokenizer(spec, texts, source)
    return small(spec, labels, texts, tokenizer, transformers.BertForSequenceClassification)
