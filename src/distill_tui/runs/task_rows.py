"""What workers do with the rows of a data set, by its task: one module a task, named as `terms.Task` names it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

from distill_tui.dataset.frozen import Rows
from distill_tui.spec import Spec
from distill_tui.teachers.description import Described
from distill_tui.terms import Task
from distill_tui.training.ladder import ArmRows

Output = TypeVar("Output")


@dataclass(frozen=True)
class Baseline(Generic[Output]):
    """A fitted baseline."""

    predict: Callable[[Sequence[str]], Output]
    majority: Any  # the commonest label's number, or the commonest answer
    instant: bool = False  # whether it is a constant, which is not timed


class TaskRows(Protocol):
    """The module of a task. `predictions` are label probabilities, or written answers."""

    def arm_rows(self, training: Rows, validation: Rows, asked: Described) -> ArmRows[Any, Any]: ...
    def predictions(self, folder: Path, texts: Sequence[str], spec: Spec) -> Any: ...
    def fit_baseline(self, training: Rows, seed: int, *, by_majority: bool = False) -> Baseline[Any]: ...
    def columns(
        self, rows: Rows, student: Any, words: Any, majority: Any, controls: Mapping[str, Any]
    ) -> dict[str, Any]: ...  # of a `gates.Record`


def of(task: Task) -> TaskRows:
    return cast(TaskRows, import_module(f"distill_tui.runs.{task}"))
