"""The line above the board: how many plays there are, how many wait, and what a filter hides."""

from __future__ import annotations

from textual.widgets import Static

from distill_tui.store.glance import Header
from distill_tui.ui.board.shelf import ORDERS, Shelf
from distill_tui.ui.widgets import show


class Counts(Static):
    """Drawn only when its text changes."""

    def __init__(self, *, id: str) -> None:
        super().__init__("", id=id, markup=False)
        self._text = ""

    def show(self, shelf: Shelf, header: Header, mine: int) -> None:
        text = counted(shelf, header, mine)
        if text != self._text:
            self._text = text
            self.update(text)


def counted(shelf: Shelf, header: Header, mine: int) -> str:
    """Name what the board shows and hides; `mine` plays wait for the person at the screen."""
    live = header.plays - header.killed
    filtered = f"filter “{show.visible(shelf.words)}” shows {shelf.shown}, esc clears it"
    parts = [*([filtered] if shelf.words else []), f"{live:,} play{'s' if live != 1 else ''}"]
    if header.killed:
        parts.append(f"{header.killed} killed {'shown' if shelf.killed else 'hidden: . shows'}")
    if mine:
        parts.append(f"{mine} wait{'s' if mine == 1 else ''} for you")
    objected = [card.code for card in shelf.cards if card.objection_concerns(shelf.me)]
    if objected:
        parts.append(f"the validator objects to {', '.join(objected)}")
    if shelf.marked:
        parts.insert(0, f"{len(shelf.marked)} marked: c comments, A assigns roles, esc unmarks")
    if shelf.order != "number":
        parts.append(f"sorted {ORDERS[shelf.order].name}")
    return " " + f" {show.glyph('dot')} ".join(parts)
