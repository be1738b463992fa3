"""The rules of a live student: rehearsal, observation, alarm, rollback, refresh."""

from __future__ import annotations

from collections.abc import Iterator

from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import gate_untouched
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import Observe, RollBack, WithReason
from distill_tui.rules.results import RehearsalResult, known
from distill_tui.rules.training import idle, not_observing
from distill_tui.rules.who import PlayRule, held_by, reasoned
from distill_tui.terms import Action, PlayKind, Role, RunKind, RunStatus, Standing


def rehearse(dossier: PlayDossier, actor: Actor, request: None) -> Iterator[Objection]:
    """The recipe of the student that was judged is run again; whoever only does that has not built."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.OPERATOR, Role.VALIDATOR)
    yield from idle(dossier, actor)
    if dossier.evaluation is None:
        yield Objection("evaluation.none", "There is no evaluation, so no student whose recipe could be rehearsed.")


def rehearsed(dossier: PlayDossier) -> Iterator[Objection]:
    """A stability play ships once its retraining path was run, and gave the student that was judged."""
    play, judged = dossier.play, dossier.evaluation
    if play.kind is not PlayKind.STABILITY or judged is None:
        return
    runs = [r for r in dossier.runs if r.kind is RunKind.REHEARSE and r.student_run == judged.run_id]
    done = [known(RehearsalResult, r.result) for r in runs if r.status is RunStatus.FINISHED]
    if not done:
        yield Objection(
            "rehearsal.missing",
            "A stability play ships only after its retraining path was run, not only written: "
            f"`distill-tui rehearse {dossier.code}`.",
            (Role.DRIVER, Role.OPERATOR),
            (Action.REHEARSE,),
        )
    elif not any(result is not None and result.same for result in done):
        yield Objection(
            "rehearsal.differs",
            "The recipe gave another student than the one that was judged, so nobody could make it again; train with "
            "the same thread count and libraries, and judge that student.",
            (Role.DRIVER,),
            (Action.ITERATE,),
        )


def shipped(dossier: PlayDossier) -> Iterator[Objection]:
    """A student is live."""
    if dossier.live is None:
        yield Objection("live.none", f"Nothing of {dossier.code} has shipped yet, so there is nothing to watch.")


def observe(dossier: PlayDossier, actor: Actor, request: Observe | None) -> Iterator[Objection]:
    """The operator or the driver brings in samples of production; the same file comes in once."""
    yield from held_by(dossier, actor, Role.OPERATOR, Role.DRIVER)
    yield from shipped(dossier)
    yield from not_observing(dossier)
    if request is not None and any(f.source_digest == request.source_digest for f in dossier.feeds):
        yield Objection("feed.twice", f"“{request.name}” was observed already; nothing was added.")


def acknowledge(dossier: PlayDossier, actor: Actor, request: WithReason | None) -> Iterator[Objection]:
    """The operator answers an alarm. The ceiling stays what it is: what goes on diverging will alarm again."""
    yield from held_by(dossier, actor, Role.OPERATOR)
    yield from shipped(dossier)
    if dossier.standing is Standing.STEADY:
        yield Objection("watch.steady", "The live student is steady; there is no alarm to acknowledge.")
    yield from reasoned(request.reason if request is not None else None, "An acknowledgement")


def roll_back(dossier: PlayDossier, actor: Actor, request: RollBack | None) -> Iterator[Objection]:
    """The operator or the sponsor puts back a bundle that shipped; a refresh that is under way is put aside."""
    yield from held_by(dossier, actor, Role.OPERATOR, Role.SPONSOR)
    yield from shipped(dossier)
    yield from idle(dossier, actor)
    others = [b.id for b in dossier.bundles if dossier.refreshing or dossier.live is None or b.id != dossier.live.id]
    if dossier.bundles and not others:
        yield Objection("rollback.none", "There is no other bundle to go back to; open a refresh instead.")
    elif request is not None and request.bundle not in others:
        known = ", ".join(str(each) for each in others)
        yield Objection("rollback.unknown", f"Bundle {request.bundle} cannot be put back; there are: {known}.")
    yield from reasoned(request.reason if request is not None else None, "A rollback")


def refresh(dossier: PlayDossier, actor: Actor, request: WithReason | None) -> Iterator[Objection]:
    """A round opens from `live`: new held-out rows, a new set of looks, the same locked gate, a new sign-off."""
    yield from held_by(dossier, actor, Role.OPERATOR, Role.DRIVER)
    yield from shipped(dossier)
    yield from gate_untouched(dossier)
    yield from idle(dossier, actor)
    yield from not_observing(dossier)
    if actor.person is not None and actor.person == dossier.roles.get(Role.VALIDATOR):
        yield Objection(
            "refresh.validator",
            f"A refresh takes in training data, and {actor.person} validates this play; the driver opens it.",
        )
    yield from reasoned(request.reason if request is not None else None, "A refresh")


RULES: dict[Action, PlayRule] = {
    Action.REHEARSE: rehearse,
    Action.OBSERVE: observe,
    Action.ACKNOWLEDGE: acknowledge,
    Action.ROLL_BACK: roll_back,
    Action.REFRESH: refresh,
}
