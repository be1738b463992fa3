"""The board's screen: the plays, the filter, and the selected play below. It shows cards and decides nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import zip_longest
from textwrap import fill
from typing import TYPE_CHECKING, ClassVar, cast

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from distill_tui.people.remembered import Left
from distill_tui.rules.card import Card
from distill_tui.store import glance, sqlite
from distill_tui.terms import Action, Role
from distill_tui.ui.board.shelf import ORDERS, toggled
from distill_tui.ui.board.widget import SLOT, WIDE, Board
from distill_tui.ui.messages import ProjectChanged
from distill_tui.ui.widgets import show
from distill_tui.ui.widgets.choices import Entries, Menu
from distill_tui.ui.widgets.frame import Heading, KeyLine, MessageLine

if TYPE_CHECKING:
    from distill_tui.rules.dossier import PlayDossier, ProjectDossier
    from distill_tui.ui.app import DistillApp

WAITS = "waits:me"
REST = 0.08  # seconds that the cursor must rest on a play before it is loaded


class BoardScreen(Screen[None]):
    """All plays by stage, and the selected one below."""

    AUTO_FOCUS = "Board"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", key_display=show.glyph("enter")),
        Binding("a", "next_step", "Next step"),
        Binding("n", "new_play", "New play"),
        Binding("i", "import_hint", "How traffic comes in", show=False),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("f", "filter_menu", "Filter by kind, driver, stage", show=False),
        Binding("s", "sort_menu", "Sort"),
        Binding("full_stop", "killed", "Show or hide killed plays", key_display=".", show=False),
        Binding("colon", "app.command_line", "Command", key_display=":"),
        Binding("question_mark", "app.keys", "Help", key_display="?"),
        Binding("p", "app.people", "People", show=False),
        Binding("d", "app.checkup", "Checkup of machine and file", show=False),
        Binding("r", "reload", "Reload", show=False),
        Binding("y", "copy_code", "Copy the play's code", show=False),
        Binding("Y", "copy_twin", "Copy the command of the play's next step", show=False),
        Binding("escape", "clear_filter", "Clear the filter", show=False),
        Binding("q", "app.quit", "Quit"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.project_dossier: ProjectDossier | None = None  # without a play
        self.dossier: PlayDossier | None = None  # of the selected play
        self._header: glance.Header | None = None
        self._resting: Timer | None = None
        self._counts, self._mine = "", 0
        self._looked_at: tuple[Card | None, int | None] = None, None  # what stands below, and `_seen` of then
        self._seen: int | None = None  # the log's newest entry when every play was read last; None: never yet
        self._keys_state: tuple[object, ...] = ()

    @property
    def _app(self) -> DistillApp:
        return cast("DistillApp", self.app)

    @property
    def board(self) -> Board:
        """The board itself."""
        return self.query_one(Board)

    @property
    def selected(self) -> Card | None:
        """The play under the cursor."""
        return self.board.shelf.selected

    def compose(self) -> ComposeResult:
        """Heading, counts and filter, the board or the first run's text, the preview, message, keys."""
        yield Static("Needs 60 by 16 cells or more; `distill-tui list` does not.", id="too-small", markup=False)
        yield Heading()
        yield Static("", id="counts", markup=False)
        with Vertical(id="middle"):
            yield Board(id="board")
            yield Static("", id="first-run", markup=False)
        yield Below(id="preview")
        yield MessageLine()
        yield KeyLine()

    def on_mount(self) -> None:
        """Show what a glance gives at once, as it was left; the rest follows when the project is open."""
        header, cards = self._app.header, self._first_cards()
        left, shelf = self._app.left or at_first(cards, self._app.actor.person), self.board.shelf
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

    def _first_cards(self) -> list[Card]:
        """Read no more than a screen of each stage, unless it was left sorted or sifted, or further down."""
        left = self._app.left
        if left is not None and (left.words, left.order, left.killed) == ("", "number", False):
            width, height = self.app.size
            cards = glance.cards(self._app.path, first=1 + height // (SLOT if width >= WIDE else 1))
            if left.play in {0, *(card.id for card in cards)}:
                return cards
        return glance.cards(self._app.path)

    # --- loading

    def on_project_changed(self, changed: ProjectChanged | None = None) -> None:
        """Load again what is shown."""
        if changed is not None and changed.everything:
            self._seen = None
        self.run_worker(self._load, thread=True, exclusive=True, group="cards")

    def _load(self) -> None:
        worker, header = get_current_worker(), self._app.header
        try:
            load = self._load_reports if header.head == self._seen else self._load_plays
            then = load(header)
        except sqlite.errors() as error:
            self._app.unreadable(error)
            return
        if not worker.is_cancelled:
            self.app.call_from_thread(then)

    def _load_reports(self, header: glance.Header) -> Callable[[], None]:
        """Read the plays whose runs are under way, or were: a run that trains reports twice a second."""
        plays = self._with_runs(header)
        cards = glance.cards(self._app.path, only=plays) if plays else []
        return partial(self._reported, cards, header, self.project_dossier or self._load_dossier())

    def _with_runs(self, header: glance.Header) -> set[int]:
        before = self._header.active if self._header is not None else {}
        return {*header.active.values(), *before.values()}

    def _load_plays(self, header: glance.Header) -> Callable[[], None]:
        return partial(self._loaded, self._read(header), header, self._load_dossier())

    def _load_dossier(self) -> ProjectDossier | None:
        return self._app.project.project_dossier() if self._app.project is not None else None

    def _read(self, header: glance.Header) -> list[Card]:
        """Read again the plays that the log names, or that have a run under way, or had."""
        if self._seen is not None:
            only = glance.touched(self._app.path, self._seen) | self._with_runs(header)
            cards = self._with(glance.cards(self._app.path, only=only))
            if Counter(card.stage for card in cards) == header.stages:
                return cards
        return glance.cards(self._app.path)  # the first time, or the file was changed outside the door

    def _with(self, fresh: list[Card]) -> list[Card]:
        """Return the cards that are shown, with the fresh ones in their places."""
        by_play = {card.id: card for card in fresh}
        return [*(by_play.pop(card.id, card) for card in self.board.shelf.cards), *by_play.values()]

    def _reported(self, cards: list[Card], header: glance.Header, dossier: ProjectDossier | None) -> None:
        """Show how far runs are: it changes neither a count nor whose turn it is."""
        if self._seen != header.head:
            return  # all is being read meanwhile
        if not self.board.renew(cards):
            self._loaded(self._with(cards), header, dossier)
            return
        self._header = header
        if dossier is not self.project_dossier:
            self.project_dossier = dossier
            self._check_keys()

    def _loaded(self, cards: list[Card], header: glance.Header, dossier: ProjectDossier | None) -> None:
        self.project_dossier, self._seen = dossier, header.head
        self._show(cards, header)
        self._check_keys()

    def _show(self, cards: list[Card], header: glance.Header) -> None:
        before, me = (self._header, len(self.board.shelf.cards), self.board.shelf.me), self._app.actor.person
        self._header = header
        if before != (header, len(cards), me):  # a run that reports changes no turn
            self._mine = (
                sum(card.waits_for == me for card in cards) if me is not None and len(cards) >= header.plays else 0
            )
        self.board.fill(cards, me, header.stages)
        empty = not cards
        self.set_class(empty, "-empty")
        if empty:
            self.query_one("#first-run", Static).update(first_run_text(self._app.path.name))
        self._draw_counts()

    def _draw_counts(self) -> None:
        shelf, header = self.board.shelf, self._header
        if header is None:
            return
        live = header.plays - header.killed
        sifted = f"filter “{show.visible(shelf.words)}” shows {shelf.shown}, esc clears it"
        parts = [*([sifted] if shelf.words else []), f"{live:,} play{'s' if live != 1 else ''}"]
        if header.killed:
            parts.append(f"{header.killed} killed {'shown' if shelf.killed else 'hidden: . shows'}")
        if self._mine:
            parts.append(f"{self._mine} wait{'s' if self._mine == 1 else ''} for you")
        if shelf.order != "number":
            parts.append(f"sorted {ORDERS[shelf.order].name}")
        counts = " " + f" {show.glyph('dot')} ".join(parts)
        if counts != self._counts:
            self._counts = counts
            self.query_one("#counts", Static).update(counts)

    # --- the selected play

    def on_resize(self) -> None:
        """Look again, for what stands below is laid out for the width; a board that was too small takes keys again."""
        self._looked_at = None, None
        self.call_after_refresh(self._take_keys)

    def _take_keys(self) -> None:
        if self.focused is None:
            self.board.focus()

    def on_board_selected(self) -> None:
        """Look at the play under the cursor, once the cursor rests."""
        card = self.selected
        if self.dossier is not None and (card is None or self.dossier.play.id != card.id):
            self.dossier = None
        if self.dossier is not None and self._looked_at[0] is card and self._looked_at[1] == self._seen:
            return  # another play's run reported; this play did not change
        if self._resting is not None:
            self._resting.stop()
        if card is None:
            self.query_one(Below).show([Content(f" {self._nothing()}")])
        else:
            self._resting = self.set_timer(REST, partial(self._start_looking, card.id))
        self._check_keys()

    def _nothing(self) -> str:
        words = self.board.shelf.words
        if words == WAITS:
            return "Nothing waits for you; esc shows all plays."
        return "No play passes the filter; esc clears it." if words else ""

    def _start_looking(self, play: int) -> None:
        if self._app.project is not None:
            self.run_worker(partial(self._look, play), thread=True, exclusive=True, group="look")

    def _check_keys(self) -> None:
        """Have the keys checked again, but only when an answer can have changed: it costs more than a move."""
        killed = self._header.killed if self._header else 0
        state = (self.selected is None, self._why_not_new(), bool(killed))
        if state != self._keys_state:
            self._keys_state = state
            self.refresh_bindings()

    def _look(self, play: int) -> None:
        from distill_tui.store import queries
        from distill_tui.ui.play.log_tab import action_words

        worker, project = get_current_worker(), self._app.project
        if project is None or worker.is_cancelled:
            return
        try:
            dossier = project.dossier(play)
            entries = queries.entries(project, play, last=1)
        except sqlite.errors() as error:
            self._app.unreadable(error)
            return
        event = " ".join(
            f"{e.at[5:16].replace('T', ' ')} {e.person_id or ''} {action_words(e.action)}" for e in entries
        )
        if not worker.is_cancelled:
            self.app.call_from_thread(self._looked, dossier, event)

    def _looked(self, dossier: PlayDossier, event: str) -> None:
        card = self.selected
        if card is None or dossier.play.id != card.id:
            return
        from distill_tui.ui.board import preview

        self.dossier, self._looked_at = dossier, (card, self._seen)
        width, wide = self.size.width, self.board.wide
        self.query_one(Below).show(preview.lines(dossier, self._app.actor, event, width, wide=wide))
        self._check_keys()

    # --- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Dim a key exactly when there is a reason why not."""
        return None if self.blocked(action, parameters) else True

    def blocked(self, action: str, parameters: tuple[object, ...]) -> str | None:
        """Return why a key does nothing now."""
        if action in ("open", "next_step", "copy_code", "copy_twin") and self.is_mounted and self.selected is None:
            if self.board.shelf.words:
                return f"The filter “{self.board.shelf.words}” hides every play. esc clears it."
            return "There is no play to open; n opens a new one."
        if action == "new_play":
            return self._why_not_new()
        if action == "killed" and self._header is not None and not self._header.killed:
            return "No play was killed."
        return None

    def _why_not_new(self) -> str | None:
        if self.project_dossier is not None:
            from distill_tui.rules.permission import objections

            reasons = objections(Action.OPEN_PLAY, self.project_dossier, self._app.actor)
            return " ".join(o.sentence for o in reasons) or None
        if self._app.actor.person is None:
            return f"{self._app.actor.proof} is not enrolled in this project: read-only."
        return None

    @on(Board.Opened)
    def action_open(self) -> None:
        """Open the play under the cursor."""
        if self.selected is not None:
            self._app.open_play(self.selected.id)

    def action_next_step(self) -> None:
        """Open the play under the cursor and take its next step there."""
        if self.selected is not None:
            self._app.open_play(self.selected.id)
            self.app.call_later(self.app.simulate_key, "a")

    def action_new_play(self) -> None:
        """Open a sheet for a new play."""
        self._app.new_play()

    def action_import_hint(self) -> None:
        """Show how traffic is imported."""
        card = self.selected
        code = card.code if card is not None else "P-001"
        lead = "Open a play with n first; then" if card is None else "Open the play and press i there, or"
        self._app.say(f"{lead} `distill-tui import {code} FILE.jsonl` (JSONL, CSV or Parquet).")

    def action_filter(self) -> None:
        """Type a filter; the board follows."""
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
        self._app.remember()

    def action_filter_menu(self) -> None:
        """Choose what is shown from what there is."""
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
            self._app.remember()

        self._app.push_screen(Menu("Show only", entries, pick, stays=True))

    def action_sort_menu(self) -> None:
        """Choose the order of the plays in a column."""

        def entries() -> Entries:
            return [(name, order.name, name == self.board.shelf.order) for name, order in ORDERS.items()]

        self._app.push_screen(Menu("Sort each column", entries, self._sort))

    def _sort(self, name: str) -> None:
        self.board.order(name)
        self._draw_counts()
        self._app.remember()

    def action_clear_filter(self) -> None:
        self._show_only("")
        self._app.say("")  # what was said about the filter
        self._keep()

    def action_killed(self) -> None:
        """Show or hide killed plays."""
        self.board.toggle_killed()
        self._draw_counts()
        self._app.remember()

    def action_reload(self) -> None:
        """Load everything again now."""
        self._app.file_watch.reload()

    def action_copy_code(self) -> None:
        """Copy the play's code to the terminal's clipboard."""
        if self.selected is not None:
            self.app.copy_to_clipboard(self.selected.code)
            self._app.say(f"{self.selected.code} is on the clipboard.")

    def action_copy_twin(self) -> None:
        """Copy the command that does the next step of the play under the cursor."""
        if self.dossier is None:
            self._app.say("The play is still being loaded; try again in a moment.", "warning")
            return
        from distill_tui.ui.board import preview

        twin = preview.shell_twin(self.dossier)
        self.app.copy_to_clipboard(twin)
        self._app.say(f"On the clipboard: {twin}")


class Below(Vertical):
    """A few lines; only those that changed are drawn again."""

    LINES = 5

    def compose(self) -> ComposeResult:
        """One widget a line."""
        yield from (Line() for _ in range(self.LINES))

    def show(self, lines: list[Content]) -> None:
        """Show at most so many lines."""
        for number, widget in enumerate(self.query(Line)):
            widget.show(lines[number] if number < len(lines) else Content(""))


class Line(Widget):
    """One line of text; what it has in common with the one before, from its start, is not sent again."""

    def __init__(self) -> None:
        super().__init__()
        self.content = Content("")

    def render(self) -> Content:
        """Return the line."""
        return self.content

    def show(self, line: Content) -> None:
        """Show another line."""
        before, self.content = self.content, line
        if line != before:
            same = alike(before, line)
            self.refresh(Region(same, 0, max(before.cell_length, line.cell_length) - same, 1))


def alike(one: Content, other: Content) -> int:
    """Count the cells at the start of two lines that look the same."""
    pairs = enumerate(zip(one.plain, other.plain, strict=False))
    ends = [next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))]
    for a, b in zip_longest(one.spans, other.spans):
        if a != b:
            begun_alike = a and b and (a.start, a.style) == (b.start, b.style)
            ends.append(min(a.end, b.end) if begun_alike else min(span.start for span in (a, b) if span))
    return cell_len(one.plain[: min(ends)])


def at_first(cards: list[Card], me: str | None) -> Left:
    """Choose what a person sees at their first visit: for one who only approves, what waits for them."""
    mine = [card for card in cards if me is not None and me in card.roles.values()]
    held = {role for card in mine for role, person in card.roles.items() if person == me}
    approves = bool(held & {Role.SPONSOR, Role.VALIDATOR}) and Role.DRIVER not in held
    return Left(words=WAITS) if approves and any(card.waits_for == me for card in mine) else Left()


def first_run_text(file: str) -> Content:
    """Explain what a play is, how to begin, and which play to begin with."""
    from distill_tui.rules.next_step import FIRST_PLAY

    return Content.assemble(
        "\n   No plays yet. A play is one task that a small model should take over.\n\n",
        *_key("n", "new play", "a name, a kind and a sentence: takes a minute"),
        *_key("i", "import traffic", "how a log of inputs and teacher outputs comes in"),
        *_key("?", "all keys", ""),
        *_key("q", "quit", ""),
        f"\n{fill(FIRST_PLAY, 76, initial_indent='   ', subsequent_indent='   ')}\n",
        "\n   The same from a shell:\n\n",
        f"     distill-tui --project {show.visible(file)} new refund-intent --kind cost\n",
        "     distill-tui import P-001 traffic.jsonl\n",
    )


def _key(key: str, what: str, why: str) -> list[str | tuple[str, str]]:
    return ["     ", (key, "bold"), f"   {what:<18}", (f"{why}\n", "$tone-muted")]
