"""The sheet that pages through the rows a student gets wrong. Held-out rows are opened one by one, and logged."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from distill_tui.actions import failures
from distill_tui.actions.failures import Failure, Failures
from distill_tui.terms import Split
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import page, show
from distill_tui.ui.widgets.foot import Foot

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp


def page_through(app: DistillApp, view: View) -> None:

    def opened(found: Failures | None) -> None:
        if found is None:
            app.say("No student of this round has predictions yet. T trains one.", "warning")
        elif not found.order:
            app.say(f"The student gets every row of the {found.split.value} split right.", "success")
        else:
            app.push_screen(FailureSheet(view.play.code, found))

    app.perform(lambda project: failures.failures(project, view.dossier, view.actor), then=opened)


class FailureSheet(ModalScreen[None]):
    """One row at a time that the student gets wrong, with every answer."""

    if TYPE_CHECKING:
        app = getters.app(DistillApp)
    DEFAULT_CSS = """
    FailureSheet VerticalScroll { height: 1fr; margin: 1 0 0 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,n,right,down,space", "go(1)", "Next"),
        Binding("k,N,left,up", "go(-1)", "Previous"),
        Binding("escape,q", "leave", "Back"),
    ]

    def __init__(self, code: str, found: Failures) -> None:
        super().__init__()
        self.code, self.found, self.number = code, found, 1
        self.shown: Failure | None = None

    def compose(self) -> ComposeResult:
        sealed = (
            "each row that you open is logged"
            if self.found.split is Split.HELD_OUT
            else "you may see all of validation"
        )
        with Vertical():
            yield Static("", classes="form-title", markup=False)
            with VerticalScroll(can_focus=False):
                yield Static(" loading", id="row", markup=False)
            yield Foot(("j", "j next"), ("k", "k back"), ("escape", "esc leaves"), sealed)

    def on_mount(self) -> None:
        self._open()

    def on_resize(self) -> None:
        self.draw()

    def _open(self) -> None:
        app, found, number = self.app, self.found, self.number
        app.perform(lambda project: failures.look(project, app.actor, found, number), then=self._opened)

    def _opened(self, failure: Failure) -> None:
        if self.is_mounted and failure.number == self.number:
            self.shown = failure
            self.draw()
            self.query_one(VerticalScroll).scroll_home(animate=False)

    def draw(self) -> None:
        """Draw the row; its text is framed, as data."""
        each = self.shown
        if each is None:
            return
        width = max(20, min(112, self.size.width * 96 // 100) - 5)
        kind = "student wrong, teacher right" if each.teacher_right else "both wrong"
        title = f"{self.code}: failure {each.number} of {each.total:,} ({each.split.value}), {kind}"
        self.query_one(".form-title", Static).update(show.visible(title))
        bar = f"{show.glyph('bar')} "
        framed = [Content.assemble(" ", (bar, "$tone-muted"), line) for line in page.folded(each.input, width - 4)]
        sure = "" if each.sure is None else f"   {show.percent(each.sure, 0)} sure"
        dash = show.glyph("dash")
        lines = [
            page.heading("INPUT", f"row {each.row}{f', segment {each.segment}' if each.segment else ''}"),
            *framed,
            Content(""),
            *page.sentence(each.gold or dash, width, label="gold     "),
            *page.sentence(each.teacher or dash, width, label="teacher  "),
            *page.sentence(f"{each.student}{sure}", width, label="student  ", style="bold"),
            *(page.sentence(", ".join(each.apart), width, label="apart in ", style="$tone-warn") if each.apart else []),
        ]
        self.query_one("#row", Static).update(page.page(lines))

    def action_go(self, by: int) -> None:
        self.number = (self.number - 1 + by) % len(self.found.order) + 1
        self._open()

    def action_leave(self) -> None:
        self.dismiss(None)
