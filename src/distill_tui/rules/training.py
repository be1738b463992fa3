"""Rules of runs: one run at a time, one look at the held-out split per round."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from distill_tui import tasks
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import gate_untouched
from distill_tui.rules.measurable import worth_a_look
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import ForRun, Repeat, StartRun, WorkerReport
from distill_tui.rules.results import RepeatResult, known, refusals, train_result
from distill_tui.rules.state_machine import NEXT_STAGE
from distill_tui.rules.who import PlayRule, held_by
from distill_tui.spec import MOST_SEEDS, Spec
from distill_tui.terms import Action, Role, RunKind, RunStatus, StudentKind, TeacherSource


def run_of_worker(dossier: PlayDossier, actor: Actor, request: WorkerReport | None) -> Iterator[Objection]:
    """A worker reports only on its own run."""
    run = dossier.run(request.run) if request is not None else None
    if request is None or run is None or actor.run != run.id:
        yield Objection("run.foreign", "Only the worker of a run may report on it.")
    elif run.status is not RunStatus.RUNNING or run.token is None or request.token != run.token:
        yield Objection(
            "run.fenced", f"Run {run.id} no longer belongs to this worker: it was stopped, resumed or declared lost."
        )


OF_DATA = {  # the runs that change the data of a round, and what each does through the door
    RunKind.IMPORT: Action.IMPORT_TRAFFIC,
    RunKind.TEACHER: Action.SET_TEACHER,
    RunKind.BUILD: Action.BUILD_DATA,
    RunKind.FREEZE: Action.FREEZE_DATA,
}
_ONE_AT_A_TIME = tuple(kind for kind in RunKind if kind is not RunKind.OBSERVE)


def idle(dossier: PlayDossier, actor: Actor, kinds: Collection[RunKind] = _ONE_AT_A_TIME) -> Iterator[Objection]:
    """No other run of these kinds is active."""
    busy = next((r for r in dossier.runs if r.status.active and r.kind in kinds and r.id != actor.run), None)
    if busy is not None:
        yield Objection(
            "run.active",
            f"Run {busy.id} ({busy.kind.value}) is {busy.status.value}; wait for it, or stop it with "
            f"`distill-tui train stop {dossier.code} --run {busy.id}`.",
            (Role.DRIVER,),
            (Action.STOP_RUN,),
        )


def start_run(dossier: PlayDossier, actor: Actor, request: StartRun | None) -> Iterator[Objection]:
    """The driver trains on a frozen data set, one run of a play at a time."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from gate_untouched(dossier)
    if dossier.data_set is None or dossier.data_set.frozen_at is None:
        yield Objection("data.not_frozen", "The data set is not frozen; freeze it first.")
    yield from idle(dossier, actor)
    if request is None:
        return
    spec, problem = request.spec, request.spec.problem()
    if problem:
        yield Objection("spec.problem", problem)
    elif other := _of_another_task(spec, tasks.of(dossier.play.task).students):
        kinds = ", ".join(f"student={kind}" for kind in tasks.of(dossier.play.task).students)
        does = "writes its answers" if other.writes else "chooses among labels"
        does = does if other.writes or other.reads else "chooses one label by its text"
        yield Objection(
            "spec.task",
            f"{dossier.code} is a {dossier.play.task.value} play, and a student of kind {other} "
            f"{does}; use one of {kinds}.",
        )
    elif spec.writes:
        return  # the worker checks at its start whether there are texts to learn
    elif suits(dossier) is not StudentKind.LAYERS and spec.needs_layers:
        yield Objection(
            "spec.no_layers",
            "The teacher is not a local classifier, so a student cannot start from its layers. Train another kind, "
            "like student=static or student=ngram.",
        )
    elif request.soft_rows is not None:
        yield from _fed(spec, request.soft_rows, dossier)


def _of_another_task(spec: Spec, kinds: Collection[StudentKind]) -> StudentKind | None:
    """Return the first kind of a spec, or of a rung of its ladder, that is not among those of the play's task."""
    return next((rung.student for rung in spec.rungs() if rung.student not in kinds), None)


def _fed(spec: Spec, soft_rows: int, dossier: PlayDossier) -> Iterator[Objection]:
    """No loss term on teacher probabilities has a weight where no row has any."""
    for name in spec.soft_terms if not soft_rows else ():
        yield Objection(
            "spec.silent",
            f"{name} is {getattr(spec, name):g}, but no training row has teacher probabilities, so this loss term has "
            f"no effect. Set {name}=0 to train on labels only: `distill-tui train {dossier.code} {name}=0`.",
        )


def suits(dossier: PlayDossier) -> StudentKind:
    """Return the default student kind of a play."""
    return tasks.of(dossier.play.task).default_student(dossier.play.teacher_source is TeacherSource.LOCAL)


def stop_run(dossier: PlayDossier, actor: Actor, request: ForRun | None) -> Iterator[Objection]:
    """The person who started a run, or the driver, stops it."""
    active = next((r for r in dossier.runs if r.status.active), None)
    run = dossier.run(request.run) if request is not None else active
    if run is None:
        yield Objection("run.none", f"{dossier.code} has no run to stop.")
    elif not run.status.active:
        yield Objection("run.ended", f"Run {run.id} is already {run.status.value}.")
    elif actor.person != run.started_by:
        yield from held_by(dossier, actor, Role.DRIVER)


_STARTS = OF_DATA | {
    RunKind.LABEL: Action.LABEL,
    RunKind.TRAIN: Action.START_RUN,
    RunKind.EVALUATE: Action.EVALUATE,
    RunKind.REPRODUCE: Action.REPRODUCE,
    RunKind.OBSERVE: Action.OBSERVE,
    RunKind.REHEARSE: Action.REHEARSE,
    RunKind.REPEAT: Action.REPEAT,
}


def resume_run(dossier: PlayDossier, actor: Actor, request: ForRun | None) -> Iterator[Objection]:
    """The person who started a run resumes it after it ended early."""
    run = dossier.run(request.run) if request is not None else resumable(dossier)
    if run is None:
        yield Objection("run.none", f"{dossier.code} has no run to resume.")
        return
    if run.status not in (RunStatus.STOPPED, RunStatus.FAILED, RunStatus.LOST):
        yield Objection(
            "run.not_resumable",
            f"Run {run.id} is {run.status.value}; only a stopped, failed or lost run can be resumed.",
        )
    if run.round != dossier.play.round and run.kind is not RunKind.OBSERVE:
        yield Objection(
            "run.old_round",
            f"Run {run.id} belongs to round {run.round}; this is round {dossier.play.round}. Start a new run.",
        )
    elif (dossier.play.stage, _STARTS[run.kind]) not in NEXT_STAGE:
        yield Objection(
            "run.old_stage",
            f"Run {run.id} ({run.kind.value}) belongs to an earlier stage and cannot be resumed; {dossier.code} is in "
            f"{dossier.play.stage.value}. See `distill-tui next {dossier.code}`.",
        )
    if actor.person != run.started_by:
        yield Objection(
            "run.foreign", f"Only {run.started_by}, who started run {run.id}, can resume it; start your own."
        )
    yield from one_look(dossier) if run.kind is RunKind.EVALUATE else ()
    yield from not_observing(dossier) if run.kind is RunKind.OBSERVE else idle(dossier, actor)


def resumable(dossier: PlayDossier) -> entities.Run | None:
    """Return the newest run of this round and stage that ended early, if resuming it can help.

    It cannot where the rules rejected what the run found. Observing runs are left out.
    """
    play, ended = dossier.play, (RunStatus.STOPPED, RunStatus.FAILED, RunStatus.LOST)
    of_round = [r for r in dossier.runs if r.round == play.round and r.status in ended]
    of_stage = [r for r in of_round if r.kind is not RunKind.OBSERVE and (play.stage, _STARTS[r.kind]) in NEXT_STAGE]
    return of_stage[-1] if of_stage and not refusals(of_stage[-1]) else None


def trained(dossier: PlayDossier) -> list[entities.Run]:
    """Return the finished training runs of this round, best on validation first."""
    done = [
        r
        for r in dossier.runs
        if r.kind is RunKind.TRAIN and r.status is RunStatus.FINISHED and r.round == dossier.play.round and r.artifact
    ]
    return sorted(done, key=lambda r: -_score(r))


def _score(run: entities.Run) -> float:
    result = train_result(run)
    return result.score if result is not None else 0.0


def findings_of(run: entities.Run) -> tuple[str, ...]:
    """Return what a training or a repeat found on the validation rows about control arms, other seeds and probe."""
    done = run.kind is RunKind.REPEAT and run.status is RunStatus.FINISHED
    result = known(RepeatResult, run.result) if done else train_result(run)
    return result.findings if result is not None else ()


def one_look(dossier: PlayDossier) -> Iterator[Objection]:
    if dossier.evaluation is not None:
        yield Objection(
            "held_out.looked", "This round has used its one look at the held-out split; iterate for another."
        )
    if dossier.gate is not None and len(dossier.looks) >= dossier.gate.rounds:
        yield Objection(
            "rounds.spent",
            f"All {dossier.gate.rounds} looks that the gate allows are used; kill the play.",
        )


def evaluate(dossier: PlayDossier, actor: Actor, request: ForRun | None) -> Iterator[Objection]:
    """The driver uses the round's one look at the held-out split on one trained student."""
    yield from held_by(dossier, actor, Role.DRIVER)
    yield from gate_untouched(dossier)
    yield from one_look(dossier)
    yield from worth_a_look(dossier)
    yield from idle(dossier, actor)
    if not trained(dossier):
        yield Objection("run.untrained", f"There is no trained student yet: `distill-tui train {dossier.code}`.")
    elif request is not None and request.run not in [r.id for r in trained(dossier)]:
        yield Objection("run.unknown", f"Run {request.run} is not a finished training run of this round.")


def reproduce(dossier: PlayDossier, actor: Actor, request: None) -> Iterator[Objection]:
    """The validator runs the evaluation again, and does not become a builder."""
    yield from held_by(dossier, actor, Role.VALIDATOR)
    yield from idle(dossier, actor)
    if dossier.evaluation is None:
        yield Objection("evaluation.none", "There is no evaluation to reproduce.")


def repeat(dossier: PlayDossier, actor: Actor, request: Repeat | None) -> Iterator[Objection]:
    """Driver, operator or validator learn how much of a score is the seed's; it spends no look and makes no builder."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.OPERATOR, Role.VALIDATOR)
    yield from idle(dossier, actor)
    if dossier.evaluation is None:
        yield Objection("evaluation.none", "There is no evaluation yet, so there is no student to repeat.")
    if request is not None and not 1 <= request.seeds <= MOST_SEEDS:
        yield Objection("repeat.seeds", f"A repeat takes 1 to {MOST_SEEDS} further seeds, not {request.seeds}.")


def record_evaluation(dossier: PlayDossier, actor: Actor, request: WorkerReport | None) -> Iterator[Objection]:
    """A worker records the evaluation of a round once, under an unchanged gate."""
    yield from run_of_worker(dossier, actor, request)
    yield from gate_untouched(dossier)
    yield from one_look(dossier)


def not_observing(dossier: PlayDossier) -> Iterator[Objection]:
    busy = next((r for r in dossier.runs if r.status.active and r.kind is RunKind.OBSERVE), None)
    if busy is not None:
        yield Objection("run.observes", f"Run {busy.id} is already observing; wait for it to end.")


RULES: dict[Action, PlayRule] = {
    Action.START_RUN: start_run,
    Action.STOP_RUN: stop_run,
    Action.RESUME_RUN: resume_run,
    Action.EVALUATE: evaluate,
    Action.REPRODUCE: reproduce,
    Action.REPEAT: repeat,
    Action.FINISH_RUN: run_of_worker,
    Action.END_RUN: run_of_worker,
    Action.RECORD_EVALUATION: record_evaluation,
    Action.RECORD_REPRODUCTION: run_of_worker,
    Action.RECORD_OBSERVATIONS: run_of_worker,
}
