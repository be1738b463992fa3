"""The validator's actions: spot check, sign-off, rejection, withdrawal, here or over SSH.

The project writes the statement; its exact bytes are shown, signed and stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill_tui.actions import signed_decisions
from distill_tui.digests import digest_of
from distill_tui.people import signatures, statements
from distill_tui.rules import decide as decide_rules
from distill_tui.rules import spot_checks
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Objection, Refused
from distill_tui.rules.permission import objections
from distill_tui.rules.requests import SignOff, SpotCheck, Withdraw
from distill_tui.store import tables
from distill_tui.store.project import Project, now
from distill_tui.terms import Action, Assurance, Judged, Opinion, StatementKind


def spot_check(project: Project, play_id: int, actor: Actor, said: Sequence[Judged]) -> int:
    """Record the validator's judgements of the drawn answers, in their order; return the check's number."""
    seen = project.ask_first(Action.SPOT_CHECK, play_id, actor)
    assert seen.record is not None and seen.evaluation is not None
    items = spot_checks.draw(seen.record, str(actor.person), len(said))
    if len(items) != len(said):
        raise Refused([Objection("spot_check.wrong", f"Only {len(items)} answers can be judged.")])
    content = spot_checks.content(seen.record, items, said)
    with project.change(Action.SPOT_CHECK, play_id, actor, SpotCheck(content)) as change:
        row = tables.SpotCheck(
            play_id=play_id,
            round=change.play.round,
            person_id=change.person,
            evaluation=seen.evaluation.record,
            content=content,
            recorded_at=change.at,
        )
        change.session.add(row)
        change.session.flush()
        assert row.id is not None
        change.detail |= {"spot_check": row.id, **spot_checks.summary(content)}
        return row.id


def sign_off(
    project: Project,
    play_id: int,
    actor: Actor,
    opinion: Opinion,
    comment: str = "",
    *,
    key: Path | None = None,
    covers: Mapping[str, object] | None = None,
) -> int:
    """Record a sign-off or rejection; with a key, signed. Return its number.

    `covers` is what the validator was shown; the rules refuse if anything of it changed.
    """
    dossier, content = ask_to_sign(project, play_id, actor, opinion, comment, keyed=key is not None, covers=covers)
    if key is None:
        return _record_sign_off(project, play_id, actor, content, None, signed_decisions.proof(actor, None))
    signature = signatures.sign(content, key, signatures.SIGN_OFF)
    verified = signatures.verify(content, signature, signatures.SIGN_OFF)
    return _record_sign_off(
        project, play_id, actor, content, signature, signed_decisions.whose(dossier, actor, verified)
    )


def ask_to_sign(
    project: Project,
    play_id: int,
    actor: Actor,
    opinion: Opinion,
    comment: str,
    *,
    keyed: bool,
    covers: Mapping[str, object] | None = None,
) -> tuple[PlayDossier, bytes]:
    """Write the statement that this actor would sign now. Raises Refused; a key's assurance is checked later."""
    dossier = project.dossier(play_id, thorough=True)
    action = Action.SIGN_OFF if opinion is Opinion.APPROVE else Action.REFUSE
    request = SignOff(
        dict(covers) if covers is not None else decide_rules.covers(dossier),
        comment,
        Assurance.HARDWARE if keyed else signed_decisions.proof(actor, None),
    )
    reasons = objections(action, dossier, actor, request)
    if reasons:
        raise Refused(reasons)
    return dossier, statement_bytes(dossier, actor, opinion, comment)


def hand_in(project: Project, play_id: int, actor: Actor, content: bytes, signature: str) -> int:
    """Record a sign-off that was signed elsewhere, if this project would write the same statement now.

    Raises BadSignature, Refused.
    """
    dossier = project.dossier(play_id, thorough=True)
    predicate = statements.read_sign_off(content)["predicate"]
    moved = decide_rules.moved(predicate["covers"], decide_rules.covers(dossier))
    expected = statement_bytes(
        dossier, actor, Opinion(predicate["opinion"]), str(predicate.get("comment")), like=predicate
    )
    if moved or expected != content or not project.has_entry(predicate["audit"]):
        what = ", ".join(moved) or "its text"
        raise Refused([Objection("sign_off.moved", f"Changed after it was written: {what}. Fetch it again.")])
    verified = signatures.verify(content, signature, signatures.SIGN_OFF)
    return _record_sign_off(
        project, play_id, actor, content, signature, signed_decisions.whose(dossier, actor, verified)
    )


def _record_sign_off(
    project: Project, play_id: int, actor: Actor, content: bytes, signature: str | None, assurance: Assurance
) -> int:
    predicate = statements.read_sign_off(content)["predicate"]
    opinion, comment = Opinion(predicate["opinion"]), str(predicate["comment"])
    action = Action.SIGN_OFF if opinion is Opinion.APPROVE else Action.REFUSE
    request = SignOff(predicate["covers"], comment, assurance)
    with project.change(action, play_id, actor, request) as change:
        if any(bytes(each.row.statement) == content for each in change.dossier.sign_offs):
            raise Refused([Objection("sign_off.moved", "This statement was handed in before. Fetch it again.")])
        row = tables.SignOff(
            play_id=play_id,
            round=change.play.round,
            person_id=change.person,
            opinion=opinion,
            assurance=assurance,
            statement=content,
            signature=signature,
            comment=comment,
            recorded_at=change.at,
        )
        change.session.add(row)
        change.session.flush()
        assert row.id is not None
        detail = {"sign_off": row.id, "opinion": opinion.value, "assurance": assurance.value}
        change.detail |= detail | {"statement": digest_of(content)}
        return row.id


def statement_bytes(
    dossier: PlayDossier, actor: Actor, opinion: Opinion, comment: str, like: Mapping[str, Any] | None = None
) -> bytes:
    """Write a sign-off's statement, with the time and log head of `like`, or the current ones."""
    criteria = [
        {
            "criterion": judgement.criterion.words,
            "scope": judgement.scope,
            "verdict": judgement.verdict.value,
            "says": judgement.sentence,
        }
        for judgement in dossier.judgements
    ]
    audit = like["audit"] if like else {"size": dossier.project.audit_size, "head": dossier.project.audit_head}
    return statements.sign_off(
        decide_rules.covers(dossier),
        criteria,
        opinion=opinion,
        comment=comment,
        signer=actor.person or "",
        audit_size=audit.get("size"),
        audit_head=audit.get("head"),
        issued=str(like["issued"]) if like else now(),
    )


def withdraw(project: Project, play_id: int, actor: Actor, reason: str, *, key: Path | None = None) -> None:
    """Withdraw the actor's newest sign-off or rejection; with a key, signed."""
    dossier = project.dossier(play_id)
    own = [s for s in dossier.sign_offs if s.row.person_id == actor.person and not s.withdrawn]
    about = {"sign_off": digest_of(bytes(own[-1].row.statement))} if own else {}
    signed = signed_decisions.give(dossier, actor, StatementKind.WITHDRAWAL, about, key, reason=reason) if own else None
    request = Withdraw(reason, signed_decisions.proof(actor, signed))
    with project.change(Action.WITHDRAW, play_id, actor, request) as change:
        sign_off_id = own[-1].row.id
        assert sign_off_id is not None
        change.session.add(tables.Withdrawal(sign_off_id=sign_off_id, reason=reason, recorded_at=change.at))
        change.detail |= {"sign_off": sign_off_id, "reason": reason}
        signed_decisions.keep(change, signed)
