"""Weights of training rows, by the failures of the last student on the validation split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import TrainResult
from distill_tui.store.json_columns import result_of, stored
from distill_tui.store.project import ProjectError
from distill_tui.terms import Remedy, Split
from distill_tui.text import visible

if TYPE_CHECKING:
    from distill_tui.dataset.build import Row

MOST, LEAST, ENOUGH = 3.0, 0.5, 10  # bounds of a cell's factor, and validation rows from which its rate counts


def failures_of(dossier: PlayDossier) -> Mapping[str, Sequence[int]]:
    """Return the last evaluated student's failures on the validation split: cell → (failed, rows).

    In the first round of a refresh: the live student's differences from its teacher, on open rows.
    """
    if dossier.first_round > 1 and not dossier.looks:
        opened = next(r for r in reversed(dossier.remedies) if r.kind is Remedy.REFRESH)
        return _cells(stored(opened.detail, f"the detail of remedy {opened.id}"), "remedy")
    last = dossier.looks[-1] if dossier.looks else None
    run = dossier.run(last.run_id) if last else None
    return result_of(TrainResult, run).failures if run else {}


def _cells(found: dict[str, Any], where: str) -> Mapping[str, Sequence[int]]:
    for name, pair in found.items():
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(each) is int for each in pair)):
            raise ProjectError(
                f"The failures of {where} do not have two counts for “{visible(name)}”. Restore a backup."
            )
    return found


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


def weighted(row: Row, factors: Mapping[str, float], labels: tuple[str, ...]) -> Row:
    """Multiply the weight of a training row by the factor of its cell."""
    if row.split is not Split.TRAIN:
        return row
    factor = factors.get(cell(row.segment, (row.gold or row.teacher_output) if labels else None), 1.0)
    return replace(row, weight=row.weight * factor)
