"""Weights of training rows, by the failures of the last student on the validation split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from distill_tui import tasks
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import RefreshDetail, TrainResult
from distill_tui.store.json_columns import read, result_of
from distill_tui.terms import Remedy, Split, Task

if TYPE_CHECKING:
    from distill_tui.dataset.build import Row

MOST, LEAST, ENOUGH = 3.0, 0.5, 10  # bounds of a cell's factor, and validation rows from which its rate counts


def failures_of(dossier: PlayDossier) -> Mapping[str, Sequence[int]]:
    """Return the last evaluated student's failures on the validation split: cell → (failed, rows).

    In the first round of a refresh: the live student's differences from its teacher, on open rows.
    """
    if dossier.first_round > 1 and not dossier.looks:
        opened = next(r for r in reversed(dossier.remedies) if r.kind is Remedy.REFRESH)
        return read(RefreshDetail, opened.detail, f"the detail of remedy {opened.id}").failures
    last = dossier.looks[-1] if dossier.looks else None
    run = dossier.run(last.run_id) if last else None
    return result_of(TrainResult, run).failures if run else {}


def cell(segment: str, label: str | None) -> str:
    """Name a cell of the coverage table."""
    return f"{segment} / {label or '?'}"


def cell_factors(failures: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Return each cell's failure rate over the overall rate, within bounds; cells with few rows have no factor."""
    failed, rows = sum(f for f, _ in failures.values()), sum(n for _, n in failures.values())
    if not failed or not rows:
        return {}
    overall = failed / rows
    return {name: min(MOST, max(LEAST, (f / n) / overall)) for name, (f, n) in failures.items() if n >= ENOUGH}


def weighted(row: Row, factors: Mapping[str, float], task: Task, labels: Sequence[str] = ()) -> Row:
    """Multiply the weight of a training row by the factor of its cell."""
    if row.split is not Split.TRAIN:
        return row
    factor = factors.get(cell(row.segment, tasks.of(task).cell_label(row.gold or row.answer, labels)), 1.0)
    return replace(row, weight=row.weight * factor)
