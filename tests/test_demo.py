"""`distill-tui demo`: a board within seconds, the work by a process of its own, and the sign-off without leaving."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from textual.pilot import Pilot

from distill_tui import actions
from distill_tui.cli import demo
from distill_tui.cli.app import main
from distill_tui.cli.plans import drive, plan_file
from distill_tui.dataset import practice
from distill_tui.people import practice_keys
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.runs.executors import local
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import RunKind, Stage
from distill_tui.ui.app import DistillApp
from distill_tui.ui.forms.sheet import DEAF
from support import screens
from support.at_the_screen import settled, text_of, told, typed

SIZE = (120, 36)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo as it is made before its screens open."""
    where = tmp_path_factory.mktemp("demo") / "demo"
    began = time.monotonic()
    demo.make(where)
    assert time.monotonic() - began < 5  # a board in five seconds
    return where


def test_a_demo_is_not_made_over_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["demo", str(tmp_path), "--headless"]) == 4
    assert "holds other files; name a new folder" in capsys.readouterr().err
    assert [each.name for each in tmp_path.iterdir()] == ["mine.txt"]


def test_the_board_has_its_play_before_any_work_is_done(folder: Path) -> None:
    project = Project.open(folder / demo.FILE_NAME)
    dossier = project.dossier(1)
    assert (dossier.play.name, dossier.play.stage, dossier.runs) == (demo.PLAY, Stage.GATE, ())
    project.close()


def test_the_driver_is_a_process_of_its_own_that_goes_on_where_the_play_is(folder: Path, tmp_path: Path) -> None:
    """It locks as the sponsor, by key, and imports as the driver; killed and started again, it continues."""
    where = tmp_path / "demo"
    shutil.copytree(folder, where)
    practice.write_traffic(where / "traffic.jsonl", rows=120)
    words = [
        sys.executable,
        "-m",
        "distill_tui.cli.plans.drive",
        *map(str, (where / demo.FILE_NAME, where / "plan.toml")),
    ]
    first = subprocess.Popen([*words, demo.PLAY], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    project = Project.open(where / demo.FILE_NAME)
    deadline = time.monotonic() + 60
    while not project.dossier(1).runs and time.monotonic() < deadline:
        time.sleep(0.1)
    first.kill()
    first.wait()
    again = subprocess.run([*words, demo.PLAY], capture_output=True, text=True, timeout=120)
    dossier = project.dossier(1)
    assert dossier.gate_row is not None and dossier.gate_row.locked_by == "sam"
    assert [run.kind for run in dossier.runs][:2] == [RunKind.IMPORT, RunKind.BUILD]
    assert len([run for run in dossier.runs if run.kind is RunKind.IMPORT]) == 1
    assert "held-out" in again.stderr or again.returncode == 0  # 120 rows are too few to seal 600
    project.close()


def test_the_workers_of_coming_runs_start_ahead_and_those_that_get_no_run_end(folder: Path, tmp_path: Path) -> None:
    where, ready = tmp_path / "demo", dict[RunKind, list[subprocess.Popen[str]]]()
    shutil.copytree(folder, where)
    practice.write_traffic(where / "traffic.jsonl", rows=120)

    def follow(project: Project, run_id: int) -> entities.Run:
        for kind, waiting in local._ready.items():
            ready.setdefault(kind, [*waiting])
        return local.wait(project, run_id, lambda run: None)

    project = Project.open(where / demo.FILE_NAME)
    whole, who = plan_file.read(demo.PLAN, where), drive.people_here(project)
    with pytest.raises(ProjectError, match="held-out"):  # 120 rows are too few to seal 600
        drive.Driver(project, 1, whole, who, lambda text: None, follow).drive()
    imported, built = project.dossier(1).runs
    assert (imported.kind, built.kind) == (RunKind.IMPORT, RunKind.BUILD)
    (used,), (unused,) = ready[RunKind.BUILD], ready[RunKind.FREEZE]
    assert used.wait(60) == 1  # as a worker ends whose run failed
    assert unused.poll() == -signal.SIGKILL and not any(local._ready.values())
    project.close()


def test_who_watches_may_take_a_step_before_the_driver_does(folder: Path, tmp_path: Path) -> None:
    where = tmp_path / "demo"
    shutil.copytree(folder, where)
    practice.write_traffic(where / "traffic.jsonl", rows=120)
    project = Project.open(where / demo.FILE_NAME)
    whole, prove = plan_file.read(demo.PLAN, where), drive.people_here(project)

    def who(person: str) -> Actor | None:  # asked for between the driver's look at the play and its step
        actor, dossier = prove(person), project.dossier(1)
        if person == "sam" and dossier.gate_row is not None and not dossier.gate_row.locked_at:
            actions.lock_gate(project, 1, actor, key=where / practice_keys.FOLDER / "sam")  # type: ignore[arg-type]
        return actor

    with pytest.raises(ProjectError, match="held-out"):  # it went on to the build: 120 rows are too few to seal 600
        drive.Driver(project, 1, whole, who, lambda text: None, lambda *run: local.wait(*run, lambda run: None)).drive()
    assert [run.kind for run in project.dossier(1).runs] == [RunKind.IMPORT, RunKind.BUILD]
    project.close()


def test_nobody_can_act_as_another_person_of_a_real_project(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "vera.pub").write_text("ssh-ed25519 AAAA")
    assert practice_keys.near(tmp_path / "team.distill") == {}


async def act_as(pilot: Pilot[int], person: str) -> None:
    await pilot.press("at")
    await pilot.pause()
    menu = pilot.app.screen.query_one("Choices")
    menu.highlighted = next(n for n in range(menu.option_count) if menu.get_option_at_index(n).id == person)
    await pilot.press("enter")
    await settled(pilot)


async def test_a_key_that_the_project_does_not_know_proves_no_one(folder: Path, tmp_path: Path) -> None:
    project = screens.a_project(tmp_path)
    app = DistillApp(project.path, play=screens.deciding(project))
    app.practice = {"vera": folder / "keys" / "vera"}
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await act_as(pilot, "vera")
        assert app.actor.person is None and "read-only" in text_of(app)


async def test_what_is_blocked_for_one_person_is_done_as_another_without_leaving(folder: Path, tmp_path: Path) -> None:
    where = tmp_path / "demo"
    shutil.copytree(folder, where)
    app = DistillApp(where / demo.FILE_NAME, play=1)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("L")
        assert "Only the sponsor (sam) may do this" in told(app)
        assert "Practice: press @ to act as sam." in text_of(app)
        await pilot.press("at")
        await settled(pilot)
        await pilot.press("enter")  # the one who is waited for comes first
        await settled(pilot)
        assert "sam · signed" in text_of(app) and "Practice:" not in text_of(app)
        await pilot.press("a")
        await settled(pilot)
        await typed(pilot, "P-001", "enter")
        await settled(pilot)
        await act_as(pilot, "dana")
    project = Project.open(where / demo.FILE_NAME)
    row = project.dossier(1).gate_row
    assert row is not None and row.locked_by == "sam"
    project.close()


async def test_at_is_for_practice_projects_only(tmp_path: Path) -> None:
    project = screens.a_project(tmp_path)
    app = DistillApp(project.path, play=screens.deciding(project))
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("at")
        await settled(pilot)
        assert "Only a practice project has keys" in told(app)
        assert "Practice:" not in text_of(app)


@pytest.mark.slow
async def test_from_nothing_to_a_signed_ship_in_one_sitting(tmp_path: Path) -> None:
    """The whole demo, headless, then its screens: blocked for dana, signed by vera, shipped by dana."""
    began = time.monotonic()
    where = tmp_path / "demo"
    words = [sys.executable, "-m", "distill_tui", "demo", str(where), "--headless"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "blocked: This is not signed off; vera" in done.stdout
    assert time.monotonic() - began < 290  # 50 s on two cores with a load of 2
    app = DistillApp(where / demo.FILE_NAME, play=1)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("H")
        await settled(pilot)
        assert "This is not signed off" in told(app)
        await act_as(pilot, "vera")
        await pilot.press("a")
        await settled(pilot)
        await pilot.pause(DEAF + 0.5)  # a sheet that asks for consent drops what is typed before it is read
        await typed(pilot, "Read the phone rows.", "enter")
        await typed(pilot, app.screen.typed, "enter")  # the code that the sheet asks for
        await settled(pilot)
        await act_as(pilot, "dana")
        await pilot.press("a")
        await settled(pilot)
        await typed(pilot, "P-001", "enter")
        await settled(pilot)
    project = Project.open(where / demo.FILE_NAME)
    assert project.dossier(1).play.stage is Stage.LIVE
    project.close()
