"""Recompute every verdict that a project file stores, from the file and its artifacts alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from distill_tui.gates import judging
from distill_tui.gates.deferred import chosen
from distill_tui.gates.written import digest
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.entities import Evaluation
from distill_tui.store import queries
from distill_tui.store.project import Project
from distill_tui.store.records import judged, read_record


@dataclass(frozen=True)
class Checked:
    """One stored verdict, and what is wrong with it; empty if the recomputed verdict agrees."""

    play: str
    evaluation: int
    round: int
    reproduced: bool
    stored: str  # passed, missed
    computed: str  # passed, missed; empty where it cannot be computed
    trouble: str


def check(project: Project) -> Iterator[Checked]:
    """Go through the evaluations of every play, oldest first."""
    for play in queries.plays(project):
        dossier = project.dossier(play)
        for evaluation in dossier.evaluations:
            yield _checked(project, dossier, evaluation)


def _checked(project: Project, dossier: PlayDossier, row: Evaluation) -> Checked:
    play = dossier.play
    stored, computed, trouble = _word(bool(row.passed)), "", ""
    try:
        computed, trouble = _computed(project, dossier, row)
    except (OSError, ValueError) as error:
        trouble = f"its record cannot be used: {error}"
    if not trouble and computed != stored:
        trouble = f"it says {stored}, and its record comes out as {computed}"
    sentence = f"Evaluation {row.id} of {play.code}, round {row.round}: {trouble.rstrip('.')}." if trouble else ""
    return Checked(play.code, row.id, row.round, bool(row.reproduced), stored, computed, sentence)


def _computed(project: Project, dossier: PlayDossier, row: Evaluation) -> tuple[str, str]:
    """Compute a verdict; return it and the first mismatch between record, gate, model and data set."""
    if dossier.gate is None:
        return "", dossier.gate_trouble or "there is no gate to judge it by"
    record = read_record(project.artifacts, row.record)
    trouble = ""
    if digest(dossier.gate) != row.gate_digest:
        trouble = "it was judged by another gate than the play has"
    elif record.model != row.model:
        trouble = "its record is of another student"
    elif record.data_set != row.data_digest:
        trouble = "its record is of another data set"
    elif record.deferred_below != _threshold(dossier, row):
        trouble = "what it sends back to the teacher is not what the validation rows say"
    return _word(judging.passed(judged(record, row.record, dossier.gate))), trouble


def _threshold(dossier: PlayDossier, row: Evaluation) -> int:
    """Recompute the deferral threshold of an evaluated student on the validation rows; 0 without deferral."""
    if dossier.gate is None or dossier.gate.deferral is None:
        return 0
    validation = dossier.validation(row.run_id)
    if validation is None:
        raise ValueError("the answers to the validation rows, which say what is sent back, are not there")
    return chosen(dossier.gate, validation)


def _word(passed: bool) -> str:
    return "passed" if passed else "missed"
