"""Actions on a live student."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from distill_tui import tasks
from distill_tui.actions import signed_decisions
from distill_tui.actions.runs import queue
from distill_tui.dataset.readers import ColumnMapping, with_answers
from distill_tui.dataset.traces.call_mapping import DEFAULT
from distill_tui.rounds import call_mappings
from distill_tui.rules import entities, labels
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.objection import Objection, Refused
from distill_tui.rules.requests import Object, Observe, RollBack, WithReason
from distill_tui.rules.results import ObserveSpec, RefreshDetail, encode
from distill_tui.store import tables
from distill_tui.store.project import Change, Project, ProjectError, now
from distill_tui.terms import Action, Remedy, RunKind, StatementKind


def observe(
    project: Project,
    play_id: int,
    actor: Actor,
    path: Path,
    mapping: ColumnMapping | None = None,
    *,
    name: str = "",
    any_time: bool = False,
) -> int:
    """Import a sample of production and queue the run that observes the live student; return the run's number.

    Rows of before the first ship are rejected, unless rows of `any_time` are taken, as in a replay.
    """
    from distill_tui.dataset import feeds, traffic  # pyarrow

    seen = project.ask_first(Action.OBSERVE, play_id, actor)
    assert seen.live is not None
    name = name or path.name
    digest = f"sha256:{traffic.source_digest(path)}"
    request = Observe(name, digest)
    project.ask_first(Action.OBSERVE, play_id, actor, request)
    with project.artifacts.scratch() as scratch:
        columns = mapping or feeds.mapping_of(path, call_mappings.template_of(seen))
        several, scale = tasks.of(seen.play.task).several, labels.scale_text(seen.play)
        columns = with_answers(columns, path, several=several, scale=scale)
        report = feeds.import_feed(
            path,
            replace(columns, any_time=any_time or columns.any_time),
            scratch / "feed.parquet",
            calls=call_mappings.calls_of(seen, path) or DEFAULT,
            since=seen.bundles[0].shipped_at[:10],
            earlier=[feeds.Earlier(project.artifacts.path(f.artifact), f.received_at) for f in seen.feeds],
        )
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
        run.spec = encode(ObserveSpec(feed.id, report.reasons, report.doubts))
        change.detail |= {"feed": feed.id, "name": name, "rows": feed.rows, "rejects": feed.rejects}
        change.detail |= {"reasons": dict(report.reasons)} if report.reasons else {}
        change.detail |= {"any_time": True} if any_time else {}

    return queue(project, play_id, actor, Action.OBSERVE, RunKind.OBSERVE, request, begin=begin)


def acknowledge(project: Project, play_id: int, actor: Actor, reason: str) -> None:
    """Acknowledge an alarm; a new watch begins with the same ceiling. Signed where the actor has a key."""
    seen = project.dossier(play_id)
    detail = {"reason": reason, "standing": seen.standing.value}
    signed = signed_decisions.decide(seen, actor, Action.ACKNOWLEDGE, detail)
    request = WithReason(reason, signed_decisions.proof(actor, signed))
    with project.change(Action.ACKNOWLEDGE, play_id, actor, request) as change:
        assert change.dossier.live is not None
        _remedy(change, Remedy.ACKNOWLEDGE, change.dossier.live, reason, {"standing": change.dossier.standing.value})
        signed_decisions.keep_decision(change, Action.ACKNOWLEDGE, signed)


def object_(
    project: Project, play_id: int, actor: Actor, reason: str, *, lift: bool = False, key: Path | None = None
) -> None:
    """Object to the live student, or take the objection back; with a key, signed."""
    seen = project.dossier(play_id)
    live = seen.live.id if seen.live is not None else 0
    about = {"bundle": seen.live.digest} if seen.live is not None else {}
    more = {"reason": reason, "lift": lift}
    signed = signed_decisions.give(seen, actor, StatementKind.OBJECTION, about, key, **more) if about else None
    request = Object(reason, lift, signed_decisions.proof(actor, signed))
    with project.change(Action.OBJECT, play_id, actor, request) as change:
        change.detail |= {"bundle": live, **more}
        signed_decisions.keep(change, signed)


def roll_back(project: Project, play_id: int, actor: Actor, bundle_id: int, reason: str) -> None:
    """Make an earlier bundle live again, after checking its files; signed where the actor has a key."""
    request = RollBack(bundle_id, reason)
    seen = project.ask_first(Action.ROLL_BACK, play_id, actor, request)
    trouble = project.artifacts.trouble(next(b.digest for b in seen.bundles if b.id == bundle_id))
    if trouble:
        raise ProjectError(trouble)
    signed = signed_decisions.decide(seen, actor, Action.ROLL_BACK, {"reason": reason} | _back(seen, bundle_id))
    request = RollBack(bundle_id, reason, signed_decisions.proof(actor, signed))
    with project.change(Action.ROLL_BACK, play_id, actor, request) as change:
        back = next(b for b in change.dossier.bundles if b.id == bundle_id)
        _remedy(change, Remedy.ROLL_BACK, back, reason, _back(change.dossier, bundle_id))
        signed_decisions.keep_decision(change, Action.ROLL_BACK, signed)


def _back(dossier: PlayDossier, bundle_id: int) -> dict[str, object]:
    return {"bundle": [str(dossier.live.id if dossier.live else None), str(bundle_id)]}


def suspend(project: Project, play_id: int, actor: Actor, reason: str) -> None:
    """Switch the live student off; running gateways answer with the teacher."""
    with project.change(Action.SUSPEND, play_id, actor, WithReason(reason)) as change:
        assert change.dossier.live is not None
        _remedy(change, Remedy.SUSPEND, change.dossier.live, reason, {"bundle": change.dossier.live.id})


def resume(project: Project, play_id: int, actor: Actor, reason: str) -> None:
    """Switch a suspended student on again; signed where the actor has a key."""
    seen = project.dossier(play_id)
    detail = {"reason": reason, "bundle": seen.live.id if seen.live else 0}
    signed = signed_decisions.decide(seen, actor, Action.RESUME, detail)
    with project.change(
        Action.RESUME, play_id, actor, WithReason(reason, signed_decisions.proof(actor, signed))
    ) as change:
        assert change.dossier.live is not None
        _remedy(change, Remedy.RESUME, change.dossier.live, reason, {"bundle": change.dossier.live.id})
        signed_decisions.keep_decision(change, Action.RESUME, signed)


def refresh(
    project: Project, play_id: int, actor: Actor, reason: str, *, since: str = "", days: int | None = None
) -> None:
    """Open a round with the observed traffic, its training rows weighted towards the divergences.

    Its held-out rows are of the day `since` or later: by default of the onset of the drift, or without one of the last
    `days` that were observed (by default as many as lie between two refreshes).
    """
    from distill_tui.monitor import refresh as taking

    seen = project.ask_first(Action.REFRESH, play_id, actor, WithReason(reason))
    judged_from = since or taking.judged_from(project, seen, days)
    with project.artifacts.scratch() as scratch:
        taken = taking.take_in(project, seen, scratch / "observed.parquet", now())
    with project.change(Action.REFRESH, play_id, actor, WithReason(reason)) as change:
        if [f.id for f in change.dossier.feeds] != [f.id for f in seen.feeds]:
            raise Refused([Objection("data.moved", "New production data arrived; open the refresh again.")])
        change.play.round += 1
        change.session.add(change.play)
        assert change.dossier.live is not None
        detail = {"rows": taken.rows if taken else 0, "round": change.play.round, "judged_from": judged_from}
        opened = RefreshDetail(failures=taking.failures(project, seen), judged_from=judged_from)
        _remedy(change, Remedy.REFRESH, change.dossier.live, reason, detail, opened)
        if taken is not None:
            change.session.add(taken)


def _remedy(
    change: Change,
    kind: Remedy,
    bundle_row: entities.Bundle,
    reason: str,
    detail: Mapping[str, object],
    opened: RefreshDetail | None = None,
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
            detail=encode(opened or RefreshDetail()),
            person_id=change.person,
            at=change.at,
        )
    )
    change.detail |= {"reason": reason, **detail}
