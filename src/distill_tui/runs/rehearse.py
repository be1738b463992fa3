"""What a rehearsing worker does: run the recipe of the judged student again, from nothing, and compare the result."""

from __future__ import annotations

import shutil
import time

from distill_tui.digests import folder_digest
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import RehearsalResult, TrainResult
from distill_tui.runs import task_rows
from distill_tui.runs.claim import Claim
from distill_tui.spec import Spec
from distill_tui.store.json_columns import result_of
from distill_tui.teachers.folder import local_teacher
from distill_tui.training.ladder import ship
from distill_tui.training.loop import Places


def run(claimed: Claim, dossier: PlayDossier) -> None:
    project, play = claimed.project, dossier.play
    judged = dossier.run(claimed.run.student_run)
    data = next(d for d in dossier.data_sets if d.id == claimed.run.data_set_id)
    assert judged is not None and judged.artifact is not None
    teacher, asked = local_teacher(project.artifacts, play)
    spec = Spec.from_json(judged.spec).kept(result_of(TrainResult, judged).rung)
    start = project.artifacts.path(spec.folder) if spec.folder else None
    started, last = time.monotonic(), 0
    places = Places(teacher, claimed.folder / "checkpoints", claimed.folder / "student", start)
    for step in task_rows.train_again(spec, project.artifacts.path(data.artifact), places, asked):
        last = step.number
        claimed.report(step.number, step.total, f"epoch {step.epoch} · loss {step.loss:.3f}")
    digest = folder_digest(ship(places.out, spec, claimed.folder / "shipped"))
    result = RehearsalResult(
        same=digest == judged.artifact,
        student=digest,
        seconds=round(time.monotonic() - started, 1),
        data=data.digest,
    )
    for name in ("checkpoints", "student", "shipped"):
        shutil.rmtree(claimed.folder / name, ignore_errors=True)
    claimed.finish(result, last, None)
