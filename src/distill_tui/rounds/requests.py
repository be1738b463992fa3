"""Choose inputs for gold labels: those most similar to the validation rows on which the last student failed.

Builders may look at the validation split. Of the held-out split only digests are used, so that its inputs are not
requested again; the build leaves out and counts near duplicates of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from distill_tui import tasks
from distill_tui.dataset import frozen, readers, similarity, traffic
from distill_tui.dataset.row_identity import input_digest
from distill_tui.dataset.traces.call_mapping import DEFAULT
from distill_tui.review import errors
from distill_tui.rounds import call_mappings
from distill_tui.rounds.weights import cell
from distill_tui.rules import labels
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import TrainResult
from distill_tui.store.json_columns import result_of
from distill_tui.store.project import Project, ProjectError
from distill_tui.store.records import read_record
from distill_tui.terms import RunKind, RunStatus, Split

_Pooled = tuple[str, str | None, str | None]  # input, segment, group


@dataclass(frozen=True)
class RequestedRow:
    """One input that is worth a label, and the failure that it is like."""

    input: str
    segment: str | None
    group: str | None
    like_row: int  # of the validation split
    cell: str  # segment and label of that row
    similarity: float  # cosine of weighted words


@dataclass(frozen=True)
class Failed:
    """One row of the validation split that the last student gets wrong."""

    row: int
    input: str
    digest: str
    segment: str
    cell: str
    teacher_right: bool  # by gold, where there is gold


def request(project: Project, play_id: int, file: Path | None, rows: int) -> tuple[list[RequestedRow], dict[str, int]]:
    """Choose inputs of a file, or of the traffic without gold; returns them and the failures by cell.

    Each cell gets rows in proportion to its failures. Raises ProjectError, BadInput.
    """
    dossier = project.dossier(play_id)
    failed, data = failures(project, dossier)
    splits = frozen.splits_of(data)
    taken = set(splits) if file is not None else {d for d, split in splits.items() if split is not Split.TRAIN}
    pool = {digest: row for digest, row in _pool(project, dossier, file).items() if digest not in taken}
    if not pool:
        where = f"{file.name} has" if file is not None else "The imported traffic has"
        raise ProjectError(f"{where} no new input without a label. Give a file of fresh traffic.")
    cells = Counter(each.cell for each in failed)
    return list(_nearest(failed, pool, cells, rows)), dict(cells.most_common())


def failures(project: Project, dossier: PlayDossier) -> tuple[list[Failed], Path]:
    """Return the validation rows that the newest student gets wrong, and its data set. Raises ProjectError."""
    done = [r for r in dossier.runs if r.kind is RunKind.TRAIN and r.status is RunStatus.FINISHED]
    run = next(reversed(done), None)
    data = next((d for d in dossier.data_sets if run is not None and d.id == run.data_set_id), None)
    if run is None or data is None:
        raise ProjectError("No student is trained yet. Train one first.")
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
        raise ProjectError("The last student is right on every validation row. Nothing can be targeted.")
    return failed, path


def _pool(project: Project, dossier: PlayDossier, file: Path | None) -> dict[str, _Pooled]:
    """Return the distinct inputs to choose from, by digest."""
    found: dict[str, _Pooled] = {}
    if file is not None:
        calls = call_mappings.calls_of(dossier, file) or DEFAULT
        columns = readers.guess_mapping(file, call_mappings.template_of(dossier))
        several, scale = tasks.of(dossier.play.task).several, labels.scale_text(dossier.play)
        columns = readers.with_answers(columns, file, several=several, scale=scale)
        for read in readers.read_rows(file, columns, calls):
            if isinstance(read, readers.TrafficRow):
                found.setdefault(input_digest(read.input), (read.input, read.segment, read.group))
        return found
    labelled: set[str] = set()
    files = [project.artifacts.path(each.artifact) for each in dossier.traffic]
    for row in traffic.rows(files, ("input_digest", "input", "segment", "group", "gold")):
        if row["gold"] is not None:
            labelled.add(row["input_digest"])
        else:
            found.setdefault(row["input_digest"], (row["input"], row["segment"], row["group"]))
    return {digest: pooled for digest, pooled in found.items() if digest not in labelled}


def _nearest(
    failed: Sequence[Failed], pool: Mapping[str, _Pooled], cells: Mapping[str, int], rows: int
) -> Iterator[RequestedRow]:
    """Yield the most similar inputs first, until each cell has its rows."""
    digests = list(pool)
    places, cosines = similarity.nearest([pool[digest][0] for digest in digests], [each.input for each in failed])
    room = {name: max(1, round(rows * count / len(failed))) for name, count in cells.items()}
    chosen = 0
    for at in sorted(range(len(digests)), key=lambda at: (-cosines[at], digests[at])):
        like = failed[places[at]]
        if room[like.cell] > 0 and cosines[at] > 0 and chosen < rows:
            room[like.cell] -= 1
            chosen += 1
            yield RequestedRow(*pool[digests[at]], like.row, like.cell, round(cosines[at], 4))


def lines(wanted: Sequence[RequestedRow]) -> Iterator[str]:
    """Format a request as JSONL, with an empty `gold` to fill in and import."""
    for each in wanted:
        like = {"row": each.like_row, "cell": each.cell, "similarity": each.similarity}
        row: dict[str, object] = {"input": each.input, "gold": None, "segment": each.segment, "group": each.group}
        yield json.dumps(row | {"like": like}, ensure_ascii=False)
