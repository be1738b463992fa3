"""The words of a card: three lines on the board, one in the list. Pure: cards in, pieces of text and tone out."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from distill_tui.rules.card import Card
from distill_tui.terms import PlayKind, Role, Stage
from distill_tui.ui.board.shelf import Shelf
from distill_tui.ui.widgets import show

_SHORT = {PlayKind.SPECIALIZATION: "special"}


def card_line(card: Card, line: int, width: int) -> list[tuple[str, str]]:
    """Return one of a card's three lines as pieces of text and tone, exactly `width` cells in all."""
    if line == 0:
        return [(show.fit(f"{card.code} {card.name}", width), "name")]
    if line == 1:
        return [(show.fit(worth(card), width), "muted")]
    word, text = card.state
    sign = f"{show.mark(word)} "
    return [(sign, show.tone(word)), (show.fit(text + _since(card), width - cell_len(sign)), "name")]


def _since(card: Card) -> str:
    return f" {show.ago(card.stage_since)}" if card.stage is Stage.LIVE else ""


def worth(card: Card) -> str:
    """Return what a play gains: quality and savings of a cost play, else its kind and quality."""
    dot = show.glyph("dot")
    if card.kind is PlayKind.COST:
        return f"q {show.percent(card.quality)} {_saves(card)}/mo"
    if card.quality is not None:
        return f"{_SHORT.get(card.kind, card.kind.value)} {dot} q {show.percent(card.quality)}"
    return card.kind.value if card.round == 1 else f"{_SHORT.get(card.kind, card.kind.value)} {dot} round {card.round}"


def _saves(card: Card) -> str:
    """Return what it can save per month at most."""
    return show.glyph("dash") if card.saves is None else show.glyph("most") + show.money(card.saves, short=True)


_LIST = (("ID", 6), ("PLAY", 0), ("KIND", 9), ("QUALITY", 8), ("SAVES/MO", 9), ("DRIVER", 8), ("STATUS", 21))
_NUMBERS = ("QUALITY", "SAVES/MO")


def _list_cells(texts: Sequence[str], width: int) -> list[str]:
    """Fit texts into the columns of the list: numbers stand to the right, and a blank is behind each."""
    spare = max(8, width - 1 - sum(size for _, size in _LIST))
    cells = []
    for text, (name, size) in zip(texts, _LIST, strict=True):
        text = show.clip(text, (size or spare) - 1)
        left = " " * ((size or spare) - 1 - cell_len(text)) if name in _NUMBERS else ""
        cells.append(show.fit(left + text, size or spare))
    return cells


def list_heading(width: int) -> str:
    """Return the heading of the one-stage list."""
    return show.fit("  " + "".join(_list_cells([name for name, _ in _LIST], width - 1)), width)


def list_line(card: Card, width: int) -> list[tuple[str, str]]:
    """Return a card's one line of the list, as pieces of text and tone."""
    word, text = card.state
    cost = card.kind is PlayKind.COST
    texts = [
        card.code,
        card.name,
        _SHORT.get(card.kind, card.kind.value),
        show.percent(card.quality) if cost or card.quality is not None else "",
        _saves(card) if cost else "",
        card.roles.get(Role.DRIVER, show.glyph("dash")),
        "",
    ]
    cells = _list_cells(texts, width)[:-1]
    pieces = [(cell, "name" if number < 2 else "muted") for number, cell in enumerate(cells)]
    return [(" ", "name"), *pieces, (f"{show.mark(word)} ", show.tone(word)), (text + _since(card), "name")]


def stage_strip(shelf: Shelf, width: int) -> list[str]:
    """Return the stages as pieces of one line: the one that is shown in brackets and capitals."""
    texts = []
    for number, stage in enumerate(shelf.stages):
        name = f"{number + 1} {stage.value.capitalize()} {shelf.count(stage)}"
        texts.append(f"[{name.upper()}]" if number == shelf.column else f" {name} ")
    spare = width - sum(map(cell_len, texts))
    return [f"{text} " for text in texts] if spare >= len(texts) else texts
