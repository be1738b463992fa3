"""`python -m distill_tui.runs.worker PROJECT RUN`: claims a run, drives it, reports, and leaves the truth in the file.

A worker holds its run's lock for as long as it lives. Every write carries the token of its claim, so that a worker
that was given up (and perhaps replaced) can change nothing any more. Progress is written at most twice a second.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import Dossier
from distill_tui.rules.gate import worksheet_numbers
from distill_tui.rules.objection import Refused
from distill_tui.runs import arms, launch, row_groups
from distill_tui.store import sqlite, tables
from distill_tui.store.project import Project, ProjectError, now, stored
from distill_tui.teachers.description import Described
from distill_tui.terms import Action, Assurance, RunKind, RunStatus
from distill_tui.training import processes

EVERY = 0.5  # seconds between two reports
BEAT = 2.0  # seconds between two heartbeats
OF_RUST = re.compile(r"\(os error (\d+)\)$")  # how safetensors and tokenizers pass on what the system said


class Stopped(Exception):
    """Somebody asked the run to stop, or gave it to another worker."""


class Claim:
    """A run that this process holds: what it may report, and whether it should stop."""

    def __init__(self, project: Project, run: tables.Run, token: str) -> None:
        assert run.id is not None
        self.project, self.run, self.token, self.id = project, run, token, run.id
        self.folder = project.artifacts.run_folder(run.id)
        self.actor = Actor(run.started_by, f"worker of run {run.id}", Assurance.ACCOUNT, run.id)
        self._stop, self._over = threading.Event(), threading.Event()
        self._last = 0.0
        self._pulse = threading.Thread(target=self._beat, daemon=True)
        self._pulse.start()

    def _beat(self) -> None:
        """Say that we live, and hear whether we should stop, also while a step takes long."""
        while not self._over.wait(BEAT):
            with suppress(OSError, ProjectError, *sqlite.errors()):  # a disk that fails once may do at the next beat
                if not self._write(heartbeat_at=now()):
                    self._stop.set()

    def _write(self, points: tuple[tables.RunPoint, ...] = (), **columns: Any) -> bool:
        """Write telemetry if the run is still ours; False says that it is not, or that a stop was asked for."""
        with self.project.telemetry() as session:
            run = session.get(tables.Run, self.id)
            if run is None or run.token != self.token or run.status is not RunStatus.RUNNING:
                return False
            for name, value in columns.items():
                setattr(run, name, value)
            session.add(run)
            for point in points:
                session.merge(point)
            return not run.stop_requested

    def report(
        self, step: int, total: int, message: str, *, point: tables.RunPoint | None = None, always: bool = False
    ) -> None:
        """Report progress. Raises Stopped where the run should end here."""
        if self._stop.is_set():
            raise Stopped
        due = time.monotonic() - self._last >= EVERY
        if not (due or always):
            return
        self._last = time.monotonic()
        points = (point,) if point is not None else ()
        if not self._write(points, step=step, total=total, message=message, heartbeat_at=now()):
            raise Stopped

    def end(self, action: Action, status: RunStatus, edit: Callable[[Any, tables.Run], None]) -> None:
        """End the run through the door, whatever kind of end it is."""
        self._over.set()
        self._pulse.join()
        request = {"run": self.id, "token": self.token}
        with self.project.change(action, self.run.play_id, self.actor, request) as change:
            run = change.session.get(tables.Run, self.id)
            assert run is not None
            run.status, run.ended_at, run.token, run.pid = status, change.at, None, None
            edit(change, run)
            change.session.add(run)
            change.detail |= {"run": self.id, "status": status.value}


def claim(project: Project, run_id: int) -> Claim | None:
    """Take a queued run; None where it is not there to take."""
    token = secrets.token_hex(16)
    with project.telemetry() as session:
        run = session.get(tables.Run, run_id)
        if run is None or run.status is not RunStatus.QUEUED:
            return None
        run.status, run.token, run.pid = RunStatus.RUNNING, token, os.getpid()
        run.claimed_at = run.heartbeat_at = now()
        run.message = "starting"
        session.add(run)
    return Claim(project, run, token)


def work(claimed: Claim) -> None:
    """Do what the run was started for."""
    dossier = claimed.project.dossier(claimed.run.play_id)
    {
        RunKind.LABEL: label,
        RunKind.TRAIN: train,
        RunKind.EVALUATE: evaluate,
        RunKind.REPRODUCE: evaluate,
        RunKind.OBSERVE: observe,
        RunKind.REHEARSE: rehearse,
    }[claimed.run.kind](claimed, dossier)


def observe(claimed: Claim, dossier: Dossier) -> None:
    """Have the live student answer a feed."""
    from distill_tui.runs import observe as observe_run

    observe_run.run(claimed, dossier)


def label(claimed: Claim, dossier: Dossier) -> None:
    """Ask the teacher for every input that it has not answered yet."""
    from distill_tui.runs import label as labelling

    result = labelling.run(claimed, dossier)
    finish(claimed, result, result["new"], None)


def train(claimed: Claim, dossier: Dossier) -> None:
    """Train the student of the run's spec, from its newest checkpoint if there is one, and look at validation."""
    from distill_tui.spec import Spec
    from distill_tui.training import measure
    from distill_tui.training.folders import form

    project, spec = claimed.project, Spec.from_json(claimed.run.spec)
    data, training, validation, teacher, asked = material(project, claimed.run, dossier)
    if dossier.gate is not None and dossier.gate.deferral is not None and not len(validation):
        raise ValueError("The gate sends requests back by a threshold of the validation rows, and there is none.")
    started = time.monotonic()
    trained, last = arms.climb(claimed, spec, training, validation, teacher, asked)
    kept = trained.kept
    controls = {control.value: arm for control, arm in trained.controls.items()}
    beside = {name: arm.says for name, arm in (controls | trained.probe).items()}
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
            for name, arm in controls.items()
        },
    }
    finish(claimed, result, last, project.artifacts.store_copy(kept.folder))


def material(
    project: Project, run: tables.Run, dossier: Dossier
) -> tuple[tables.DataSet, Any, Any, Path | None, Described]:
    """Give what a training run learns from: its data set, the rows to train and to validate on, a local teacher.

    The last says how a teacher that writes is asked.
    """
    from distill_tui.dataset import frozen
    from distill_tui.terms import Split

    play, data = dossier.play, next(d for d in dossier.data_sets if d.id == run.data_set_id)
    assert play is not None
    path = project.artifacts.path(data.artifact)
    teacher = arms.teacher_of(project.artifacts, play)
    return data, frozen.load(path, Split.TRAIN), frozen.load(path, Split.VALIDATION), *teacher


@dataclass(frozen=True)
class Companion:
    """A process that learns along with the one that has claimed the run, and that reports and writes nothing."""

    project: Project
    id: int
    folder: Path

    def report(self, *_: Any, **__: Any) -> None:
        """Leave that to the one that has claimed the run; where that one ends, the launcher ends this one."""


def learn_along(project: Project, run_id: int) -> int:
    """Do a companion's part of a training run; every other kind of run is the first process's alone."""
    from distill_tui.spec import Spec

    with project.read() as session:
        run = session.get(tables.Run, run_id)
    if run is not None and run.kind is RunKind.TRAIN:
        _, training, validation, teacher, asked = material(project, run, project.dossier(run.play_id))
        along = Companion(project, run_id, project.artifacts.run_folder(run_id))
        arms.climb(along, Spec.from_json(run.spec), training, validation, teacher, asked)
    return 0


def rehearse(claimed: Claim, dossier: Dossier) -> None:
    """Run the recipe of the student that was judged anew, from nothing, and compare what comes out."""
    import shutil

    from distill_tui.bundles import retrain
    from distill_tui.digests import folder_digest
    from distill_tui.spec import Spec

    project, play = claimed.project, dossier.play
    judged = dossier.run(claimed.run.student_run)
    data = next(d for d in dossier.data_sets if d.id == claimed.run.data_set_id)
    assert play is not None and judged is not None and judged.artifact is not None
    teacher, asked = arms.teacher_of(project.artifacts, play)
    spec = Spec.from_json(judged.spec).kept(stored(judged.result, f"the result of run {judged.id}").get("rung", ""))
    start = project.artifacts.path(spec.folder) if spec.folder else None
    started, last = time.monotonic(), 0
    made = retrain.Training(spec, project.artifacts.path(data.artifact), teacher, start, claimed.folder, asked)
    for step in made.steps():
        last = step.number
        claimed.report(step.number, step.total, f"epoch {step.epoch} · loss {step.loss:.3f}")
    digest = folder_digest(made.student)
    result = {
        "same": digest == judged.artifact,
        "student": digest,
        "seconds": round(time.monotonic() - started, 1),
        "data": data.digest,
    }
    for name in ("checkpoints", "student", "shipped"):
        shutil.rmtree(claimed.folder / name, ignore_errors=True)
    finish(claimed, result, last, None)


def validate(
    claimed: Claim, probabilities: Any, spec: Any, training: Any, rows: Any, beside: dict[str, Any]
) -> dict[str, Any]:
    """Look at the validation split, which builders may look at freely: the score, and where the student fails.

    What every row got is kept as a record, so that rounds are compared row by row and failures can be paged through.
    `beside` holds the probabilities of each arm that was trained beside the student. Where the gate sends requests back
    to the teacher, the threshold is fixed here, before anybody has looked at a held-out row.
    """
    import numpy as np

    from distill_tui import gates
    from distill_tui.training import evaluate as evaluating

    taught = np.where(training.gold >= 0, training.gold, training.teacher)
    shares = evaluating.fit_shares(training.inputs, taught, spec.seed, len(rows.labels))(rows.inputs)
    also = {name: tuple(int(label) for label in says.argmax(axis=1)) for name, says in beside.items()}
    record = gates.Record(**answers(rows, probabilities, shares, evaluating.majority(taught)), controls=also)
    return looked_at(claimed, record, rows)


def validate_answers(
    claimed: Claim, said: Any, spec: Any, training: Any, rows: Any, beside: dict[str, Any]
) -> dict[str, Any]:
    """Look at the validation split of a generation task as `validate` does; `said` and `beside` hold answers."""
    from distill_tui import gates
    from distill_tui.runs import answer_columns
    from distill_tui.training import evaluate as evaluating

    taught = answer_columns.taught(training)
    baseline = evaluating.fit_nearest(training.inputs, taught)(rows.inputs)
    also = {name: [each.text for each in says] for name, says in beside.items()}
    columns = answer_columns.columns(rows, said, baseline, answer_columns.commonest(taught), also)
    return looked_at(claimed, gates.Record(**columns), rows)


def looked_at(claimed: Claim, record: Any, rows: Any) -> dict[str, Any]:
    """Say what a record of the validation split shows: the score, agreement, the cells in which the student fails."""
    from distill_tui import gates
    from distill_tui.review import controls
    from distill_tui.rounds.round_data import cell

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


def answers(rows: Any, probabilities: Any, shares: Any, majority: int) -> dict[str, Any]:
    """Give the columns of a record that say what everybody answered to the rows of a split.

    `probabilities` are the student's, `shares` the baseline's, (rows, labels) each.
    """
    from distill_tui.gates import CERTAIN
    from distill_tui.tasks import row_scores

    return row_groups.columns(rows) | {
        "labels": rows.labels,
        "gold": tuple(int(label) for label in rows.gold),
        "teacher": tuple(int(label) for label in rows.teacher),
        "student": tuple(int(label) for label in probabilities.argmax(axis=1)),
        "baseline": tuple(int(label) for label in shares.argmax(axis=1)),
        "majority": majority,
        "confidence": tuple(round(CERTAIN * float(each)) for each in probabilities.max(axis=1)),
        "scores": row_scores.of_probabilities(
            rows.gold, {"student": probabilities, "teacher": rows.soft, "baseline": shares}
        ),
    }


def evaluate(claimed: Claim, dossier: Dossier) -> None:
    """Judge one student on the held-out split: it, its teacher and the baseline, quality, latency and size."""
    from distill_tui import gates
    from distill_tui.spec import Spec
    from distill_tui.store.project import judged
    from distill_tui.terms import Split

    project, gate, play = claimed.project, dossier.gate, dossier.play
    run = dossier.run(claimed.run.student_run)
    data = next(d for d in dossier.data_sets if d.id == claimed.run.data_set_id)
    assert gate is not None and play is not None and run is not None and run.artifact is not None
    trouble = project.artifacts.trouble(data.artifact) or project.artifacts.trouble(run.artifact)
    if trouble:
        raise ValueError(trouble)
    started = time.monotonic()
    from distill_tui.dataset import frozen

    path = project.artifacts.path(data.artifact)
    held_out, training = frozen.load(path, Split.HELD_OUT), frozen.load(path, Split.TRAIN)
    held_out = frozen.without(held_out, frozen.held_out_with(path, dossier.burnt))
    spec = Spec.from_json(run.spec)
    student = project.artifacts.path(run.artifact)
    teacher = project.artifacts.path(play.teacher_digest) if play.teacher_source == "local" else None
    numbers = {name: str(number) for name, number in worksheet_numbers(dossier).items()}
    if held_out.labels:
        columns = measure_all(claimed, gate, spec, student, teacher, training, held_out)
        columns["controls"] = arms.answers(claimed, run, spec, held_out.inputs)
    else:
        beside = arms.written(claimed, run, spec, held_out.inputs)
        columns = measure_answers(claimed, gate, spec, student, training, held_out, beside)
    below = (
        stored(run.result, f"the result of run {run.id}").get("deferred_below", 0) if gate.deferral is not None else 0
    )
    if below and teacher is not None:
        columns["latency_us"][gates.TOGETHER] = together(claimed, spec, student, teacher, below, held_out.inputs)
    record = gates.Record(
        data_set=data.digest,
        model=run.artifact,
        teacher_model=play.teacher_digest,
        payback_inputs=numbers,
        deferred_below=below,
        **columns,
    )
    content = record.to_json()
    digest = project.artifacts.store_bytes(content.encode())
    passed = gates.passed(judged(content, gates.to_json(gate))[1])
    record_evaluation(claimed, dossier, run, data, digest, passed, round(time.monotonic() - started, 1))


def measure_all(
    claimed: Claim, gate: Any, spec: Any, student: Path, teacher: Path | None, training: Any, held_out: Any
) -> dict[str, Any]:
    """Predict and time the student and the baseline, and time a local teacher; its predictions are frozen already."""
    import numpy as np

    from distill_tui.training import evaluate as evaluating

    claimed.report(1, 5, "the student on the held-out split", always=True)
    probabilities = evaluating.predict(student, held_out.inputs, threads=spec.threads, max_tokens=spec.max_tokens)
    claimed.report(2, 5, "the baseline", always=True)
    known, shares_of = np.where(training.gold >= 0, training.gold, training.teacher), None
    if gate.baseline == "majority":
        shares = np.tile(evaluating.base_rates(known, len(held_out.labels)), (len(held_out), 1))
    else:
        shares_of = evaluating.fit_shares(training.inputs, known, gate.seed, len(held_out.labels))
        shares = shares_of(held_out.inputs)
    said = answers(held_out, probabilities, shares, evaluating.majority(known))
    return said | timed(claimed, spec, student, teacher, shares_of, held_out.inputs)


def measure_answers(
    claimed: Claim, gate: Any, spec: Any, student: Path, training: Any, held_out: Any, beside: dict[str, list[str]]
) -> dict[str, Any]:
    """Ask and time the student and the baseline of a generation task; what the teacher answers is frozen already."""
    from distill_tui.runs import answer_columns
    from distill_tui.training import answering
    from distill_tui.training import evaluate as evaluating

    claimed.report(1, 5, "the student on the held-out split", always=True)
    said = answering.answer(student, held_out.inputs, threads=spec.threads, max_tokens=spec.max_tokens)
    claimed.report(2, 5, "the baseline", always=True)
    taught, nearest = answer_columns.taught(training), None
    majority = answer_columns.commonest(taught)
    if gate.baseline != "majority":
        nearest = evaluating.fit_nearest(training.inputs, taught)
    baseline = nearest(held_out.inputs) if nearest else [majority] * len(held_out)
    columns = answer_columns.columns(held_out, said, baseline, majority, beside)
    return columns | timed(claimed, spec, student, None, nearest, held_out.inputs)


def timed(
    claimed: Claim, spec: Any, student: Path, teacher: Path | None, baseline: Callable[..., Any] | None, texts: Any
) -> dict[str, Any]:
    """Time baseline, student and local teacher, one request at a time, and measure what running them takes."""
    from distill_tui.training import measure

    options = {"threads": spec.threads, "max_tokens": spec.max_tokens}
    latency: dict[str, Any] = {} if baseline is None else {"baseline": measure.baseline_latencies(baseline, texts)}
    sizes, running = {}, {}
    for step, name, folder, few in ((3, "student", student, {}), (4, "teacher", teacher, {"per_run": 60})):
        if folder is not None:
            claimed.report(step, 5, f"the {name}'s latency, one request at a time", always=True)
            latency[name] = measure.latencies(folder, texts, **few, **options)
            sizes[name], running[name] = measure.size(folder), measure.running(folder, texts, **options)
    claimed.report(5, 5, "judging", always=True)
    return {
        "latency_us": {name: tuple(tuple(run) for run in runs) for name, runs in latency.items()},
        "parameters": {name: parameters for name, (parameters, _) in sizes.items()},
        "bytes": {name: size for name, (_, size) in sizes.items()},
        "running": running,
        "machine": measure.machine(spec.threads),
    }


def together(
    claimed: Claim, spec: Any, student: Path, teacher: Path, below: int, texts: Any
) -> tuple[tuple[int, ...], ...]:
    """Time requests as they are served where the gate sends some back: the student's, and then the teacher's too."""
    from distill_tui.gates import CERTAIN
    from distill_tui.training import measure

    claimed.report(5, 5, "the latency of student and teacher together", always=True)
    options = {"threads": spec.threads, "max_tokens": spec.max_tokens}
    return tuple(map(tuple, measure.together(student, teacher, below / CERTAIN, texts, **options)))


def record_evaluation(
    claimed: Claim,
    dossier: Dossier,
    run: tables.Run,
    data: tables.DataSet,
    record: str,
    passed: bool,
    took: float,
) -> None:
    """Record the evaluation through the door; it moves the play to decide, unless it is the validator's own."""
    own = claimed.run.kind is RunKind.REPRODUCE
    assert dossier.gate_row is not None and dossier.gate_row.digest is not None
    assert run.id is not None and run.artifact is not None
    gate_digest, student, model = dossier.gate_row.digest, run.id, run.artifact

    def edit(change: Any, row: tables.Run) -> None:
        row.result = json.dumps({"seconds": took, "passed": passed})
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


def finish(claimed: Claim, result: dict[str, Any], steps: int, artifact: str | None) -> None:
    """Record that the run did what it was for."""

    def edit(change: Any, row: tables.Run) -> None:
        row.result, row.artifact, row.message = json.dumps(result), artifact, "done"
        row.step = row.total = steps
        if artifact:
            change.detail["artifact"] = artifact

    claimed.end(Action.FINISH_RUN, RunStatus.FINISHED, edit)


def give_up(claimed: Claim, status: RunStatus, message: str, error: str | None) -> None:
    """Record that the run ended early; it can be resumed."""

    def edit(change: Any, row: tables.Run) -> None:
        row.message, row.error = message, error

    with suppress(Refused):  # refused: the run is no longer ours, and whoever has it tells its end
        claimed.end(Action.END_RUN, status, edit)


def in_a_line(error: BaseException) -> str:
    """Say what ended a run that nobody foresaw; its log has the traceback."""
    if isinstance(error, sqlite.errors()):
        return f"The project file cannot be used: {sqlite.sentence(error)}; `distill-tui doctor` says more."
    if isinstance(error, OSError) and error.strerror:
        where = f"{Path(os.fsdecode(error.filename)).name}: " if error.filename else ""
        return f"{where}{error.strerror}; see that the disk and the folder can be used, and resume the run."
    if of_rust := OF_RUST.search(str(error)):
        return in_a_line(OSError(int(of_rust[1]), os.strerror(int(of_rust[1]))))
    return " ".join(f"{type(error).__name__}: {error}".split())


def take_lock(project: Project, run_id: int) -> int | None:
    """Take the run's lock for life; whoever had the run before may need a moment to leave, or a look holds it."""
    end = time.monotonic() + launch.GRACE / 2
    while (held := launch.lock(project.artifacts.run_folder(run_id))) is None and time.monotonic() < end:
        time.sleep(0.1)
    return held


def main(arguments: list[str]) -> int:
    """Work on one run, and say with the exit code how it ended: 0 finished, 1 failed, 3 not ours or stopped."""
    project = Project.open(Path(arguments[0]))
    project.patience = None  # hours of work are not given up because somebody else's program hangs
    run_id = int(arguments[1])
    if processes.rank() > 0:
        return learn_along(project, run_id)
    held = take_lock(project, run_id)
    claimed = claim(project, run_id) if held is not None else None
    if claimed is None:
        return 3
    if claimed.run.kind not in (RunKind.EVALUATE, RunKind.REPRODUCE):
        os.nice(10)  # a board on the same machine comes first; an evaluation measures latency and runs as it would
    try:
        work(claimed)
    except Stopped:
        give_up(claimed, RunStatus.STOPPED, "stopped; a checkpoint is kept", None)
        return 3
    except Refused as refused:
        give_up(claimed, RunStatus.FAILED, str(refused), str(refused))
        return 3
    except (ValueError, ProjectError) as error:  # bad input: one sentence says what and where
        give_up(claimed, RunStatus.FAILED, str(error), str(error))
        return 1
    except BaseException as error:
        give_up(claimed, RunStatus.FAILED, in_a_line(error), in_a_line(error))
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
