"""Workers are processes of their own: killed, stopped, frozen or orphaned, a run ends in the truth and resumes."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from distill_tui import actions
from distill_tui.gates.record import Record
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.objection import Refused
from distill_tui.rules.requests import WorkerReport
from distill_tui.runs import claim, worker
from distill_tui.runs.claim import Claim
from distill_tui.runs.executors import local
from distill_tui.store import queries, tables
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import Action, Control, RunKind, RunStatus, Stage
from support import latency_play
from support.forked import workers
from support.latency_play import DAN, GATE, LONG, QUICK, VERA
from support.runs import seen, until


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A latency play with a frozen data set, made through the door."""
    folder = tmp_path_factory.mktemp("made")
    project, _ = latency_play.frozen(folder)
    project.close()
    return folder


@pytest.fixture(scope="module")
def taught(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same play with a trained student."""
    folder = tmp_path_factory.mktemp("taught") / "work"
    with opened_copy(made, folder) as project:
        assert ended(project, actions.start_run(project, 1, DAN, QUICK)).status is RunStatus.FINISHED
    return folder


@contextmanager
def opened_copy(folder: Path, copy: Path) -> Iterator[Project]:
    shutil.copytree(folder, copy)
    opened = Project.open(copy / "team.distill")
    with workers():
        yield opened
    for run in queries.active_runs(opened):
        kill(opened, run.id or 0)
    opened.close()


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Iterator[Project]:
    with opened_copy(made, tmp_path / "work") as opened:
        yield opened


@pytest.fixture
def with_student(taught: Path, tmp_path: Path) -> Iterator[Project]:
    with opened_copy(taught, tmp_path / "work") as opened:
        yield opened


def kill(project: Project, run_id: int, how: int = signal.SIGKILL) -> None:
    pid = seen(project, run_id).pid
    if pid is not None and pid != os.getpid():
        os.kill(pid, how)


def ended(project: Project, run_id: int) -> entities.Run:
    return until(project, run_id, lambda run: not run.status.active)


def in_second_epoch(project: Project) -> Callable[[entities.Run], bool]:
    return lambda run: any(point.validation is not None for point in queries.curve(project, run.id or 0))


def test_training_waits_for_a_frozen_data_set_and_for_the_run_before_it(project: Project) -> None:
    first = actions.start_run(project, 1, DAN, LONG)
    with pytest.raises(Refused) as refused:
        actions.start_run(project, 1, DAN, QUICK)
    assert [o.rule for o in refused.value.objections] == ["run.active"]
    actions.stop_run(project, 1, DAN, first)
    assert ended(project, first).status is RunStatus.STOPPED


def test_a_killed_run_is_lost_resumes_and_gives_the_student_of_one_never_killed(project: Project) -> None:
    never = actions.start_run(project, 1, DAN, LONG)
    whole = ended(project, never)
    assert whole.status is RunStatus.FINISHED

    killed = actions.start_run(project, 1, DAN, LONG)
    until(project, killed, in_second_epoch(project))
    kill(project, killed)
    until(project, killed, lambda run: bool(local.reap(project)) or run.status is RunStatus.LOST)
    lost = seen(project, killed)
    assert lost.status is RunStatus.LOST and "resume" in lost.message and lost.artifact is None

    assert actions.resume_run(project, 1, DAN, killed) == killed
    resumed = ended(project, killed)
    assert resumed.status is RunStatus.FINISHED
    assert resumed.artifact == whole.artifact  # the digest of every file of the student: the same bits
    first = next(p for p in queries.curve(project, killed) if p.validation is not None)
    assert first.step < resumed.step == whole.step


def test_a_stopped_run_keeps_a_checkpoint_and_goes_on(project: Project) -> None:
    run = actions.start_run(project, 1, DAN, LONG)
    until(project, run, lambda each: each.step > 3)
    actions.stop_run(project, 1, DAN, run)
    stopped = ended(project, run)
    assert stopped.status is RunStatus.STOPPED and "checkpoint" in stopped.message
    assert list(project.artifacts.run_folder(run).rglob("step-*"))
    with pytest.raises(Refused, match="dan, who started run"):
        actions.resume_run(project, 1, Actor("sam", "account uid 4001"), run)
    actions.resume_run(project, 1, DAN, run)
    assert ended(project, run).status is RunStatus.FINISHED


def test_a_disk_that_fails_is_told_in_a_line_and_the_run_goes_on_once_it_is_well(with_student: Project) -> None:
    project = with_student
    never = project.dossier(1).runs[-1]
    folder = project.artifacts.run_folder(never.id + 1)
    folder.mkdir(parents=True)
    (folder / "static").touch()  # where the folder of checkpoints would be
    run = actions.start_run(project, 1, DAN, QUICK)
    failed = until(project, run, lambda each: each.status is RunStatus.FAILED)
    assert failed.message == failed.error and "Not a directory; see that the disk and the folder" in failed.message
    while local.alive(project, run):  # what it writes to its log comes after the record
        time.sleep(0.05)
    assert "Traceback" in (folder / "worker.log").read_text()
    (folder / "static").unlink()
    actions.resume_run(project, 1, DAN, run)
    assert ended(project, run).artifact == never.artifact


@pytest.mark.parametrize("write", [
    lambda path: save_file({"a": torch.zeros(4000)}, path),
    lambda path: Tokenizer(WordLevel({"a" * number: number for number in range(400)}, unk_token="a")).save(str(path)),
])  # fmt: skip
def test_what_a_library_says_of_a_disk_is_told_as_the_system_says_it(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(Exception, match="os error") as raised:
            write(tmp_path / "file")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert worker.in_a_line(raised.value).startswith("File too large; see that the disk")


def test_a_heartbeat_that_fails_once_is_not_the_last(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "start", lambda project, run: None)
    run = actions.start_run(project, 1, DAN, QUICK)
    monkeypatch.setattr(claim, "BEAT", 0.02)
    claimed = Claim.take(project, run)
    assert claimed is not None
    away = project.path.rename(project.path.with_name("away"))
    time.sleep(0.3)
    away.rename(project.path)
    actions.stop_run(project, 1, DAN, run)
    assert claimed._stop.wait(60)
    claimed.give_up(RunStatus.STOPPED, "stopped", None)
    claimed._pulse.join()


def test_a_worker_that_lost_its_claim_changes_nothing_any_more(project: Project) -> None:
    run = actions.start_run(project, 1, DAN, LONG)
    frozen = until(project, run, lambda each: each.step > 3)
    assert frozen.pid is not None
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        assert local.reap(project) == []  # it lives: it still holds its lock
        with project.telemetry() as session:  # it is given up all the same
            row = session.get(tables.Run, run)
            assert row is not None
            row.status, row.token = RunStatus.LOST, None
            session.add(row)
        before = seen(project, run)
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    end = time.monotonic() + 120
    while local.alive(project, run) and time.monotonic() < end:
        time.sleep(0.1)
    assert not local.alive(project, run)  # it noticed, and left
    assert seen(project, run) == before
    assert project.dossier(1, thorough=True).project.audit_trouble == ""


def test_a_run_outlives_whoever_started_it_and_only_its_worker_reports_on_it(project: Project) -> None:
    program = (
        "import sys; from pathlib import Path; from distill_tui import actions;"
        "from distill_tui.store.project import Project;"
        "from distill_tui.rules.actor import Actor; from distill_tui.spec import Spec;"
        "p = Project.open(Path(sys.argv[1]));"
        "print(actions.start_run(p, 1, Actor('dan', sys.argv[2]), Spec.from_json(sys.argv[3])))"
    )
    arguments = [sys.executable, "-c", program, str(project.path), DAN.proof, QUICK.to_json()]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    run = ended(project, int(done.stdout))
    assert run.status is RunStatus.FINISHED
    report = WorkerReport(int(done.stdout), None)
    for actor in (DAN, Actor("dan", "worker of another run", run=run.id)):  # and only its worker reports on it
        with (
            pytest.raises(Refused) as refused,
            project.change(Action.FINISH_RUN, 1, actor, report),
        ):
            pass
        assert refused.value.objections[0].rule in ("run.foreign", "run.fenced")


def test_a_launcher_that_is_not_there_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_LAUNCH", "no-such-launcher launch")
    with pytest.raises(ProjectError, match="DISTILL_LAUNCH names no-such-launcher, which is not there"):
        actions.start_run(project, 1, DAN, QUICK)


@pytest.mark.slow
def test_a_run_in_two_processes_is_stopped_resumed_and_evaluated_as_any_other(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = Path(sys.executable).with_name("accelerate")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setenv("DISTILL_LAUNCH", f"{launcher} launch --multi_gpu --num_processes 2 --main_process_port 0")
    run = actions.start_run(project, 1, DAN, replace(LONG, ladder=("ngram", "scratch"), controls=(Control.HARD,)))
    until(project, run, lambda now: now.step > 60)
    actions.stop_run(project, 1, DAN, run)
    assert ended(project, run).status is RunStatus.STOPPED
    actions.resume_run(project, 1, DAN, run)
    whole = ended(project, run)
    assert whole.status is RunStatus.FINISHED, whole.error
    said = json.loads(whole.result)
    assert said["rungs"][0]["rung"] == "ngram" and said["validation_score"] > 0.8 and "hard" in said["controls"]
    evaluation = actions.evaluate(project, 1, DAN)
    assert ended(project, evaluation).status is RunStatus.FINISHED


LISTENER = """
import os, sys

def hear(event, words):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        os.write(log, f"{event} {words}\\n".encode())

log = os.open(os.environ["HEARD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.write(log, b"listening\\n")
sys.addaudithook(hear)
"""


@pytest.mark.slow
def test_neither_worker_nor_command_speaks_to_any_host(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(LISTENER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    monkeypatch.setenv("HEARD", str(tmp_path / "heard"))
    monkeypatch.setattr(local, "_ready", {})  # each worker starts with the listener
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    ended(project, actions.start_run(project, 1, DAN, QUICK))
    ended(project, actions.evaluate(project, 1, DAN))
    for words in (["list"], ["show", "P-001"], ["audit", "verify"], ["eval", "show", "P-001"], ["rows", "P-001"]):
        subprocess.run(
            [sys.executable, "-m", "distill_tui", "--project", str(project.path), *words],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    told = (tmp_path / "heard").read_text().splitlines()
    assert set(told) == {"listening"} and len(told) >= 7
    subprocess.run([sys.executable, "-c", "import socket; socket.getaddrinfo('localhost', 1)"], check=True)
    assert "socket.getaddrinfo ('localhost'" in (tmp_path / "heard").read_text()  # who speaks would be heard


def test_a_student_that_was_altered_is_not_evaluated(with_student: Project) -> None:
    project = with_student
    run = project.dossier(1).runs[-1]
    assert run.artifact is not None
    weights = project.artifacts.path(run.artifact) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    evaluation = actions.evaluate(project, 1, DAN)
    end = time.monotonic() + 300
    while seen(project, evaluation).status.active and time.monotonic() < end:
        time.sleep(0.1)
    failed = seen(project, evaluation)
    assert failed.status is RunStatus.FAILED and "altered" in failed.message
    assert project.dossier(1).play.stage is Stage.TRAIN  # type: ignore[union-attr]


def test_a_round_has_one_look_and_a_validators_own_look_builds_nothing(with_student: Project) -> None:
    project = with_student
    ended(project, actions.evaluate(project, 1, DAN))
    dossier = project.dossier(1)
    assert dossier.play.stage is Stage.DECIDE and dossier.passed
    assert dossier.record is not None and len(dossier.record.rows) >= GATE.held_out_rows
    with pytest.raises(Refused):
        actions.evaluate(project, 1, DAN)

    again = ended(project, actions.reproduce(project, 1, VERA))
    assert again.kind is RunKind.REPRODUCE and again.status is RunStatus.FINISHED
    dossier = project.dossier(1)
    assert [e.reproduced for e in dossier.evaluations] == [0, 1] and "vera" not in dossier.builders
    first, second = (Record.from_json(project.artifacts.path(e.record).read_text()) for e in dossier.evaluations)
    assert first.student == second.student and first.baseline == second.baseline  # measured again, and the same
