"""Arms of one run at once: the result is that of one after the other, whatever stops, fails or is wanted elsewhere."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from distill_tui import actions
from distill_tui.rules import entities
from distill_tui.runs.claim import Companion
from distill_tui.runs.executors import cores, local
from distill_tui.runs.train import Material, climb
from distill_tui.spec import Spec
from distill_tui.store import queries
from distill_tui.store.project import Project
from distill_tui.terms import Control, RunStatus, StudentKind
from distill_tui.training.at_once import AHEAD, Plan, Team, in_turn
from distill_tui.training.loop import Step
from distill_tui.training.objective import LossTerms
from support import latency_play
from support.forked import workers
from support.latency_play import DAN
from support.runs import seen, until

STEPS = 5


class Lent:
    """So many cores to lend, and whether another run waits for one."""

    def __init__(self, free: int = 1, given: Path = Path(os.devnull)) -> None:
        self.free, self.awaited, self.given = free, False, given

    def borrow(self) -> list[int]:
        if not self.free or self.awaited:
            return []
        self.free -= 1
        return [0]

    def give_back(self, cores: list[int]) -> None:
        self.free += len(cores)
        self.given.touch()

    def wanted(self) -> bool:
        return self.awaited


@dataclass(frozen=True)
class Arms:
    """Arms that count to `STEPS`, go on from their checkpoint, and wait for a file where one is named."""

    folder: Path
    kept: list[int]

    def count(
        self, number: int, then: Callable[[int], None] = lambda step: None
    ) -> Generator[Step, None, tuple[int, int]]:
        place = self.folder / f"arm-{number}"
        place.mkdir(exist_ok=True)
        checkpoint = place / "checkpoint"
        done = int(checkpoint.read_text()) if checkpoint.exists() else 0
        try:
            while done < STEPS:
                done += 1
                then(done)
                yield Step(done, STEPS, 0, 0.0, LossTerms(0, 0, 0, 0), 0.0, None, None)
        finally:
            checkpoint.write_text(str(done))
        return number, os.getpid()

    def plan(self, number: int, then: Callable[[int], None] = lambda step: None) -> Plan[tuple[int, int]]:
        return Plan(
            f"arm {number}",
            self.folder / f"arm-{number}",
            STEPS * number,
            partial(self.count, number, then),
            lambda made: self.kept.append(made[0]),
        )

    def until(self, name: str, step: int = 1) -> Callable[[int], None]:
        """Make what waits, from a step on, for a file."""

        def then(done: int) -> None:
            if done >= step:
                (self.folder / f"waits-for-{name}").touch()
                there(self.folder / name)

        return then


def there(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.01)


@pytest.fixture
def arms(tmp_path: Path) -> Iterator[Arms]:
    yield Arms(tmp_path, [])
    assert not multiprocessing.active_children()


def told(steps: Iterator[tuple[Plan[Any], Step]]) -> list[tuple[str, int]]:
    return [(plan.name, step.number) for plan, step in steps]


def fails(_: int) -> None:
    raise ValueError("The rows could teach nothing.")


def dies(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_sentence_of_an_arm_that_fails_is_raised_and_the_others_keep_a_checkpoint(arms: Arms) -> None:
    def waits(_: int) -> None:
        there(arms.folder / "arm-1" / "checkpoint")
        time.sleep(0.3)

    lent = Lent()
    with pytest.raises(ValueError, match="nothing") as refusal:
        told(Team(lent).train([arms.plan(0, waits), arms.plan(1, fails)]))
    assert str(refusal.value) == "The rows could teach nothing."
    assert (arms.folder / "arm-0" / "checkpoint").exists() and not arms.kept and lent.free == 1


def test_an_arm_that_is_killed_is_one_sentence_with_the_cure(arms: Arms) -> None:
    with pytest.raises(ValueError, match=r"trained arm 1 was killed.*Resume the run; with DISTILL_CORES=1"):
        told(Team(Lent()).train([arms.plan(0), arms.plan(1, dies)]))


def test_arms_at_once_are_all_at_work_and_are_kept_in_the_order_of_their_plans(arms: Arms) -> None:
    lent = Lent(2)
    first = arms.plan(0, lambda step: there(arms.folder / "waits-for-go"))
    found = []
    for plan, step in Team[tuple[int, int]](lent).train(
        [first, arms.plan(1, arms.until("go")), *map(arms.plan, (2, 3))]
    ):
        found.append((plan.name, step.number))
        if found[-1] == ("arm 3", STEPS):  # the third ended, and the fourth was trained on its core
            assert arms.kept in ([], [0])
            (arms.folder / "go").touch()
    assert arms.kept == [0, 1, 2, 3] and lent.free == 2
    assert sorted(found) == [(f"arm {number}", step) for number in range(4) for step in range(1, STEPS + 1)]


@pytest.mark.parametrize("second", [lambda step: None, fails, dies])
def test_what_was_trained_ahead_in_vain_leaves_nothing_not_even_its_error(
    arms: Arms, second: Callable[[int], None]
) -> None:
    def ahead(step: int) -> None:
        (arms.folder / "began").touch()
        second(step)

    def after(step: int) -> None:
        if step == STEPS:
            there(arms.folder / "began")
            assert (arms.folder / "arm-1" / AHEAD).exists()

    plans = [arms.plan(0, after), arms.plan(1, ahead), arms.plan(2, fails)]
    assert told(Team(Lent(5)).train(plans, lambda made: True)) == [("arm 0", step) for step in range(1, STEPS + 1)]
    assert arms.kept == [0] and not (arms.folder / "arm-1").exists() and not (arms.folder / "arm-2").exists()


def test_what_was_trained_ahead_counts_once_the_rung_before_it_was_not_enough(arms: Arms) -> None:
    def after(step: int) -> None:
        if step == STEPS:
            there(arms.folder / "arm-1" / "checkpoint")

    plans = [arms.plan(0, after), arms.plan(1), arms.plan(2)]
    found = told(Team(Lent(5)).train(plans, lambda made: made[0] == 1))
    assert found == [(f"arm {number}", step) for number in (0, 1) for step in range(1, STEPS + 1)]
    assert arms.kept == [0, 1] and not (arms.folder / "arm-1" / AHEAD).exists()


def test_what_a_killed_process_trained_ahead_is_trained_again_so_that_each_step_is_reported(arms: Arms) -> None:
    for number, name in ((0, "other"), (1, AHEAD)):
        (arms.folder / f"arm-{number}").mkdir()
        (arms.folder / f"arm-{number}" / name).touch()
        (arms.folder / f"arm-{number}" / "checkpoint").write_text("3")
    found = told(in_turn([arms.plan(0), arms.plan(1)]))
    assert found == [("arm 0", 4), ("arm 0", 5), *(("arm 1", step) for step in range(1, STEPS + 1))]


def test_a_stop_ends_every_arm_with_a_checkpoint_and_it_goes_on_there(arms: Arms) -> None:
    slow = [arms.plan(number, lambda step: time.sleep(0.05)) for number in (0, 1)]
    lent = Lent()
    steps = Team[tuple[int, int]](lent).train(slow)
    names = {next(steps)[0].name for _ in range(4)}
    steps.close()
    assert names == {"arm 0", "arm 1"} and lent.free == 1 and not multiprocessing.active_children()
    done = [int((arms.folder / f"arm-{number}" / "checkpoint").read_text()) for number in (0, 1)]
    assert all(0 < each <= STEPS for each in done)
    rest = told(Team(Lent()).train(slow))
    assert sorted(rest) == [(f"arm {at}", step) for at in (0, 1) for step in range(done[at] + 1, STEPS + 1)]
    assert arms.kept == [0, 1]


def test_a_core_that_another_run_waits_for_is_given_back_and_the_arm_goes_on_later(arms: Arms) -> None:
    lent = Lent(given=arms.folder / "given")

    def slow(_: int) -> None:
        time.sleep(0 if lent.given.exists() else 1)

    found = []
    plans = [arms.plan(0, lambda step: there(lent.given) if step > 1 else None), arms.plan(1, slow), arms.plan(2)]
    for plan, step in Team[tuple[int, int]](lent).train(plans):
        found.append((plan.name, step.number))
        lent.awaited = lent.awaited or plan.name == "arm 1"
    assert sorted(found) == [(f"arm {at}", step) for at in (0, 1, 2) for step in range(1, STEPS + 1)]
    assert found.index(("arm 0", STEPS)) < found.index(("arm 1", STEPS)) < found.index(("arm 2", 1))
    assert arms.kept == [0, 1, 2]


# --- real runs --------------------------------------------------------------------------------------------------------

SHORT = Spec(
    student=StudentKind.NGRAM, ladder=("ngram", "static"), max_tokens=4, vocabulary=300, hidden=32, epochs=2,
    controls=(Control.HARD,), seeds=2, threads=1,
)  # fmt: skip
SLOW = replace(latency_play.LONG, controls=(Control.HARD,), seeds=1, epochs=3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    latency_play.frozen(folder)[0].close()
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    shutil.copytree(made, tmp_path / "work")
    opened = Project.open(tmp_path / "work" / "team.distill")
    monkeypatch.setenv(cores.CORES, "2")
    with workers():
        yield opened
    for run in queries.active_runs(opened):
        if run.pid:
            os.kill(run.pid, signal.SIGKILL)
    opened.close()


def ended(project: Project, spec: Spec) -> entities.Run:
    return until(project, actions.start_run(project, 1, DAN, spec), lambda run: run.status is RunStatus.FINISHED)


def what_came_of(project: Project, run: entities.Run) -> object:
    """All that is stored of a run but seconds."""

    def timeless(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: timeless(each) for name, each in value.items() if name != "seconds"}
        return [*map(timeless, value)] if isinstance(value, list) else value

    ends = [(point.step, point.validation, point.loss) for point in queries.curve(project, run.id or 0)
            if point.validation is not None]  # fmt: skip
    return timeless(json.loads(run.result)), run.artifact, run.step, run.total, ends


def at_once(run: entities.Run) -> bool:
    return "also at work: " in run.message


@pytest.mark.parametrize("enough", [0.4, 1.0])
def test_the_result_is_the_same_to_the_bit_whether_arms_are_trained_at_once(
    project: Project, monkeypatch: pytest.MonkeyPatch, enough: float
) -> None:
    spec = replace(SHORT, enough=enough)
    two = ended(project, spec)
    monkeypatch.setenv(cores.CORES, "1")
    one = ended(project, spec)
    assert what_came_of(project, one) == what_came_of(project, two)
    assert len(json.loads(one.result)["rungs"]) == (1 if enough < 1 else 2)
    folder = project.artifacts.run_folder(two.id or 0)
    assert enough == 1 or not (folder / "static").exists()
    again = Companion(project, one.id or 0, project.artifacts.run_folder(one.id or 0))
    _, last = climb(again, spec, Material.of(project, one, project.dossier(1)))
    assert last == one.step  # as where a run is resumed whose arms were all trained


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_worker_that_is_killed_takes_its_arms_along_and_a_stopped_one_goes_on_to_the_same_weights(
    project: Project,
) -> None:
    number = actions.start_run(project, 1, DAN, SLOW)
    running = until(project, number, at_once)
    arms = children(running.pid or 0)
    assert len(arms) == 2
    os.kill(running.pid, signal.SIGKILL)
    until(project, number, lambda run: bool(local.reap(project)) or run.status is RunStatus.LOST)
    for pid in arms:
        end = time.monotonic() + 60
        while Path(f"/proc/{pid}").exists() and "zombie" not in Path(f"/proc/{pid}/status").read_text():
            assert time.monotonic() < end
    actions.resume_run(project, 1, DAN, number)
    until(project, number, at_once)
    actions.stop_run(project, 1, DAN, number)
    stopped = until(project, number, lambda run: run.status is RunStatus.STOPPED)
    assert stopped.message == "stopped; a checkpoint is kept"
    folder = project.artifacts.run_folder(number)
    assert len({path.parent.parent.name for path in folder.rglob("step-*")}) > 1
    actions.resume_run(project, 1, DAN, number)
    resumed = until(project, number, lambda run: run.status is RunStatus.FINISHED)
    whole = ended(project, SLOW)
    assert resumed.artifact == whole.artifact and resumed.step == whole.step
    digests = [{name: arm["artifact"] for name, arm in json.loads(run.result)["controls"].items()}
               for run in (resumed, whole)]  # fmt: skip
    assert digests[0] == digests[1] != {}
    assert seen(project, number).status is RunStatus.FINISHED
