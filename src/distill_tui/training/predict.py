"""What a shipped student, or a local teacher, answers to texts, whatever the form of its folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distill_tui.gates.scale import Scale, median
from distill_tui.spec import Spec
from distill_tui.tasks.answer_text import spelled
from distill_tui.tasks.loaders import FORMS
from distill_tui.training import students
from distill_tui.training.arrays import Floats, near
from distill_tui.training.folders import ANSWER, form, of_scale, several, teacher_labels, thresholds
from distill_tui.training.predictor import SetShares, WrittenAnswer


def probabilities(folder: Path, texts: Sequence[str], *, threads: int, max_tokens: int | None = None) -> Floats:
    """Compute label probabilities, (texts, labels) float32, in the order of `teacher_labels(folder)`."""
    rows = students.open_folder(folder, threads=threads, max_tokens=max_tokens).ask_all(texts)
    return np.array(rows, dtype=np.float32).reshape(len(texts), len(teacher_labels(folder)))


def answers(folder: Path, texts: Sequence[str], *, threads: int, max_tokens: int | None = None) -> list[WrittenAnswer]:
    """Write answers to texts. Raises ValueError with one sentence where the folder's student chooses labels."""
    if not FORMS[form(folder)].writes:
        raise ValueError(f"{folder} does not hold a student that writes answers: it has no {ANSWER}.")
    return students.open_folder(folder, threads=threads, max_tokens=max_tokens).ask_all(texts)


def predictions(folder: Path, texts: Sequence[str], spec: Spec) -> Any:
    """Compute label probabilities, of sets as `SetShares`, or write answers, by the form of the student."""
    if FORMS[form(folder)].writes:
        return answers(folder, texts, threads=spec.threads)
    found = probabilities(folder, texts, threads=spec.threads)
    return sets(folder, found) if several(folder) else found


def sets(folder: Path, shares: Floats) -> SetShares:
    """Return the answers of a folder's student to these probabilities, (texts, labels)."""
    return SetShares(shares, np.array(thresholds(folder), dtype=np.float32))


Answered = tuple[list[str], list[float]]  # what a student says to texts, as answers are compared; its confidence


def reading(folder: Path) -> Callable[[Sequence[Any]], Answered]:
    """Return what reads a student's outputs; the folder's files are read now, and not again for each request."""
    if FORMS[form(folder)].writes:
        return lambda found: ([spelled(each.text) for each in found], [each.confidence for each in found])
    labels = teacher_labels(folder)
    if several(folder):
        least = np.array(thresholds(folder), dtype=np.float32)
        return lambda found: _of_sets(labels, SetShares(_stacked(found, labels), least))
    if of_scale(folder):
        scale = Scale.of(labels)
        return lambda found: _of_scale(scale, _stacked(found, labels))
    return lambda found: ([labels[int(row.argmax())] for row in found], [float(row.max()) for row in found])


def _stacked(found: Sequence[Any], labels: Sequence[str]) -> Floats:
    return np.array(found, dtype=np.float32).reshape(len(found), len(labels))


def _of_sets(labels: Sequence[str], found: SetShares) -> Answered:
    return found.answers(labels), [*map(float, found.confidence)]


def _of_scale(scale: Scale, shares: Floats) -> Answered:
    return [scale.answer(row) for row in shares.tolist()], [*map(float, sureness(scale, shares))]


def sureness(scale: Scale, shares: Floats) -> Floats:
    """Return how sure scores are, (rows,): the share of the level, or of a range what is near the likeliest point."""
    if scale.ranged:
        return near(shares)
    return np.array([row[median(row.tolist())] for row in shares], dtype=np.float32)


@dataclass(frozen=True)
class Outputs:
    """What a student answers to `n` texts, and where they lie in its embedding space."""

    answers: tuple[str, ...]  # labels, or written answers as they are spelled
    confidence: Floats  # (n,) its probability of the answer
    embeddings: Floats  # (n, width)


def outputs(folder: Path, texts: Sequence[str], *, threads: int, max_tokens: int | None = None) -> Outputs:
    """Ask a student and embed the texts. Raises ValueError with one sentence where the folder holds none."""
    opened = students.open_folder(folder, threads=threads, max_tokens=max_tokens)
    found = opened.ask_all(texts)
    answers, confidence = reading(folder)(found)
    return Outputs(tuple(answers), np.array(confidence, dtype=np.float32), opened.embed(texts))
