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
        return [(show.fit(card.served or worth(card, width), width), "muted")]
    word, text = card.state
    sign = f"{show.mark(word)} "
    return [(sign, show.tone(word)), (show.fit(text + _since(card), width - cell_len(sign)), "name")]


def _since(card: Card) -> str:
    if card.per_minute is not None:
        return f" {card.per_minute:,}/min"
    return f" {show.ago(card.stage_since)}" if card.stage is Stage.LIVE else ""


def worth(card: Card, width: int) -> str:
    """Return what a play gains: quality on validation rows and savings of a cost play, else its kind and quality."""
    quality = f"{card.score} val" if card.quality is not None else f"val {show.glyph('dash')}"
    if card.kind is PlayKind.COST:
        whole = f"{quality} {show.glyph('dot')} {_saves(card)}/mo"
        short = f"{quality} {_saves(card)}"
        return next((text for text in (whole, short) if cell_len(text) <= width), short.replace(show.glyph("most"), ""))
    if card.quality is not None:
        return f"{quality} {show.glyph('dot')} {_SHORT.get(card.kind, card.kind.value)}"
    kind = _SHORT.get(card.kind, card.kind.value)
    return card.kind.value if card.round == 1 else f"{kind} {show.glyph('dot')} round {card.round}"


def _saves(card: Card) -> str:
    if card.saves is None:
        return show.glyph("dash")
    return show.glyph("most") + show.money(card.saves, card.currency)


_LIST = (("ID", 6), ("PLAY", 0), ("KIND", 9), ("VAL", 7), ("SAVES/MO", 11), ("DRIVER", 8), ("STATUS", 21))
_NUMBERS = ("VAL", "SAVES/MO")


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
    return show.fit("  " + "".join(_list_cells([name for name, _ in _LIST], width - 1)), width)


def list_line(card: Card, width: int) -> list[tuple[str, str]]:
    """Return a card's one line of the list, as pieces of text and tone."""
    word, text = card.state
    cost = card.kind is PlayKind.COST
    texts = [
        card.code,
        card.name,
        _SHORT.get(card.kind, card.kind.value),
        card.score or (show.glyph("dash") if cost else ""),
        _saves(card) if cost else "",
        card.roles.get(Role.DRIVER, show.glyph("dash")),
        "",
    ]
    cells = _list_cells(texts, width)[:-1]
    pieces = [(cell, "name" if number < 2 else "muted") for number, cell in enumerate(cells)]
    room = width - 1 - sum(cell_len(cell) for cell in cells) - 2
    whole = text + _since(card)
    says = whole if cell_len(whole) <= room else show.clip(text, room)  # a time that is cut says another time
    return [(" ", "name"), *pieces, (f"{show.mark(word)} ", show.tone(word)), (says, "name")]


def stage_strip(shelf: Shelf, width: int) -> list[str]:
    """Return the stages as pieces of one line: the one that is shown in brackets and capitals."""
    texts = []
    for number, stage in enumerate(shelf.stages):
        name = f"{number + 1} {stage.value.capitalize()} {shelf.count(stage)}"
        texts.append(f"[{name.upper()}]" if number == shelf.column else f" {name} ")
    spare = width - sum(map(cell_len, texts))
    return [f"{text} " for text in texts] if spare >= len(texts) else texts
