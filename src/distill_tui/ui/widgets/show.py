"""How values look: marks, numbers, ages and text from outside. Pure.

A state is a symbol and a word; colour only adds to it. Text from a person or a file goes through `visible` before
layout, so that it can neither steer the terminal nor act as markup.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from distill_tui.text import visible as marked

# word → (symbol, ASCII symbol, tone); several words share a symbol, no word has two
_MARKS: dict[str, tuple[str, str, str]] = {
    word: (symbol, ascii_symbol, tone)
    for words, symbol, ascii_symbol, tone in (
        ("holds passed passes finished approve approved live done success ok", "✓", "ok", "good"),
        ("misses failed refuse refused killed error", "✗", "XX", "bad"),
        ("unproven look warning lost stale", "!", "!!", "warn"),
        ("waiting queued unmeasured todo information", "○", "..", "muted"),
        ("running", "▸", ">>", "run"),
        ("stopped paused", "‖", "||", "warn"),
        ("drift", "≈", "~~", "warn"),
    )
    for word in words.split()
}
TONES = ("good", "bad", "warn", "muted", "run")

_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"), "�")  # zero width

_IN_ASCII = (
    dict.fromkeys((*range(0x2400, 0x2420), *map(ord, "␡␤�")), "?")
    | dict.fromkeys(map(ord, "▁▂▃▄▅▆▇█"), "#")  # Textual's scrollbar
    | {ord(sign): plain for sign, plain in zip("“”‘’…≠•→–▔▎", "\"\"''.#*>--|", strict=True)}
)


@lru_cache(maxsize=1)
def ascii_only() -> bool:
    """Whether the terminal asked for ASCII: by DISTILL_ASCII=1, as the Linux console, or by a locale without UTF-8."""
    if os.environ.get("DISTILL_ASCII", "") not in ("", "0") or os.environ.get("TERM") == "linux":
        return True
    locale = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "UTF-8")
    return "utf" not in locale.lower() and locale not in ("C", "POSIX")


def visible(text: str) -> str:
    """Replace what could steer a terminal (C0, C1, DEL, bidi controls) by a visible mark of one cell."""
    if text.isascii() and text.isprintable():
        return text
    shown = marked(text).translate(_UNSEEN)
    return shown.translate(_IN_ASCII) if ascii_only() else shown


def mark(word: str) -> str:
    """Return the symbol of a state, like ✓ for `holds`; ○ for an unknown word."""
    symbol, plain, _ = _MARKS.get(str(word), _MARKS["waiting"])
    return plain if ascii_only() else symbol


def tone(word: str) -> str:
    return _MARKS.get(str(word), _MARKS["waiting"])[2]


def glyph(name: str) -> str:
    """Return a drawing sign: bar, rule, cursor, dots, dash, most, dot, arrow, enter."""
    fancy, plain = _GLYPHS[name]
    return plain if ascii_only() else fancy


_GLYPHS = {
    "bar": ("│", "|"),
    "rule": ("─", "-"),
    "cursor": ("▌", ">"),
    "marked": ("●", "*"),
    "dots": ("…", ".."),
    "dash": ("–", "-"),
    "most": ("≤", "<="),
    "dot": ("·", "-"),
    "arrow": ("→", "->"),
    "enter": ("⏎", "enter"),
}


def state(word: str, text: str = "") -> Content:
    """Return symbol and word of a state, the symbol coloured; `text` replaces the word."""
    return Content.assemble((mark(word), f"$tone-{tone(word)}"), " ", visible(text or str(word)))


def percent(share: float | Decimal | None, digits: int = 1) -> str:
    """Write a share as a percentage: 0.957 → 95.7%. None is a dash."""
    return glyph("dash") if share is None else f"{float(share) * 100:.{digits}f}%"


def points(difference: float | Decimal | None, digits: int = 1) -> str:
    """Write a difference of shares in percentage points, with its sign: −0.015 → −1.5 pts. None is a dash."""
    if difference is None:
        return glyph("dash")
    written = f"{float(difference) * 100:+.{digits}f} pts"
    return written if ascii_only() else written.replace("-", "−")


def megabytes(size: int | None) -> str:
    """Write a size in units of 1,000,000 bytes, or a dash."""
    return glyph("dash") if size is None else f"{size / 1e6:,.1f}"


def share_of(step: int, total: int) -> str:
    return f"{100 * step / total:.0f}%" if total else "queued"


def money(amount: float | Decimal | None, currency: str) -> str:
    """Write an amount as short as it can be read: USD 2.2k. None is a dash."""
    if amount is None:
        return glyph("dash")
    value = float(amount)
    for size, unit in ((1e9, "bn"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{currency} {value / size:.{1 if abs(value) < 100 * size else 0}f}{unit}"
    return f"{currency} {value:,.0f}"


def ago(at: str | None) -> str:
    """Format the age of a stored time in one unit: 40 s, 9 min, 3 h, 61 d. None is a dash."""
    if not at:
        return glyph("dash")
    try:
        then = datetime.fromisoformat(at)
    except ValueError:
        return glyph("dash")
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    seconds = max(0, int((datetime.now(UTC) - then).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def clip(text: str, width: int) -> str:
    """Cut text to so many terminal cells, made visible first; a cut ends in …."""
    text = visible(text)
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text
    dots = glyph("dots")
    return set_cell_size(text, max(0, width - len(dots))).rstrip() + dots[: max(width, 0)]


def fit(text: str, width: int) -> str:
    """Cut or pad text to exactly so many terminal cells."""
    return set_cell_size(clip(text, width), width)
