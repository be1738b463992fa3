"""Rules of a live student: rehearsal, observation, alarm, rollback, refresh."""

from __future__ import annotations

from collections.abc import Iterator

from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import gate_untouched
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import Object, Observe, RollBack, WithReason
from distill_tui.rules.results import RehearsalResult, known
from distill_tui.rules.training import idle, not_observing
from distill_tui.rules.who import PlayRule, decided, held_by, least_proof, proved, reasoned
from distill_tui.terms import Action, PlayKind, Role, RunKind, RunStatus, Standing


def rehearse(dossier: PlayDossier, actor: Actor, request: None) -> Iterator[Objection]:
    """The driver, operator or validator trains the evaluated student again from its recipe."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.OPERATOR, Role.VALIDATOR)
    yield from idle(dossier, actor)
    if dossier.evaluation is None:
        yield Objection("evaluation.none", "There is no evaluation yet, so there is no recipe to rehearse.")


def rehearsed(dossier: PlayDossier) -> Iterator[Objection]:
    """A stability play ships after a rehearsal that gave the evaluated student again."""
    play, judged = dossier.play, dossier.evaluation
    if play.kind is not PlayKind.STABILITY or judged is None:
        return
    runs = [r for r in dossier.runs if r.kind is RunKind.REHEARSE and r.student_run == judged.run_id]
    done = [known(RehearsalResult, r.result) for r in runs if r.status is RunStatus.FINISHED]
    if not done:
        yield Objection(
            "rehearsal.missing",
            f"A stability play ships only after its recipe was rehearsed: `distill-tui rehearse {dossier.code}`.",
            (Role.DRIVER, Role.OPERATOR),
            (Action.REHEARSE,),
        )
    elif not any(result is not None and result.same for result in done):
        yield Objection(
            "rehearsal.differs",
            "The rehearsal gave a different student than the evaluated one, so that one is not reproducible. Train "
            "with the same thread count and libraries, and evaluate that student.",
            (Role.DRIVER,),
            (Action.ITERATE,),
        )


def shipped(dossier: PlayDossier) -> Iterator[Objection]:
    if dossier.live is None:
        yield Objection("live.none", f"No student of {dossier.code} is live yet; ship one first.")


def observe(dossier: PlayDossier, actor: Actor, request: Observe | None) -> Iterator[Objection]:
    """The operator or the driver imports samples of production; a bundle is watched by a file once."""
    yield from held_by(dossier, actor, Role.OPERATOR, Role.DRIVER)
    yield from shipped(dossier)
    yield from not_observing(dossier)
    seen = {f.source_digest for f in dossier.feeds if dossier.live is not None and f.bundle_id == dossier.live.id}
    if request is not None and request.source_digest in seen:
        yield Objection("feed.twice", f"“{request.name}” is already observed; nothing was added.")


def acknowledge(dossier: PlayDossier, actor: Actor, request: WithReason | None) -> Iterator[Objection]:
    """The operator acknowledges an alarm; the ceiling stays, so further drift alarms again."""
    yield from held_by(dossier, actor, Role.OPERATOR)
    yield from shipped(dossier)
    if dossier.standing not in (Standing.LOOK, Standing.ALARM):
        yield Objection("watch.steady", f"There is no alarm to acknowledge: {dossier.code} is {dossier.standing}.")
    yield from decided(dossier.project, actor, request)
    yield from reasoned(request, "An acknowledgement")


def object_(dossier: PlayDossier, actor: Actor, request: Object | None) -> Iterator[Objection]:
    """The validator objects to the live student, or takes the objection back, signed where the gate asks for it."""
    yield from held_by(dossier, actor, Role.VALIDATOR)
    yield from shipped(dossier)
    if request is None:
        return
    mine = dossier.objection
    if request.lift and (mine is None or mine.person != actor.person):
        yield Objection("objection.none", "You have no objection here to take back.")
    yield from proved(dossier.project, actor, request, least_proof(dossier), "objection.weak")
    yield from reasoned(request, "An objection")


def roll_back(dossier: PlayDossier, actor: Actor, request: RollBack | None) -> Iterator[Objection]:
    """The operator or the sponsor rolls back to an earlier bundle; that ends a refresh."""
    yield from held_by(dossier, actor, Role.OPERATOR, Role.SPONSOR)
    yield from shipped(dossier)
    yield from idle(dossier, actor)
    others = [b.id for b in dossier.bundles if dossier.refreshing or dossier.live is None or b.id != dossier.live.id]
    if dossier.bundles and not others:
        yield Objection("rollback.none", "There is no other bundle to roll back to; open a refresh instead.")
    elif others and request is not None and request.bundle not in others:
        known = ", ".join(str(each) for each in others)
        yield Objection("rollback.unknown", f"Cannot roll back to bundle {request.bundle}; possible bundles: {known}.")
    yield from decided(dossier.project, actor, request)
    yield from reasoned(request, "A rollback")


def suspend(dossier: PlayDossier, actor: Actor, request: WithReason | None) -> Iterator[Objection]:
    """The operator or the sponsor switches the live student off; the teacher answers."""
    yield from held_by(dossier, actor, Role.OPERATOR, Role.SPONSOR)
    yield from shipped(dossier)
    if dossier.suspended is not None:
        yield Objection(
            "suspend.twice",
            f"{dossier.code} is suspended since {dossier.suspended.at[:10]}; `resume` switches it on again.",
            (Role.OPERATOR, Role.SPONSOR),
            (Action.RESUME,),
        )
    yield from reasoned(request, "A suspension")


def resume(dossier: PlayDossier, actor: Actor, request: WithReason | None) -> Iterator[Objection]:
    """The operator or the sponsor switches a suspended student on again."""
    yield from held_by(dossier, actor, Role.OPERATOR, Role.SPONSOR)
    yield from shipped(dossier)
    if dossier.live is not None and dossier.suspended is None:
        yield Objection("resume.running", f"{dossier.code} is not suspended.")
    yield from decided(dossier.project, actor, request)
    yield from reasoned(request, "Resuming")


def refresh(dossier: PlayDossier, actor: Actor, request: WithReason | None) -> Iterator[Objection]:
    """The operator or the driver opens a round from `live`, under the same locked gate."""
    yield from held_by(dossier, actor, Role.OPERATOR, Role.DRIVER)
    yield from shipped(dossier)
    yield from gate_untouched(dossier)
    yield from idle(dossier, actor)
    yield from not_observing(dossier)
    if actor.person is not None and actor.person == dossier.roles.get(Role.VALIDATOR):
        yield Objection(
            "refresh.validator",
            f"A refresh imports training data, and {actor.person} is the validator; the driver must open it.",
        )
    yield from reasoned(request, "A refresh")


def note_alarm(dossier: PlayDossier, actor: Actor, request: None) -> Iterator[Objection]:
    """The worker of an observation notes how the alarm was passed on."""
    run = dossier.run(actor.run)
    if run is None or run.kind is not RunKind.OBSERVE:
        yield Objection("alarm.not_yours", "Only the worker of an observation notes how an alarm was passed on.")


RULES: dict[Action, PlayRule] = {
    Action.NOTE_ALARM: note_alarm,
    Action.REHEARSE: rehearse,
    Action.OBSERVE: observe,
    Action.ACKNOWLEDGE: acknowledge,
    Action.ROLL_BACK: roll_back,
    Action.SUSPEND: suspend,
    Action.RESUME: resume,
    Action.REFRESH: refresh,
    Action.OBJECT: object_,
}
