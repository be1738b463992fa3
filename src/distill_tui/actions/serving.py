"""Actions of the gateway: a person sets its mode; a gateway that must not go on falls back."""

from __future__ import annotations

from dataclasses import replace

from distill_tui.actions import signed_decisions
from distill_tui.bundles.verify import verify_bundle
from distill_tui.rules import serving_mode
from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.requests import FallBack, ServeMode
from distill_tui.store.project import Project
from distill_tui.terms import Action, ServingMode


def set_mode(project: Project, play_id: int, actor: Actor, asked: ServeMode) -> None:
    """Set what answers a play's requests. The live bundle is verified before a student may answer. Raises Refused."""
    seen = project.dossier(play_id)
    if asked.mode.by_student:
        seen = project.ask_first(Action.SERVE_MODE, play_id, actor, asked)
        asked = replace(asked, trouble=bundle_trouble(project, seen))
    detail = serving_mode.detail(asked, *_now(seen))
    signed = signed_decisions.decide(seen, actor, Action.SERVE_MODE, detail)
    asked = replace(asked, proof=signed_decisions.proof(actor, signed))
    with project.change(Action.SERVE_MODE, play_id, actor, asked) as change:
        change.detail |= serving_mode.detail(asked, *_now(change.dossier))
        signed_decisions.keep_decision(change, Action.SERVE_MODE, signed)


def fall_back(project: Project, play_id: int, actor: Actor, since: int, reason: str) -> None:
    """Record that a gateway fell back from the mode of entry `since`; its other settings stay. Raises Refused."""
    with project.change(Action.FALL_BACK, play_id, actor, FallBack(since, reason)) as change:
        was = change.dossier.serving
        assert was is not None
        kept = replace(was.kept(ServingMode.SUSPENDED), reason=reason)
        change.detail |= serving_mode.detail(kept, *_now(change.dossier)) | {"from": was.words}


def _now(dossier: PlayDossier) -> tuple[int, int]:
    """Return the live bundle and the newest feed of this moment, 0 where there is none."""
    return dossier.live.id if dossier.live else 0, max((feed.id for feed in dossier.feeds), default=0)


def bundle_trouble(project: Project, dossier: PlayDossier) -> str:
    """Verify the live bundle: its files, its signatures, its verdicts. Return the first problem, empty for none."""
    if dossier.live is None:
        return ""
    trouble = project.artifacts.trouble(dossier.live.digest)
    if trouble:
        return trouble
    problems = verify_bundle(project.artifacts.path(dossier.live.digest)).problems
    return problems[0].sentence if problems else ""
