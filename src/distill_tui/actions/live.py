"""Actions on a live student."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill_tui.actions.runs import queue
from distill_tui.dataset import readers
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.objection import Objection, Refused
from distill_tui.rules.requests import Observe, RollBack, WithReason
from distill_tui.store import tables
from distill_tui.store.project import Change, Project, ProjectError, now
from distill_tui.terms import Action, Remedy, RunKind


def observe(
    project: Project,
    play_id: int,
    actor: Actor,
    path: Path,
    mapping: readers.ColumnMapping | None = None,
    *,
    name: str = "",
) -> int:
    """Import a sample of production and queue the run that observes the live student; return the run's number."""
    from distill_tui.dataset import traffic  # pyarrow

    seen = project.ask_first(Action.OBSERVE, play_id, actor)
    assert seen.live is not None
    name = name or path.name
    digest = f"sha256:{traffic.source_digest(path)}"
    request = Observe(name, digest)
    project.ask_first(Action.OBSERVE, play_id, actor, request)
    with project.artifacts.scratch() as scratch:
        report = traffic.import_traffic(path, mapping or readers.guess_mapping(path), scratch / "feed.parquet")
        artifact = project.artifacts.store(scratch / "feed.parquet")

    def begin(change: Change, run: entities.Run) -> None:
        live = change.dossier.live
        assert live is not None and live.id is not None
        feed = tables.Feed(
            play_id=play_id,
            bundle_id=live.id,
            name=name,
            source_digest=digest,
            artifact=artifact,
            rows=report.rows,
            rejects=report.rejects,
            received_at=change.at,
        )
        change.session.add(feed)
        change.session.flush()
        run.spec = json.dumps({"feed": feed.id})
        change.detail |= {"feed": feed.id, "name": name, "rows": feed.rows, "rejects": feed.rejects}

    return queue(project, play_id, actor, Action.OBSERVE, RunKind.OBSERVE, request, begin=begin)


def acknowledge(project: Project, play_id: int, actor: Actor, reason: str) -> None:
    """Acknowledge an alarm; a new watch begins with the same ceiling."""
    with project.change(Action.ACKNOWLEDGE, play_id, actor, WithReason(reason)) as change:
        assert change.dossier.live is not None
        _remedy(change, Remedy.ACKNOWLEDGE, change.dossier.live, reason, {"standing": change.dossier.standing.value})


def roll_back(project: Project, play_id: int, actor: Actor, bundle_id: int, reason: str) -> None:
    """Make an earlier bundle live again, after checking its files."""
    request = RollBack(bundle_id, reason)
    seen = project.ask_first(Action.ROLL_BACK, play_id, actor, request)
    trouble = project.artifacts.trouble(next(b.digest for b in seen.bundles if b.id == bundle_id))
    if trouble:
        raise ProjectError(trouble)
    with project.change(Action.ROLL_BACK, play_id, actor, request) as change:
        back = next(b for b in change.dossier.bundles if b.id == bundle_id)
        before = change.dossier.live.id if change.dossier.live else None
        _remedy(change, Remedy.ROLL_BACK, back, reason, {"bundle": [str(before), str(bundle_id)]})


def refresh(project: Project, play_id: int, actor: Actor, reason: str) -> None:
    """Open a round with the observed traffic, its training rows weighted towards the divergences."""
    from distill_tui.monitor import refresh as taking

    seen = project.ask_first(Action.REFRESH, play_id, actor, WithReason(reason))
    with project.artifacts.scratch() as scratch:
        taken = taking.take_in(project, seen, scratch / "observed.parquet", now())
    with project.change(Action.REFRESH, play_id, actor, WithReason(reason)) as change:
        if [f.id for f in change.dossier.feeds] != [f.id for f in seen.feeds]:
            raise Refused([Objection("data.moved", "New production data arrived; open the refresh again.")])
        change.play.round += 1
        change.session.add(change.play)
        assert change.dossier.live is not None
        detail = {"rows": taken.rows if taken else 0, "round": change.play.round}
        _remedy(change, Remedy.REFRESH, change.dossier.live, reason, detail, taking.failures(project, seen))
        if taken is not None:
            change.session.add(taken)


def _remedy(
    change: Change,
    kind: Remedy,
    bundle_row: entities.Bundle,
    reason: str,
    detail: Mapping[str, Any],
    failures: Mapping[str, Any] | None = None,
) -> None:
    assert bundle_row.id is not None
    dossier = change.dossier
    change.session.add(
        tables.RemedyRow(
            play_id=change.play.id or 0,
            kind=kind,
            round=change.play.round,
            bundle_id=bundle_row.id,
            newest_bundle=dossier.bundles[-1].id or 0,
            feed_id=max((feed.id or 0 for feed in dossier.feeds), default=0),
            reason=reason,
            detail=json.dumps(failures or {}),
            person_id=change.person,
            at=change.at,
        )
    )
    change.detail |= {"reason": reason, **detail}
