"""The selected play below the board: loaded once the cursor rests on it. Only lines that changed are drawn again."""

from __future__ import annotations

from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import getters
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import get_current_worker

from distill_tui.rules.card import Card
from distill_tui.store import sqlite
from distill_tui.ui.board.widget import WIDE

if TYPE_CHECKING:
    from distill_tui.rules.dossier import PlayDossier
    from distill_tui.ui.app import DistillApp
    from distill_tui.ui.board.preview import Preview

REST = 0.08  # seconds that the cursor must rest on a play before it is loaded
AGES = 30  # seconds between two looks at how long the play has stood


class Below(Vertical):
    """The play under the cursor in a few lines."""

    if TYPE_CHECKING:
        app = getters.app(DistillApp)
    LINES = 5

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.preview: Preview | None = None
        self._card: Card | None = None
        self._shown: tuple[Card | None, int | None] = None, None  # the card, and the log's newest entry of then
        self._resting: Timer | None = None

    @property
    def dossier(self) -> PlayDossier | None:
        return self.preview.dossier if self.preview is not None else None

    def compose(self) -> ComposeResult:
        yield from (Line() for _ in range(self.LINES))

    def on_mount(self) -> None:
        self.set_interval(AGES, self._draw)

    def forget(self) -> None:
        """Have the next look load the play again, changed or not."""
        self._shown = None, None

    def look(self, card: Card | None, seen: int | None, nothing: str) -> bool:
        """Load a play once the cursor rests, or show `nothing`; False where all of it is shown already.

        `seen` is the log's newest entry: while it stays, another play's run reported, and this one did not change.
        """
        if self.dossier is not None and (card is None or self.dossier.play.id != card.id):
            self.preview = None
        if self.preview is not None and self._shown[0] is card and self._shown[1] == seen:
            self._draw()
            return False
        self._card = card
        if self._resting is not None:
            self._resting.stop()
        if card is None:
            self.show([Content(f" {nothing}")])
        else:
            self._resting = self.set_timer(REST, partial(self._start, card, seen))
        return True

    def _start(self, card: Card, seen: int | None) -> None:
        if self.app.project is not None:
            self.run_worker(partial(self._load, card, seen), thread=True, exclusive=True, group="look")

    def _load(self, card: Card, seen: int | None) -> None:
        from distill_tui.ui.board import preview

        worker, app = get_current_worker(), self.app
        if app.project is None or worker.is_cancelled:
            return
        try:
            found = preview.load(app.project, card.id)
        except sqlite.errors() as error:
            app.unreadable(error)
            return
        if not worker.is_cancelled:
            app.call_from_thread(self._loaded, card, seen, found)

    def _loaded(self, card: Card, seen: int | None, found: Preview) -> None:
        if self._card is None or card.id != self._card.id:
            return
        self.preview, self._shown = found, (self._card, seen)
        self._draw()

    def _draw(self) -> None:
        if self.preview is not None:
            app, width = self.app, self.app.size.width
            self.show(self.preview.lines(app.actor, width, wide=width >= WIDE, keys=app.practice))

    def show(self, lines: list[Content]) -> None:
        for number, widget in enumerate(self.query(Line)):
            widget.show(lines[number] if number < len(lines) else Content(""))


class Line(Widget):
    """One line of text; what it has in common with the one before, from its start, is not sent again."""

    def __init__(self) -> None:
        super().__init__()
        self.content = Content("")

    def render(self) -> Content:
        return self.content

    def show(self, line: Content) -> None:
        before, self.content = self.content, line
        if line != before:
            same = alike(before, line)
            self.refresh(Region(same, 0, max(before.cell_length, line.cell_length) - same, 1))


def alike(one: Content, other: Content) -> int:
    """Count the cells at the start of two lines that look the same."""
    pairs = enumerate(zip(one.plain, other.plain, strict=False))
    ends = [next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))]
    for a, b in zip_longest(one.spans, other.spans):
        if a != b:
            begun_alike = a and b and (a.start, a.style) == (b.start, b.style)
            ends.append(min(a.end, b.end) if begun_alike else min(span.start for span in (a, b) if span))
    return cell_len(one.plain[: min(ends)])
