"""Import, build and freeze are runs of a worker: one at a time, stopped and killed without a trace, and resumed."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.cli import exits
from distill_tui.rules import entities
from distill_tui.rules.next_step import next_step
from distill_tui.rules.objection import Refused
from distill_tui.rules.permission import objections
from distill_tui.rules.requests import ImportTraffic
from distill_tui.runs.claim import Claim
from distill_tui.runs.executors import local
from distill_tui.store import queries, tables
from distill_tui.store.project import Project
from distill_tui.terms import Action, Role, RunKind, RunStatus, Stage
from support import data_runs, latency_play
from support.by_hand import by_hand
from support.latency_play import DAN

ROWS = 80_000
GATE = replace(latency_play.GATE, rounds=3)
WORDS = ("the", "product", "arrived", "today", "and", "it", "was", "really", "quite", "something", "indeed", "box")
KILLABLE = {  # what a worker reports in the middle of its rows
    RunKind.IMPORT: ("importing",),
    RunKind.BUILD: ("near duplicates", "answers", "audit"),
    RunKind.FREEZE: ("near duplicates",),
}


def calls(file: Path) -> Path:
    draw = random.Random(7)
    with file.open("w") as out:
        for number in range(ROWS):
            label = draw.choice(("bad", "good"))
            words = [*draw.sample(WORDS, 8), f"number{number}", label]
            out.write(json.dumps({"input": " ".join(words), "gold": label, "teacher": label}) + "\n")
    return file


def opened(folder: Path) -> Project:
    project, play = latency_play.locked(folder, GATE)
    actions.set_teacher(project, play, DAN, None)
    return project


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[RunKind, Path]:
    """A project as it stands before each of the three, and (TRAIN) after all of them, none of which was killed."""
    folder = tmp_path_factory.mktemp("whole")
    file, project, found = calls(folder / "calls.jsonl"), opened(folder), dict[RunKind, Path]()
    does: dict[RunKind, Callable[[], object]] = {
        RunKind.IMPORT: lambda: data_runs.import_traffic(project, 1, DAN, file),
        RunKind.BUILD: lambda: data_runs.build_data(project, 1, DAN),
        RunKind.FREEZE: lambda: data_runs.freeze_data(project, 1, DAN),
        RunKind.TRAIN: lambda: None,
    }
    for kind, do in does.items():
        project.close()
        found[kind] = folder.with_name(f"{folder.name}-{kind.value}")
        shutil.copytree(folder, found[kind])
        project = Project.open(folder / "team.distill")
        do()
    project.close()
    return found


@pytest.fixture(params=list(KILLABLE))
def before(
    whole: dict[RunKind, Path], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[Project, RunKind]]:
    """A project in which the next step is one of the three."""
    shutil.copytree(whole[request.param], tmp_path / "work")
    project = Project.open(tmp_path / "work" / "team.distill")
    yield project, request.param
    for run in project.dossier(1).runs:
        if run.status.active and run.pid not in (None, os.getpid()):
            os.kill(run.pid, signal.SIGKILL)
    project.close()


def begin(project: Project, kind: RunKind) -> int:
    if kind is RunKind.IMPORT:
        return actions.import_traffic(project, 1, DAN, project.path.parent / "calls.jsonl")
    return (actions.build_data if kind is RunKind.BUILD else actions.freeze_data)(project, 1, DAN)


def at_work(project: Project, kind: RunKind, run_id: int) -> entities.Run:
    """Wait until the worker is in the middle of its rows."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        run = project.dossier(1).run(run_id)
        assert run is not None and (run.status.active or run.status is RunStatus.FINISHED), run
        if run.step and run.message.startswith(KILLABLE[kind]):
            return run
        assert run.status.active, "it was done before it was seen at work"
        time.sleep(0.02)
    raise AssertionError("the worker reported nothing")


def ended(project: Project, run_id: int) -> entities.Run:
    return local.wait(project, run_id, lambda run: None)


def what_is_there(project: Project) -> tuple[object, ...]:
    seen = project.dossier(1)
    data = seen.data_set
    traffic = [(each.artifact, each.source_digest, each.rows) for each in seen.traffic]
    return traffic, data and (data.digest, data.artifact, bool(data.frozen_at)), seen.play and seen.play.stage


def test_a_second_is_refused_while_one_is_under_way_and_the_next_step_says_so(before: tuple[Project, RunKind]) -> None:
    project, kind = before
    stood = what_is_there(project)
    run = begin(project, kind)
    step = {RunKind.IMPORT: Action.IMPORT_TRAFFIC, RunKind.BUILD: Action.BUILD_DATA, RunKind.FREEZE: Action.FREEZE_DATA}
    for other in KILLABLE:
        if other is RunKind.IMPORT or project.dossier(1).traffic:
            with pytest.raises(Refused) as refusal:
                begin(project, other)
            (busy,) = [each for each in refusal.value.objections if each.rule == "run.active"]
            assert busy.sentence.startswith(f"Run {run} ({kind.value}) is ") and "train stop P-001" in busy.sentence
    seen = project.dossier(1)
    assert next_step(seen) is step[kind]
    assert [each.rule for each in objections(step[kind], seen, DAN)][:1] == ["run.active"]
    at_work(project, kind, run)
    actions.stop_run(project, 1, DAN, run)
    stopped = ended(project, run)
    assert stopped.status is RunStatus.STOPPED and "nothing of it is kept" in stopped.message
    assert what_is_there(project) == stood and not (project.artifacts.run_folder(run) / "work").exists()
    assert next_step(project.dossier(1)) is Action.RESUME_RUN


def test_one_that_is_killed_is_lost_and_resumed_and_gives_what_an_undisturbed_one_gives(
    before: tuple[Project, RunKind], whole: dict[RunKind, Path]
) -> None:
    project, kind = before
    stood = what_is_there(project)
    run = begin(project, kind)
    pid = at_work(project, kind, run).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert ended(project, run).status is RunStatus.LOST and what_is_there(project) == stood
    assert next_step(project.dossier(1)) is Action.RESUME_RUN
    actions.resume_run(project, 1, DAN, run)
    done = ended(project, run)
    assert done.status is RunStatus.FINISHED, done.error
    assert done.step == done.total == ROWS
    after = {RunKind.IMPORT: RunKind.BUILD, RunKind.BUILD: RunKind.FREEZE, RunKind.FREEZE: RunKind.TRAIN}
    undisturbed = Project.open(whole[after[kind]] / "team.distill")
    assert what_is_there(project) == what_is_there(undisturbed)
    undisturbed.close()
    entry = queries.entries(project)[-1]
    assert entry.person_id == "dan" and entry.proof == f"worker of run {run}"
    assert json.loads(entry.detail)["run"] == run


def few(project: Project) -> Path:
    file = project.path.parent / "few.jsonl"
    file.write_text("".join(json.dumps({"input": f"text {n}", "teacher": "a"}) + "\n" for n in range(5)))
    return file


def test_the_role_is_asked_for_again_when_the_worker_is_done(tmp_path: Path) -> None:
    project = opened(tmp_path)

    def meanwhile(project: Project, run: int) -> None:
        with by_hand(project) as session:
            holder = session.get(tables.RoleHolder, (1, Role.DRIVER))
            assert holder is not None
            holder.person_id = "olga"
        data_runs.here(project, run)

    with pytest.raises(Refused) as refusal:
        actions.import_traffic(project, 1, DAN, few(project), start=meanwhile)
    assert [each.rule for each in refusal.value.objections] == ["role.driver"]
    (run,) = project.dossier(1).runs
    assert run.status is RunStatus.FAILED and not project.dossier(1).traffic


def test_a_worker_that_was_given_up_records_nothing(tmp_path: Path) -> None:
    project = opened(tmp_path)

    def resumed_elsewhere(project: Project, run_id: int) -> None:
        claimed = Claim.take(project, run_id)
        assert claimed is not None
        with by_hand(project) as session:
            run = session.get(tables.Run, run_id)
            assert run is not None
            run.token = "of another worker"
        with pytest.raises(Refused) as refusal:
            request = ImportTraffic("few.jsonl", "sha256:0", "{}", rows=5, worker=claimed.fence)
            claimed.end(Action.IMPORT_TRAFFIC, RunStatus.FINISHED, lambda change, row: None, request)
        assert [each.rule for each in refusal.value.objections] == ["run.fenced"]

    run = actions.import_traffic(project, 1, DAN, few(project), start=resumed_elsewhere)
    seen = project.dossier(1).run(run)
    assert seen is not None and seen.status is RunStatus.RUNNING and not project.dossier(1).traffic


def test_a_command_says_why_with_the_exit_code_of_a_refusal_or_of_bad_input(tmp_path: Path) -> None:
    project = opened(tmp_path)
    bad, empty = tmp_path / "bad.jsonl", tmp_path / "empty.jsonl"
    bad.write_text('{"input": "one"}\n{"input": ""}\n')
    empty.write_text('{"input": ""}\n')

    def command(*words: str) -> tuple[int, str]:
        line = [sys.executable, "-m", "distill_tui", "--project", str(project.path), *words]
        child = subprocess.run(line, capture_output=True, text=True)
        return child.returncode, child.stderr

    code, told = command("import", "P-001", str(bad))
    assert code == exits.REFUSED and told.startswith("1 of the 2 rows of “bad.jsonl” are unusable")
    code, told = command("import", "P-001", str(empty))
    assert code == exits.BAD_INPUT and "has no usable row" in told
    code, told = command("import", "P-001", str(bad), "--most-rejects", "0.5")
    assert code == exits.DONE and "bad.jsonl, line 2: the input ('input') is empty. Left out." in told
    assert project.dossier(1).play is not None and project.dossier(1).traffic[0].rows == 1
    assert [run.status for run in project.dossier(1).runs] == [RunStatus.FAILED, RunStatus.FAILED, RunStatus.FINISHED]
    assert project.dossier(1).play.stage is Stage.DATA
