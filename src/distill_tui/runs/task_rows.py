"""What workers do with the rows of a data set, by its task: one module a task, named as `terms.Task` names it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from distill_tui.dataset import frozen
from distill_tui.dataset.duplicates import Together, near_duplicates
from distill_tui.dataset.frozen import Rows
from distill_tui.gates.aside import key
from distill_tui.spec import Spec
from distill_tui.teachers.description import Described
from distill_tui.terms import Split, Task

if TYPE_CHECKING:  # what is judged does not wait for torch
    from distill_tui.training.ladder import ArmRows
    from distill_tui.training.loop import Places, Step

Output = TypeVar("Output")


@dataclass(frozen=True)
class Baseline(Generic[Output]):
    """A fitted baseline."""

    predict: Callable[[Sequence[str]], Output]
    majority: Any  # the commonest label's number, or the commonest answer
    instant: bool = False  # whether it is a constant, which is not timed


class TaskRows(Protocol):
    """The module of a task; predictions are label probabilities, or written answers."""

    def arm_rows(self, training: Rows, validation: Rows, asked: Described) -> ArmRows[Any, Any]: ...
    def fit_baseline(self, training: Rows, seed: int, *, by_majority: bool = False) -> Baseline[Any]: ...
    def columns(
        self, rows: Rows, student: Any, words: Any, majority: Any, controls: Mapping[str, Any]
    ) -> dict[str, Any]: ...  # of a `gates.Record`


def of(task: Task) -> TaskRows:
    return cast(TaskRows, import_module(f"distill_tui.runs.{task}"))


def train_again(spec: Spec, data: Path, places: Places, asked: Described) -> Iterator[Step]:
    """Train a student by its recipe, from a frozen data set and without a project."""
    training, validation = frozen.load(data, Split.TRAIN), frozen.load(data, Split.VALIDATION)
    rows = of(training.task).arm_rows(training, validation, asked)
    yield from rows.train(spec, rows.training, places)


def group_columns(rows: Rows) -> dict[str, Any]:
    """Return numbers, segments, groups, patterns and keys of the rows of a split."""
    segments, clusters = tuple(sorted(set(rows.segments))), near_duplicates(rows.inputs)
    return {
        "rows": tuple(int(row) for row in rows.rows),
        "segments": segments,
        "segment": tuple(segments.index(segment) for segment in rows.segments),
        "group": _groups(rows, clusters),
        "pattern": _patterns(rows, clusters),
        "key": tuple(map(key, rows.digests)),
    }


def _patterns(rows: Rows, clusters: Sequence[int]) -> tuple[int, ...]:
    """Rank the interaction patterns (near duplicates) of a split by how often they occur; 0 is the commonest."""
    counts: Counter[int] = Counter()
    for cluster, weight in zip(clusters, rows.weights, strict=True):
        counts[cluster] += round(float(weight))
    rank = {cluster: place for place, cluster in enumerate(sorted(counts, key=lambda each: (-counts[each], each)))}
    return tuple(rank[cluster] for cluster in clusters)


def _groups(rows: Rows, clusters: Sequence[int]) -> tuple[int, ...]:
    """Number rows so that those that depend on each other share a number: one group, or near duplicates."""
    together = Together(len(rows))
    together.join_equal(rows.groups)
    together.join_equal(clusters)
    return tuple(together.roots().tolist())
