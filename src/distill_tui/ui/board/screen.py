"""The board's screen: the plays, the filter, and the selected play below. It shows cards and decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from distill_tui.rules.card import Card
from distill_tui.store import glance, sqlite
from distill_tui.terms import Action
from distill_tui.ui.board import reading
from distill_tui.ui.board.below import Below
from distill_tui.ui.board.counts import Counts
from distill_tui.ui.board.shelf import ORDERS, WAITS, toggled
from distill_tui.ui.board.widget import Board
from distill_tui.ui.messages import ProjectChanged
from distill_tui.ui.widgets import show
from distill_tui.ui.widgets.choices import Entries, Menu
from distill_tui.ui.widgets.frame import Heading, KeyLine, MessageLine

if TYPE_CHECKING:
    from distill_tui.rules.dossier import PlayDossier, ProjectDossier
    from distill_tui.ui.app import DistillApp

ON_THE_HOST = ("new_play", "import_hint")  # not in a session over SSH
OF_A_PLAY = ("open", "next_step", "copy_code", "copy_twin", "mark", "several")


class BoardScreen(Screen[None]):
    """All plays by stage, and the selected one below."""

    if TYPE_CHECKING:
        app = getters.app(DistillApp)
    AUTO_FOCUS = "Board"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", key_display=show.glyph("enter")),
        Binding("a", "next_step", "Next step"),
        Binding("n", "new_play", "New play"),
        Binding("i", "import_hint", "How traffic comes in", show=False),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("f", "filter_menu", "Filter by kind, driver, stage", show=False),
        Binding("s", "sort_menu", "Sort"),
        Binding("v", "mark", "Mark the play: c and A then act on all that are marked", show=False),
        Binding("c", "several('comment')", "Comment on the play, or on all that are marked", show=False),
        Binding("A", "several('roles')", "Assign roles in the play, or in all that are marked", show=False),
        Binding("full_stop", "killed", "Show or hide killed plays", key_display=".", show=False),
        Binding("colon", "app.command_line", "Command", key_display=":"),
        Binding("question_mark", "app.keys", "Help", key_display="?"),
        Binding("p", "app.people", "People", show=False),
        Binding("d", "app.checkup", "Checkup of machine and file", show=False),
        Binding("r", "reload", "Reload", show=False),
        Binding("y", "copy_code", "Copy the play's code", show=False),
        Binding("Y", "copy_twin", "Copy the command of the play's next step", show=False),
        Binding("escape", "clear_filter", "Clear the marks, then the filter", show=False),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.project_dossier: ProjectDossier | None = None  # without a play
        self.below = Below(id="preview")
        self._header: glance.Header | None = None
        self._mine = 0  # plays that wait for the person
        self._seen: int | None = None  # the log's newest entry when every play was read last; None: never yet
        self._keys_state: tuple[object, ...] = ()

    @property
    def board(self) -> Board:
        return self.query_one(Board)

    @property
    def dossier(self) -> PlayDossier | None:
        return self.below.dossier

    @property
    def selected(self) -> Card | None:
        return self.board.shelf.selected

    def compose(self) -> ComposeResult:
        yield Static("Needs 60 by 16 cells or more; `distill-tui list` does not.", id="too-small", markup=False)
        yield Heading()
        yield Counts(id="counts")
        with Vertical(id="middle"):
            yield Board(id="board")
            yield Static("", id="first-run", markup=False)
        yield self.below
        yield MessageLine()
        yield KeyLine()

    def on_mount(self) -> None:
        """Show what a glance gives at once, as it was left; the rest follows when the project is open."""
        header = self.app.header
        cards = reading.first_cards(self.app.path, self.app.left, self.app.size)
        left, shelf = self.app.left or reading.at_first(cards, self.app.actor.person), self.board.shelf
        shelf.words, shelf.killed = left.words, left.killed
        shelf.order = left.order if left.order in ORDERS else shelf.order
        self._show(cards, header)
        if shelf.find(left.play):
            self.board.follow()
        self.board.focus()
        if len(cards) < header.plays:
            self.call_after_refresh(self.on_project_changed)
        else:
            self._seen = header.head

    # --- loading

    def on_project_changed(self, changed: ProjectChanged | None = None) -> None:
        if changed is not None and changed.everything:
            self._seen = None
        self.run_worker(self._load, thread=True, exclusive=True, group="cards")

    def _load(self) -> None:
        worker, header = get_current_worker(), self.app.header
        try:
            load = self._load_reports if header.head == self._seen else self._load_plays
            then = load(header)
        except sqlite.errors() as error:
            self.app.unreadable(error)
            return
        if not worker.is_cancelled:
            self.app.call_from_thread(then)

    def _load_reports(self, header: glance.Header) -> Callable[[], None]:
        """Read the plays whose runs are under way, or were: a run that trains reports twice a second."""
        plays = reading.with_runs(self._header, header)
        cards = glance.cards(self.app.path, only=plays) if plays else []
        return partial(self._reported, cards, header, self.project_dossier or self._load_dossier())

    def _load_plays(self, header: glance.Header) -> Callable[[], None]:
        shown = self.board.shelf.cards
        cards = reading.changed_cards(self.app.path, shown, self._seen, self._header, header)
        return partial(self._loaded, cards, header, self._load_dossier())

    def _load_dossier(self) -> ProjectDossier | None:
        return self.app.project.project_dossier() if self.app.project is not None else None

    def _reported(self, cards: list[Card], header: glance.Header, dossier: ProjectDossier | None) -> None:
        """Show how far runs are: it changes neither a count nor whose turn it is."""
        if self._seen != header.head:
            return  # all is being read meanwhile
        if not self.board.renew(cards):
            self._loaded(reading.merged(self.board.shelf.cards, cards), header, dossier)
            return
        self._header = header
        if dossier is not self.project_dossier:
            self.project_dossier = dossier
            self._check_keys()

    def _loaded(self, cards: list[Card], header: glance.Header, dossier: ProjectDossier | None) -> None:
        self.project_dossier, self._seen = dossier, header.head
        if dossier is not None:
            self.app.warn(dossier.tables_trouble or dossier.read_only)
        self._show(cards, header)
        self._check_keys()

    def _show(self, cards: list[Card], header: glance.Header) -> None:
        before, me = (self._header, len(self.board.shelf.cards), self.board.shelf.me), self.app.actor.person
        self._header = header
        if before != (header, len(cards), me):  # a run that reports changes no turn
            self._mine = (
                sum(card.is_turn_of(me) for card in cards) if me is not None and len(cards) >= header.plays else 0
            )
        self.board.fill(cards, me, header.stages)
        empty = not cards
        self.set_class(empty, "-empty")
        if empty:
            from distill_tui.ui.board import first_run

            text = first_run.text(self.app.path.name, restricted=self.app.restricted)
            self.query_one("#first-run", Static).update(text)
        self._draw_counts()

    def _draw_counts(self) -> None:
        if self._header is not None:
            self.query_one(Counts).show(self.board.shelf, self._header, self._mine)

    # --- the selected play

    def on_resize(self) -> None:
        """Look again, for what stands below is laid out for the width; a board that was too small takes keys again."""
        self.below.forget()
        self.call_after_refresh(self._take_keys)

    def _take_keys(self) -> None:
        if self.focused is None:
            self.board.focus()

    def on_board_selected(self) -> None:
        if self.below.look(self.selected, self._seen, self._nothing()):
            self._check_keys()

    def _nothing(self) -> str:
        words = self.board.shelf.words
        if words == WAITS:
            return "Nothing waits for you; esc shows all plays."
        return "No play passes the filter; esc clears it." if words else ""

    def _check_keys(self) -> None:
        """Have the keys checked again, but only when an answer can have changed: it costs more than a move."""
        killed = self._header.killed if self._header else 0
        state = (self.selected is None, self._why_not_new(), bool(killed))
        if state != self._keys_state:
            self._keys_state = state
            self.refresh_bindings()

    # --- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim a key exactly when there is a reason why not; a session over SSH does not have all of them."""
        if self.app.restricted and action in ON_THE_HOST:
            return False
        return None if self.blocked(action, parameters) else True

    def blocked(self, action: str, parameters: tuple[object, ...]) -> str | None:
        """Return why a key does nothing now."""
        marked = action == "several" and self.is_mounted and self.board.shelf.marked
        if action in OF_A_PLAY and not marked and self.is_mounted and self.selected is None:
            if self.board.shelf.shown:
                return "No play stands in this stage; h, l or the stage's number goes to another."
            if self.board.shelf.words:
                return f"The filter “{self.board.shelf.words}” hides every play. esc clears it."
            return "There are no plays yet" + ("." if self.app.restricted else "; n opens the first.")
        if action == "new_play":
            return self._why_not_new()
        if action == "killed" and self._header is not None and not self._header.killed:
            return "No play was killed."
        return None

    def _why_not_new(self) -> str | None:
        if self.project_dossier is not None:
            from distill_tui.rules.permission import objections

            reasons = objections(Action.OPEN_PLAY, self.project_dossier, self.app.actor)
            return " ".join(o.sentence for o in reasons) or None
        if self.app.actor.person is None:
            return f"{self.app.actor.proof} is not enrolled in this project: read-only."
        return None

    @on(Board.Opened)
    def action_open(self) -> None:
        if self.selected is not None:
            self.app.open_play(self.selected.id)

    def action_next_step(self) -> None:
        if self.selected is not None:
            self.app.open_play(self.selected.id)
            self.app.call_later(self.app.simulate_key, "a")

    def action_new_play(self) -> None:
        self.app.new_play()

    def action_import_hint(self) -> None:
        card = self.selected
        code = card.code if card is not None else "P-001"
        first = "Choose a play first; then" if self.board.shelf.shown else "Open a play with n first; then"
        lead = first if card is None else "Open the play and press i there, or"
        self.app.say(f"{lead} `distill-tui import {code} FILE.jsonl` (JSONL, CSV or Parquet).")

    def action_filter(self) -> None:
        box = self._box()
        box.value, box.display = self.board.shelf.words, True
        box.focus()

    def _box(self) -> Input:
        """Return the input line of the filter, hidden at first; made at first use, because that takes time."""
        found = self.query(Input)
        if found:
            return found.first()
        hint = "text, kind:cost, stage:train, driver:dan, waits:me"
        box = Input(self.board.shelf.words, placeholder=hint, id="filter", compact=True)
        box.display = False
        self.mount(box, after="#counts")
        return box

    @on(Input.Changed, "#filter")
    def _sift(self, event: Input.Changed) -> None:
        self._show_only(event.value)

    def _show_only(self, words: str) -> None:
        if words != self.board.shelf.words:
            self.board.sift(words)
            self._draw_counts()

    @on(Input.Submitted, "#filter")
    def _keep(self) -> None:
        self.query(Input).set(display=False)
        self.board.focus()
        self.app.remember()

    def action_filter_menu(self) -> None:
        shelf = self.board.shelf

        def entries() -> Entries:
            given = shelf.words.split()
            names = {WAITS: "what waits for me"}
            return [
                (word, f"{names.get(word, word)} ({count:,})", word in given)
                for word, count in self.board.shelf.filters()
            ]

        def pick(word: str) -> None:
            self._show_only(toggled(shelf.words, word))
            self.app.remember()

        self.app.push_screen(Menu("Show only", entries, pick, stays=True))

    def action_sort_menu(self) -> None:

        def entries() -> Entries:
            return [(name, order.name, name == self.board.shelf.order) for name, order in ORDERS.items()]

        self.app.push_screen(Menu("Sort each column", entries, self._sort))

    def _sort(self, name: str) -> None:
        self.board.order(name)
        self._draw_counts()
        self.app.remember()

    def action_clear_filter(self) -> None:
        if self.board.shelf.marked and not self._filter_open():
            self.board.unmark()
            self._draw_counts()
            return
        self._show_only("")
        self.app.say("")  # the message about the filter
        self._keep()

    def _filter_open(self) -> bool:
        return any(box.display for box in self.query(Input))

    def action_mark(self) -> None:
        self.board.mark()
        self._draw_counts()

    def action_several(self, what: str) -> None:
        from distill_tui.ui.forms import several

        cards = self.board.shelf.meant
        if cards:
            several.OPENS[what](self.app, cards, self._unmark).take(self.app, None)

    def _unmark(self) -> None:
        self.board.unmark()
        self._draw_counts()

    def action_killed(self) -> None:
        self.board.toggle_killed()
        self._draw_counts()
        self.app.remember()

    def action_reload(self) -> None:
        self.app.file_watch.reload()

    def action_copy_code(self) -> None:
        if self.selected is not None:
            self.app.copy_to_clipboard(self.selected.code)
            self.app.say(f"{self.selected.code} is on the clipboard.")

    def action_copy_twin(self) -> None:
        if self.below.preview is None:
            self.app.say("The play is still being loaded; try again in a moment.", "warning")
            return
        twin = self.below.preview.twin(self.app.actor)
        self.app.copy_to_clipboard(twin)
        self.app.say(f"On the clipboard: {twin}")
