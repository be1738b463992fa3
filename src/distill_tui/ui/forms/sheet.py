"""The sheet: a screen on top that shows what will happen, takes what is typed, and returns it, or None.

A sheet decides nothing. It rejects in place what `check` finds wrong, with that sentence; its opener acts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import Suggester, SuggestFromList
from textual.timer import Timer
from textual.widgets import Input, Static

from distill_tui.ui.forms.entry import Entry
from distill_tui.ui.widgets import page, show
from distill_tui.ui.widgets.foot import Foot, Part

Values = dict[str, str]


class Wrong(str):
    """What is wrong with what was typed, in a sentence, and in which field; empty: nothing."""

    field: str

    def __new__(cls, sentence: str, field: str = "") -> Wrong:
        made = super().__new__(cls, sentence)
        made.field = field
        return made


Check = Callable[[Values], str]  # an empty text, a sentence, or a `Wrong`
Body = Sequence[str | tuple[str, str]]  # sentences, or a state's word and a sentence
Live = Callable[[Values], Body]
CONFIRM = "confirm"  # the name of the field in which a word has to be typed
PLAIN = 3  # letters of a value that is recognised in a sentence without quotes
DEAF = 0.4  # seconds without a key before a sheet that asks for consent accepts keys


@dataclass(frozen=True)
class Field:
    """One line to fill in: its label, its value, and a hint that is shown while it has the cursor."""

    name: str
    label: str
    value: str = ""
    hint: str = ""
    choices: tuple[str, ...] = ()
    completes: Callable[[], Suggester] | None = None  # makes what completes the field, where no list does


class Label(Static):
    """What a field is called; a click on it puts the cursor into the field."""

    def __init__(self, text: str, box: Entry) -> None:
        super().__init__(text, classes="form-label", markup=False)
        self.box = box

    def on_click(self) -> None:
        self.box.focus()


class Fields(VerticalScroll, can_focus=False, inherit_bindings=False):
    """The fields of a sheet: up and down move between them, also where they do not all fit."""


class Sheet(ModalScreen[Values | None]):
    """A title, what will happen, fields, and one line for what is wrong. Returns the fields' values, or None."""

    DEFAULT_CSS = """
    Sheet > Vertical { width: 94%; max-width: 104; height: auto; max-height: 100%; }
    Sheet .form-body { height: auto; max-height: 12; margin: 1 0 0 0; scrollbar-size-vertical: 1; }
    Sheet.-short .form-body { max-height: 6; }
    Sheet.-short .form-fields { max-height: 9; }
    Sheet .form-body Static { height: auto; }
    Sheet .form-fields { height: auto; max-height: 14; margin: 1 0 0 0; }
    Sheet .form-row { height: 1; padding: 0 1; }
    Sheet .form-label { width: 26; color: $tone-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    Sheet Input { width: 1fr; background: $panel; }
    Sheet .form-error { height: auto; max-height: 3; margin: 1 0 0 0; }
    """
    AUTO_FOCUS = ""
    VERTICAL_BREAKPOINTS = [(0, "-short"), (34, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Back, nothing is done"),
        Binding("enter", "submit", "Do it"),
        Binding("ctrl+s", "submit", "Do it", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("tab", "complete", "Complete, or next field", show=False, priority=True),
        Binding("pagedown", "read(1)", "Read on", show=False),
        Binding("pageup", "read(-1)", "Read back", show=False),
    ]

    def __init__(
        self,
        title: str,
        body: Body = (),
        fields: Sequence[Field] = (),
        *,
        does: str,
        check: Check = lambda values: "",
        typed: str = "",
        twin: str = "",
        deaf: bool = False,
        live: Live | None = None,
        wrong: str = "",
    ) -> None:
        super().__init__()
        if typed:
            fields = (*fields, Field(CONFIRM, f"type {typed}", hint=f"Exactly {typed}, or esc."))
        self.heading, self.body, self.fields = title, tuple(body), tuple(fields)
        self.does, self.check, self.typed, self.twin, self.deaf = does, check, typed, twin, deaf
        self.live = live  # what the body shows about the typed values
        self.read_all = not deaf  # whether its last line was seen, where it asks for consent
        self.last, self.longer = True, False  # whether the last field has the cursor; whether pgdn shows more text
        self._patience: Timer | None = None
        self._wrong = Wrong("")  # shown until its field is left
        self._rejected = wrong  # why what is typed here was rejected before, shown at first

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(show.visible(self.heading), classes="form-title", markup=False)
            if self.body:
                with VerticalScroll(classes="form-body", can_focus=False):
                    yield Static(self._text, id="form-text", markup=False)
            if self.fields:
                with Fields(classes="form-fields"):
                    for field in self.fields:
                        yield self._row(field)
            yield Static("", classes="form-error", markup=False)
            yield Foot(*self._keys(last=True), id="form-keys")
            if self.twin:
                yield Static(f"CLI  {show.visible(self.twin)}", classes="form-foot", markup=False)

    def _keys(self, *, last: bool) -> list[Part]:
        """Return what the keys do; before the last field enter moves to the next."""
        does: list[Part] = [("enter", f"{_enter()} {self.does}")]
        if not last:
            does = [("enter", f"{_enter()} next"), ("ctrl+s", f"ctrl+s {self.does}")]
        reads: list[Part] = [("pagedown", "pgdn reads on")] if self.longer else []
        return [*does, ("escape", "esc back, nothing is done"), *reads]

    def _row(self, field: Field) -> Horizontal:
        suggester = field.completes() if field.completes is not None else None
        if field.choices:
            suggester = SuggestFromList(field.choices, case_sensitive=False)
        box = Entry(show.visible(field.value), id=f"field-{field.name}", suggester=suggester, compact=True)
        box.is_path = field.completes is not None
        box.disabled = self.deaf
        return Horizontal(Label(show.visible(field.label), box), box, classes="form-row")

    def on_mount(self) -> None:
        """Accept keys at once, or, if this asks for consent, after a pause without keys."""
        for text in self.query(".form-body"):
            self.watch(text, "scroll_y", self._see_end, init=False)
        if self.deaf:
            self._be_patient()
        else:
            self._listen()

    def on_resize(self) -> None:
        if self.body:
            self.query_one("#form-text", Static).update(self._text)
            self.call_after_refresh(self._show_more)

    def _show_more(self) -> None:
        for text in self.query(".form-body"):
            self.longer = text.virtual_size.height > text.size.height
        if self.longer:
            self.query_one("#form-keys", Foot).put(*self._keys(last=self.last))
        self._see_end()

    def _see_end(self) -> None:
        self.read_all = self.read_all or all(text.scroll_y >= text.max_scroll_y for text in self.query(".form-body"))

    @property
    def _text(self) -> Content:
        parts = [part if isinstance(part, tuple) else ("", part) for part in self.body]
        return page.page([line for word, text in parts for line in page.sentence(text, self._width, word=word)])

    @property
    def _width(self) -> int:
        return max(20, min(104, self.app.size.width * 94 // 100) - 6)  # border, padding, a scrollbar

    # --- a sheet that asks for consent drops what was typed before it was seen

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.stop()
        self._patience = self.set_timer(DEAF, self._listen)
        self._say("Read this first. Keys are accepted in a moment.", "waiting")

    def _listen(self) -> None:
        self.deaf = False
        boxes = list(self.query(Input))
        for box in boxes:
            box.disabled = False
        if boxes:
            boxes[0].focus()
        self._say("")
        if self._rejected:
            self._follow()
            self._show(Wrong(self._rejected), self.values)

    def on_key(self, event: events.Key) -> None:
        if self.deaf:
            event.stop()
            self._be_patient()
        elif event.is_printable:  # typed before the first field had the cursor: a field takes such keys itself
            for box in list(self.query(Entry))[:1]:
                event.stop()
                box.post_message(event)

    def on_paste(self, event: events.Paste) -> None:
        """Wait again after a paste that comes too early."""
        if self.deaf:
            event.stop()
            self._be_patient()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (self.deaf and action == "submit")

    def action_read(self, by: int) -> None:
        for text in self.query(".form-body"):
            text.scroll_relative(y=by * max(1, text.size.height - 1), animate=False)

    # --- what is typed

    @property
    def values(self) -> Values:
        return {field.name: self.query_one(f"#field-{field.name}", Input).value.strip() for field in self.fields}

    @on(Input.Changed)
    def _follow(self) -> None:
        if self.live is not None:
            self.body = tuple(self.live(self.values))
            self.query_one("#form-text", Static).update(self._text)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        boxes = list(self.query(Input))
        if event.input is boxes[-1]:
            self.action_submit()
        else:
            boxes[boxes.index(event.input) + 1].focus()

    @on(events.DescendantFocus)
    def _hint(self, event: events.DescendantFocus) -> None:
        name = (event.widget.id or "").removeprefix("field-")
        hint = next((field.hint for field in self.fields if field.name == name), "")
        if self._wrong and name == self._wrong.field:
            self._say(self._wrong, "error")
        else:
            self._wrong = Wrong("")
            self._say(hint)
        if self.fields:
            self.last = name == self.fields[-1].name
            self.query_one("#form-keys", Foot).put(*self._keys(last=self.last))

    def action_complete(self) -> None:
        """Complete what is typed, as far as one can tell; else go to the next field."""
        box = self.focused
        if isinstance(box, Entry) and box.suggested and box.suggested != box.value:
            box.action_cursor_right()
        else:
            self.app.action_focus_next()

    def action_submit(self) -> None:
        values = self.values
        if not self.read_all:
            self._say("Read to the last line first: pgdn reads on.", "waiting")
            return
        wrong = self.check(values)
        if not wrong and self.typed and values[CONFIRM] != self.typed:
            wrong = Wrong(f"Nothing was done: type {self.typed} to {self.does}, or press esc.", CONFIRM)
        if wrong:
            self._show(wrong, values)
        else:
            self.dismiss(values)

    def _show(self, wrong: str, values: Values) -> None:
        """Show what is wrong, with the cursor in its field."""
        self._wrong = Wrong(wrong, getattr(wrong, "field", "") or self._meant(wrong, values))
        for box in self.query(f"#field-{self._wrong.field}") if self._wrong.field else ():
            box.focus()
        self._say(wrong, "error")

    def _meant(self, sentence: str, values: Values) -> str:
        """Return the field that a sentence is about: the one that it names first, or whose value it quotes."""
        said = re.sub(r"(^|[.!?;] )[Nn]ame ", r"\1", sentence).replace("_", " ").casefold()
        places: dict[str, int] = {}
        for field in self.fields:
            words = {field.name.replace("_", " ").casefold(), field.label.casefold()}
            at = [match.start() for word in words if (match := re.search(rf"\b{re.escape(word)}\b", said))]
            value = Path(values.get(field.name, "")).name.casefold()
            quoted = said.find(f"“{value}”") if len(value) < PLAIN else said.find(value)
            if value and quoted >= 0:
                at.append(quoted - len(said))  # before any name
            if at:
                places[field.name] = min(at)
        empty = [field.name for field in self.fields if not values.get(field.name)]
        asks = sentence.split(" ", 1)[0] in ("Write", "Name", "Choose")
        return min(places, key=lambda name: places[name], default=empty[0] if empty and asks else "")

    def action_cancel(self) -> None:
        self.dismiss(None)

    def _say(self, text: str, word: str = "") -> None:
        if word:
            lines = page.sentence(text, self._width, word=word)
        else:
            lines = page.sentence(text, self._width, style="$tone-muted")
        self.query_one(".form-error", Static).update(page.page(lines[:3]))


def _enter() -> str:
    return "enter" if show.ascii_only() else "⏎"
