"""Rules of the gateway: who sets what answers a play's requests, and when a student's answers may leave it.

Signatures decide, not a score: canary and cascade need a shipped bundle whose sign-off is signed, not withdrawn, by a
key that is not revoked, without a drift alarm. What ends that sends the gateway back to the teacher; only a person's
`serve mode` goes forward again.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier, SignOffFacts
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import FallBack, ServeMode
from distill_tui.rules.training import trained
from distill_tui.rules.who import PlayRule, decided, held_by
from distill_tui.terms import Action, OnObjection, Role, ServingMode, Stage, Standing

LEAST_AUDIT, MOST_AUDIT = Decimal("0.001"), Decimal("0.5")
STEERS = (Role.OPERATOR, Role.SPONSOR)


def set_mode(dossier: PlayDossier, actor: Actor, request: ServeMode | None) -> Iterator[Objection]:
    """The operator or the sponsor sets the mode; before a student was live, its driver may capture and shadow too."""
    forward = request is not None and request.mode.by_student
    before_launch = dossier.live is None and not forward
    if not (before_launch and not any(role in dossier.roles for role in STEERS)):
        yield from held_by(dossier, actor, *STEERS, *([Role.DRIVER] if before_launch else []))
    if request is None:
        return
    yield from decided(dossier.project, actor, request)
    yield from _numbers(request)
    if request.mode is ServingMode.SHADOW and dossier.live is None and not trained(dossier):
        yield Objection("serve.no_student", f"{dossier.code} has no trained student; capture until there is one.")
    if forward:
        yield from answers(dossier)
        objection = dossier.objection
        if objection is not None and request.on_objection is OnObjection.FALL_BACK:
            yield Objection(
                "serve.objection",
                f"{objection.person}, the validator, objects to the live student of {dossier.code}: "
                f"“{objection.reason}”. Settle that first, or set --on-objection go-on.",
                (Role.VALIDATOR,),
                (Action.OBJECT,),
            )
        if dossier.standing is Standing.ALARM:
            yield Objection(
                "serve.alarm",
                f"The live student of {dossier.code} has a drift alarm. Acknowledge it, roll back, or ship a refresh.",
                (Role.OPERATOR,),
                (Action.ACKNOWLEDGE, Action.ROLL_BACK, Action.REFRESH),
            )
        if request.trouble:
            yield Objection("serve.bundle", f"The live bundle does not verify: {request.trouble}", from_backup=True)


def _numbers(request: ServeMode) -> Iterator[Objection]:
    if request.mode is ServingMode.CANARY and not 1 <= request.percent <= 100:
        yield Objection("serve.percent", "A canary needs a share of requests from 1 to 100: set --percent.")
    if request.mode is not ServingMode.CANARY and request.percent:
        yield Objection("serve.percent", f"--percent is for a canary; {request.mode.value} has no share.")
    if not LEAST_AUDIT <= request.audit_share <= MOST_AUDIT:
        yield Objection(
            "serve.audit",
            f"The audit share is {LEAST_AUDIT} to {MOST_AUDIT} of the student's requests, and is never switched off: "
            "it is the only fair sample of a cascade.",
        )


def answers(dossier: PlayDossier) -> Iterator[Objection]:
    """A student's answers leave the gateway only from a shipped bundle that stands signed off by a valid signature."""
    live = dossier.live
    if dossier.project.audit_trouble:
        yield Objection("audit.broken", dossier.project.audit_trouble, from_backup=True)
    if dossier.project.exposed:
        yield Objection("file.exposed", dossier.project.exposed)
    if live is None:
        yield Objection("live.none", f"No student of {dossier.code} is live yet; ship one first.")
        return
    if dossier.suspended is not None:
        yield Objection(
            "serve.suspended",
            f"{dossier.suspended.person_id} suspended the student of {dossier.code}: {dossier.suspended.reason}",
            STEERS,
            (Action.RESUME,),
        )
    if dossier.interim_over:
        yield Objection(
            "serve.interim",
            f"Bundle {live.id} shipped for the days of the gate's interim, which ended on {dossier.interim_until}. "
            "Ship a refresh, or roll back.",
        )
    yield from _signed(dossier, live, next((f for f in dossier.sign_offs if f.row.id == live.sign_off_id), None))


def _signed(dossier: PlayDossier, live: entities.Bundle, facts: SignOffFacts | None) -> Iterator[Objection]:
    again = "Ship a refresh that is signed off by a key, or roll back to a bundle that is."
    if facts is None or facts.trouble:
        why = facts.trouble if facts is not None else f"Bundle {live.id} has no sign-off in this project."
        yield Objection("serve.untrusted", f"{why} {again}")
    elif facts.withdrawn:
        yield Objection("serve.withdrawn", f"{facts.row.person_id} withdrew the sign-off of bundle {live.id}. {again}")
    elif not facts.key:
        yield Objection(
            "serve.unsigned",
            f"The sign-off of bundle {live.id} has no signature ({facts.row.assurance.value}), so no one can check it "
            f"at load. {again}",
        )
    elif any(key.fingerprint == facts.key and key.revoked_at is not None for key in dossier.project.keys):
        yield Objection("serve.revoked", f"The key that signed off bundle {live.id} ({facts.key}) is revoked. {again}")


def trouble(dossier: PlayDossier) -> str:
    """Return why the student may not answer now although the mode allows it; empty where it may, or never did."""
    serving = dossier.serving
    if serving is None or not serving.mode.by_student:
        return ""
    if dossier.play.stage is Stage.KILLED:
        return f"{dossier.code} was killed, so no student of it answers."
    untrusted = dossier.project.tables_trouble or dossier.project.read_only
    if untrusted:
        return untrusted
    found = next(answers(dossier), None)
    if found is not None:
        return found.sentence
    objection = dossier.objection
    if objection is not None and serving.on_objection is OnObjection.FALL_BACK:
        return f"{objection.person}, who validates {dossier.code}, objects: “{objection.reason}”."
    live = dossier.live
    since = [w for w in dossier.watches if live and w.bundle_id == live.id and w.feed_id > serving.feed]
    alarmed = next((w for w in since if w.standing is Standing.ALARM), None)
    return f"Drift alarm: feed {alarmed.feed_id} broke the ceiling of disagreement." if alarmed else ""


def fall_back(dossier: PlayDossier, actor: Actor, request: FallBack | None) -> Iterator[Objection]:
    """Any enrolled person's gateway falls back, from the mode that it saw; going forward is not its act."""
    serving = dossier.serving
    if serving is None or not serving.mode.by_student:
        yield Objection(
            "serve.not_student", f"No student of {dossier.code} answers, so there is nothing to fall back from."
        )
    elif request is not None and request.since != serving.seq:
        yield Objection("serve.moved", f"The mode of {dossier.code} was set again meanwhile (entry {serving.seq}).")


def card_words(dossier: PlayDossier) -> tuple[str, str] | None:
    """Return how the gateway stands, for a card: a word that has a mark, and a few words; None without a mode."""
    serving = dossier.serving
    if serving is None:
        return None
    if trouble(dossier) or serving.fell_back:
        return "drift", "fell back to teacher"
    return _LOOKS[serving.mode], serving.words


_LOOKS = {
    ServingMode.CAPTURE: "live",
    ServingMode.SHADOW: "live",
    ServingMode.CANARY: "live",
    ServingMode.CASCADE: "live",
    ServingMode.SUSPENDED: "look",
}

RULES: dict[Action, PlayRule] = {Action.SERVE_MODE: set_mode, Action.FALL_BACK: fall_back}
