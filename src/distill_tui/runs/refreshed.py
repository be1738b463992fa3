"""The traffic of a refresh: which rows may judge the new student, which may only train, and why. Runs in workers only.

A refresh answers for the traffic of today: held-out rows are drawn from the day on which the drift began, or from the
last days. What came before, what a person may have seen, and what was looked at in an earlier effort cannot judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from distill_tui.dataset import frozen
from distill_tui.dataset import traffic as imported
from distill_tui.dataset.build import Rows
from distill_tui.dataset.split import TooFewRows
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import Finding, ImportReport
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.json_columns import read
from distill_tui.terms import FindingLevel, Split

SHOWN = "shown where answers differ"
LOOKED = "looked at in an earlier effort"
UNDATED = "without a date"


@dataclass(frozen=True)
class Fresh:
    """The files that a refresh is built of, the splits that are fixed in them, and what cannot judge."""

    files: tuple[Path, ...]
    splits: Mapping[str, Split]
    judged_from: str
    newest: Mapping[str, str]  # fresh input digest → the last day on which it came; empty without a date
    cannot: Mapping[str, int]  # why fresh inputs cannot judge → inputs

    @property
    def reasons(self) -> str:
        found = "; ".join(f"{rows:,} {reason}" for reason, rows in sorted(self.cannot.items()))
        return f"Fresh inputs that cannot judge: {found}." if found else "Every fresh input may judge."

    def too_few(self, few: TooFewRows) -> str:
        """Return how many rows may judge, how many are lacking, and why the others cannot."""
        since = f" dated {self.judged_from} or later" if self.judged_from else ""
        return (
            f"A refresh is judged on the present: {few.available:,} inputs{since} may be held out, and {few.lacking:,} "
            f"more are needed. {self.reasons} Import or observe traffic{since}."
        )

    def findings(self, rows: Rows) -> Iterator[Finding]:
        """Show from when the rows of each split are."""
        if not self.judged_from:
            return
        shares: dict[Split, list[int]] = {split: [0, 0] for split in Split}
        for row in rows:
            shares[row.split][self.newest.get(row.input_digest, "") >= self.judged_from] += 1
        words = ", ".join(
            f"{split.value} {since:,} since and {before:,} before" for split, (before, since) in shares.items()
        )
        yield Finding.of(
            "present",
            FindingLevel.NOTE,
            "refresh",
            f"The student is judged on traffic of {self.judged_from} and later: {words}. {self.reasons}",
        )


def files_of(artifacts: Artifacts, dossier: PlayDossier, keep: Mapping[str, Split], scratch: Path) -> Fresh:
    """Sort the traffic of a refresh: earlier rows keep their splits, and of the fresh ones only some may judge."""
    begin, since = dossier.first_round, dossier.judged_from
    earlier = [d for d in dossier.data_sets if d.round < begin and d.frozen_at]
    splits = [frozen.splits_of(artifacts.path(d.artifact)) for d in earlier]
    retired = {digest for each in splits for digest, split in each.items() if split is Split.HELD_OUT}
    fixed = {digest: split for digest, split in keep.items() if digest not in retired}
    old, fresh = scratch / "earlier.parquet", scratch / "fresh.parquet"
    paths = {t.id: artifacts.path(t.artifact) for t in dossier.traffic}
    known = frozenset(fixed)
    imported.pick([paths[t.id] for t in dossier.traffic if t.round < begin], lambda r: r["input_digest"] in known, old)
    late = [t for t in dossier.traffic if t.round >= begin]
    imported.pick([paths[t.id] for t in late], lambda r: r["input_digest"] not in retired, fresh)
    newest, shown, cannot = dict[str, str](), set[str](), Counter[str]()
    for each in late:
        observed = is_observed(each)
        for row in imported.rows([paths[each.id]], ("input_digest", "time")):
            digest, day = row["input_digest"], (row["time"] or "")[:10]
            newest[digest] = max(day, newest.get(digest, ""))
            if observed and not imported.sealed(digest):
                shown.add(digest)
    for digest, day in newest.items():
        reason = _reason(digest, day, since, known, retired, shown)
        if reason:
            cannot[reason] += 1
            if digest not in retired:
                fixed.setdefault(digest, Split.TRAIN)
    return Fresh((old, fresh), fixed, since, newest, cannot)


def _reason(digest: str, day: str, since: str, known: frozenset[str], retired: set[str], shown: set[str]) -> str:
    """Return why a fresh input cannot judge; empty where it may."""
    if digest in retired:
        return LOOKED
    if digest in known:
        return "trained or validated on before"
    if digest in shown:
        return SHOWN
    if since and not day:
        return UNDATED
    return f"dated before {since}" if day < since else ""


def is_observed(traffic: entities.Traffic) -> bool:
    """Whether a file of traffic is what a live student was observed on."""
    return read(ImportReport, traffic.report, f"the report of traffic file {traffic.id}").observed
