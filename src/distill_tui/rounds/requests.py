"""What the next round should be taught: inputs that are nearest to those on which the last student failed.

Failures are those of the validation split, which builders may look at. The held-out split is known here by its
digests alone, so that nothing of it is asked for again; what is only near to it, the build leaves out and counts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from distill_tui import tasks
from distill_tui.dataset import frozen, readers, similarity
from distill_tui.dataset.duplicates import input_digest
from distill_tui.review import errors
from distill_tui.rounds.weights import cell
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import TrainResult
from distill_tui.store.json_columns import result_of
from distill_tui.store.project import Project, ProjectError
from distill_tui.store.records import read_record
from distill_tui.terms import RunKind, RunStatus, Split


@dataclass(frozen=True)
class Wanted:
    """One input that is worth a label, and the failure that it is like."""

    input: str
    segment: str | None
    group: str | None
    like_row: int  # of the validation split
    cell: str  # segment and label of that row
    similarity: float  # cosine of weighted words


@dataclass(frozen=True)
class Failed:
    """One row of the validation split that the last student has wrong."""

    row: int
    input: str
    digest: str
    segment: str
    cell: str
    teacher_right: bool  # as far as gold tells


def request(project: Project, play_id: int, file: Path | None, rows: int) -> tuple[list[Wanted], dict[str, int]]:
    """Choose so many inputs of a file, or of the imported traffic that has no gold; gives them and the failures a cell.

    Each cell gets its share of the rows by its failures. Raises ProjectError, BadInput.
    """
    dossier = project.dossier(play_id)
    failed, data = failures(project, dossier)
    splits = frozen.splits_of(data)
    taken = set(splits) if file is not None else {d for d, split in splits.items() if split is not Split.TRAIN}
    pool = [each for each in _pool(project, dossier, file) if each[0] not in taken]
    if not pool:
        where = f"{file.name} has" if file is not None else "The imported traffic has"
        raise ProjectError(f"{where} no input without a label that is new; give a file of fresh traffic.")
    cells = Counter(each.cell for each in failed)
    return list(_nearest(failed, pool, cells, rows)), dict(cells.most_common())


def failures(project: Project, dossier: PlayDossier) -> tuple[list[Failed], Path]:
    """Read where the newest student that was looked at fails on validation, and its data set. Raises ProjectError."""
    done = [r for r in dossier.runs if r.kind is RunKind.TRAIN and r.status is RunStatus.FINISHED]
    run = next(reversed(done), None)
    data = next((d for d in dossier.data_sets if run is not None and d.id == run.data_set_id), None)
    if run is None or data is None:
        raise ProjectError("No student was trained yet, so nobody knows where one fails; train one first.")
    digest = result_of(TrainResult, run).validation
    record = read_record(project.artifacts, digest)
    path = project.artifacts.path(data.artifact)
    rows = frozen.load(path, Split.VALIDATION)
    at = {int(number): place for place, number in enumerate(rows.rows)}
    failed, task = [], tasks.of(record.task)
    for position in errors.failures(record):
        place = at.get(record.rows[position])
        if place is not None:
            teacher = record.teacher[position]
            truth = record.gold[position] if record.gold[position] >= 0 else teacher
            where = cell(rows.segments[place], task.cell_label(record.labels[truth] if truth >= 0 else None))
            about = (record.rows[position], rows.inputs[place], rows.digests[place], rows.segments[place])
            failed.append(Failed(*about, where, teacher == truth))
    if not failed:
        raise ProjectError("The last student fails on no validation row; nothing can be targeted.")
    return failed, path


Pooled = tuple[str, str, str | None, str | None]  # input digest, input, segment, group


def _pool(project: Project, dossier: PlayDossier, file: Path | None) -> list[Pooled]:
    """List the distinct inputs to choose from."""
    found: dict[str, Pooled] = {}
    for each in _of_file(file) if file is not None else _of_traffic(project, dossier):
        found.setdefault(each[0], each)
    return list(found.values())


def _of_file(file: Path) -> Iterator[Pooled]:
    for row in readers.read_rows(file, readers.guess_mapping(file)):
        if isinstance(row, readers.TrafficRow):
            yield input_digest(row.input), row.input, row.segment, row.group


def _of_traffic(project: Project, dossier: PlayDossier) -> Iterator[Pooled]:
    columns = ["input_digest", "input", "segment", "group", "gold"]
    labelled: set[str] = set()
    bare: list[Pooled] = []
    for traffic in dossier.traffic:
        for row in pq.read_table(project.artifacts.path(traffic.artifact), columns=columns).to_pylist():
            if row["gold"] is not None:
                labelled.add(row["input_digest"])
            else:
                bare.append((row["input_digest"], row["input"], row["segment"], row["group"]))
    yield from (each for each in bare if each[0] not in labelled)


def _nearest(failed: Sequence[Failed], pool: Sequence[Pooled], cells: Mapping[str, int], rows: int) -> Iterator[Wanted]:
    """Take from the pool, most alike first, until each cell has its share; what no cell wants fills up the rest."""
    texts = [each[1] for each in pool]
    places, cosines = similarity.nearest(texts, [each.input for each in failed])
    order = sorted(range(len(pool)), key=lambda at: (-cosines[at], pool[at][0]))
    room = {name: max(1, round(rows * count / len(failed))) for name, count in cells.items()}
    chosen: list[int] = []
    for at in order:
        name = failed[places[at]].cell
        if room[name] > 0 and cosines[at] > 0 and len(chosen) < rows:
            room[name] -= 1
            chosen.append(at)
    for at in chosen:
        like = failed[places[at]]
        _, text, segment, group = pool[at]
        yield Wanted(text, segment, group, like.row, like.cell, round(cosines[at], 4))


def lines(wanted: Sequence[Wanted]) -> Iterator[str]:
    """Write a request as JSONL: fill in `gold` and import it."""
    for each in wanted:
        like = {"row": each.like_row, "cell": each.cell, "similarity": each.similarity}
        row: dict[str, Any] = {"input": each.input, "gold": None, "segment": each.segment, "group": each.group}
        yield json.dumps(row | {"like": like}, ensure_ascii=False)
