"""What a training worker does: train the student of the run's spec and its control arms, and look at validation."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from distill_tui import gates
from distill_tui.dataset import frozen
from distill_tui.review import controls
from distill_tui.rounds.weights import cell
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.runs import answer_columns, arms, label_columns
from distill_tui.runs.claim import Claim, Companion
from distill_tui.spec import Spec
from distill_tui.store import queries
from distill_tui.store.project import Project
from distill_tui.teachers.description import Described
from distill_tui.terms import RunKind, Split
from distill_tui.training import evaluate, measure
from distill_tui.training.folders import form


def run(claimed: Claim, dossier: PlayDossier) -> None:
    """Train the student of the run's spec, from its newest checkpoint if there is one, and look at validation."""
    project, spec = claimed.project, Spec.from_json(claimed.run.spec)
    data, training, validation, teacher, asked = material(project, claimed.run, dossier)
    if dossier.gate is not None and dossier.gate.deferral is not None and not len(validation):
        raise ValueError("The gate sends requests back by a threshold of the validation rows, and there is none.")
    started = time.monotonic()
    trained, last = arms.climb(claimed, spec, training, validation, teacher, asked)
    kept = trained.kept
    control_arms = {control.value: arm for control, arm in trained.controls.items()}
    beside = {name: arm.says for name, arm in (control_arms | trained.probe).items()}
    parameters, size = measure.size(kept.folder)
    look = validate if training.labels else validate_answers
    result = look(claimed, kept.says, kept.spec, training, validation, beside) | {
        "seconds": round(time.monotonic() - started, 1),
        "parameters": parameters,
        "bytes": size,
        "data": data.digest,
        "rung": kept.spec.rung,
        "form": form(kept.folder),
        "rungs": [arms.told(arm, trained.good_enough(arm)) for arm in trained.rungs],
        "enough": trained.bar,
        "terms": [vars(terms) for terms in kept.epochs],
        "controls": {
            name: {"artifact": project.artifacts.store_copy(arm.folder)} | arms.told(arm, False)
            for name, arm in control_arms.items()
        },
    }
    claimed.finish(result, last, project.artifacts.store_copy(kept.folder))


def material(
    project: Project, run: entities.Run, dossier: PlayDossier
) -> tuple[entities.DataSet, Any, Any, Path | None, Described]:
    """Give what a training run learns from: its data set, the rows to train and to validate on, a local teacher.

    The last says how a teacher that writes is asked.
    """
    play, data = dossier.play, next(d for d in dossier.data_sets if d.id == run.data_set_id)
    path = project.artifacts.path(data.artifact)
    teacher = arms.teacher_of(project.artifacts, play)
    return data, frozen.load(path, Split.TRAIN), frozen.load(path, Split.VALIDATION), *teacher


def learn_along(project: Project, run_id: int) -> int:
    """Do a companion's part of a training run; every other kind of run is the first process's alone."""
    run = queries.run(project, run_id)
    if run is not None and run.kind is RunKind.TRAIN:
        _, training, validation, teacher, asked = material(project, run, project.dossier(run.play_id))
        along = Companion(project, run_id, project.artifacts.run_folder(run_id))
        arms.climb(along, Spec.from_json(run.spec), training, validation, teacher, asked)
    return 0


def validate(
    claimed: Claim, probabilities: Any, spec: Any, training: Any, rows: Any, beside: dict[str, Any]
) -> dict[str, Any]:
    """Look at the validation split, which builders may look at freely: the score, and where the student fails.

    What every row got is kept as a record, so that rounds are compared row by row and failures can be paged through.
    `beside` holds the probabilities of each arm that was trained beside the student. Where the gate sends requests back
    to the teacher, the threshold is fixed here, before anybody has looked at a held-out row.
    """
    taught = np.where(training.gold >= 0, training.gold, training.teacher)
    shares = evaluate.fit_shares(training.inputs, taught, spec.seed, len(rows.labels))(rows.inputs)
    also = {name: tuple(int(label) for label in says.argmax(axis=1)) for name, says in beside.items()}
    record = gates.Record(
        **label_columns.columns(rows, probabilities, shares, evaluate.majority(taught)), controls=also
    )
    return looked_at(claimed, record, rows)


def validate_answers(
    claimed: Claim, said: Any, spec: Any, training: Any, rows: Any, beside: dict[str, Any]
) -> dict[str, Any]:
    """Look at the validation split of a generation task as `validate` does; `said` and `beside` hold answers."""
    taught = answer_columns.taught(training)
    baseline = evaluate.fit_nearest(training.inputs, taught)(rows.inputs)
    also = {name: [each.text for each in says] for name, says in beside.items()}
    columns = answer_columns.columns(rows, said, baseline, answer_columns.commonest(taught), also)
    return looked_at(claimed, gates.Record(**columns), rows)


def looked_at(claimed: Claim, record: Any, rows: Any) -> dict[str, Any]:
    """Say what a record of the validation split shows: the score, agreement, the cells in which the student fails."""
    gate = claimed.project.dossier(claimed.run.play_id).gate
    record = record if gate is None else replace(record, deferred_below=gates.chosen(gate, record))
    counted = [at for at, truth in enumerate(record.truth) if truth >= 0]
    failures: dict[str, list[int]] = {}
    for at in counted:
        where = cell(rows.segments[at], None if record.of_answers else record.labels[record.truth[at]])
        failed, total = failures.get(where, [0, 0])
        failures[where] = [failed + int(record.student[at] != record.truth[at]), total + 1]
    right = sum(record.student[at] == record.truth[at] for at in counted)
    agrees = [said == teacher for said, teacher in zip(record.student, record.teacher, strict=True) if teacher >= 0]
    return {
        "validation_score": right / len(counted) if counted else None,
        "validation_rows": len(counted),
        "score_name": "accuracy" if record.truth is record.gold else "agreement",
        "agreement": sum(agrees) / len(agrees) if agrees else None,
        "failures": failures,
        "findings": controls.findings(record),
        "deferred_below": record.deferred_below,
        "validation": claimed.project.artifacts.store_bytes(record.to_json().encode()),
    }
