"""Signed statements other than sign-offs: of a gate, a roster, a withdrawal, a ship.

They are made before `Project.change` is entered, since a hardware key waits for a touch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from distill_tui.digests import canonical, digest_of
from distill_tui.people import signatures, statements
from distill_tui.people.keys import Verified
from distill_tui.rules import who as who_rules
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier, ProjectDossier
from distill_tui.rules.objection import Objection, Refused
from distill_tui.store import audit_log, tables
from distill_tui.store.project import Change, now
from distill_tui.terms import Action, Assurance, Role, StatementKind


@dataclass(frozen=True)
class Signed:
    """A statement with its signature."""

    kind: StatementKind
    content: bytes
    signature: str
    assurance: Assurance


def give(
    dossier: ProjectDossier | PlayDossier,
    actor: Actor,
    kind: StatementKind,
    subject: Mapping[str, str],
    key: Path | None,
    **more: object,
) -> Signed | None:
    """Write and sign a statement; None without a key. Raises BadSignature, Refused."""
    if key is None:
        return None
    play = dossier if isinstance(dossier, PlayDossier) else None
    project = play.project if play is not None else dossier
    assert isinstance(project, ProjectDossier)
    held = [role.value for role in Role if play is not None and play.roles.get(role) == actor.person]
    about = {"play": play.play.id, "round": play.play.round} if play is not None else {}
    content = statements.write(
        kind,
        subject,
        signer=actor.person or "",
        role=", ".join(held),
        meaning=kind,
        audit_size=project.audit_size,
        audit_head=project.audit_head,
        issued=now(),
        project=project.uid,
        **about,
        **more,
    )
    signature = signatures.sign(content, key, statements.NAMESPACES[kind])
    verified = signatures.verify(content, signature, statements.NAMESPACES[kind])
    return Signed(kind, content, signature, whose(project, actor, verified))


def decide(
    dossier: ProjectDossier | PlayDossier, actor: Actor, action: Action, detail: Mapping[str, object]
) -> Signed | None:
    """Sign a change of the roster or of a mode with the key that proved the actor; None where none did."""
    if not actor.key:
        return None
    digest = audit_log.decided(action, detail)
    more = {"action": action.value, "detail": dict(detail), "decides": digest}
    return give(dossier, actor, StatementKind.DECISION, {"decision": digest}, Path(actor.key), **more)


def keep_decision(change: Change, action: Action, signed: Signed | None) -> None:
    """Store a signed decision with the entry that it decides. Raises Refused where that is another by now."""
    if signed is not None and audit_log.decided(action, change.detail) not in signed.content.decode():
        raise Refused([Objection("decision.moved", "Changed while you signed: nothing was decided. Do it again.")])
    keep(change, signed)


def roster(dossier: PlayDossier, actor: Actor, key: Path | None) -> Signed | None:
    """Sign the current roster of a play."""
    who = who_rules.roster(dossier)
    return give(dossier, actor, StatementKind.ROSTER, {"roster": digest_of(canonical(who))}, key, roster=who)


def whose(dossier: ProjectDossier | PlayDossier, actor: Actor, verified: Verified) -> Assurance:
    """Return a signature's assurance. Raises Refused if the key is not the actor's, or revoked."""
    from distill_tui.people.identity import actor_of

    signer = actor_of(dossier.project if isinstance(dossier, PlayDossier) else dossier, verified)
    if signer.person is None or signer.person != actor.person:
        sentence = f"Key {verified.fingerprint} does not belong to {actor.person}; sign with your own key."
        raise Refused([Objection("sign_off.foreign_key", sentence)])
    return signer.assurance


def proof(actor: Actor, signed: Signed | None) -> Assurance:
    """Return a decision's assurance: its signature's, else `session` or `account`, whatever identified the actor."""
    if signed is not None:
        return signed.assurance
    return Assurance.SESSION if actor.assurance is Assurance.SESSION else Assurance.ACCOUNT


def keep(change: Change, *given: Signed | None) -> None:
    """Store signed statements with the change that they are about, and log their digests."""
    kept = {}
    for signed in given:
        if signed is not None:
            row = tables.Statement(
                play_id=change.row.id if change.row is not None else None,
                kind=signed.kind,
                person_id=change.person,
                content=signed.content,
                signature=signed.signature,
                recorded_at=change.at,
            )
            change.session.add(row)
            change.session.flush()
            kept[str(row.id)] = digest_of(signed.content)
    if kept:
        change.detail["signed"] = kept
