"""Heavy runs of an account share this machine: one a core, the first to come first, over all projects."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.rules import entities
from distill_tui.runs.executors import cores
from distill_tui.store import queries
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import RunStatus
from support import latency_play
from support.latency_play import DAN, LONG, QUICK
from support.runs import until

NAMES = ("first", "second")
TAKES = """
import sys, time
from distill_tui.runs.executors import cores
cores.MEMORY = int(sys.argv[3])
def waits(why):
    print(why, flush=True)
    return True
assert cores.take(int(sys.argv[2]), sys.argv[1], waits)
print("works", flush=True)
sys.stdin.read()
"""
LENDS = """
import sys
from distill_tui.runs.executors import cores
cores.MEMORY = 0
print(cores.spare(1), flush=True)
assert cores.take(1, "arms", lambda why: True)
print(cores.spare(2), flush=True)
lent = cores.spare(1)
held = lent.borrow()
print(len(held), lent.borrow(), lent.wanted(), flush=True)
sys.stdin.readline()
print(lent.borrow(), lent.wanted(), flush=True)
lent.give_back(held)
sys.stdin.readline()
print(lent.borrow(), lent.wanted(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two projects, each with a latency play whose data set is frozen; copies of one would be a fork of it."""
    folder = tmp_path_factory.mktemp("made")
    for name in NAMES:
        (folder / name).mkdir()
        latency_play.frozen(folder / name)[0].close()
    return folder


@pytest.fixture
def teams(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Project]]:
    """Two projects of one account on a machine with one core to give."""
    monkeypatch.setenv(cores.CORES, "1")
    opened = []
    for name in NAMES:
        shutil.copytree(made / name, tmp_path / name)
        opened.append(Project.open(tmp_path / name / "team.distill"))
    yield opened
    for project in opened:
        for run in queries.active_runs(project):
            if run.pid:
                os.kill(run.pid, signal.SIGKILL)
        project.close()


def waiting(run: entities.Run) -> bool:
    return run.status is RunStatus.QUEUED and run.message.startswith("waits for a free core; at work: run ")


def test_an_account_without_a_state_folder_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/nothing")
    assert cores.take(1, "run 1", lambda why: pytest.fail(why)) == []


def test_a_number_of_cores_that_is_none_is_refused(teams: list[Project], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cores.CORES, "two")
    with pytest.raises(ProjectError, match="DISTILL_CORES is 'two'; set a whole number of runs, 0 for no limit"):
        actions.start_run(teams[0], 1, DAN, QUICK)


def test_a_run_waits_for_a_core_says_for_which_run_stops_and_goes_on_when_it_is_free(
    teams: list[Project], capfd: pytest.CaptureFixture[str]
) -> None:
    first, second = teams
    works = actions.start_run(first, 1, DAN, LONG)
    until(first, works, lambda run: run.status is RunStatus.RUNNING)
    waits = actions.start_run(second, 1, DAN, QUICK)
    said = until(second, waits, waiting).message
    assert said == f"waits for a free core; at work: run {works} (train) of P-001 in team.distill"
    assert main(["--project", str(second.path), "--plain", "jobs"]) == 0
    assert said in capfd.readouterr().out
    actions.stop_run(second, 1, DAN, waits)
    assert (
        until(second, waits, lambda run: not run.status.active).message == "stopped while it waited; nothing was done"
    )
    actions.resume_run(second, 1, DAN, waits)
    pid = until(first, works, lambda run: until(second, waits, waiting).id == waits).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)  # the system frees the core of a worker that died
    until(second, waits, lambda run: run.status is RunStatus.FINISHED)


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a process that takes cores and holds them until its input ends."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str, needed: int = 1, memory: int = 0, program: str = TAKES) -> subprocess.Popen[str]:
        made = subprocess.Popen(
            [sys.executable, "-c", program, name, str(needed), str(memory)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(made)
        return made

    monkeypatch.setenv(cores.CORES, "2")
    yield start
    for each in started:
        each.kill()
        each.wait()
        for pipe in filter(None, (each.stdin, each.stdout)):
            pipe.close()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ends(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    process.wait()


def test_the_first_to_come_is_the_first_and_one_that_needs_two_cores_is_not_overtaken(
    take: Callable[..., subprocess.Popen[str]],
) -> None:
    one = take("one")
    assert line(one) == "works"
    wide = take("wide", needed=2)
    assert line(wide) == "waits for a free core; at work: one"
    small = take("small")  # one core is free, and would be enough
    assert line(small) == "waits for a free core; at work: one"
    ends(one)
    while (said := line(wide)) != "works":
        assert said.startswith("waits")
    while "wide" not in (said := line(small)):
        assert said.startswith("waits")
    wide.kill()
    while (said := line(small)) != "works":
        assert said.startswith("waits")


def test_a_second_run_waits_for_memory_and_a_first_never_does(take: Callable[..., subprocess.Popen[str]]) -> None:
    first = take("first", memory=1 << 60)
    assert line(first) == "works"
    second = take("second", memory=1 << 60)
    assert "GiB is free while first works" in line(second)
    ends(first)
    while (said := line(second)) != "works":
        assert said.startswith("waits for memory")


def goes_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_run_borrows_a_core_while_no_other_run_waits_and_gives_it_to_one_that_does(
    take: Callable[..., subprocess.Popen[str]],
) -> None:
    arms = take("arms", program=LENDS)
    assert [line(arms), line(arms)] == ["None", "None"], "it holds none yet, and there are no two cores to borrow"
    assert line(arms) == "1 [] False"
    other = take("other")
    assert line(other) == "waits for a free core; at work: arms"
    goes_on(arms)
    assert line(arms) == "[] True"
    while (said := line(other)) != "works":
        assert said == "waits for a free core; at work: arms"
    third = take("third")
    assert line(third) == "waits for a free core; at work: arms, other", "the core of the run itself is still its own"
    third.kill()
    third.wait()
    goes_on(arms)
    assert line(arms) == "[] False"
