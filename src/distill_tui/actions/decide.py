"""Actions of the stage `decide` that are not the validator's, and comments."""

from __future__ import annotations

from pathlib import Path

from distill_tui.actions import signed_decisions
from distill_tui.bundles.write import write_bundle
from distill_tui.digests import digest_of
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.decide import counting_sign_off
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
    """Write the bundle and go live, in one transaction; with a key, signed. Return the bundle's folder."""
    optimist = Ship(Assurance.HARDWARE if key is not None else signed_decisions.proof(actor, None))
    seen = project.ask_first(Action.SHIP, play_id, actor, optimist)
    stands = counting_sign_off(seen)
    assert stands is not None
    about = {"student": str(stands.covers["model"]), "sign_off": digest_of(bytes(stands.row.statement))}
    given = signed_decisions.give(seen, actor, StatementKind.SHIP, about, key)
    with project.change(Action.SHIP, play_id, actor, Ship(signed_decisions.proof(actor, given))) as change:
        signed = counting_sign_off(change.dossier)
        assert signed is not None
        log = list(rows.select(change.connection, entities.AuditEntry, "WHERE play_id = ? ORDER BY seq", play_id))
        with project.artifacts.scratch() as scratch:
            by = (given.content, given.signature) if given is not None else None
            write_bundle(scratch / "bundle", project.artifacts, change.dossier, signed, log, by)
            digest = project.artifacts.store(scratch / "bundle")
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
