"""What a training worker does: train the student of the run's spec and its control arms, and look at validation."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distill_tui import tasks
from distill_tui.dataset import frozen
from distill_tui.gates.aside import LEAST, aside, key
from distill_tui.gates.deferred import chosen, too_few
from distill_tui.gates.gate import QUALITY
from distill_tui.gates.headline import metric_of
from distill_tui.gates.record import Record
from distill_tui.review import controls
from distill_tui.review.headline import values
from distill_tui.rounds.weights import cell
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import TrainedArm, TrainResult, Validation
from distill_tui.runs import task_rows
from distill_tui.runs.claim import Companion, Host, Work
from distill_tui.runs.executors import cores
from distill_tui.spec import Spec
from distill_tui.store import queries, tables
from distill_tui.store.project import Project
from distill_tui.teachers.description import Described
from distill_tui.teachers.folder import local_teacher
from distill_tui.terms import RunKind, Split
from distill_tui.training import measure, students
from distill_tui.training.folders import form
from distill_tui.training.ladder import Arm, Climb, arm_folder
from distill_tui.training.loop import Step


def run(claimed: Work, dossier: PlayDossier) -> None:
    """Train the student of the run's spec, from its newest checkpoint if there is one, and validate it."""
    project, spec = claimed.project, Spec.from_json(claimed.run.spec)
    material = Material.of(project, claimed.run, dossier)
    if dossier.gate is not None:
        problem = too_few(dossier.gate, [*map(key, material.validation.digests)], len(material.validation))
        if problem:
            raise ValueError(problem)
    trained, last = climb(claimed, spec, material)
    kept = trained.kept
    control_arms = {control.value: arm for control, arm in trained.controls.items()}
    parameters, size = measure.size(kept.folder)
    opened = students.open_folder(kept.folder, threads=kept.spec.threads)
    cut = opened.cut([*material.training.inputs, *material.validation.inputs])
    seeds = {controls.of_seed(seed): arm for seed, arm in trained.seeds.items()}
    shown = validated(claimed, kept, control_arms | seeds | trained.probe, material)
    if cut.is_finding:
        says = f"The student does not read every text whole: {cut.sentence}. Raise max_tokens, or choose another kind."
        shown = replace(shown, findings=(says, *shown.findings))
    result = TrainResult(
        **vars(shown),
        cut=cut,
        seconds=round(trained.clock.seconds, 1),
        parameters=parameters,
        bytes=size,
        data=material.data.digest,
        rung=kept.spec.rung,
        form=form(kept.folder),
        rungs=tuple(arm_result(arm, trained.good_enough(arm)) for arm in trained.rungs),
        enough=trained.target,
        compared=trained.rows.compared,
        terms=tuple(vars(terms) for terms in kept.epochs),
        controls={
            name: arm_result(arm, False, project.artifacts.store_copy(arm.folder)) for name, arm in control_arms.items()
        },
    )
    claimed.finish(result, last, project.artifacts.store_copy(kept.folder))


@dataclass(frozen=True)
class Material:
    """What a training run reads: a frozen data set and, where the student learns from one, a local teacher."""

    data: entities.DataSet
    training: frozen.Rows
    validation: frozen.Rows
    teacher: Path | None
    asked: Described  # the prompt of a teacher that writes

    @classmethod
    def of(cls, project: Host, run: entities.Run, dossier: PlayDossier) -> Material:
        play, data = dossier.play, next(d for d in dossier.data_sets if d.id == run.data_set_id)
        path, teacher = project.artifacts.path(data.artifact), local_teacher(project.artifacts, play)
        return cls(data, frozen.load(path, Split.TRAIN), frozen.load(path, Split.VALIDATION), *teacher)


@dataclass(frozen=True)
class Left:
    """The arms of a run that are not trained yet, where shards train them."""

    spec: Spec  # which names them: the run's own, or that of the rung that was kept, next to which they are compared
    names: list[str]
    steps: int  # of the arms whose curves count


def left(claimed: Work, dossier: PlayDossier) -> Left:
    """Find what is left to train: first all rungs of a ladder, then the arms that the kept rung is compared with."""
    spec, material = Spec.from_json(claimed.run.spec), Material.of(claimed.project, claimed.run, dossier)
    trained = _planned(claimed, spec, material)
    names = trained.untrained()
    if names or not trained.is_ladder:
        return Left(spec, names, trained.total())
    deque(trained.choose(), maxlen=0)  # predicts the validation rows, and trains nothing
    kept = trained.kept.spec
    return Left(kept, _planned(claimed, kept, material).untrained(), trained.planned)


def train_arms(claimed: Work, dossier: PlayDossier, names: Sequence[str]) -> dict[str, str]:
    """Train these arms of a run, and return the folder of each as an artifact, by name."""
    spec, material = Spec.from_json(claimed.run.spec), Material.of(claimed.project, claimed.run, dossier)
    climb(claimed, spec, material, arms=names)
    artifacts = claimed.project.artifacts
    return {name: artifacts.store_copy(arm_folder(claimed.folder, name), _is_checkpoint) for name in names}


def _is_checkpoint(name: str) -> bool:
    return name.startswith("checkpoints/")


def train_shard(project: Project, run_id: int) -> int:
    """Train as a companion process; every other kind of run is the first process's alone."""
    run = queries.run(project, run_id)
    if run is not None and run.kind is RunKind.TRAIN:
        accompany(Companion(project, run_id, project.artifacts.run_folder(run_id)), run)
    return 0


def accompany(companion: Companion, run: entities.Run, arms: Sequence[str] = ()) -> None:
    """Train together with the process that has the run; of a shard of arms, these."""
    material = Material.of(companion.project, run, companion.project.dossier(run.play_id))
    climb(companion, Spec.from_json(run.spec), material, arms=arms)


def climb(
    claimed: Work | Companion,
    spec: Spec,
    material: Material,
    student: Path | None = None,
    arms: Sequence[str] = (),
) -> tuple[Climb[Any, Any], int]:
    """Train the arms of a run, reporting each step; returns them and the number of steps.

    `student` was trained before, and only the arms that are compared with it are trained. `arms` are names, where not
    all are trained.

    The curve has the points of the student, or of one rung after the other; the other arms only have messages.
    """
    trained = _planned(claimed, spec, material, student)
    total, last = trained.total(), 0
    with closing(trained.some(arms) if arms else trained.steps()) as steps:
        for name, step in steps:
            number = trained.before + step.number  # the same for a run that was killed and resumed
            last, done = max(last, number), trained.done
            point = None if name.startswith(("control", "seed", "probe")) else _point(claimed.id, number, step)
            always = point is not None and step.validation is not None
            message = _step_message(name, step, [other for other in trained.working if other != name])
            claimed.report(done, max(done, total), message, point=point, always=always)
    return trained, max(last, trained.ready)


def _planned(claimed: Work | Companion, spec: Spec, material: Material, student: Path | None = None) -> Climb[Any, Any]:
    start = claimed.project.artifacts.path(spec.folder) if spec.folder else None
    rows = task_rows.of(material.training.task).arm_rows(material.training, material.validation, material.asked)
    return Climb(
        spec,
        rows,
        teacher=material.teacher,
        start=start,
        folder=claimed.folder,
        trained=student,
        spare=cores.spare(spec.threads),
    )


def _point(run_id: int, number: int, step: Step) -> entities.RunPoint:
    return tables.RunPoint(
        run_id=run_id,
        step=number,
        loss=step.loss,
        validation=step.validation,
        rows_per_second=step.rows_per_second,
    )


def _step_message(name: str, step: Step, others: Sequence[str]) -> str:
    terms = ", ".join(f"{term} {size:.3f}" for term, size in vars(step.terms).items() if size)
    also = f" · also at work: {', '.join(others)}" if others else ""
    return f"{name} · epoch {step.epoch} · loss {step.loss:.3f} ({terms}){also}"


def arm_result(arm: Arm[Any], good_enough: bool, artifact: str = "") -> TrainedArm:
    parameters, size = measure.size(arm.folder)
    return TrainedArm(
        rung=arm.spec.rung,
        score=arm.score,
        good_enough=good_enough,
        seconds=round(arm.seconds, 1),
        parameters=parameters,
        bytes=size,
        artifact=artifact,
    )


def validated(claimed: Work, kept: Arm[Any], others: dict[str, Arm[Any]], material: Material) -> Validation:
    """Compute the validation results, which builders may read freely: score, agreement, failures by cell.

    Every row's outcome is kept as a record, so that rounds are compared row by row and failures can be paged through.
    Where the gate defers requests to the teacher, the threshold is chosen here, before a held-out row is read.
    """
    rows, task = material.validation, task_rows.of(material.validation.task)
    words = task.fit_baseline(material.training, kept.spec.seed)
    arms = {name: arm.predictions for name, arm in others.items()}
    columns = task.columns(rows, kept.predictions, words.predict(rows.inputs), words.majority, arms)
    record = Record(**columns)
    gate = claimed.project.dossier(claimed.run.play_id).gate
    record = record if gate is None else replace(record, deferred_below=chosen(gate, record))
    counted = [at for at, truth in enumerate(record.truth) if truth >= 0]
    failures: dict[str, tuple[int, int]] = {}
    label_of = tasks.of(record.task).cell_label
    for at in counted:
        where = cell(rows.segments[at], label_of(record.labels[record.truth[at]]))
        failed, total = failures.get(where, (0, 0))
        failures[where] = failed + int(record.student[at] != record.truth[at]), total + 1
    right = sum(record.student[at] == record.truth[at] for at in counted)
    metric = metric_of(gate, record.task)
    by_gate = metric not in QUALITY and gate is not None and record.truth is record.gold
    score = values(metric, gate, record).student if by_gate and gate is not None else None
    agrees = [
        student == teacher for student, teacher in zip(record.student, record.teacher, strict=True) if teacher >= 0
    ]
    return Validation(
        validation_score=right / len(counted) if counted else None,
        validation_rows=len(counted),
        score_name="accuracy" if record.truth is record.gold else "agreement",
        agreement=sum(agrees) / len(agrees) if agrees else None,
        failures=failures,
        findings=(*controls.findings(record), *_same_rows(record)),
        deferred_below=record.deferred_below,
        judged="" if score is None else metric.value,
        judged_score=score,
        validation=claimed.project.artifacts.store_bytes(record.to_json().encode()),
    )


def _same_rows(record: Record) -> Iterator[str]:
    """Find that the deferral threshold was fixed on rows that stopped the training too."""
    if record.deferred_below and not aside(record.key):
        yield (
            f"Fewer than {LEAST} validation rows could be set aside, so the deferral threshold was fixed on rows that "
            "also stopped the training: more requests may go back than the gate aims at. More validation rows cure it."
        )
