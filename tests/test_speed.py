"""Guards of the screens' speed, in CPU time and bytes: they hold on a busy machine too, and are wider than the goals.

The goals, and the figures beside others, are those of `make bench-screens`.
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

from distill_tui import sqlite
from distill_tui.project import now

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


def test_the_report_of_a_run_draws_its_card_and_nothing_else(opened: screens.Terminal, paths: dict[int, Path]) -> None:
    connection = sqlite.connect(paths[10_000])
    connection.execute(
        "INSERT INTO run (play_id, round, kind, status, spec, started_by, created_at, step, total) "
        "VALUES (4, 1, 'train', 'running', '{}', 'dan', ?, 0, 1000)",
        (now(),),
    )
    opened.read(1.5, most=4.0)
    before, sent = opened.cpu, 0
    for step in range(1, 11):
        connection.execute("UPDATE run SET step = ? WHERE play_id = 4", (step * 50,))
        sent += len(opened.read(1.0, most=1.5))
    connection.close()
    assert (opened.cpu - before) / 10 < 0.080 and sent / 10 < 1000, (opened.cpu - before, sent)


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
    from distill_tui import glance

    assert len(glance.cards(paths[10_000])) == 10_000
    assert time.process_time() - started < 1.0
