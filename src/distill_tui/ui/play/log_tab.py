"""The audit log of a play, newest first. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from distill_tui.gates import economics
from distill_tui.rules import entities
from distill_tui.rules.dossier import read_object
from distill_tui.store import audit_log
from distill_tui.terms import Action, Role
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import page, show
from distill_tui.ui.widgets.page import WIDE, Column, Lines


def log(view: View, width: int) -> Lines:
    if not view.entries:
        return page.sentence("The log has no entry for this play.", width, word="waiting")
    columns = (
        Column("NO", 5, right=True),
        Column("WHEN (UTC)", 16),
        Column("WHO", 12 if width >= WIDE else 8),
        Column("WHAT", 17 if width >= WIDE else 11),
        Column("DETAIL", 0, 1),
    )
    rows = [
        (f"{e.seq}", page.when(e.at), e.person_id or "", action_words(e.action), (_detail(view, e), "$tone-muted"))
        for e in view.entries
    ]
    return page.table(columns, rows, width)


def _detail(view: View, entry: entities.AuditEntry) -> str:
    revoked = audit_log.revocation(view.revoked.get(entry.proof.rpartition("key ")[2]), entry.seq)
    return f"{revoked}  {detail(entry.detail)}" if revoked else detail(entry.detail)


def action_words(action: Action) -> str:
    return action.command or action.value.replace("_", " ")


def detail(text: str) -> str:
    nothing: tuple[object, ...] = ("", "{}", None, {}, [])
    kept = {name: value for name, value in read_object(text).items() if value not in nothing}
    if "after" in kept:  # the holder of a role
        kept = {str(kept.get("role", "holder")): [kept.get("before", ""), kept["after"]]}
    return "  ".join(f"{name}: {_change(name, value)}" for name, value in kept.items())


_CHANGES = {"stage", "assurance", *Role} | {  # logged as before and after; any other list is a list
    each.name
    for asked in (economics.WORKSHEET, economics.BESIDES)
    for questions in asked.values()
    for each in questions
}


def _change(name: str, value: object) -> str:
    if name in _CHANGES and isinstance(value, list) and len(value) == 2:
        before, after = map(_plain, value)
        return f"{before} {show.glyph('arrow')} {after}" if before else after
    return _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(map(_plain, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    text = str(value)
    return page.short(text) if text.startswith("sha256:") else text
