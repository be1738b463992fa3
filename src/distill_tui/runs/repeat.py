"""What a repeating worker does: train the evaluated student with other seeds, and compare them on validation."""

from __future__ import annotations

import shutil
from dataclasses import replace

from distill_tui.gates.record import Record
from distill_tui.review import controls
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import RepeatResult, RepeatSpec, TrainResult, decode
from distill_tui.runs import task_rows
from distill_tui.runs.claim import Claim
from distill_tui.runs.train import Material, climb
from distill_tui.spec import Spec
from distill_tui.store.json_columns import result_of


def run(claimed: Claim, dossier: PlayDossier) -> None:
    judged = dossier.run(claimed.run.student_run)
    assert judged is not None and judged.artifact is not None
    asked = decode(RepeatSpec, claimed.run.spec)
    spec = replace(Spec.from_json(judged.spec).kept(result_of(TrainResult, judged).rung), seeds=asked.seeds)
    material = Material.of(claimed.project, claimed.run, dossier)
    trained, last = climb(claimed, spec, material, claimed.project.artifacts.path(judged.artifact))
    rows, task = material.validation, task_rows.of(material.validation.task)
    words = task.fit_baseline(material.training, spec.seed)
    arms = {controls.of_seed(seed): arm.predictions for seed, arm in trained.seeds.items()}
    columns = task.columns(rows, trained.kept.predictions, words.predict(rows.inputs), words.majority, arms)
    result = RepeatResult(
        findings=(controls.seeds(Record(**columns)),),
        scores=(trained.kept.score, *(arm.score for arm in trained.seeds.values())),
        seconds=round(trained.clock.seconds, 1),
        data=material.data.digest,
    )
    for seed in trained.seeds:
        shutil.rmtree(claimed.folder / controls.of_seed(seed).replace(" ", "-"), ignore_errors=True)
    claimed.finish(result, last, None)
