"""The board: what is on it, what its keys do, and that nothing from outside steers the terminal."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from textual.filter import NoColor
from textual.widgets import Input

from distill_tui import actions
from distill_tui.gates.written import to_json
from distill_tui.people import remembered
from distill_tui.rules.actor import Actor
from distill_tui.rules.card import Card, CardRun
from distill_tui.rules.next_step import FIRST_PLAY
from distill_tui.rules.objection import Objection, Refused
from distill_tui.store import glance, tables
from distill_tui.store.project import Project, now
from distill_tui.terms import Action, Assurance, PlayKind, Role, RunKind, RunStatus, Stage, Task
from distill_tui.ui.app import DistillApp
from distill_tui.ui.board import below
from distill_tui.ui.board.below import REST
from distill_tui.ui.board.card_text import card_line, list_line
from distill_tui.ui.board.screen import BoardScreen
from distill_tui.ui.board.shelf import Shelf, matches, toggled
from distill_tui.ui.board.widget import Board
from distill_tui.ui.help import HelpScreen, keys_of
from distill_tui.ui.palette import Palette
from distill_tui.ui.widgets import show
from distill_tui.ui.widgets.frame import KeyLine, MessageLine, who
from support.at_the_screen import board_text, told
from support.by_hand import by_hand
from support.real_play import NUMBERS
from support.results import trained
from support.story import GATE

HOSTILE = ("[red]x[/] \x1b[31mboo", "\u202eevil\u202c name", "tab\there\x9b2J", "宽字符 \x07 [@click=app.quit]q[/]")
WIDE, NARROW = (120, 36), (80, 24)
MINE = f"account uid {os.getuid()}"


@pytest.fixture
def project(tmp_path: Path) -> Iterable[Project]:
    made = Project.create(tmp_path / "support.distill", "support-bot", "dana", "Dana", Actor(None, MINE))
    with by_hand(made) as session:
        for person in ("dan", "vera"):
            session.add(tables.Person(id=person, name=person, enrolled_at=now()))
    yield made
    made.close()


def add_play(project: Project, name: str, stage: Stage = Stage.QUALIFY, kind: PlayKind = PlayKind.COST) -> int:
    """Put a play where a test wants it; the rules are not what is tested here."""
    with by_hand(project) as session:
        play = tables.Play(
            name=name, kind=kind, task=Task.CLASSIFICATION, stage=stage, opened_at=now(), stage_since=now()
        )
        session.add(play)
        session.flush()
        assert play.id is not None
        for role, person in ((Role.SPONSOR, "dana"), (Role.DRIVER, "dan"), (Role.VALIDATOR, "vera")):
            session.add(tables.RoleHolder(play_id=play.id, role=role, person_id=person))
        if kind is PlayKind.COST:
            for key, value in NUMBERS.items():
                session.add(tables.WorksheetValue(play_id=play.id, name=key, value=value, source="dan"))
        return play.id


def add_run(project: Project, play: int, status: RunStatus, result: str = "{}") -> None:
    artifact = "sha256:" + "0" * 64 if status is RunStatus.FINISHED else None
    with by_hand(project) as session:
        session.add(
            tables.Run(
                play_id=play, round=1, kind=RunKind.TRAIN, status=status, spec="{}", started_by="dan",
                created_at=now(), step=47, total=100, artifact=artifact, result=result,
            )
        )  # fmt: skip


def an_app(project: Project, **named: Any) -> DistillApp:
    return DistillApp(project.path, **named)


async def settled(pilot: Any) -> None:
    """Wait until the project is open and, for a moment, nothing more is loading."""
    quiet = 0
    for _ in range(600):
        await pilot.pause(0.02)
        busy = pilot.app.project is None or not all(worker.is_finished for worker in pilot.app.workers)
        quiet = 0 if busy else quiet + 1
        if quiet * 0.02 > REST + 0.02:
            return


def text_of(app: DistillApp) -> str:
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines)


def message(app: DistillApp) -> str:
    return app.screen.query_one(MessageLine).text


# --- a glance ----------------------------------------------------------------------------------------------------


def test_the_first_frame_needs_neither_sqlmodel_nor_anything_heavy(project: Project) -> None:
    add_play(project, "refund-intent")
    project.renew_cards()
    code = f"""
import asyncio, sys
from pathlib import Path
from distill_tui.store import glance
path = Path({str(project.path)!r})
assert glance.cards(path)[0].name == "refund-intent" and glance.header(path).project == "support-bot"
assert glance.whose(path, {os.getuid()}) == "dana" and glance.whose(path, 4_000_000_000) is None
heavy = {{"sqlmodel", "sqlalchemy", "pydantic", "torch", "transformers", "datasets", "pyarrow", "numpy", "scipy"}}
assert not heavy & set(sys.modules) and "textual" not in sys.modules, heavy & set(sys.modules)
from distill_tui.ui.app import DistillApp
DistillApp._open = lambda app: None
async def look():
    app = DistillApp(path)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        text = "".join(s.text for line in app.screen._compositor.render_strips() for s in line)
        assert "refund-intent" in text and "dana" in text
asyncio.run(look())
late = {{"distill_tui.gates", "distill_tui.rules.dossier", "distill_tui.ui.palette", "distill_tui.ui.play.screen"}}
assert not (heavy | late) & set(sys.modules), (heavy | late) & set(sys.modules)
import distill_tui.store.project, distill_tui.ui.board.preview
trains = {{"torch", "transformers", "datasets", "pyarrow", "numpy"}}
assert not trains & set(sys.modules), trains & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_card_says_how_its_play_stands(project: Project) -> None:
    plays = {stage: add_play(project, stage.value, stage) for stage in Stage}
    with by_hand(project) as session:
        session.add(tables.RoleHolder(play_id=plays[Stage.GATE], role=Role.OPERATOR, person_id="dana"))
    add_run(project, plays[Stage.TRAIN], RunStatus.RUNNING)
    by_stage = {card.stage: card for card in glance.cards(project.path)}
    assert by_stage[Stage.QUALIFY].state == ("waiting", "needs operator")
    assert by_stage[Stage.GATE].state == ("waiting", "write the gate")
    assert by_stage[Stage.DATA].state == ("waiting", "import traffic")
    assert by_stage[Stage.TRAIN].state == ("running", "training 47%")
    assert by_stage[Stage.KILLED].waits_for is None
    assert by_stage[Stage.QUALIFY].waits_for == "dan"
    assert glance.header(project.path).active_runs == 1
    assert glance.header(project.path).killed == 1


def test_a_cost_play_shows_quality_and_savings_side_by_side(project: Project) -> None:
    play = add_play(project, "faq", Stage.TRAIN)
    add_run(project, play, RunStatus.FINISHED, trained(0.953, validation_rows=800))
    (card,) = glance.cards(project.path)
    for text in (card_line(card, 1, 30), list_line(card, 80)):
        line = "".join(piece for piece, _ in text)
        assert "95.3%" in line and "≤USD 2.1k" in line


# --- the filter --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("", {"refund", "urgency"}),
        ("ref", {"refund"}),
        ("P-002", {"urgency"}),
        ("kind:cost", {"refund"}),
        ("stage:train", {"urgency"}),
        ("driver:dan", {"refund", "urgency"}),
        ("driver:vera", set()),
        ("waits:me", {"urgency"}),
        ("vera latency", {"urgency"}),
        ("no such thing", set()),
    ],
)
def test_a_filter_finds_by_text_and_by_field(words: str, names: set[str]) -> None:
    roles = {Role.DRIVER: "dan", Role.VALIDATOR: "vera"}
    of = {"round": 1, "stage_since": "2026-01-01T00:00:00Z"}
    cards = [
        Card(1, "refund", PlayKind.COST, Stage.LIVE, roles=roles, **of),
        Card(2, "urgency", PlayKind.LATENCY, Stage.TRAIN, roles=roles, waits_for="dan", **of),
    ]
    assert {card.name for card in cards if matches(card, words, "dan")} == names


def test_nobody_waits_for_nobody() -> None:
    card = Card(1, "x", PlayKind.COST, Stage.TRAIN, 1, "2026-01-01T00:00:00Z")
    assert not matches(card, "waits:me", None)


def test_the_cursor_follows_its_play_into_another_column() -> None:
    def card(id: int, stage: Stage) -> Card:
        return Card(id, f"play {id}", PlayKind.COST, stage, 1, "2026-01-01T00:00:00Z")

    shelf = Shelf()
    shelf.fill([card(1, Stage.QUALIFY), card(2, Stage.QUALIFY)])
    shelf.step(1)
    shelf.fill([card(1, Stage.QUALIFY), card(2, Stage.GATE)])
    assert shelf.selected is not None and shelf.selected.id == 2 and shelf.stage is Stage.GATE


def test_a_card_is_put_in_its_place_only_where_that_stays_its_place() -> None:
    def card(id: int, stage: Stage = Stage.TRAIN, **more: Any) -> Card:
        return Card(id, f"play {id}", PlayKind.COST, stage, 1, "2026-01-01T00:00:00Z", **more)

    shelf, run = Shelf(), CardRun(1, RunKind.TRAIN, RunStatus.RUNNING, 5, 10)
    first, second, done = card(1), card(2), card(3, quality=0.9)
    shelf.fill([first, second, done])
    for changed in (card(2, Stage.DECIDE), card(4), card(0)):
        assert not shelf.renew([card(1, run=run), changed]) and shelf.cards == [first, second, done]
    shelf.words, shelf.me = "waits:me", "dan"
    assert not shelf.renew([card(2, waits_for="dan")])
    shelf.words, shelf.order = "", "quality"
    assert not shelf.renew([card(2, quality=0.7)])
    assert shelf.renew([card(2, run=run), card(1)])
    assert [each.run for each in shelf.columns[Stage.TRAIN]] == [None, run, None]
    assert shelf.cards[0] is first and shelf.cards[2] is done


async def test_typing_a_filter_narrows_the_board_and_escape_clears_it(project: Project) -> None:
    for name in ("refund-intent", "tone-check"):
        add_play(project, name)
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("slash", *"tone")
        board = app.screen.query_one(Board)
        assert "tone-check" in board_text(board) and "refund-intent" not in board_text(board)
        await pilot.press("enter")
        assert board.has_focus
        assert app.left is not None and app.left.words == "tone"
        await pilot.press("slash", *"-of-none", "enter", "enter")
        message = app.screen.query_one(MessageLine)
        assert message.text == "The filter “-of-none” hides every play. esc clears it."
        await pilot.press("escape")
        assert message.text == ""
        assert "refund-intent" in board_text(board)
        assert app.left.words == ""  # a filter that was cleared does not come back
        await pilot.press("f", "enter", "escape", "slash")
        assert app.screen.query_one(Input).value == board.shelf.words != ""


# --- how it looks ------------------------------------------------------------------------------------------------


async def test_a_wide_board_has_a_column_for_each_stage(project: Project) -> None:
    for stage in Stage:
        add_play(project, f"at-{stage.value}", stage)
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        text = text_of(app)
        for stage in (s for s in Stage if s is not Stage.KILLED):
            assert f"{stage.value.upper()} 1" in text and f"at-{stage.value}" in text
        assert "at-killed" not in text
        await pilot.press("full_stop")
        assert "7 KILLED 1" in board_text(app.screen.query_one(Board))


async def test_a_narrow_board_lists_one_stage_under_a_strip_of_stages(project: Project) -> None:
    add_play(project, "here", Stage.QUALIFY)
    add_play(project, "there", Stage.TRAIN)
    app = an_app(project)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        board = app.screen.query_one(Board)
        assert "[1 QUALIFY 1]" in board_text(board) and "there" not in board_text(board)
        await pilot.press("4")
        assert "[4 TRAIN 1]" in board_text(board) and "there" in board_text(board)
        assert all(len(line) <= NARROW[0] for line in text_of(app).splitlines())


async def test_a_board_that_was_too_small_takes_keys_again(project: Project) -> None:
    for name in ("first", "second"):
        add_play(project, name)
    app = an_app(project)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.resize_terminal(50, 12)
        await settled(pilot)
        assert "Needs 60 by 16 cells" in text_of(app)
        await pilot.resize_terminal(*NARROW)
        await settled(pilot)
        await pilot.press("j")
        assert app.screen.query_one(Board).shelf.row == 1
        await pilot.press("enter")
        await settled(pilot)
        await pilot.resize_terminal(50, 12)
        await settled(pilot)
        await pilot.resize_terminal(*NARROW)
        await pilot.press("q")
        await settled(pilot)
        await pilot.press("k")
        board = app.screen.query_one(Board)
        assert (board.shelf.row, board.shelf.words) == (0, "")


async def test_the_line_of_keys_never_wraps_and_keeps_help_and_quit(project: Project) -> None:
    app = an_app(project)
    async with app.run_test(size=(60, 20)) as pilot:
        await settled(pilot)
        line = text_of(app).splitlines()[-1]
        assert "? Help" in line and "q Quit" in line


async def test_an_empty_board_says_how_to_begin(project: Project) -> None:
    app = an_app(project)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        text = text_of(app)
        assert "No plays yet" in text and "distill-tui" in text and "new play" in text
        assert " ".join(FIRST_PLAY.split()) in " ".join(text.split())


async def test_below_the_board_stands_the_next_step_and_why_it_is_blocked(project: Project) -> None:
    add_play(project, "refund-intent", Stage.DATA)
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        text = text_of(app)
        assert Action.IMPORT_TRAFFIC.sentence.rstrip(".") in text
        assert "blocked" in text and "Only the driver (dan) may do this; you are dana." in text
        assert "distill-tui import P-001" in text


async def test_how_long_a_play_has_stood_is_told_anew_though_nothing_else_changes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(below, "AGES", 0.1)
    add_play(project, "refund-intent", Stage.DATA)
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        first = text_of(app).partition("data for ")[2][:5]
        await pilot.pause(1.2)
        assert first and text_of(app).partition("data for ")[2][:5] not in ("", first)


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_hostile_names_are_shown_and_steer_nothing(project: Project, size: tuple[int, int]) -> None:
    for name in HOSTILE:
        add_play(project, name)
    app = an_app(project)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        for key in ("j", "j", "slash", "x", "escape", "question_mark"):
            await pilot.press(key)
            await pilot.pause(0.1)
            text = text_of(app)
            controls = [c for c in text if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or c in "\u202e\u202c"]
            assert not controls
        await pilot.press("escape")
        await settled(pilot)
        assert "[red]x" in text_of(app)
        await pilot.press("ctrl+p", *"open P-001")
        await settled(pilot)
        assert "[red]x[/] ␛[31mboo" in text_of(app)


def test_what_cannot_be_seen_becomes_a_mark_of_one_cell() -> None:
    assert show.visible("a\x1bb\x9bc\x7fd\u202ee") == "a␛b�c␡d�e"
    assert show.clip("宽字符宽字符", 7) == "宽字符…"
    assert show.fit("ab", 4) == "ab  "


def test_states_have_a_symbol_and_ascii_instead_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [show.mark(word) for word in ("holds", "misses", "look", "waiting", "running", "paused")] == list("✓✗!○▸‖")
    monkeypatch.setenv("DISTILL_ASCII", "1")
    show.ascii_only.cache_clear()
    try:
        assert [show.mark(word) for word in ("holds", "misses", "running")] == ["ok", "XX", ">>"]
    finally:
        monkeypatch.undo()
        show.ascii_only.cache_clear()


def test_no_color_means_no_colour_codes_at_all(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = an_app(project)
    assert app.theme == "ansi-dark" and any(isinstance(each, NoColor) for each in app.get_line_filters())


# --- keys --------------------------------------------------------------------------------------------------------


async def test_a_dimmed_key_says_why(project: Project) -> None:
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        assert not app.screen.active_bindings["enter"].enabled
        assert "Open –" in text_of(app)
        why = "There are no plays yet; n opens the first."
        await pilot.press("enter")
        assert message(app) == why
        app.say("")
        await pilot.click(KeyLine, offset=(text_of(app).splitlines()[-1].index("Open"), 0))
        await settled(pilot)
        assert message(app) == why


async def test_an_empty_stage_is_not_an_empty_board(project: Project) -> None:
    add_play(project, "refund-intent")
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("6", "enter")
        assert message(app) == "No play stands in this stage; h, l or the stage's number goes to another."
        await pilot.press("i")
        assert message(app).startswith("Choose a play first; then")
        await pilot.press("1", "i")
        assert message(app).startswith("Open the play and press i there, or")


async def test_a_person_who_is_nobody_may_look_and_is_told_why_not_more(project: Project) -> None:
    add_play(project, "refund-intent")
    app = an_app(project, actor=Actor(None, "key SHA256:unknown", Assurance.SIGNED))
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        assert "not enrolled · read-only" in text_of(app)
        await pilot.press("n")
        assert "is not enrolled in this project: read-only" in message(app)


async def test_moving_goes_everywhere(project: Project) -> None:
    for number in range(12):
        add_play(project, f"q{number}")
    add_play(project, "far", Stage.LIVE)
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        shelf = app.screen.query_one(Board).shelf
        for keys, name in (
            (["j"], "q1"), (["G"], "q11"), (["g", "g"], "q0"), (["ctrl+d"], "q3"), (["k"], "q2"), (["end"], "q11"),
            (["home"], "q0"), (["6"], "far"), (["1"], "q0"), (["pagedown"], "q6"),
        ):  # fmt: skip
            await pilot.press(*keys)
            assert shelf.selected is not None and shelf.selected.name == name, keys


async def test_a_click_selects(project: Project) -> None:
    add_play(project, "first")
    add_play(project, "second")
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.click(Board, offset=(3, 7))
        shelf = app.screen.query_one(Board).shelf
        assert shelf.selected is not None and shelf.selected.name == "second"
        await pilot.click(KeyLine, offset=(2, 0))  # h: it moves left, where nothing is
        assert shelf.column == 0


async def test_enter_opens_the_play_and_q_comes_back(project: Project) -> None:
    add_play(project, "refund-intent")
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert not isinstance(app.screen, BoardScreen) and "P-001 refund-intent" in text_of(app)
        await pilot.press("q")
        await pilot.pause()
        assert isinstance(app.screen, BoardScreen)


async def test_n_opens_a_play_through_the_door(project: Project) -> None:
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("n", *"refund-intent")
        await pilot.press("enter", "enter", "enter", "enter")
        await settled(pilot)
        assert [card.name for card in glance.cards(project.path)] == ["refund-intent"]
        assert "P-001 refund-intent" in text_of(app)


async def test_help_lists_every_key_once_searches_and_runs(project: Project) -> None:
    add_play(project, "refund-intent")
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        found = keys_of(app.screen)
        assert len({help_.key for help_ in found}) == len(found)
        assert {"Filter", "New play", "Help", "Quit"} <= {help_.does for help_ in found}
        await pilot.press("question_mark", *"filter")
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, BoardScreen) and app.screen.query_one("#filter").has_focus


async def test_the_palette_puts_what_can_be_done_first_and_says_why_not(project: Project) -> None:
    add_play(project, "refund-intent")
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        keys = [action.key for action in Action if action.key]
        found = list(Palette(app.screen).entries())[: len(keys)]
        assert {entry.title.rpartition("(")[2][:-1] for entry in found} == set(keys)
        reasons = [entry.help.startswith(show.mark("look")) for entry in found]
        assert reasons == sorted(reasons) and not reasons[0]
        ship = next(entry for entry in found if entry.title.startswith("ship"))
        assert "works in decide" in ship.help


# --- others ------------------------------------------------------------------------------------------------------


async def test_what_another_process_does_is_seen_within_a_second(project: Project) -> None:
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        code = f"""
from pathlib import Path
from distill_tui.store import tables
from distill_tui.store.project import Project, now
from distill_tui.terms import PlayKind, Stage, Task
project = Project.open(Path({str(project.path)!r}))
with project.telemetry() as session:
    session.add(tables.Play(name="from-elsewhere", kind=PlayKind.COST, task=Task.CLASSIFICATION, stage=Stage.QUALIFY,
                            opened_at=now(), stage_since=now()))
"""
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
        await pilot.pause(1.0)
        assert "from-elsewhere" in text_of(app)


async def test_what_comes_in_while_the_project_is_opened_is_seen_too(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Project.open

    def slowly(path: Path) -> Project:
        actions.open_play(project, Actor("dana", MINE), "meanwhile", PlayKind.COST)
        return opened(path)

    monkeypatch.setattr(Project, "open", slowly)
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        for _ in range(200):
            await settled(pilot)
            if "meanwhile" in text_of(app):
                return
    raise AssertionError("the board never showed it")


async def test_the_reports_of_a_run_are_seen_within_a_second_and_only_its_play_is_read_again(project: Project) -> None:
    for name in ("refund-intent", "trains", "faq"):
        play = add_play(project, name, Stage.TRAIN)
        add_run(project, play, RunStatus.RUNNING if name == "trains" else RunStatus.FINISHED)

    def report(**columns: Any) -> None:
        with by_hand(project) as session:
            run = session.get(tables.Run, 2)
            assert run is not None
            for name, value in columns.items():
                setattr(run, name, value)
            session.add(run)

    app = an_app(project)
    app.file_watch.reap = lambda: None  # type: ignore[method-assign]  # no worker stands behind the run made here
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        before = list(app.screen.query_one(Board).shelf.cards)
        assert "training 47%" in text_of(app) and "1 running" in text_of(app)
        for step in (62, 88):
            report(step=step)
            await pilot.pause(1.0)
            assert f"training {step}%" in text_of(app)
        report(status=RunStatus.LOST, token=None)
        await pilot.pause(1.0)
        assert "train lost" in text_of(app) and "running" not in text_of(app)
        same = [old is new for old, new in zip(before, app.screen.query_one(Board).shelf.cards, strict=True)]
        assert same == [True, False, True]


async def test_what_comes_in_beside_a_report_is_seen_by_the_log_and_by_r(project: Project) -> None:
    play = add_play(project, "trains", Stage.TRAIN)
    add_run(project, play, RunStatus.RUNNING)
    app = an_app(project)
    app.file_watch.reap = lambda: None  # type: ignore[method-assign]
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        with by_hand(project) as session:
            run = session.get(tables.Run, 1)
            assert run is not None
            run.status = RunStatus.LOST
            session.add(run)
        actions.open_play(project, Actor("dana", MINE), "by-the-door", PlayKind.COST)
        await pilot.pause(1.0)
        assert "by-the-door" in text_of(app) and "train lost" in text_of(app)
        add_run(project, play, RunStatus.RUNNING)
        add_play(project, "beside-it")
        await pilot.press("r")
        await settled(pilot)
        assert "beside-it" in text_of(app)


async def test_a_refusal_and_bad_input_are_said_and_a_bug_is_not_hidden(project: Project) -> None:
    def refused(project: Project) -> None:
        raise Refused([Objection("test.no", "No, because it is a test.")])

    def bad(project: Project, text: str) -> None:
        raise ValueError(f"line 3: {text} is no number.")

    said: list[object] = []
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        app.perform(refused)
        await settled(pilot)
        assert message(app) == "No, because it is a test."
        app.perform(lambda project: bad(project, "x\x1b[2J"))
        await settled(pilot)
        assert message(app) == "line 3: x␛[2J is no number."
        app.perform(lambda project: 1 + 1, then=said.append, done="Counted.")
        await settled(pilot)
        assert said == [2] and message(app) == "Counted."


async def test_the_command_line_runs_the_same_words_and_says_how_it_ended(project: Project) -> None:
    before = project.dossier(add_play(project, "refund-intent")).project.audit_size
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        for line, said in (("comment P-001 hello", "Noted"), ("no-such-command", "no-such-command")):
            await pilot.press("colon")
            app.screen.query_one("Input").value = line
            await pilot.press("enter")
            await settled(pilot)
            assert said in told(app) and "at work" not in told(app)
        assert app.screen.query_one("Input").value == "no-such-command"  # kept, to be corrected
    assert project.dossier(1).project.audit_size == before + 1


def test_who_acts_is_said_with_how_it_was_proved() -> None:
    assert who(Actor("dana", "account uid 1000")) == "dana · account"
    assert who(Actor("vera", "key SHA256:kX9abcdefgh", Assurance.SIGNED)) == "vera · signed SHA256:kX9abcd…"
    assert who(Actor(None, "account uid 7")) == "not enrolled · read-only"


async def test_two_thousand_plays(project: Project) -> None:
    with by_hand(project) as session:
        for number in range(2000):
            session.add(
                tables.Play(
                    name=f"play-{number}", kind=PlayKind.LATENCY, task=Task.CLASSIFICATION,
                    stage=list(Stage)[number % 7], opened_at=now(), stage_since=now(),
                )
            )  # fmt: skip
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press(*"jlGh", "slash", *"play-19")
        await settled(pilot)
        assert app.screen.query_one(Board).shelf.shown == sum(
            f"play-{n}".startswith("play-19") or "play-19" in f"play-{n}" for n in range(2000) if n % 7 != 6
        )


# --- what is remembered ------------------------------------------------------------------------------------------


async def test_the_board_comes_back_as_it_was_left(project: Project) -> None:
    for name in ("refund-intent", "tone-check", "tone-map"):
        add_play(project, name)
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("slash", *"tone", "enter", "s", "down", "enter", "j")
        assert "sorted by number, the newest play first" in text_of(app)
        await pilot.press("q")
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        shelf = app.screen.query_one(Board).shelf
        assert (shelf.words, shelf.order, shelf.shown) == ("tone", "newest", 2)
        assert shelf.selected is not None and shelf.selected.name == "tone-check"
        assert "refund-intent" not in text_of(app)
        await pilot.press("escape")
        assert "refund-intent" in text_of(app)


async def test_an_open_play_comes_back_on_its_tab_for_whoever_left_it(project: Project) -> None:
    add_play(project, "refund-intent")
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("enter", "8", "ctrl+q")
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        assert "[8 Log]" in text_of(app) and "P-001 refund-intent" in text_of(app)
    with by_hand(project) as session:
        session.add(tables.Account(uid=999_999, person_id="vera", added_at=now()))
    app = an_app(project, actor=Actor("vera", "key SHA256:unknown", Assurance.SIGNED))
    app.left = remembered.left(project.path, "vera")
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, BoardScreen)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"views": 3, "recent": {}}', "[" * 100_000])
def test_a_broken_memory_is_an_empty_one(text: str, nothing_remembered: Path, tmp_path: Path) -> None:
    file = nothing_remembered / "distill-tui" / "screens.json"
    file.parent.mkdir()
    file.write_text(text)
    assert remembered.recent() == [] and remembered.left(tmp_path, "dana") is None
    remembered.leave(tmp_path, "dana", remembered.Left("kind:cost"))
    assert remembered.left(tmp_path, "dana") == remembered.Left("kind:cost")
    view = json.loads(file.read_text())
    view["views"][f"dana {tmp_path}"] = {"words": 7, "play": "x", "more": 1, "killed": True}
    file.write_text(json.dumps(view))
    assert remembered.left(tmp_path, "dana") == remembered.Left(killed=True)


def test_what_cannot_be_remembered_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file" / "below"))
    remembered.opened(tmp_path / "file")
    assert remembered.recent() == []


async def test_who_only_approves_sees_first_what_waits_for_them(project: Project) -> None:
    with by_hand(project) as session:
        for name in ("sam", "olaf"):
            session.add(tables.Person(id=name, name=name, enrolled_at=now()))
    for name, stage in (("locks", Stage.GATE), ("drives", Stage.DATA)):
        play = add_play(project, name, stage, PlayKind.STABILITY)
        with by_hand(project) as session:
            session.add(tables.RoleHolder(play_id=play, role=Role.OPERATOR, person_id="olaf"))
            sponsor = session.get(tables.RoleHolder, (play, Role.SPONSOR))
            assert sponsor is not None
            sponsor.person_id = "sam"
            session.add(tables.GateRow(play_id=play, content=to_json(GATE)))
    app = DistillApp(project.path, actor=Actor("sam", "key SHA256:unknown", Assurance.SIGNED))
    app.file_watch.look_up = lambda: None  # type: ignore[method-assign]
    app.actor = Actor("sam", "key SHA256:unknown", Assurance.SIGNED)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        text = text_of(app)
        assert "locks" in text and "drives" not in text and "filter “waits:me” shows 1, esc clears it" in text


async def test_filters_are_chosen_from_what_there_is(project: Project) -> None:
    add_play(project, "dear")
    add_play(project, "slow", kind=PlayKind.LATENCY)
    app = an_app(project)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("f")
        text = text_of(app)
        assert "kind:cost (1)" in text and "kind:latency (1)" in text and "driver:dan (2)" in text
        await pilot.press("j", "enter", "escape")
        await settled(pilot)
        assert "filter “kind:cost” shows 1" in text_of(app) and "slow" not in board_text(app.screen.query_one(Board))
        await pilot.press("f", "enter", "escape")
        assert "slow" in board_text(app.screen.query_one(Board))


def test_columns_are_sorted_by_what_was_chosen() -> None:
    def card(id: int, name: str, **more: Any) -> Card:
        return Card(id, name, PlayKind.COST, Stage.TRAIN, 1, f"2026-01-0{id}T00:00:00Z", **more)

    shelf = Shelf()
    shelf.me = "vera"
    shelf.fill([card(1, "b", quality=0.7), card(2, "a"), card(3, "C", quality=0.9, waits_for="vera")])
    for order, names in (
        ("number", "baC"), ("newest", "Cab"), ("name", "abC"), ("quality", "Cba"), ("still", "baC"), ("waits", "Cba"),
        ("saves", "baC"),
    ):  # fmt: skip
        shelf.order = order
        shelf.sort()
        assert "".join(each.name for each in shelf.columns[Stage.TRAIN]) == names, order


def test_a_filter_word_replaces_the_one_of_its_field() -> None:
    assert toggled("tone kind:cost", "kind:latency") == "tone kind:latency"
    assert toggled("tone kind:cost", "kind:cost") == "tone"
    assert toggled("", "waits:me") == "waits:me"


async def test_a_file_that_cannot_be_read_any_more_is_said_and_does_not_end_the_app(project: Project) -> None:
    add_play(project, "refund-intent")
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        connection = sqlite3.connect(project.path)
        connection.execute("ALTER TABLE role_holder RENAME TO gone")
        connection.commit()
        connection.close()
        await pilot.pause(1.0)
        assert "cannot be read now: no such table: role_holder" in message(app)
        await pilot.press("enter")
        await pilot.pause(0.5)
        assert "no such table: role_holder" in message(app) and "SELECT" not in message(app)
