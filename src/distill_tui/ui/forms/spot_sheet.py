"""The sheet of the blind spot check: one input, two answers, no names. Returns the judgements, or None."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from distill_tui.terms import Judged
from distill_tui.ui.widgets import page, show
from distill_tui.ui.widgets.foot import Foot

if TYPE_CHECKING:
    from distill_tui.dataset.play_data import ToJudge

WORDS = {Judged.A: "only A", Judged.B: "only B", Judged.BOTH: "both", Judged.NEITHER: "neither"}
_KEYS = (
    *(("1", "1 only A"), ("2", "2 only B"), ("3", "3 both right"), ("4", "4 neither")),
    *(("j", "j next"), ("k", "k back")),
)
SAID = {"1": Judged.A, "2": Judged.B, "3": Judged.BOTH, "4": Judged.NEITHER}


class SpotSheet(ModalScreen[list[Judged] | None]):
    """Answers to judge, one at a time. Each judgement can be changed until all are submitted."""

    DEFAULT_CSS = """
    SpotSheet VerticalScroll { height: 1fr; margin: 1 0 0 0; }
    SpotSheet .form-error { height: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(key, f"say('{said.value}')", WORDS[said]) for key, said in SAID.items()),
        *(Binding(said.value, f"say('{said.value}')", show=False) for said in (Judged.A, Judged.B)),
        Binding("j,right,down", "go(1)", "Next"),
        Binding("k,left,up", "go(-1)", "Previous"),
        Binding("enter", "give", "Submit all"),
        Binding("escape", "leave", "Back, nothing is recorded"),
    ]

    def __init__(self, code: str, items: Sequence[ToJudge]) -> None:
        super().__init__()
        self.code, self.items, self.at = code, tuple(items), 0
        self.said: dict[int, Judged] = {}

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static("", classes="form-title", markup=False)
            with VerticalScroll(can_focus=False):
                yield Static("", id="answers", markup=False)
            yield Static("", classes="form-error", markup=False)
            yield Foot(*_KEYS)
            yield Foot(id="then")

    def on_resize(self) -> None:
        self.draw()

    @property
    def _width(self) -> int:
        return max(20, min(112, self.size.width * 96 // 100) - 5)

    def draw(self) -> None:
        if not self.items:
            return
        each, width = self.items[self.at], self._width
        title = f"{self.code}: which answer is right? {self.at + 1} of {len(self.items)}, {len(self.said)} judged"
        self.query_one(".form-title", Static).update(show.visible(title))
        segment = f"segment {each.item.segment}" if each.item.segment else ""
        lines = [
            page.heading("INPUT", segment),
            *page.sentence(each.text, width),
            Content(""),
            *page.sentence(each.item.a, width, label="A  ", style="bold"),
            *page.sentence(each.item.b, width, label="B  ", style="bold"),
        ]
        self.query_one("#answers", Static).update(page.page(lines))
        said = self.said.get(self.at)
        self._say(f"Your judgement: {WORDS[said]} right." if said else "", "done" if said else "")
        whole = len(self.said) == len(self.items)
        submits = ("enter", "enter submits, then shows which answer was whose")
        then = submits if whole else "judge all of them first"
        self.query_one("#then", Foot).put(then, ("escape", "esc back, nothing is recorded"))

    def _say(self, text: str, word: str = "") -> None:
        self.query_one(".form-error", Static).update(page.page(page.sentence(text, self._width, word=word)[:2]))

    def action_say(self, word: str) -> None:
        said = Judged(word)
        if said not in self.items[self.at].item.choices:
            self._say("Both answers are the same. Press 3 if they are right, 4 if not.", "look")
            return
        self.said[self.at] = said
        ahead = [*range(self.at + 1, len(self.items)), *range(self.at)]
        self.at = next((at for at in ahead if at not in self.said), self.at)
        self.draw()

    def action_go(self, by: int) -> None:
        self.at = (self.at + by) % len(self.items)
        self.draw()

    def action_give(self) -> None:
        if len(self.said) < len(self.items):
            self._say(f"{len(self.items) - len(self.said)} answers are not judged yet.", "look")
        else:
            self.dismiss([self.said[at] for at in range(len(self.items))])

    def action_leave(self) -> None:
        self.dismiss(None)
