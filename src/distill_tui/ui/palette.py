"""The command palette (ctrl+p): actions with a key, those allowed first, commands to type, and plays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.markup import escape

from distill_tui.rules.dossier import PlayDossier, ProjectDossier
from distill_tui.rules.permission import objections
from distill_tui.store import glance, sqlite
from distill_tui.terms import Action
from distill_tui.ui.board.screen import BoardScreen
from distill_tui.ui.command_line import commands
from distill_tui.ui.play.view import OF_THE_HOST
from distill_tui.ui.widgets import show

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp


@dataclass(frozen=True)
class Entry:
    """One line of the palette: what it matches, with which weight, and what it runs."""

    title: str
    help: str
    runs: Callable[[], object]
    more: str = ""  # is searched too
    weight: float = 1.0
    listed: bool = True  # also before anything is typed


class Palette(Provider):
    """Everything that ctrl+p finds, in this order: actions, the app's own commands, commands to type, plays."""

    _plays: tuple[Entry, ...] = ()

    @property
    def _distill(self) -> DistillApp:
        return cast("DistillApp", self.app)

    async def startup(self) -> None:
        app = self._distill
        try:
            cards = await asyncio.to_thread(glance.cards, app.path)
        except sqlite.DatabaseErrors:
            return
        titles = ((show.clip(f"open {card.code} {card.name}", 100), card) for card in cards)
        self._plays = tuple(
            Entry(title, card.stage.value, partial(app.open_play, card.id), listed=False) for title, card in titles
        )

    def entries(self) -> Iterator[Entry]:
        """Yield the lines of the palette for the play that is open or selected."""
        dossier = getattr(self.screen, "dossier", None) or getattr(self.screen, "project_dossier", None)
        code = dossier.code if isinstance(dossier, PlayDossier) else ""
        closed = OF_THE_HOST if self._distill.restricted else ()
        verbs = [self._verb(dossier, code, action) for action in Action if action.key and action not in closed]
        yield from sorted(verbs, key=lambda entry: entry.weight < 1)
        for title, help_, runs, _ in sorted(self._distill.get_system_commands(self.screen)):
            yield Entry(title, help_, runs)
        keyed = {action.command for action in Action if action.key}
        for begun, sentence in commands(self._distill, code) if not self._distill.restricted else ():
            if begun.removesuffix(f"{code} ").strip() not in keyed:
                begin = partial(self.app.call_later, self._distill.action_command_line, begun)
                yield Entry(f": {begun}", sentence, begin, sentence, 0.5)
        yield from self._plays

    def _verb(self, dossier: PlayDossier | ProjectDossier | None, code: str, action: Action) -> Entry:
        if dossier is None:
            why = "" if action is Action.OPEN_PLAY else "No play is selected."
        else:
            why = " ".join(each.sentence for each in objections(action, dossier, self._distill.actor))
        about = f" {code}" if code and action.stages else ""
        title = f"{action.command}{about}  ({action.key})"
        line = f"{show.mark('look')} {why}" if why else action.sentence
        return Entry(title, line, partial(self._press, action, why), action.sentence, 0.1 if why else 1.0)

    def _press(self, action: Action, why_not: str) -> None:
        """Press the action's key; on the board, in the play that is selected."""
        if why_not:
            self._distill.say(why_not, "warning")
            return
        if action is Action.OPEN_PLAY:
            self._distill.new_play()
            return
        if isinstance(self.screen, BoardScreen) and self.screen.dossier is not None:
            self._distill.open_play(self.screen.dossier.play_id)
        self.app.call_later(self._begin, action)

    def _begin(self, action: Action) -> None:
        from distill_tui.ui.play.screen import PlayScreen

        if isinstance(self.app.screen, PlayScreen):
            self.app.screen.begin(action)
        else:
            self.app.simulate_key(action.key)

    async def discover(self) -> Hits:
        for entry in self.entries():
            if entry.listed:
                yield DiscoveryHit(Content(entry.title), entry.runs, text=entry.title, help=_help(entry))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for entry in self.entries():
            score = matcher.match(f"{entry.title} {entry.more}")
            if score > 0:
                yield Hit(score * entry.weight, Content(entry.title), entry.runs, text=entry.title, help=_help(entry))


def _help(entry: Entry) -> str:
    """Return the line below; the palette reads it as markup, so text from data is escaped."""
    return escape(show.clip(entry.help, 110))
