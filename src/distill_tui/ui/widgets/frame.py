"""What every screen has: heading, message line and the line of keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING, cast

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static

from distill_tui.rules.actor import Actor
from distill_tui.terms import Assurance
from distill_tui.ui.widgets import show

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp

SEVERITIES = {"information": "information", "success": "ok", "warning": "look", "error": "error", "running": "running"}


def who(actor: Actor) -> str:
    """Return who acts and how that was proved: “dana · account”, “vera · signed SHA256:kX9…”."""
    dot = show.glyph("dot")
    if actor.person is None:
        return f"not enrolled {dot} read-only"
    if actor.assurance is Assurance.ACCOUNT:
        return f"{actor.person} {dot} account"
    return f"{actor.person} {dot} {actor.assurance.value} {show.clip(actor.proof.rpartition('key ')[2], 15)}"


def clock() -> str:
    return datetime.now().strftime("%H:%M")


def why_dimmed(node: object, screen: object, action: str, parameters: tuple[object, ...]) -> str:
    """Return why a key is dimmed, from `blocked` of its node or its screen."""
    why = getattr(node, "blocked", None) or getattr(screen, "blocked", None)
    return (why(action, parameters) if why is not None else None) or "This is not possible now."


class Heading(Static):
    """One line: the project or `title`, then who acts, active runs, and the time."""

    def __init__(self, title: str = "") -> None:
        super().__init__("", markup=False)
        self.title = title
        self.short = ""  # of the title, where it does not fit

    def on_mount(self) -> None:
        self.draw()
        self.set_interval(5, self.draw)

    def on_resize(self) -> None:
        self.draw()

    def draw(self) -> None:
        app = cast("DistillApp", self.app)
        width = self.size.width or app.size.width
        parts = [*(["READ-ONLY"] if app.read_only else []), who(app.actor)]
        if app.header.active:
            parts.append(f"{show.mark('running')} {app.header.active_runs} running")
        parts.append(clock())
        right = "   ".join(parts)
        name = self.title or f"distill-tui  {app.header.project}"
        room = width - cell_len(right) - 2
        if self.short and cell_len(name) >= room:
            name = self.short
        left = show.fit(f" {name}", room)
        line = Content.assemble((left, "bold"), " ", right, " ")
        if line != self.content:  # drawn every few seconds: do not send the same line again
            self.update(line)


SHOWN = {"information": 10.0, "success": 10.0, "warning": 20.0}  # seconds; an error, and what runs, stay


class MessageLine(Static):
    """The last result, or why a key is dimmed: one line, or up to three for a long reason. It goes after its time."""

    def __init__(self) -> None:
        super().__init__("", markup=False, classes="message-line")
        self.text = ""
        self._going: Timer | None = None

    def say(self, text: str, severity: str = "information") -> None:
        if self._going is not None:
            self._going.stop()
            self._going = None
        if text and severity in SHOWN:
            self._going = self.set_timer(SHOWN[severity], partial(self.say, ""))
        self.text = show.visible(" ".join(text.split()))
        word, room = SEVERITIES.get(severity, "information"), max(20, (self.size.width or self.app.size.width) - 4)
        first, *more = wrap(self.text, room) or [""]
        if len(more) > 2:
            more = [more[0], show.clip(" ".join(more[1:]), room)]
        line = Content.assemble(" ", (show.mark(word), f"$tone-{show.tone(word)}"), " ", "\n   ".join([first, *more]))
        self.update(line if self.text else "")
        self.tooltip = Content(self.text) if len(more) > 1 else None


@dataclass(frozen=True)
class ShownKey:
    """One key of the line of keys."""

    key: str
    shown: str
    does: str
    enabled: bool

    @property
    def width(self) -> int:
        return cell_len(self.shown) + cell_len(self.does) + (3 if self.enabled else 5)


class KeyLine(Static):
    """The most used keys of a screen in one line that never wraps; the help lists all.

    A dimmed key has a dash behind it, for terminals without colour. A click presses a key.
    """

    PINNED = ("question_mark", "q", "escape")

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._keys: list[ShownKey] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def on_resize(self) -> None:
        self._changed(self.screen)

    def _changed(self, screen: Screen[object]) -> None:
        if screen is not self.screen or not self.is_attached:
            return
        keys = self._fitting(self._all(screen))
        if keys != self._keys:
            self._keys = keys
            self.update(Content("").join([Content(" "), *map(_key, keys)]))

    def _all(self, screen: Screen[object]) -> list[ShownKey]:
        found: dict[str, ShownKey] = {}
        for key, active in screen.active_bindings.items():
            binding = active.binding
            if binding.show and binding.description and binding.action not in found:
                shown = self.app.get_key_display(binding)
                found[binding.action] = ShownKey(key, shown, binding.description, active.enabled)
        return list(found.values())

    def _fitting(self, keys: list[ShownKey]) -> list[ShownKey]:
        room = self.size.width - 1 - sum(key.width for key in keys if key.key in self.PINNED)
        fitting = []
        for key in keys:
            if key.key not in self.PINNED:
                room -= key.width
            if key.key in self.PINNED or room >= 0:
                fitting.append(key)
        return fitting

    def on_click(self, event: events.Click) -> None:
        end = 1
        for key in self._keys:
            end += key.width
            if event.x < end:
                self.app.simulate_key(key.key)
                return


def _key(key: ShownKey) -> Content:
    if key.enabled:
        return Content.assemble((key.shown, "bold $accent"), f" {key.does}  ")
    return Content.assemble((f"{key.shown} {key.does} {show.glyph('dash')}  ", "$tone-muted"))
