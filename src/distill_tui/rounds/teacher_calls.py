"""What a play asked of its teacher beyond labels, and what all calls cost."""

from __future__ import annotations

import json
from pathlib import Path

from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import ImportReport, TakenVariations, VariationsSpec
from distill_tui.store.json_columns import read, stored
from distill_tui.teachers import cache
from distill_tui.terms import RunKind


def ask_of(run: entities.Run) -> VariationsSpec | None:
    """Return the request for variations of a labelling run; None for a run that labels."""
    what = f"the spec of run {run.id}"
    request = stored(run.spec, what, "vary") if run.kind is RunKind.LABEL else {}
    return read(VariationsSpec, json.dumps(request), what) if request else None


def taken(file: entities.Traffic) -> TakenVariations | None:
    """Return the variations in an imported file; None for any other file."""
    return read(ImportReport, file.report, f"the report of traffic file {file.id}").variations


def paid(folder: Path, dossier: PlayDossier, also: str = "") -> cache.Ledger:
    """Sum the calls of the play's teacher and their cost, for labels and for variations."""
    teacher = dossier.play.teacher_digest
    requests = (ask_of(run) for run in dossier.runs)
    writers = {each.writer for each in requests if each is not None and each.teacher == teacher}
    names = {teacher, *writers, also} - {""}
    return cache.ledger(folder, *names)
