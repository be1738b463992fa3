"""The command palette (ctrl+p): actions with a key, those allowed first, commands to type, and plays."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.markup import escape
from textual.system_commands import SystemCommandsProvider

from distill_tui.rules.card import Card
from distill_tui.rules.dossier import PlayDossier, ProjectDossier
from distill_tui.rules.permission import objections
from distill_tui.store import glance, sqlite
from distill_tui.terms import Action
from distill_tui.ui.board.screen import BoardScreen
from distill_tui.ui.help import commands
from distill_tui.ui.widgets import show

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp


@dataclass(frozen=True)
class Entry:
    """An action of the palette: its title, and why it is not allowed if it is not."""

    action: Action
    title: str
    why_not: str


def entries(app: DistillApp, dossier: PlayDossier | ProjectDossier | None) -> list[Entry]:
    """Return the actions that have a key, those allowed first."""
    found = [_entry(app, dossier, action) for action in Action if action.key]
    return sorted(found, key=lambda entry: bool(entry.why_not))


def _entry(app: DistillApp, dossier: PlayDossier | ProjectDossier | None, action: Action) -> Entry:
    if dossier is None:
        why = "" if action is Action.OPEN_PLAY else "No play is selected."
    else:
        why = " ".join(o.sentence for o in objections(action, dossier, app.actor))
    code = f" {dossier.code}" if isinstance(dossier, PlayDossier) else ""
    about = code if action.stages else ""
    return Entry(action, f"{action.command}{about}  ({action.key})", why)


class Palette(Provider):
    """Everything that ctrl+p finds, in this order: actions, the app's own commands, commands to type, plays."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        kinds = (Verbs, SystemCommandsProvider, Commands, Plays)
        self._parts: list[Provider] = [kind(*args, **named) for kind in kinds]

    async def startup(self) -> None:
        for part in self._parts:
            await part.startup()

    async def discover(self) -> Hits:
        for part in self._parts:
            async for hit in part.discover():
                yield hit

    async def search(self, query: str) -> Hits:
        for part in self._parts:
            async for hit in part.search(query):
                yield hit


class Verbs(Provider):
    """Actions on the play that is open or selected."""

    @property
    def _distill(self) -> DistillApp:
        return cast("DistillApp", self.app)

    def _entries(self) -> list[Entry]:
        return entries(
            self._distill, getattr(self.screen, "dossier", None) or getattr(self.screen, "project_dossier", None)
        )

    async def discover(self) -> Hits:
        for entry in self._entries():
            yield DiscoveryHit(Content(entry.title), partial(self._press, entry), text=entry.title, help=_help(entry))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for entry in self._entries():
            text = f"{entry.title} {entry.action.sentence}"
            score = matcher.match(text)
            if score > 0:
                score = score if not entry.why_not else score / 10
                press = partial(self._press, entry)
                yield Hit(score, Content(entry.title), press, text=entry.title, help=_help(entry))

    def _press(self, entry: Entry) -> None:
        """Press the action's key; on the board, in the play that is selected."""
        if entry.why_not:
            self._distill.say(entry.why_not, "warning")
            return
        if entry.action is Action.OPEN_PLAY:
            self._distill.new_play()
            return
        if isinstance(self.screen, BoardScreen) and (play := self._play()) is not None:
            self._distill.open_play(play)
        self.app.call_later(self.app.simulate_key, entry.action.key)

    def _play(self) -> int | None:
        dossier = getattr(self.screen, "dossier", None)
        return dossier.play_id if dossier is not None else None


def _help(entry: Entry) -> str:
    """Return the line below; the palette reads it as markup, so text from data is escaped."""
    line = f"{show.mark('look')} {entry.why_not}" if entry.why_not else entry.action.sentence
    return escape(show.clip(line, 110))


class Commands(Provider):
    """Commands without a key; Enter begins to type one."""

    def _found(self) -> list[tuple[str, str]]:
        if cast("DistillApp", self.app).restricted:
            return []
        keyed = {action.command for action in Action if action.key}
        dossier = getattr(self.screen, "dossier", None)
        code = dossier.code if dossier is not None else ""
        listed = commands(self.app, code)
        return [(begun, sentence) for begun, sentence in listed if begun.removesuffix(f"{code} ").strip() not in keyed]

    async def discover(self) -> Hits:
        for begun, sentence in self._found():
            title = f": {begun}"
            yield DiscoveryHit(Content(title), partial(self._begin, begun), text=title, help=escape(sentence))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for begun, sentence in self._found():
            score = matcher.match(f"{begun}{sentence}")
            if score > 0:
                title = f": {begun}"
                yield Hit(score / 2, Content(title), partial(self._begin, begun), text=title, help=escape(sentence))

    def _begin(self, begun: str) -> None:
        app = cast("DistillApp", self.app)
        app.call_later(app.action_command_line, begun)


class Plays(Provider):
    """Every play, by code and name."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._titles: list[tuple[str, Card]] = []

    async def startup(self) -> None:
        try:
            cards = await asyncio.to_thread(glance.cards, cast("DistillApp", self.app).path)
        except sqlite.DatabaseErrors:
            return
        self._titles = [(show.visible(f"open {card.code} {card.name}"), card) for card in cards]

    async def search(self, query: str) -> Hits:
        matcher, app = self.matcher(query), cast("DistillApp", self.app)
        for title, card in self._titles:
            score = matcher.match(title)
            if score > 0:
                opens = partial(app.open_play, card.id)
                yield Hit(score, Content(show.clip(title, 100)), opens, text=title, help=card.stage.value)
