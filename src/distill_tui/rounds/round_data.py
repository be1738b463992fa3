"""How a round's data set is made from what the project holds: traffic, the teacher's outputs, the gate's rule.

The first round draws the splits. A later round keeps them: what was held out stays so and what was not never becomes
so; its training rows are weighted to where the last student failed on the validation split. A refresh draws new
held-out rows by the same rule, from fresh rows that nobody has seen; the old ones are never looked at again.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_tui import tasks
from distill_tui.rounds import variations, weights
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.json_columns import stored
from distill_tui.teachers import estimate
from distill_tui.teachers.description import Described
from distill_tui.terms import Split, TeacherSource

if TYPE_CHECKING:
    from distill_tui import gates
    from distill_tui.dataset.split import SplitRule


@dataclass(frozen=True)
class Built:
    """A data set that was written: its content's digest, its labels, and what it counts."""

    digest: str
    labels: tuple[str, ...]
    counts: dict[str, Any]


def build(artifacts: Artifacts, dossier: PlayDossier, out: Path) -> Built:
    """Build this round's data set and write it. Raises BadInput with one sentence."""
    from distill_tui.dataset import audit, coverage
    from distill_tui.dataset import build as building
    from distill_tui.rounds import headroom

    play, gate = dossier.play, dossier.gate
    assert gate is not None
    labels: tuple[str, ...] | None = None if tasks.of(play.task).has_labels else ()
    outputs = {}
    if play.teacher_source.computes:
        labels = _labels(artifacts, play)
        said = estimate.outputs(artifacts.folder, play.teacher_source, play.teacher_digest, labels)
        for digest, (label, shares) in said.items():
            outputs[digest] = building.TeacherOutput(label, shares)
    before = next((d for d in reversed(dossier.data_sets) if d.round < play.round and d.frozen_at), None)
    keep = _kept(artifacts.path(before.artifact), dossier.burnt) if before else None
    files = [artifacts.path(traffic.artifact) for traffic in dossier.traffic]
    if dossier.first_round > 1:
        files, keep = _refreshed(artifacts, dossier, keep or {}, out.parent)
    written, varied = _written(artifacts, dossier)
    if keep is not None and written:
        keep = keep | {d: Split.TRAIN for d in written | varied if keep.get(d) is not Split.HELD_OUT}
    data = building.build(files, outputs, _rule(dossier, gate), labels, keep=keep)
    found = audit.audit(data.rows, data.since, gate, data.labels, written)
    teacher = headroom.measure(data.rows, data.labels, gate.seed)
    factors = weights.cell_factors(weights.failures_of(dossier))
    if factors:
        data = dataclasses.replace(data, rows=tuple(weights.weighted(row, factors, data.labels) for row in data.rows))
    digest = building.write(data, out)
    counted = coverage.counts(out)
    findings = [*headroom.findings(teacher, gate), *found.findings, *counted.findings]
    findings += audit.written(data.rows, written, varied)
    counts = _plain(counted) | {
        "weights": {name: round(factor, 2) for name, factor in sorted(factors.items())},
        "findings": [dataclasses.asdict(finding) for finding in findings],
        "audit": audit.plain(found) | {"teacher": teacher, "teacher_says": headroom.told(teacher) if teacher else ""},
    }
    return Built(digest, data.labels, counts)


def _rule(dossier: PlayDossier, gate: gates.Gate) -> SplitRule:
    """Give the rule that draws the splits; the gate's window was of the first traffic and does not bind a refresh."""
    from distill_tui.dataset.split import SplitRule

    first = dossier.first_round == 1
    window = (gate.window_from or None, gate.window_to or None) if first else (None, None)
    return SplitRule(gate.seed, gate.held_out_rows, gate.validation_share, *window, by_time=gate.by_time)


def time_leaks(artifacts: Artifacts, dossier: PlayDossier, path: Path) -> list[str]:
    """Say which rows of a data set fall in the held-out period, where the gate goes by time; the file has no times.

    In an effort's first round nothing that trains or validates comes after the held-out rows began either.
    """
    from distill_tui.dataset import frozen

    gate, play = dossier.gate, dossier.play
    if gate is None or not gate.by_time:
        return []
    splits, rule, first = frozen.splits_of(path), _rule(dossier, gate), play.round == dossier.first_round
    times: dict[str, str] = {}
    for each in dossier.traffic:
        for digest, time in _times(artifacts.path(each.artifact)):
            kept = not first and splits.get(digest) is Split.HELD_OUT
            if time is not None and digest in splits and (kept or rule.in_window(time)):
                times[digest] = min(time, times.get(digest, time))
    held_out = sorted(times[digest] for digest, split in splits.items() if split is Split.HELD_OUT and digest in times)
    if not held_out:
        return ["No held-out row has a time, and the gate goes by time; map the time column and build again."]
    begins, ends = held_out[0], "9999" if first else held_out[-1]
    open_times = (times.get(digest, "") for digest, split in splits.items() if split is not Split.HELD_OUT)
    inside = sum(begins <= time <= ends for time in open_times)
    told = f"{inside:,} rows of training or validation fall in the held-out period, which begins on {begins[:10]}"
    return [f"{told}; build the data set again."] if inside else []


def _times(path: Path) -> Iterator[tuple[str, str | None]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=["input_digest", "time"]):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _labels(artifacts: Artifacts, play: entities.Play) -> tuple[str, ...]:
    """Give the labels that the teacher answers with: of a model folder, or as it was described."""
    from distill_tui.training.folders import teacher_labels

    path = artifacts.path(play.teacher_digest)
    if play.teacher_source is TeacherSource.LOCAL:
        return teacher_labels(path)
    return Described.from_json(path.read_text(encoding="utf-8")).labels


def held_out_in(artifacts: Artifacts, dossier: PlayDossier, traffic: Path) -> dict[str, int]:
    """Count the inputs of a new file that belong with held-out rows of an earlier round: they train nothing.

    `same` are held out already, `near` are near duplicates of one, `group` share one's group; each input counts once,
    under the first that fits. Empty where nothing is held out yet.
    """
    from distill_tui.dataset import frozen
    from distill_tui.dataset.duplicates import near_duplicates
    from distill_tui.dataset.traffic import rows_of

    before = next((d for d in reversed(dossier.data_sets) if d.frozen_at), None)
    if before is None:
        return {}
    sealed = frozen.load(artifacts.path(before.artifact), Split.HELD_OUT)
    known, groups = set(sealed.digests), {group for group in sealed.groups if group is not None}
    new = {row["input_digest"]: row for row in rows_of(traffic)}
    others = [row for digest, row in new.items() if digest not in known]
    clusters = near_duplicates([*sealed.inputs, *(row["input"] for row in others)])
    touched = set(clusters[: len(sealed)])
    near = [cluster in touched for cluster in clusters[len(sealed) :]]
    grouped = sum(row["group"] in groups and not close for row, close in zip(others, near, strict=True))
    return {"same": len(new) - len(others), "near": sum(near), "group": grouped}


def _kept(path: Path, burnt: frozenset[str]) -> dict[str, Split]:
    """Keep the splits of the round before; what a builder has opened of the held-out split moves to validation."""
    from distill_tui.dataset import frozen

    return frozen.splits_of(path) | dict.fromkeys(frozen.held_out_with(path, burnt), Split.VALIDATION)


def _refreshed(
    artifacts: Artifacts, dossier: PlayDossier, keep: Mapping[str, Split], scratch: Path
) -> tuple[list[Path], dict[str, Split]]:
    """Give the traffic of a refresh, and the splits that are fixed in it.

    What was held out in an earlier effort is left out for good: it was looked at. Earlier traffic gives only the rows
    that were trained or validated on. Of what was observed, the open half may only be trained on, since its rows are
    shown to whoever wants to see what diverges; held-out rows are drawn from the sealed half and from what is imported.
    """
    from distill_tui.dataset import frozen, observed

    begin = dossier.first_round
    earlier = [d for d in dossier.data_sets if d.round < begin and d.frozen_at]
    splits = [frozen.splits_of(artifacts.path(d.artifact)) for d in earlier]
    retired = {digest for each in splits for digest, split in each.items() if split is Split.HELD_OUT}
    fixed = {digest: split for digest, split in keep.items() if digest not in retired}
    old, fresh = scratch / "earlier.parquet", scratch / "fresh.parquet"
    paths = {t.id: artifacts.path(t.artifact) for t in dossier.traffic}
    known = set(fixed)
    observed.pick([paths[t.id] for t in dossier.traffic if t.round < begin], lambda r: r["input_digest"] in known, old)
    observed.pick(
        [paths[t.id] for t in dossier.traffic if t.round >= begin], lambda r: r["input_digest"] not in retired, fresh
    )
    for each in (t for t in dossier.traffic if t.round >= begin and is_observed(t)):
        for row in observed.rows(paths[each.id]):
            if not observed.sealed(row["input_digest"]) and row["input_digest"] not in retired:
                fixed.setdefault(row["input_digest"], Split.TRAIN)
    return [old, fresh], fixed


def _written(artifacts: Artifacts, dossier: PlayDossier) -> tuple[set[str], set[str]]:
    """Give the inputs, by digest, that a teacher wrote, and those that these vary: all of them only train."""
    from distill_tui.dataset.traffic import rows_of

    files = [traffic for traffic in dossier.traffic if variations.taken(traffic)]
    written = {row["input_digest"] for each in files for row in rows_of(artifacts.path(each.artifact))}
    return written, {digest for each in files for digest in variations.taken(each)["varied"]}


def is_observed(traffic: entities.Traffic) -> bool:
    """Whether a file of traffic is what a live student was observed on."""
    return bool(stored(traffic.report, f"the report of traffic file {traffic.id}").get("observed"))


def _plain(counts: Any) -> dict[str, Any]:
    values = json.loads(json.dumps(dataclasses.asdict(counts), default=str))
    cells = values.pop("cells")
    values.pop("findings")
    splits = {split.value: counts.of(split) for split in Split}
    for cell in cells:
        cell["label"] = cell["label"] or "(no gold)"
    return {"splits": splits, "cells": cells, "groups": values.pop("groups"), "tally": values}
