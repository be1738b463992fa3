"""Rules of the stage `decide`: spot check, sign-off, ship, iterate, kill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from distill_tui.digests import canonical, digest_of
from distill_tui.rules import entities, separation, spot_checks
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier, SignOffFacts
from distill_tui.rules.gate import gate_untouched
from distill_tui.rules.live import rehearsed
from distill_tui.rules.objection import Objection
from distill_tui.rules.requests import Comment, SetMaintenance, Ship, SignOff, SpotCheck, Withdraw, WithReason
from distill_tui.rules.training import idle
from distill_tui.rules.who import (
    PlayRule,
    held_by,
    least_proof,
    never_built,
    proof,
    proved,
    reasoned,
    roster,
    roster_signed,
)
from distill_tui.terms import Action, Assurance, Opinion, Role, Verdict

SIGNS = ((Role.VALIDATOR,), (Action.SIGN_OFF,))  # `by` and `actions` of what is missing in a sign-off
MISSES = ((Role.DRIVER,), (Action.ITERATE, Action.KILL))
SHIPPERS = (Role.DRIVER, Role.OPERATOR, Role.SPONSOR)


def covers(dossier: PlayDossier) -> dict[str, Any]:
    """Return everything that a sign-off covers; a change of any of it makes the sign-off stale."""
    play, evaluation, data = dossier.play, dossier.evaluation, dossier.data_set
    return {
        "project": dossier.project.uid,
        "play": play.id,
        "round": play.round,
        "gate": (dossier.gate_row.digest if dossier.gate_row else None) or "",
        "data": data.digest if data else "",
        "model": evaluation.model if evaluation else "",
        "evaluations": [e.record for e in dossier.round_evaluations],
        "verdict": dossier.verdict,
        "roles": {role.value: person for role, person in sorted(dossier.roles.items())},
        "roster": digest_of(canonical(roster(dossier))),
        "builders": sorted(dossier.builders),
        "separation": separation.notes(dossier),
        "spot_check": spot_checks.summary(counted.content if (counted := counted_spot_check(dossier)) else None),
    }


def counted_spot_check(dossier: PlayDossier) -> entities.SpotCheck | None:
    """Return the validator's newest valid spot check of this round's evaluation."""
    validator, record = dossier.roles.get(Role.VALIDATOR), dossier.record
    for row in reversed(dossier.spot_checks):
        if record is not None and dossier.evaluation is not None and row.person_id == validator:
            same = row.evaluation == dossier.evaluation.record
            if same and not spot_checks.trouble(record, row.person_id, row.content):
                return row
    return None


def spot_check(dossier: PlayDossier, actor: Actor, request: SpotCheck | None) -> Iterator[Objection]:
    """The validator judges every answer drawn, and at least as many as the gate requires."""
    yield from held_by(dossier, actor, Role.VALIDATOR)
    yield from never_built(dossier, actor.person, "sign_off.builder")
    if dossier.evaluation is None or dossier.record is None:
        yield Objection("evaluation.none", "There is no evaluation yet, so there are no answers to judge.")
    elif request is not None:
        wrong = spot_checks.trouble(dossier.record, str(actor.person), request.content)
        if wrong:
            yield Objection("spot_check.wrong", wrong)
        elif spot_checks.result(request.content)["judged"] < answers_to_judge(dossier):
            yield Objection(
                "spot_check.short",
                f"The gate requires {answers_to_judge(dossier)} answers judged blind; judge them all.",
            )


def answers_to_judge(dossier: PlayDossier) -> int:
    """Return how many answers the gate requires judged, at most those that can be."""
    if dossier.gate is None or not dossier.gate.minimum_spot_check or dossier.record is None:
        return 0
    return min(dossier.gate.minimum_spot_check, sum(teacher >= 0 for teacher in dossier.record.teacher))


def spot_checked(dossier: PlayDossier) -> Iterator[Objection]:
    """The validator has judged as many answers blind as the gate requires."""
    counted = counted_spot_check(dossier)
    done = spot_checks.result(counted.content)["judged"] if counted else 0
    if done < answers_to_judge(dossier):
        yield Objection(
            "spot_check.missing",
            f"The gate requires {answers_to_judge(dossier)} held-out answers judged blind before a sign-off; the "
            f"validator ({dossier.holder(Role.VALIDATOR)}) has judged {done}: `distill-tui spotcheck "
            f"{dossier.code}`.",
            (Role.VALIDATOR,),
            (Action.SPOT_CHECK,),
        )


def gate_holds(dossier: PlayDossier) -> Iterator[Objection]:
    """Every criterion that counts holds, or the gate's interim is proven; a point estimate never decides."""
    if dossier.evaluation is None or not dossier.judgements:
        yield Objection(
            "gate.unmeasured",
            "This round has no evaluation to judge the gate by; train a student and evaluate it.",
            (Role.DRIVER,),
            (Action.EVALUATE,),
        )
        return
    for judgement in () if dossier.interim else dossier.judgements:
        if judgement.criterion.counts and judgement.verdict is not Verdict.HOLDS:
            yield Objection(f"gate.{judgement.verdict.value}", judgement.sentence, *MISSES)


def nothing_altered(dossier: PlayDossier) -> Iterator[Objection]:
    """The audit log's chain is intact and every file matches its digest."""
    if dossier.project.audit_trouble not in ("", dossier.project.tables_trouble):
        yield Objection("audit.broken", dossier.project.audit_trouble, from_backup=True)
    if dossier.project.exposed:
        yield Objection("file.exposed", dossier.project.exposed)
    for trouble in dossier.file_troubles:
        yield Objection("artifact.altered", trouble, from_backup=True)


def may_sign(dossier: PlayDossier, actor: Actor, request: SignOff | None) -> Iterator[Objection]:
    """The validator signs, is not a builder, and has the assurance that the gate requires."""
    yield from held_by(dossier, actor, Role.VALIDATOR)
    yield from never_built(dossier, actor.person, "sign_off.builder")
    found, least = proof(actor, request), least_proof(dossier)
    if found.strength < least.strength:
        yield Objection(
            "sign_off.weak",
            f"A sign-off here requires assurance “{least.value}”; yours has “{found.value}”: "
            f"{_stronger(least)}{_elsewhere(dossier, actor)}.",
        )
    if dossier.evaluation is None:
        yield Objection("evaluation.none", "There is no evaluation to sign off.")


def sign_off(dossier: PlayDossier, actor: Actor, request: SignOff | None) -> Iterator[Objection]:
    """The validator approves what they were shown, if nothing of it changed."""
    yield from may_sign(dossier, actor, request)
    yield from roster_signed(dossier)
    yield from separation.forbidden(dossier)
    yield from spot_checked(dossier)
    yield from nothing_altered(dossier)
    yield from _unmoved(dossier, request)


def refuse(dossier: PlayDossier, actor: Actor, request: SignOff | None) -> Iterator[Objection]:
    """The validator rejects the evaluation, with a reason."""
    yield from may_sign(dossier, actor, request)
    yield from reasoned(request, "A rejection")
    yield from _unmoved(dossier, request)


def _unmoved(dossier: PlayDossier, request: SignOff | None) -> Iterator[Objection]:
    if request is not None and request.covers != covers(dossier):
        what = ", ".join(moved(request.covers, covers(dossier)))
        yield Objection("sign_off.moved", f"Changed after you opened it: {what}. Review it again before you sign.")


def moved(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Name the covered facts that changed."""
    return [name.replace("_", " ") for name in now if before.get(name) != now[name]]


def _elsewhere(dossier: PlayDossier, actor: Actor) -> str:
    """Return where to sign: an SSH session has no key, which is on the validator's own machine."""
    if actor.assurance is not Assurance.SESSION:
        return ""
    return f", on your own machine: `distill-tui sign --via {actor.address or 'ssh://…'} {dossier.code}`"


def _stronger(least: Assurance) -> str:
    if least is Assurance.HARDWARE:
        return "sign with a hardware key (--key) and touch it"
    return "sign with --key" if least is Assurance.SIGNED else "sign over SSH, or with --key"


def withdraw(dossier: PlayDossier, actor: Actor, request: Withdraw | None) -> Iterator[Objection]:
    """The signer withdraws a sign-off or rejection, before the ship."""
    own = [s for s in dossier.sign_offs if s.row.person_id == actor.person and not s.withdrawn]
    if not own:
        yield Objection("sign_off.none", "You have no sign-off here to withdraw.")
    if own and proof(actor, request).strength < min(own[-1].row.assurance.strength, Assurance.SIGNED.strength):
        yield Objection(
            "withdrawal.weak",
            f"What you withdraw has assurance “{own[-1].row.assurance.value}”, so the withdrawal needs it, too: "
            f"{_stronger(own[-1].row.assurance)}.",
        )
    yield from reasoned(request, "A withdrawal")


def sign_off_troubles(dossier: PlayDossier, facts: SignOffFacts) -> Iterator[Objection]:
    """Yield why a sign-off does not count now; computed each time, never stored."""
    who, now = facts.row.person_id, covers(dossier)
    if facts.withdrawn:
        yield Objection("sign_off.withdrawn", f"{who} withdrew the sign-off.", *SIGNS)
    if facts.trouble:
        yield Objection("sign_off.broken", facts.trouble, *SIGNS)
    for name, value in now.items():
        if facts.covers.get(name) != value:
            yield Objection(
                "sign_off.stale",
                f"The sign-off by {who} is stale: {name.replace('_', ' ')} changed. {who} must review and sign again.",
                *SIGNS,
            )
    yield from separation.forbidden(dossier)
    if who in dossier.builders:
        yield from never_built(dossier, who, "sign_off.builder")
    if who != dossier.roles.get(Role.VALIDATOR):
        yield Objection("sign_off.not_validator", f"{who} is not the validator of this play now.", *SIGNS)
    least = least_proof(dossier)
    if facts.row.assurance.strength < least.strength:
        yield Objection(
            "sign_off.weak",
            f"The sign-off by {who} has assurance “{facts.row.assurance.value}”; “{least.value}” is required. {who} "
            f"must sign again: {_stronger(least)}.",
            *SIGNS,
        )


def counting_sign_off(dossier: PlayDossier) -> SignOffFacts | None:
    """Return the newest approval that counts now."""
    for facts in reversed(dossier.sign_offs):
        if facts.row.opinion is Opinion.APPROVE and not any(sign_off_troubles(dossier, facts)):
            return facts
    return None


def standing_refusals(dossier: PlayDossier) -> list[SignOffFacts]:
    """Return rejections of this round that their signers neither withdrew nor replaced by an approval of their own."""
    latest: dict[str, SignOffFacts] = {}
    for facts in dossier.sign_offs:
        worthless = bool(facts.trouble) and facts.row.opinion is Opinion.APPROVE
        if facts.row.round == dossier.play.round and not facts.withdrawn and not worthless:
            latest[facts.row.person_id] = facts
    return [facts for facts in latest.values() if facts.row.opinion is Opinion.REFUSE]


def lacks_sign_off(dossier: PlayDossier, shipper: Actor) -> Iterator[Objection]:
    """An approval counts, no rejection stands, and the shipper is not the signer."""
    for facts in standing_refusals(dossier):
        yield Objection(
            "sign_off.refused",
            f"{facts.row.person_id} rejected: “{facts.row.comment}”. Only {facts.row.person_id} can withdraw that.",
            (Role.VALIDATOR,),
            (Action.WITHDRAW, Action.SIGN_OFF),
        )
    counting = counting_sign_off(dossier)
    if counting is not None:
        if counting.row.person_id == shipper.person:
            others = tuple(role for role in SHIPPERS if dossier.roles.get(role) not in (None, shipper.person))
            yield Objection(
                "sign_off.own", f"{shipper.person} signed this off, so another person must ship it.", others
            )
        return
    approvals = [f for f in dossier.sign_offs if f.row.opinion is Opinion.APPROVE]
    if approvals:
        yield from sign_off_troubles(dossier, approvals[-1])
    else:
        validator, code = dossier.roles.get(Role.VALIDATOR), dossier.code
        signs = f"{validator}, the validator, signs: `distill-tui sign {code}`"
        none = f"assign a validator first: `distill-tui role {code} validator ID`"
        yield Objection("sign_off.missing", f"This is not signed off; {signs if validator else none}.", *SIGNS)


def maintained(dossier: PlayDossier) -> Iterator[Objection]:
    """A student that ships has an operator, a sampling rate and a refresh cadence."""
    play = dossier.play
    if Role.OPERATOR not in dossier.roles:
        sentence = f"The operator is not assigned: `distill-tui role {dossier.code} operator ID`."
        yield Objection("maintenance.operator", sentence, (Role.SPONSOR,), (Action.ASSIGN_ROLE,))
    if play.sampling_per_month is None or play.refresh_days is None:
        yield Objection(
            "maintenance.missing",
            "The maintenance loop is not set. Set the calls to sample per month and the days between refreshes: "
            f"`distill-tui maintain {dossier.code} --sample 400 --refresh-days 90`.",
            (Role.OPERATOR, Role.DRIVER),
            (Action.SET_MAINTENANCE,),
        )


def set_maintenance(dossier: PlayDossier, actor: Actor, request: SetMaintenance | None) -> Iterator[Objection]:
    """The operator or the driver sets sampling and refresh of a live student."""
    yield from held_by(dossier, actor, Role.OPERATOR, Role.DRIVER)
    given = {"sample": request.sample, "refresh_days": request.refresh_days} if request is not None else {}
    for name, number in given.items():
        if not 1 <= number <= 100_000_000:
            yield Objection(
                "maintenance.number", f"{name} is {number}; it must be a whole number from 1 to 100,000,000."
            )


def ship(dossier: PlayDossier, actor: Actor, request: Ship | None) -> Iterator[Objection]:
    """A student ships when it passes its locked gate and a validator who never built has signed it off."""
    yield from held_by(dossier, actor, *SHIPPERS)
    yield from gate_untouched(dossier)
    yield from gate_holds(dossier)
    yield from lacks_sign_off(dossier, shipper=actor)
    yield from spot_checked(dossier)
    yield from roster_signed(dossier)
    yield from proved(dossier.project, actor, request, least_proof(dossier), "ship.weak")
    yield from maintained(dossier)
    yield from rehearsed(dossier)
    yield from nothing_altered(dossier)
    yield from idle(dossier, actor)


def iterate(dossier: PlayDossier, actor: Actor, request: None) -> Iterator[Objection]:
    """The driver or the sponsor opens another round while the gate has rounds left."""
    yield from held_by(dossier, actor, Role.DRIVER, Role.SPONSOR)
    yield from idle(dossier, actor)
    if dossier.gate is not None and dossier.round_of_effort >= dossier.gate.rounds:
        ways = "ship, roll back or kill" if dossier.bundles else "ship or kill"
        yield Objection(
            "rounds.spent",
            f"The gate allows {dossier.gate.rounds} rounds and this is the last; {ways}.",
        )


def kill(dossier: PlayDossier, actor: Actor, request: WithReason | None) -> Iterator[Objection]:
    """The sponsor or the driver ends a play, with a reason."""
    yield from held_by(dossier, actor, Role.SPONSOR, Role.DRIVER)
    yield from reasoned(request, "A kill")
    yield from idle(dossier, actor)


def comment(dossier: PlayDossier, actor: Actor, request: Comment | None) -> Iterator[Objection]:
    """Anyone enrolled may comment."""
    if request is not None and not 1 <= len(request.text.strip()) <= 4000:
        yield Objection("comment.length", "A comment has 1 to 4,000 characters.")


RULES: dict[Action, PlayRule] = {
    Action.SPOT_CHECK: spot_check,
    Action.SIGN_OFF: sign_off,
    Action.REFUSE: refuse,
    Action.WITHDRAW: withdraw,
    Action.SET_MAINTENANCE: set_maintenance,
    Action.SHIP: ship,
    Action.ITERATE: iterate,
    Action.KILL: kill,
    Action.COMMENT: comment,
}
