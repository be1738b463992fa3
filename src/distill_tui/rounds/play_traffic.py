"""Queries of screens and commands about a play's traffic and teacher: worksheet numbers, and money paid."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from distill_tui.gates import economics
from distill_tui.rounds import teacher_calls
from distill_tui.rules.results import label_result
from distill_tui.store.project import Project
from distill_tui.teachers import cache

if TYPE_CHECKING:
    from distill_tui.dataset.window import Measured, TokenPrices


def window(
    project: Project, play_id: int, *, days: int = 90, prices: TokenPrices | None = None
) -> tuple[Measured, dict[str, str]]:
    """Measure a play's traffic; returns the measures, and the worksheet's numbers. Raises BadInput."""
    from distill_tui.dataset import window as windows

    dossier = project.dossier(play_id)
    calls = [traffic for traffic in dossier.traffic if not teacher_calls.taken(traffic)]  # not calls
    files = [project.artifacts.path(traffic.artifact) for traffic in calls]
    measured = windows.measure(files, days=days, prices=prices)
    wanted = {question.name for question in economics.WORKSHEET[dossier.play.kind]}
    return measured, {name: f"{n:f}" for name, n in windows.worksheet(measured).items() if name in wanted}


def ledger(project: Project, play_id: int) -> dict[str, object]:
    """Count the calls to a play's teacher, what they cost, and what its cache saved."""
    dossier = project.dossier(play_id)
    paid = teacher_calls.paid(project.artifacts.folder, dossier)
    labels = cache.ledger(project.artifacts.folder, dossier.play.teacher_digest)
    runs = [label_result(run) for run in dossier.runs]
    hits = sum(run.cached for run in runs if run is not None)
    each = paid.money / paid.calls if paid.calls else Decimal(0)
    return {
        "teacher": dossier.play.teacher_name,
        "calls": paid.calls,
        "tokens_in": paid.tokens_in,
        "tokens_out": paid.tokens_out,
        "tokens_cached": paid.cached,
        "currency": dossier.project.currency,
        "money": f"{paid.money:.6f}",
        "unread": labels.unread,
        "cache_hits": hits,
        "money_not_spent": f"{each * hits:.6f}",
    }
