"""The kinds of students, one file a kind, named as `terms.StudentKind` names it.

A kind that chooses labels has `build(spec, labels, texts, teacher, start)`, which makes the untrained student. A kind
that writes answers has `objective(spec, training, validation, places, asked)`, which makes what the
loop minimises, and `problem(training)`, why it could not learn some answers. A kind with a form of its own has
`open_folder(folder, threads, max_tokens)` too: see `loaders.Form`. What answers as ONNX or n-grams imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from distill_tui.spec import Spec
from distill_tui.tasks.loaders import FORMS
from distill_tui.terms import StudentKind
from distill_tui.training import folders
from distill_tui.training.predictor import Predictor

if TYPE_CHECKING:
    import torch

    from distill_tui.teachers.description import Described
    from distill_tui.training.generation import Pairs
    from distill_tui.training.loop import Places
    from distill_tui.training.objective import Objective

NO_TEACHER = "A student from the teacher's layers needs the teacher's folder; choose scratch, static or ngram."


class LabelStudent(Protocol):
    """What training asks of a student that chooses labels, whatever it is made of."""

    @property
    def model(self) -> torch.nn.Module: ...
    @property
    def max_tokens(self) -> int: ...  # of a text that it reads; longer ones are cut
    def tokenise(self, texts: Sequence[str], max_tokens: int | None = None) -> list[list[int]]: ...
    def logits(self, rows: Sequence[Sequence[int]]) -> torch.Tensor: ...
    def description(self) -> str: ...  # distinguishes its tokenizer, or its vocabulary, from any other
    def save(self, folder: Path) -> None: ...


def build(
    spec: Spec,
    labels: tuple[str, ...],
    texts: Sequence[str],
    teacher: Path | None,
    start: Path | None = None,
    shared: Path | None = None,
) -> LabelStudent:
    """Make the untrained student of a spec; a pure function of its arguments (and of the files in the folders).

    `texts` are the training rows: they choose the vocabulary. `start` is the folder that the spec names to
    start from, `shared` the folder of what the arms of a run compute once. Raises ValueError with one sentence where a
    folder cannot give what the spec asks for.
    """
    import torch  # a student that only answers may do without

    torch.manual_seed(spec.seed)
    more = (shared,) if spec.student is StudentKind.STATIC else ()
    student: LabelStudent = _module(spec.student).build(spec, labels, texts, teacher, start, *more)
    return student


def objective(spec: Spec, training: Pairs, validation: Pairs, places: Places, asked: Described) -> Objective:
    """Make the objective of a student that writes answers; what the teacher is asked is kept by the checkpoints."""
    made: Objective = _module(spec.student).objective(spec, training, validation, places, asked)
    return made


def answers_problem(spec: Spec, training: Pairs) -> str | None:
    problem: str | None = _module(spec.student).problem(training)
    return problem


def load(spec: Spec) -> None:
    """Import the code of a spec's kind, as far as it is known before a student is made."""
    _module(spec.student)


def open_folder(folder: Path, *, threads: int, max_tokens: int | None = None) -> Predictor[Any]:
    """Open a student's, or a local teacher's, folder, in whatever form it ships.

    Inputs are cut where training cut them, by the folder, or where a teacher ends; `max_tokens` cuts sooner.
    Raises ValueError with one sentence. A form that runs in torch sets its threads.
    """
    opened: Predictor[Any] = _module(FORMS[folders.form(folder)].module).open_folder(folder, threads, max_tokens)
    return opened


def _module(name: str):  # type: ignore[no-untyped-def]  # a module is untyped; its functions are typed above
    return import_module(f"{__name__}.{name}")
