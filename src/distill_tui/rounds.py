"""How a round's data set is made from what the project holds: traffic, the teacher's outputs, the gate's rule.

The first round draws the splits. A later round keeps them: what was held out stays so and what was not never becomes
so; its training rows are weighted to where the last student failed on the validation split.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_tui import teacher_cache
from distill_tui.artifacts import Artifacts
from distill_tui.rules import Dossier
from distill_tui.terms import Split

MOST, LEAST, ENOUGH = 3.0, 0.5, 10  # bounds of a cell's weight, and the validation rows that make its rate count


@dataclass(frozen=True)
class Built:
    """A data set that was written: its content's digest, its labels, and what it counts."""

    digest: str
    labels: tuple[str, ...]
    counts: dict[str, Any]


def build(artifacts: Artifacts, dossier: Dossier, out: Path) -> Built:
    """Build this round's data set and write it. Raises BadInput with one sentence."""
    from distill_tui import teacher_first
    from distill_tui.dataset import audit, coverage
    from distill_tui.dataset import build as building
    from distill_tui.dataset.split import SplitRule
    from distill_tui.training.folders import teacher_labels

    play, gate = dossier.play, dossier.gate
    assert play is not None and gate is not None
    labels, outputs = None, {}
    if play.teacher_source == "local":
        labels = teacher_labels(artifacts.path(play.teacher_digest))
        for digest, probabilities in teacher_cache.outputs(artifacts.folder, play.teacher_digest).items():
            named = dict(zip(labels, probabilities, strict=True))
            outputs[digest] = building.TeacherOutput(max(named, key=lambda name: named[name]), named)
    rule = SplitRule(
        gate.seed, gate.held_out_rows, gate.validation_share, gate.window_from or None, gate.window_to or None
    )
    before = next((d for d in reversed(dossier.data_sets) if d.round < play.round and d.frozen_at), None)
    keep = _kept(artifacts.path(before.artifact), dossier.burnt) if before else None
    files = [artifacts.path(traffic.artifact) for traffic in dossier.traffic]
    data = building.build(files, outputs, rule, labels, keep=keep)
    found = audit.audit(data.rows, data.since, gate, data.labels)
    teacher = teacher_first.measure(data.rows, data.labels, gate.seed) if data.labels else None
    factors = cell_factors(_failures(dossier))
    if factors:
        data = dataclasses.replace(data, rows=tuple(_weighted(row, factors) for row in data.rows))
    digest = building.write(data, out)
    counted = coverage.counts(out)
    findings = [*teacher_first.findings(teacher, gate), *found.findings, *counted.findings]
    counts = _plain(counted) | {
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "audit": audit.plain(found)
        | {"teacher": teacher, "teacher_says": teacher_first.told(teacher) if teacher else ""},
    }
    return Built(digest, data.labels, counts)


def _kept(path: Path, burnt: frozenset[str]) -> dict[str, Split]:
    """Keep the splits of the round before; what a builder has opened of the held-out split moves to validation."""
    from distill_tui.dataset import frozen

    return frozen.splits_of(path) | dict.fromkeys(frozen.held_out_with(path, burnt), Split.VALIDATION)


def _plain(counts: Any) -> dict[str, Any]:
    values = json.loads(json.dumps(dataclasses.asdict(counts), default=str))
    cells = values.pop("cells")
    values.pop("findings")
    splits = {split.value: counts.of(split) for split in Split}
    for cell in cells:
        cell["label"] = cell["label"] or "(no gold)"
    return {"splits": splits, "cells": cells, "groups": values.pop("groups"), "tally": values}


def _failures(dossier: Dossier) -> Mapping[str, Sequence[int]]:
    """Read where the last evaluated student failed on the validation split: cell → (failed, rows)."""
    last = next((e for e in reversed(dossier.evaluations) if not e.reproduced), None)
    run = dossier.run(last.run_id) if last else None
    failures = json.loads(run.result).get("failures", {}) if run else {}
    return failures if isinstance(failures, dict) else {}


def cell(segment: str, label: str | None) -> str:
    """Name a cell of the coverage table."""
    return f"{segment} / {label or '?'}"


def cell_factors(failures: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Weigh each cell by its failure rate over the overall one, within bounds; cells with few rows stay as they are."""
    failed, rows = sum(f for f, _ in failures.values()), sum(n for _, n in failures.values())
    if not failed or not rows:
        return {}
    overall = failed / rows
    return {name: min(MOST, max(LEAST, (f / n) / overall)) for name, (f, n) in failures.items() if n >= ENOUGH}


def _weighted(row: Any, factors: Mapping[str, float]) -> Any:
    if row.split is not Split.TRAIN:
        return row
    factor = factors.get(cell(row.segment, row.gold or row.teacher_output), 1.0)
    return dataclasses.replace(row, weight=row.weight * factor)
