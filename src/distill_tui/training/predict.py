"""What a shipped student, or a local teacher, answers to texts, whatever the form of its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distill_tui.tasks.answer_text import spelled
from distill_tui.tasks.loaders import FORMS
from distill_tui.terms import Task
from distill_tui.training import students
from distill_tui.training.folders import ANSWER, form, teacher_labels
from distill_tui.training.models import Floats
from distill_tui.training.predictor import WrittenAnswer


def probabilities(
    folder: Path, texts: Sequence[str], *, threads: int, batch_size: int = 64, max_tokens: int = 96
) -> Floats:
    """Compute label probabilities, (texts, labels) float32, in the order of `teacher_labels(folder)`."""
    opened = students.open_folder(folder, threads=threads, max_tokens=max_tokens)
    rows = opened.ask_all(texts, batch_size)
    return np.array(rows, dtype=np.float32).reshape(len(texts), len(teacher_labels(folder)))


def answers(
    folder: Path, texts: Sequence[str], *, threads: int, max_tokens: int, batch_size: int = 64
) -> list[WrittenAnswer]:
    """Write answers to texts. Raises ValueError with one sentence where the folder's student chooses labels."""
    if FORMS[form(folder)].task is not Task.GENERATION:
        raise ValueError(f"{folder} does not hold a student that writes answers: it has no {ANSWER}.")
    return students.open_folder(folder, threads=threads, max_tokens=max_tokens).ask_all(texts, batch_size)


@dataclass(frozen=True)
class Outputs:
    """What a student answers to `n` texts, and where they lie in its embedding space."""

    answers: tuple[str, ...]  # labels, or written answers as they are spelled
    confidence: Floats  # (n,) its probability of the answer
    embeddings: Floats  # (n, width)


def outputs(folder: Path, texts: Sequence[str], *, threads: int, max_tokens: int) -> Outputs:
    """Ask a student and embed the texts. Raises ValueError with one sentence where the folder holds none."""
    opened = students.open_folder(folder, threads=threads, max_tokens=max_tokens)
    if FORMS[form(folder)].task is Task.GENERATION:
        written = opened.ask_all(texts)
        confidence = np.array([each.confidence for each in written], dtype=np.float32)
        return Outputs(tuple(spelled(each.text) for each in written), confidence, opened.embed(texts))
    labels = teacher_labels(folder)
    found = np.array(opened.ask_all(texts), dtype=np.float32).reshape(len(texts), len(labels))
    return Outputs(tuple(labels[int(row.argmax())] for row in found), found.max(axis=1), opened.embed(texts))
