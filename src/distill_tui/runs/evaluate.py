"""What an evaluating worker does: judge one student on the held-out split, and record it through the door."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from distill_tui import tasks
from distill_tui.dataset import frozen
from distill_tui.gates import judging
from distill_tui.gates.cut import Cut
from distill_tui.gates.gate import Gate
from distill_tui.gates.record import CERTAIN, TOGETHER, Record
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import worksheet_numbers
from distill_tui.rules.results import EvaluationResult, TrainResult, encode
from distill_tui.runs import task_rows
from distill_tui.runs.ask import cut_of
from distill_tui.runs.claim import Claim
from distill_tui.spec import Spec
from distill_tui.store import tables
from distill_tui.store.json_columns import result_of
from distill_tui.store.project import Change
from distill_tui.store.records import judged, read_record
from distill_tui.terms import Action, RunKind, RunStatus, Split, TeacherSource
from distill_tui.training import measure, predict, students


def run(claimed: Claim, dossier: PlayDossier) -> None:
    """Judge one student on the held-out split with its teacher and the baseline: quality, latency and size."""
    started, artifacts, gate, play = time.monotonic(), claimed.project.artifacts, dossier.gate, dossier.play
    run = dossier.run(claimed.run.student_run)
    data = next(d for d in dossier.data_sets if d.id == claimed.run.data_set_id)
    assert gate is not None and run is not None and run.artifact is not None
    result = result_of(TrainResult, run)
    for artifact in (data.artifact, run.artifact, *(arm.artifact for arm in result.controls.values())):
        if trouble := artifacts.trouble(artifact):
            raise ValueError(trouble)
    path, spec, student = artifacts.path(data.artifact), Spec.from_json(run.spec), artifacts.path(run.artifact)
    held_out, training = frozen.load(path, Split.HELD_OUT), frozen.load(path, Split.TRAIN)
    held_out = frozen.without(held_out, frozen.held_out_with(path, dossier.burnt))
    teacher = artifacts.path(play.teacher_digest) if play.teacher_source is TeacherSource.LOCAL else None
    arms = {name: artifacts.path(arm.artifact) for name, arm in result.controls.items()}
    columns, words = answered(claimed, gate, spec, student, arms, training, held_out)
    columns |= timed(claimed, spec, student, teacher, words, held_out.inputs)
    columns |= live_answers(claimed, dossier, columns["labels"], held_out.inputs)
    below = result.deferred_below if gate.deferral is not None else 0
    if below and teacher is not None:
        columns["latency_us"][TOGETHER] = together(claimed, spec, student, teacher, below, held_out.inputs)
    record = Record(
        data_set=data.digest,
        model=run.artifact,
        teacher_model=play.teacher_digest,
        payback_inputs={name: str(number) for name, number in worksheet_numbers(dossier).items()},
        deferred_below=below,
        cut=cuts(spec, student, cut_of(artifacts, play, held_out.inputs), held_out.inputs),
        **columns,
    )
    digest = artifacts.store_bytes(record.to_json().encode())
    passed = judging.passed(judged(read_record(artifacts, digest), digest, gate))
    record_evaluation(claimed, dossier, run, data, digest, passed, round(time.monotonic() - started, 1))


def answered(
    claimed: Claim,
    gate: Gate,
    spec: Spec,
    student: Path,
    arms: Mapping[str, Path],
    training: frozen.Rows,
    held_out: frozen.Rows,
) -> tuple[dict[str, Any], Callable[[Sequence[str]], object] | None]:
    """Predict with the student, its control arms and the baseline: columns of a record, and a baseline to time.

    The teacher's own answers are in the data set already.
    """
    task = task_rows.of(held_out.task)
    claimed.report(1, 5, "the student on the held-out split", always=True)
    predictions = predict.predictions(student, held_out.inputs, spec)
    controls = {name: predict.predictions(folder, held_out.inputs, spec) for name, folder in arms.items()}
    claimed.report(2, 5, "the baseline", always=True)
    words = task.fit_baseline(training, gate.seed, by_majority=gate.baseline == "majority")
    columns = task.columns(held_out, predictions, words.predict(held_out.inputs), words.majority, controls)
    return columns, None if words.instant else words.predict


def live_answers(
    claimed: Claim, dossier: PlayDossier, labels: Sequence[str], texts: Sequence[str]
) -> dict[str, object]:
    """Return what the live student answers on the same rows, and its digest; nothing outside a refresh."""
    live, artifacts = dossier.live, claimed.project.artifacts
    if live is None or not dossier.refreshing:
        return {}
    judged = dossier.evaluation_of(live)
    assert judged is not None
    run = dossier.run(judged.run_id)
    assert run is not None
    if trouble := artifacts.trouble(judged.model):
        raise ValueError(trouble)
    claimed.report(5, 5, "the live student on the held-out split", always=True)
    given = predict.outputs(artifacts.path(judged.model), texts, threads=Spec.from_json(run.spec).threads).answers
    assert dossier.gate is not None
    spelled = tasks.compared(dossier.play.task, dossier.gate.lists).spelled
    number = {label: at for at, label in enumerate(labels)}
    return {"live": tuple(number.get(spelled(answer), -1) for answer in given), "live_model": judged.model}


def cuts(spec: Spec, student: Path, teacher: Cut | None, texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Count what the student does not read of the held-out texts, next to what its local teacher does not."""
    found = {"student": students.open_folder(student, threads=spec.threads).cut(texts).numbers}
    return found if teacher is None else found | {"teacher": teacher.numbers}


def timed(
    claimed: Claim,
    spec: Spec,
    student: Path,
    teacher: Path | None,
    baseline: Callable[[Sequence[str]], object] | None,
    texts: Sequence[str],
) -> dict[str, Any]:
    """Time baseline, student and local teacher, one request at a time, and measure their size and throughput."""
    options = {"threads": spec.threads}
    latency: dict[str, Any] = {} if baseline is None else {"baseline": measure.baseline_latencies(baseline, texts)}
    sizes, running = {}, {}
    fewer = ({"per_run": 60}, {"rounds": 2})  # of a teacher, which takes many times as long
    for step, name, folder, (asked, batches) in ((3, "student", student, ({}, {})), (4, "teacher", teacher, fewer)):
        if folder is not None:
            claimed.report(step, 5, f"the {name}'s latency, one request at a time", always=True)
            latency[name] = measure.latencies(folder, texts, **asked, **options)
            sizes[name], running[name] = measure.size(folder), measure.running(folder, texts, **batches, **options)
    claimed.report(5, 5, "judging", always=True)
    return {
        "latency_us": {name: tuple(tuple(run) for run in runs) for name, runs in latency.items()},
        "parameters": {name: parameters for name, (parameters, _) in sizes.items()},
        "bytes": {name: size for name, (_, size) in sizes.items()},
        "running": running,
        "machine": measure.machine(spec.threads),
    }


def together(
    claimed: Claim, spec: Spec, student: Path, teacher: Path, below: int, texts: Sequence[str]
) -> tuple[tuple[int, ...], ...]:
    """Time requests of which the teacher also answers those that the gate defers."""
    claimed.report(5, 5, "the latency of student and teacher together", always=True)
    options = {"threads": spec.threads}
    return tuple(map(tuple, measure.combined_latencies(student, teacher, below / CERTAIN, texts, **options)))


def record_evaluation(
    claimed: Claim,
    dossier: PlayDossier,
    run: entities.Run,
    data: entities.DataSet,
    record: str,
    passed: bool,
    took: float,
) -> None:
    """Record the evaluation through the door; it moves the play to decide, unless it is the validator's own."""
    own = claimed.run.kind is RunKind.REPRODUCE
    assert dossier.gate_row is not None and dossier.gate_row.digest is not None
    assert run.id is not None and run.artifact is not None
    gate_digest, student, model = dossier.gate_row.digest, run.id, run.artifact

    def edit(change: Change, row: entities.Run) -> None:
        row.result = encode(EvaluationResult(seconds=took, passed=passed))
        row.message = "the gate is held" if passed else "the gate is not held"
        change.session.add(
            tables.Evaluation(
                play_id=row.play_id,
                round=row.round,
                run_id=student,
                evaluation_run=claimed.id,
                gate_digest=gate_digest,
                data_digest=data.digest,
                model=model,
                record=record,
                passed=int(passed),
                reproduced=int(own),
                recorded_at=change.at,
            )
        )
        change.detail |= {"record": record, "passed": passed, "reproduced": own}

    claimed.end(Action.RECORD_REPRODUCTION if own else Action.RECORD_EVALUATION, RunStatus.FINISHED, edit)
