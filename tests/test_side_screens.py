"""The other screens than board and play: jobs, people, the checkup, typed commands and what they print."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from distill_tui import actions
from distill_tui.cli.app import COMMANDS
from distill_tui.people import signatures
from distill_tui.rules.actor import Actor
from distill_tui.spec import Spec
from distill_tui.store import tables
from distill_tui.store.project import Project, now
from distill_tui.terms import PlayKind, Role, RunKind, RunStatus
from distill_tui.ui.app import DistillApp
from distill_tui.ui.forms.sheet import Sheet
from distill_tui.ui.jobs import TAIL, JobsScreen, tail
from distill_tui.ui.palette import Palette
from distill_tui.ui.roster import RosterScreen
from distill_tui.ui.widgets.output import MOST, OutputSheet
from support.at_the_screen import settled, text_of, told, typed
from support.by_hand import by_hand

WIDE, NARROW = (120, 36), (80, 24)
HOSTILE = "[red]x[/] \x1b[31mboo\x07 \u202eevil\u202c [@click=app.quit]q[/] 宽 " + "long " * 60
MINE = f"account uid {os.getuid()}"
DANA, VERA = Actor("dana", MINE), Actor("vera", "account uid 4002")


@pytest.fixture
def project(tmp_path: Path) -> Iterable[Project]:
    made = Project.create(tmp_path / "support.distill", "support-bot", "dana", "Dana", Actor(None, MINE))
    actions.enrol_person(made, DANA, "vera", HOSTILE[:60], uid=4002)
    yield made
    made.close()


def a_run(project: Project, status: RunStatus, **more: Any) -> int:
    """A play with a run that stands so; no worker is behind it."""
    name = f"play {len(project.project_dossier().play_names)}"
    play = actions.open_play(project, DANA, name, PlayKind.COST)
    actions.assign_role(project, play, DANA, Role.DRIVER, "dana")
    columns = {"spec": Spec().to_json(), "started_by": "dana", "created_at": now(), "step": 40, "total": 100} | more
    with by_hand(project) as session:
        found = session.get(tables.Play, play)
        assert found is not None
        found.stage = "train"  # type: ignore[assignment]
        session.add(found)
        run = tables.Run(play_id=play, round=1, kind=RunKind.TRAIN, status=status, **columns)
        session.add(run)
        session.flush()
        session.add(tables.RunPoint(run_id=run.id, step=40, loss=0.5, rows_per_second=320))
        assert run.id is not None
    folder = project.artifacts.run_folder(run.id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "worker.log").write_text(f"loading\n{HOSTILE}\n")
    return run.id


def an_app(project: Project, actor: Actor = DANA) -> DistillApp:
    app = DistillApp(project.path, commands=COMMANDS.typed)
    app.actor = actor
    app.file_watch.look_up = lambda: None  # type: ignore[method-assign]  # the actor is who this test says
    app.file_watch.reap = lambda: None  # type: ignore[method-assign]  # no worker stands behind the runs made here
    return app


def inert(text: str) -> bool:
    return not any((ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or c in "\u202e\u202c" for c in text)


# --- jobs --------------------------------------------------------------------------------------------------------


async def test_a_run_is_not_stopped_by_whoever_looks_on(project: Project) -> None:
    run = a_run(project, RunStatus.RUNNING)
    app = an_app(project, VERA)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("J")
        await settled(pilot)
        await pilot.press("K")
        assert told(app) == "Only the driver (dana) may do this; you are vera."
    assert not project.dossier(run).runs[0].stop_requested


async def test_jobs_are_followed_and_stopped_from_any_screen(project: Project) -> None:
    ended, active = a_run(project, RunStatus.FINISHED), a_run(project, RunStatus.RUNNING, message="epoch 1 of 2")
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        await pilot.press("J")
        await settled(pilot)
        shown = text_of(app)
        rows = [line for line in shown.splitlines() if "dana" in line and "train" in line]
        assert f" {active} " in rows[0] and "▸ running" in rows[0] and "40%" in rows[0] and "320" in rows[0]
        assert f" {ended} " in rows[1] and "✓ finished" in rows[1]
        assert "40/100" in shown and "epoch 1 of 2" in shown and "loading" in shown and inert(shown)
        with by_hand(project) as session:
            run = session.get(tables.Run, active)
            assert run is not None
            run.step = 60
            session.add(run)
        await pilot.pause(1.2)
        assert "60/100" in text_of(app)
        await pilot.press("K")
        assert isinstance(app.screen, Sheet) and f"train stop P-{active:03d} --run {active}" in text_of(app)
        await pilot.press("enter")
        await settled(pilot)
        assert f"Run {active} is stopping." in text_of(app) and isinstance(app.screen, JobsScreen)
        await pilot.press("j", "K")
        assert told(app) == f"Run {ended} is already finished."
        await pilot.press("o")
        assert isinstance(app.screen, OutputSheet) and "loading" in text_of(app) and inert(text_of(app))
        await pilot.press("escape", "enter")
        await settled(pilot)
        assert "[4 Train]" in text_of(app) and "P-001" in text_of(app)
    assert project.dossier(active).runs[0].stop_requested


async def test_no_run_is_said_with_what_starts_one(project: Project) -> None:
    app = an_app(project)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("J")
        await settled(pilot)
        assert "No run has started. T on a play's screen trains." in text_of(app)
        await pilot.press("K")
        assert told(app) == "There is no run."


def test_the_end_of_a_long_log_is_read_and_a_missing_one_is_empty(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"\xff start\n" * 100_000 + b"end\n")
    lines = tail(tmp_path / "log")
    assert lines[-1] == "end" and sum(map(len, lines)) <= TAIL
    assert tail(tmp_path / "none") == ()


# --- people ------------------------------------------------------------------------------------------------------


async def test_only_the_keeper_changes_the_roster(project: Project) -> None:
    app = an_app(project, VERA)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("p")
        await settled(pilot)
        assert isinstance(app.screen, RosterScreen) and inert(text_of(app))
        for key in "EUP":
            await pilot.press(key)
            assert told(app) == "Only the keeper (dana) may change the roster; you are vera."


async def test_a_person_is_enrolled_gets_a_key_and_loses_it_by_keys(project: Project, tmp_path: Path) -> None:
    for name in ("olga", "second"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    app = an_app(project)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("p")
        await settled(pilot)
        await pilot.press("E")
        await typed(pilot, "vera", "ctrl+s")
        assert "vera is already enrolled" in text_of(app)
        await pilot.press(*["backspace"] * 4)
        await typed(pilot, "olga", "enter")
        await typed(pilot, "Olga", "enter")
        await typed(pilot, "many", "enter")
        await typed(pilot, "none.pub", "enter")
        assert "“many” is not a uid" in text_of(app)
        await pilot.press(*["backspace"] * 4, *"4003", "enter", "enter")  # the cursor is on the uid
        assert "none.pub cannot be read: No such file" in text_of(app)
        app.screen.query_one("#field-key").value = str(tmp_path / "olga")  # type: ignore[attr-defined]
        await pilot.press("enter")
        assert isinstance(app.screen, Sheet), "a private key is refused"
        app.screen.query_one("#field-key").value = str(tmp_path / "olga.pub")  # type: ignore[attr-defined]
        await pilot.press("enter")
        await settled(pilot)
        assert "olga is enrolled." in text_of(app)
        await pilot.press("j", "P")
        app.screen.query_one("#field-key").value = str(tmp_path / "second.pub")  # type: ignore[attr-defined]
        await pilot.press("enter")
        await settled(pilot)
        first, _ = (signatures.read_public_key((tmp_path / f"{n}.pub").read_text()) for n in ("olga", "second"))
        await pilot.press("R")
        app.screen.query_one("#field-fingerprint").value = first.fingerprint  # type: ignore[attr-defined]
        await pilot.press("enter")
        await typed(pilot, "olga", "enter")
        await settled(pilot)
        assert "1 (+1 revoked)" in text_of(app)
        shown, today = " ".join(text_of(app).split()), now()[:10]
        assert f"enrolled by dana, {today}" in shown
        assert f"account uid 4003 by dana, {today}" in shown
        assert shown.count(f"(ssh-ed25519) by dana, {today}") == 2 and f"by dana, {today}, revoked {today}" in shown
    revoked = {key.fingerprint: key.revoked_at is not None for key in project.project_dossier().keys}
    assert len(revoked) == 2 and revoked[first.fingerprint]


# --- checkup, typed commands -------------------------------------------------------------------------------------


async def test_the_checkup_names_what_was_changed_in_the_file(project: Project) -> None:
    with by_hand(project) as session:
        session.connection().exec_driver_sql("DROP TRIGGER play_name_taken")
    app = an_app(project)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("d")
        await settled(pilot)
        shown = text_of(app)
        assert "checks found a problem" in shown and "play_name_taken" in shown
        assert shown.index("✗") < shown.index("✓")


async def test_what_a_typed_question_prints_can_be_read_and_copied(project: Project) -> None:
    actions.open_play(project, DANA, "refund", PlayKind.COST)
    actions.comment(project, 1, DANA, HOSTILE)
    app = an_app(project)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("colon")
        await typed(pilot, "log", "enter")
        await settled(pilot)
        assert isinstance(app.screen, OutputSheet) and "enrol_person" in text_of(app) and inert(text_of(app))
        await pilot.press("G", "l", "l", "y", "q")
        assert "open_play" in app.clipboard and "on the clipboard" in told(app)
        await pilot.press("colon", "up")
        assert app.screen.query_one("Input").value == "log"  # type: ignore[attr-defined]
        await pilot.press("down", *"sh", "tab", *"x", "escape")


def test_endless_output_is_cut_and_said() -> None:
    sheet = OutputSheet("x", ["a\tb"] * (MOST + 5))
    assert (len(sheet.lines), sheet.left_out, sheet.lines[0]) == (MOST, 5, "a   b")


async def test_the_palette_finds_what_has_no_key(project: Project) -> None:
    actions.open_play(project, DANA, "refund", PlayKind.COST)
    app = an_app(project)
    async with app.run_test(size=WIDE) as pilot:
        await settled(pilot)
        found = {entry.title: entry.help for entry in Palette(app.screen).entries()}
        assert (
            found[": show P-001 "] == "Show everything about a play."
            and ": person add " in found
            and ": ship P-001 " not in found
        )
        await pilot.press("ctrl+p")
        await typed(pilot, "person add")
        await pilot.pause(0.5)
        await pilot.press("enter")
        await pilot.pause(0.2)
        assert app.screen.query_one("Input").value == "person add "  # type: ignore[attr-defined]
        app.restricted = True
        assert not [entry for entry in Palette(app.screen).entries() if entry.title.startswith(": ")]
