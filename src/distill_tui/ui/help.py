"""The help on keys: every key of the screen that is open, and why it is dimmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from distill_tui.terms import Action
from distill_tui.ui.widgets import show
from distill_tui.ui.widgets.frame import why_dimmed

_GENERIC = ("app.focus_next", "app.focus_previous", "screen.copy_text", "app.help_quit")


@dataclass(frozen=True)
class KeyHelp:
    """One key of a screen, and why it is blocked now if it is."""

    key: str
    shown: str
    does: str
    blocked: str = ""


def keys_of(screen: Screen[object]) -> list[KeyHelp]:
    """Return the keys of a screen in its present state, each once."""
    sentences = {f"take('{action.value}')": action.sentence for action in Action if action.key}
    found: dict[tuple[str, str], KeyHelp] = {}
    bindings = sorted(screen.active_bindings.items(), key=lambda item: item[1].node is not screen)  # its own first
    for key, active in bindings:
        binding, node = active.binding, active.node
        if not binding.description or binding.system or binding.action in _GENERIC:
            continue
        shown = screen.app.get_key_display(binding)
        blocked = ""
        if not active.enabled:
            _, name, parameters = screen.app._parse_action(binding.action, node)
            blocked = why_dimmed(node, screen, name, parameters)
        does = sentences.get(binding.action, binding.description)
        same = (binding.action, binding.description)
        if same in found:
            first = found[same]
            both = first.shown if shown in first.shown.split(" ") else f"{first.shown} {shown}"
            found[same] = KeyHelp(first.key, both, does, blocked)
        else:
            found[same] = KeyHelp(key, shown, does, blocked)
    return list(found.values())


class HelpScreen(ModalScreen[None]):
    """Every key of the screen: type to search, Enter runs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss", "Back"),
        Binding("down", "move(1)", show=False),
        Binding("up", "move(-1)", show=False),
        Binding("pagedown", "move(10)", show=False),
        Binding("pageup", "move(-10)", show=False),
    ]

    def __init__(self, screen: Screen[object]) -> None:
        super().__init__()
        self.keys = keys_of(screen)

    def compose(self) -> ComposeResult:
        with Vertical(classes="sheet"):
            yield Label(
                "Keys of this screen: type to search, enter runs one, esc goes back",
                markup=False,
                classes="sheet-title",
            )
            yield Input(placeholder="search", id="search", compact=True)
            keys = OptionList(id="keys", markup=False, compact=True)
            keys.can_focus = False
            yield keys
            yield Label(legend(), id="legend", markup=False)

    def on_mount(self) -> None:
        self._list("")
        self.query_one("#search", Input).focus()

    @on(Input.Changed)
    def _search(self, event: Input.Changed) -> None:
        self._list(event.value)

    def _list(self, words: str) -> None:
        options = self.query_one(OptionList)
        options.clear_options()
        width = min(110, self.size.width * 9 // 10) - 8  # frame, blanks and the scrollbar
        for help_ in self.keys:
            if all(word in f"{help_.shown} {help_.does}".lower() for word in words.lower().split()):
                options.add_option(Option(_line(help_, width), id=help_.key))
        options.highlighted = 0 if options.option_count else None

    def action_move(self, rows: int) -> None:
        """Move in the list while the search box has the focus."""
        options = self.query_one(OptionList)
        if options.option_count:
            options.highlighted = max(0, min((options.highlighted or 0) + rows, options.option_count - 1))

    @on(Input.Submitted)
    def _run(self) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            self._press(options.get_option_at_index(options.highlighted))

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self._press(event.option)

    def _press(self, option: Option) -> None:
        key, app = option.id, self.app
        self.dismiss()
        if key is not None:
            app.call_later(app.simulate_key, key)


def _line(help_: KeyHelp, width: int) -> Content:
    shown = show.fit(help_.shown, 14)
    if not help_.blocked:
        return Content.assemble((shown, "bold"), show.clip(help_.does, width - 14))
    does = show.clip(help_.does, width - 14)
    room = width - 14 - cell_len(does)
    why = show.clip(f"  {show.mark('look')} {help_.blocked}", room) if room > 12 else ""
    return Content.assemble((shown, "$tone-muted"), (does, "$tone-muted"), (why, "$tone-warn"))


def legend() -> Content:
    words = ("holds", "misses", "look", "waiting", "running", "paused")
    marks = Content("   ").join([show.state(word) for word in words])
    cards = "card: val = best on validation; amount = most it saves a month"
    return marks + f"\n{cards}\nkeys open forms; only enter in a form changes the project"
