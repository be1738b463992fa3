"""Several people act at random on a real project file, and what must never be is never so.

Hypothesis looks for the shortest history that breaks a rule; `proofs/histories.py` plays ten thousand longer ones.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from distill_tui.runs.executors import local
from distill_tui.store import whole_check
from distill_tui.store.project import Project
from support import cards
from support.stories import (
    DEEDS,
    Auditor,
    Story,
    drive_to_data,
    drive_to_decide,
    found,
    open_play,
    see_unchanged,
    write_traffic,
)
from support.story import EVERYBODY

WHO = st.sampled_from(EVERYBODY)
MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None


@pytest.fixture(autouse=True)
def no_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's part is played by the story itself, through the door."""
    monkeypatch.setattr(local, "start", lambda project, run: None)


@pytest.fixture(scope="module")
def beginnings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A project with one play, kept at three points: before the lock, before the freeze, and evaluated."""
    work = tmp_path_factory.mktemp("beginnings")
    patch = pytest.MonkeyPatch()
    patch.setattr(local, "start", lambda project, run: None)
    traffic, project = write_traffic(work / "calls.jsonl"), found(work / "team.distill")
    play = open_play(project)
    kept = {}
    for name, step in (
        ("open", lambda: None),
        ("built", lambda: drive_to_data(project, play, traffic)),
        ("decided", lambda: drive_to_decide(project, play)),
    ):
        step()
        kept[name] = tmp_path_factory.mktemp(name) / "copy"
        shutil.copytree(work, kept[name])
    patch.undo()
    project.close()
    return kept


def story_from(beginning: Path, folder: Path, seed: int = 0) -> Story:
    shutil.copytree(beginning, folder, dirs_exist_ok=True)
    os.environ["XDG_STATE_HOME"] = str(folder / "state")  # each story is a copy of one project: nothing is remembered
    return Story(Project.open(folder / "team.distill"), folder / "calls.jsonl", Random(seed))


# --- any story -----------------------------------------------------------------------------------------------------

COUNTED = {"ships": 0, "refused": 0, "done": 0}


class Operation(RuleBasedStateMachine):
    """People try whatever they like. The auditor looks after each turn."""

    beginnings: dict[str, Path]

    @initialize(begin=st.sampled_from(["open", "built", "decided", "decided"]), seed=st.integers(0, 2**32))
    def begins(self, begin: str, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY))
        self.story = story_from(self.beginnings[begin], self.folder, seed)
        self.auditor = Auditor(self.story.project.path)

    @rule(deed=st.sampled_from(sorted(DEEDS)), who=WHO)
    def somebody_tries(self, deed: str, who: str) -> None:
        self._turn(deed, who)

    @rule(steps=st.integers(1, 4))
    def the_play_goes_on(self, steps: int) -> None:
        for _ in range(steps):
            self._turn(*self.story.next_deed(1))
            self.auditor.look()
            cards.hold(self.story.project)

    @rule(who=WHO)
    def somebody_tries_to_ship(self, who: str) -> None:
        self._turn("ship", who)

    def _turn(self, deed: str, who: str) -> None:
        before = self.auditor.rows()
        refused = self.story.turn(deed, who)
        note(self.story.told[-1])
        if refused:
            see_unchanged(f"{deed} was rejected by {refused}", before, self.auditor.rows())
        COUNTED["refused" if refused else "done"] += 1

    @invariant()
    @precondition(lambda self: hasattr(self, "auditor"))
    def nothing_is_as_it_must_never_be(self) -> None:
        self.auditor.look()
        cards.hold(self.story.project)

    def teardown(self) -> None:
        if hasattr(self, "story"):
            COUNTED["ships"] += self.story.ships
            with self.story.project.view() as connection:  # what the door let through, the replay counts
                found = [each for each in whole_check.troubles(connection) if "does not count" in each]
            assert not found, found
            self.story.project.close()
            shutil.rmtree(self.folder)


def test_no_story_ships_wrongly_and_some_ship(beginnings: dict[str, Path]) -> None:
    Operation.beginnings = beginnings
    COUNTED.update(ships=0, refused=0, done=0)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Operation,
        settings=settings(
            max_examples=24,
            stateful_step_count=20,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert COUNTED["ships"] >= 3 and COUNTED["done"] >= 30 and COUNTED["refused"] >= 100, COUNTED


@pytest.mark.slow
def test_no_long_story_ships_wrongly(beginnings: dict[str, Path]) -> None:
    Operation.beginnings = beginnings
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Operation,
        settings=settings(
            max_examples=400, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


# --- the auditor would notice ---------------------------------------------------------------------------------------


@pytest.fixture
def decided(beginnings: dict[str, Path], tmp_path: Path) -> Story:
    return story_from(beginnings["decided"], tmp_path / "decided")


def shipped(story: Story) -> Auditor:
    auditor = Auditor(story.project.path)
    auditor.look()
    assert story.turn("sign_off", "vera", 1) is None
    assert story.turn("ship", "olga", 1) is None
    return auditor


def test_a_right_ship_is_right(decided: Story) -> None:
    auditor = shipped(decided)
    auditor.look()
    assert auditor.live == {1}


def test_one_seed_tells_one_story(beginnings: dict[str, Path], tmp_path: Path) -> None:
    told = []
    for name in ("once", "again"):
        story = story_from(beginnings["decided"], tmp_path / name, seed=7)
        for _ in range(25):
            story.turn()
        told.append(story.told)
        story.project.close()
    assert told[0] == told[1]
