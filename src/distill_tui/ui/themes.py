"""The colours: blue and orange on dark or light, safe for colour-blind readers, and never the only sign."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="distill",
    primary="#4c9be8",
    secondary="#7fb2e5",
    accent="#e69f00",
    success="#56b4e9",
    warning="#e69f00",
    error="#e8703a",
    foreground="#d6dbe1",
    background="#101418",
    surface="#161b21",
    panel="#1f262e",
    dark=True,
    variables={"footer-key-foreground": "#e69f00"},
)
LIGHT = Theme(
    name="distill-light",
    primary="#1f6fb2",
    secondary="#2d6ca8",
    accent="#8f4f00",
    success="#00589c",
    warning="#8f4f00",
    error="#a63a10",
    foreground="#1b2127",
    background="#fbfbf9",
    surface="#f2f2ef",
    panel="#e3e6e8",
    dark=False,
    variables={"footer-key-foreground": "#8f4f00"},
)
_DARK_TONES = {"good": "#56b4e9", "bad": "#e8703a", "warn": "#e69f00", "muted": "#8b97a3", "run": "#7fb2e5"}
_LIGHT_TONES = {"good": "#00589c", "bad": "#a63a10", "warn": "#8f4f00", "muted": "#59636e", "run": "#2d6ca8"}


def tones(theme: Theme, *, colour: bool = True) -> dict[str, str]:
    found = _DARK_TONES if theme.dark else _LIGHT_TONES
    return {f"tone-{name}": shade if colour else "ansi_default" for name, shade in found.items()}
