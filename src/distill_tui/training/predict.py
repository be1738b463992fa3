"""What a shipped student, or a local teacher, answers to texts, whatever the form of its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distill_tui.spec import Spec
from distill_tui.tasks.answer_text import spelled
from distill_tui.tasks.loaders import FORMS
from distill_tui.training import students
from distill_tui.training.folders import ANSWER, form, teacher_labels
from distill_tui.training.models import Floats
from distill_tui.training.predictor import WrittenAnswer


def probabilities(folder: Path, texts: Sequence[str], *, threads: int, max_tokens: int = 96) -> Floats:
    """Compute label probabilities, (texts, labels) float32, in the order of `teacher_labels(folder)`."""
    rows = students.open_folder(folder, threads=threads, max_tokens=max_tokens).ask_all(texts)
    return np.array(rows, dtype=np.float32).reshape(len(texts), len(teacher_labels(folder)))


def answers(folder: Path, texts: Sequence[str], *, threads: int, max_tokens: int) -> list[WrittenAnswer]:
    """Write answers to texts. Raises ValueError with one sentence where the folder's student chooses labels."""
    if not FORMS[form(folder)].writes:
        raise ValueError(f"{folder} does not hold a student that writes answers: it has no {ANSWER}.")
    return students.open_folder(folder, threads=threads, max_tokens=max_tokens).ask_all(texts)


def predictions(folder: Path, texts: Sequence[str], spec: Spec) -> Any:
    """Compute label probabilities, or write answers, by the form of the student."""
    ask = answers if FORMS[form(folder)].writes else probabilities
    return ask(folder, texts, threads=spec.threads, max_tokens=spec.max_tokens)


@dataclass(frozen=True)
class Outputs:
    """What a student answers to `n` texts, and where they lie in its embedding space."""

    answers: tuple[str, ...]  # labels, or written answers as they are spelled
    confidence: Floats  # (n,) its probability of the answer
    embeddings: Floats  # (n, width)


def outputs(folder: Path, texts: Sequence[str], *, threads: int, max_tokens: int) -> Outputs:
    """Ask a student and embed the texts. Raises ValueError with one sentence where the folder holds none."""
    opened = students.open_folder(folder, threads=threads, max_tokens=max_tokens)
    found = opened.ask_all(texts)
    if FORMS[form(folder)].writes:
        answers, confidence = [spelled(each.text) for each in found], [each.confidence for each in found]
    else:
        labels = teacher_labels(folder)
        answers, confidence = [labels[int(row.argmax())] for row in found], [row.max() for row in found]
    return Outputs(tuple(answers), np.array(confidence, dtype=np.float32), opened.embed(texts))
