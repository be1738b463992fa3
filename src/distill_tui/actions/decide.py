"""Actions of the stage `decide` that are not the validator's, and comments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from distill_tui.actions import signed_decisions
from distill_tui.bundles.verify import UNSIGNED, content_digest, verify_bundle
from distill_tui.bundles.write import seal, texts, write_content
from distill_tui.digests import digest_of
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.decide import counting_sign_off
from distill_tui.rules.dossier import PlayDossier, SignOffFacts
from distill_tui.rules.objection import Objection, Refused
from distill_tui.rules.requests import Comment, SetMaintenance, Ship, WithReason
from distill_tui.store import rows, tables
from distill_tui.store.project import Project
from distill_tui.terms import Action, Assurance, StatementKind


def set_maintenance(project: Project, play_id: int, actor: Actor, sample: int, refresh_days: int) -> None:
    """Set the calls to sample per month and the days between refreshes."""
    request = SetMaintenance(sample, refresh_days)
    with project.change(Action.SET_MAINTENANCE, play_id, actor, request) as change:
        play = change.play
        play.sampling_per_month, play.refresh_days = sample, refresh_days
        change.session.add(play)
        change.detail |= vars(request)


def ship(project: Project, play_id: int, actor: Actor, *, key: Path | None = None) -> Path:
    """Write the bundle and go live, in one transaction; with a key, signed. Return the bundle's folder.

    The student is copied and everything else written before the ship is signed, because the signature covers it. Inside
    the transaction the copy is hashed and verified as any reader of the bundle would.
    """
    optimist = Ship(Assurance.HARDWARE if key is not None else signed_decisions.proof(actor, None))
    seen = project.ask_first(Action.SHIP, play_id, actor, optimist, thorough=True)
    stands = counting_sign_off(seen)
    assert stands is not None
    with project.artifacts.scratch() as scratch:
        bundle, log = scratch / "bundle", _log(project, seen, stands, keyed=key is not None)
        content = write_content(bundle, project.artifacts, seen, stands, log)
        about = {"student": str(stands.covers["model"]), "sign_off": digest_of(bytes(stands.row.statement))}
        given = signed_decisions.give(seen, actor, StatementKind.SHIP, about | {"bundle": content}, key)
        with project.change(Action.SHIP, play_id, actor, Ship(signed_decisions.proof(actor, given))) as change:
            signed = counting_sign_off(change.dossier)
            assert signed is not None
            _unmoved(bundle, content, texts(bundle, project.artifacts, change.dossier, signed, log))
            seal(bundle, change.dossier, signed, (given.content, given.signature) if given is not None else None)
            _whole(bundle)
            digest = project.artifacts.store(bundle)
            change.session.add(
                tables.Bundle(
                    play_id=play_id,
                    round=change.play.round,
                    digest=digest,
                    sign_off_id=signed.row.id,
                    shipped_by=change.person,
                    shipped_at=change.at,
                )
            )
            change.detail |= {"bundle": digest, "sign_off": signed.row.id}
            signed_decisions.keep(change, given)
    return project.artifacts.path(digest)


def _log(project: Project, seen: PlayDossier, signed: SignOffFacts, *, keyed: bool) -> list[entities.AuditEntry]:
    """Read the log up to the last head that a signature covers: the ship's, else the sign-off's."""
    last = seen.project.audit_size if keyed else int(signed.statement["predicate"]["audit"]["size"])
    with project.view() as connection:
        return list(rows.select(connection, entities.AuditEntry, "WHERE seq <= ? ORDER BY seq", last))


def _unmoved(bundle: Path, content: str, now: Mapping[str, bytes]) -> None:
    """Check that the bundle holds what was signed, and that the play is still the same. Raises Refused."""
    differs = [name for name, text in now.items() if (bundle / name).read_bytes() != text]
    if content_digest(bundle) != content:
        sentence = "A file was changed while it was copied, so nothing was shipped. Run `distill-tui doctor`."
        raise Refused([Objection("artifact.altered", sentence)])
    if differs:
        raise Refused([Objection("data.moved", f"Changed while you signed: {', '.join(differs)}. Ship again.")])


def _whole(bundle: Path) -> None:
    """Verify the bundle as it was written; its only problem may be a missing signature. Raises Refused."""
    wrong = [each for each in verify_bundle(bundle).problems if each.rule not in UNSIGNED]
    if wrong:
        raise Refused(wrong)


def iterate(project: Project, play_id: int, actor: Actor) -> None:
    with project.change(Action.ITERATE, play_id, actor) as change:
        change.play.round += 1
        change.session.add(change.play)
        change.detail["round"] = change.play.round


def kill(project: Project, play_id: int, actor: Actor, reason: str) -> None:
    with project.change(Action.KILL, play_id, actor, WithReason(reason)) as change:
        change.play.outcome = reason
        change.session.add(change.play)
        change.detail["reason"] = reason


def comment(project: Project, play_id: int, actor: Actor, text: str) -> None:
    with project.change(Action.COMMENT, play_id, actor, Comment(text)) as change:
        change.detail["text"] = text.strip()
