"""Guards of the screens' speed, in CPU time and bytes: they hold on a busy machine too, and are wider than the goals.

The goals, and the comparisons with others, are those of `make bench-screens`.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill_tui.runs.executors import local
from distill_tui.store import sqlite
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.project import now

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import screens

pytestmark = pytest.mark.slow
PLAYS = (10, 1000, 10_000)
STARTS, KEYS = 5, 30


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("speed")
    return {plays: screens.a_project(folder, plays) for plays in PLAYS}


def program(path: Path, state: Path) -> screens.Program:
    command = [sys.executable, "-m", "distill_tui", "open", str(path)]
    return screens.Program(path.stem, command, b"play-00001", {"XDG_STATE_HOME": str(state)})


@pytest.fixture
def opened(paths: dict[int, Path], tmp_path: Path) -> Iterator[screens.Terminal]:
    """Ten thousand plays on a terminal, all of it loaded."""
    terminal = program(paths[10_000], tmp_path).start()
    terminal.read(3.0, most=20.0)
    yield terminal
    terminal.end()


def test_the_first_frame_costs_little_more_than_that_of_a_bare_app(paths: dict[int, Path], tmp_path: Path) -> None:
    bare = screens.Program("bare", [sys.executable, "-c", screens.BARE], b"ready")
    ours = {plays: program(path, tmp_path) for plays, path in paths.items()}
    for each in ours.values():
        each.visit()
    for _ in range(STARTS):
        for each in (bare, *ours.values()):
            each.start().end()
    shares = {plays: min(each.cpu) / min(bare.cpu) for plays, each in ours.items()}
    assert shares[1000] < 1.8 and shares[10_000] < 2.1, shares


def test_a_key_costs_little_and_sends_little(opened: screens.Terminal) -> None:
    before = opened.cpu
    answers = [opened.key(b"j") for _ in range(KEYS)]
    assert (opened.cpu - before) / KEYS < 0.060
    assert statistics.median(each.move for each in answers) <= 1000
    assert opened.memory < 125


def test_the_report_of_a_run_draws_its_card_and_costs_with_ten_thousand_plays_what_it_costs_with_ten(
    paths: dict[int, Path], tmp_path: Path
) -> None:
    spent = {plays: reported(paths[plays], tmp_path, 20) for plays in (10, 10_000)}
    assert spent[10_000] < 2 * spent[10] and spent[10_000] < 0.060, spent


def reported(path: Path, state: Path, reports: int) -> float:
    """Have a run report while a board is open; give the board's CPU seconds a report."""
    connection = sqlite.connect(path)
    run = connection.execute(
        "INSERT INTO run (play_id, round, kind, status, spec, started_by, created_at, step, total) "
        "VALUES (4, 1, 'train', 'running', '{}', 'dan', ?, 0, 1000)",
        (now(),),
    ).lastrowid
    held = local.lock(Artifacts(path.parent / f"{path.name}.artifacts").run_folder(run))  # as its worker holds it
    assert held is not None
    terminal = program(path, state).start()
    try:
        terminal.until(b"next step")  # the project is open, and the selected play was read
        terminal.read(1.0, most=3.0)
        before, sent = terminal.cpu, 0
        for step in range(1, reports + 1):
            connection.execute("UPDATE run SET step = ? WHERE play_id = 4", (step * 40,))
            sent += len(terminal.read(0.7, most=0.7))
        assert sent / reports < 2500  # the lines of one card, which Textual writes from the left edge of the board on
        return (terminal.cpu - before) / reports
    finally:
        terminal.end()
        connection.close()
        os.close(held)


@pytest.mark.parametrize("words", [["--help"], ["list", "--json"]], ids=" ".join)
def test_a_command_that_only_looks_is_there_at_once(words: list[str], paths: dict[int, Path]) -> None:
    command = [sys.executable, "-m", "distill_tui", "--project", str(paths[1000]), *words]
    spent = []
    for _ in range(STARTS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=dict(os.environ))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 0.35, spent


def test_ten_thousand_plays_are_listed_within_a_second_of_cpu(paths: dict[int, Path]) -> None:
    started = time.process_time()
    from distill_tui.store import glance

    assert len(glance.cards(paths[10_000])) == 10_000
    assert time.process_time() - started < 1.0
