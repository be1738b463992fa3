"""What a freezing worker does: show that nothing leaks between the splits, and freeze the data set by its digest."""

from __future__ import annotations

from pathlib import Path

from distill_tui.dataset import frozen, traffic
from distill_tui.dataset.split import SplitRule
from distill_tui.rules import entities
from distill_tui.rules.data import open_findings
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Objection, Refused
from distill_tui.rules.requests import FreezeData
from distill_tui.runs.claim import Claim, Stopped
from distill_tui.store import tables
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.project import Change
from distill_tui.terms import Action, RunStatus, Split


def run(claimed: Claim, dossier: PlayDossier) -> None:
    """Freeze the data set that stood when the run was queued."""
    artifacts, data = claimed.project.artifacts, dossier.data_set
    if data is None or data.id != claimed.run.data_set_id:
        raise _moved()
    trouble = artifacts.trouble(data.artifact)
    if trouble:
        raise ValueError(trouble)
    path = artifacts.path(data.artifact)
    leaks = [*frozen.leaks(path, claimed.progress()), *time_leaks(artifacts, dossier, path)]

    rows = frozen.row_count(path)

    def edit(change: Change, run: entities.Run) -> None:
        if run.stop_requested:  # since the last report: what is frozen stays frozen
            raise Stopped
        row = change.session.get(tables.DataSet, data.id)
        if row is None or row.digest != data.digest:
            raise _moved()
        row.frozen_at = change.at
        change.session.add(row)
        run.message, run.step, run.total = "frozen", rows, rows
        findings = [each.says for each in open_findings(change.dossier)]
        change.detail |= {"data": row.digest, "open": findings}

    claimed.end(Action.FREEZE_DATA, RunStatus.FINISHED, edit, FreezeData(leaks, claimed.fence))


def _moved() -> Refused:
    return Refused([Objection("data.moved", "The data set was built again meanwhile; look at it once more.")])


def time_leaks(artifacts: Artifacts, dossier: PlayDossier, path: Path) -> list[str]:
    """Return which rows of a data set fall in the held-out period, where the gate goes by time; the file has no times.

    In an effort's first round nothing that trains or validates comes after the held-out rows began either.
    """
    gate, play = dossier.gate, dossier.play
    if gate is None or play is None or not gate.by_time:
        return []
    splits, first = frozen.splits_of(path), play.round == dossier.first_round
    rule = SplitRule.of(gate, refresh=dossier.first_round > 1)
    times: dict[str, str] = {}
    files = [artifacts.path(each.artifact) for each in dossier.traffic]
    for row in traffic.rows(files, ("input_digest", "time")):
        digest, time = row["input_digest"], row["time"]
        kept = not first and splits.get(digest) is Split.HELD_OUT
        if time is not None and digest in splits and (kept or rule.in_window(time)):
            times[digest] = min(time, times.get(digest, time))
    held_out = sorted(times[digest] for digest, split in splits.items() if split is Split.HELD_OUT and digest in times)
    if not held_out:
        return ["No held-out row has a time, and the gate goes by time. Map the time column and build again."]
    begins, ends = held_out[0], "9999" if first else held_out[-1]
    open_times = (times.get(digest, "") for digest, split in splits.items() if split is not Split.HELD_OUT)
    inside = sum(begins <= time <= ends for time in open_times)
    if not inside:
        return []
    where = f"fall in the held-out period, which begins on {begins[:10]}"
    return [f"{inside:,} rows of training or validation {where}. Build the data set again."]
