"""Bad luck and bad disks, each a few times: killed writers, copies made while others write, what the doctor names.

The same is done by the thousand in `proofs/kills.py` and `proofs/damage.py`.
"""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from distill_tui import actions
from distill_tui.bundles.write import write_content
from distill_tui.cli import exits as cli
from distill_tui.cli.app import main
from distill_tui.dataset import readers, records
from distill_tui.digests import canonical, digest_of
from distill_tui.gates.written import from_json, from_toml
from distill_tui.review import headline
from distill_tui.rules.dossier import PlayDossier
from distill_tui.runs.claim import Claim
from distill_tui.runs.executors import local
from distill_tui.spec import Spec
from distill_tui.store import disks, doctor, project_file
from distill_tui.store.backup import backup
from distill_tui.store.project import Project, ProjectError
from distill_tui.store.project_file import check, write_lock
from distill_tui.terms import Action, Role, RunKind, RunStatus, Stage
from distill_tui.training.folders import check_causal_folder, check_encoder_folder, check_model_folder
from support import data_runs
from support.projects import NAME, make
from support.results import trained
from support.stories import SPEC, Auditor, drive_to_data, found, open_play, write_traffic
from support.story import PROJECT, a_play, actor
from support.story import run as a_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "start", lambda project, run: None)
        return make(tmp_path_factory.mktemp("made"))


@pytest.fixture
def path(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "made")
    return tmp_path / "made" / NAME


def wrong(path: Path) -> dict[str, str]:
    """What the doctor finds wrong with a file."""
    return {finding.name: finding.says for finding in doctor.file(path) if not finding.ok}


# --- backup --------------------------------------------------------------------------------------------------------


def test_nothing_is_backed_up_over_what_is_there(path: Path) -> None:
    project, before = Project.open(path), path.read_bytes()
    for there in (path, path.parent):
        with pytest.raises(ProjectError, match="exists already; give the backup another name"):
            backup(project, there)
    with pytest.raises(ProjectError, match="does not exist"):
        backup(project, path.parent / "nowhere" / "copy.distill")
    project.close()
    assert path.read_bytes() == before


def test_a_backup_without_room_leaves_nothing(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "free", lambda folder: 1_000)
    project = Project.open(path)
    with pytest.raises(ProjectError, match="free some room"):
        backup(project, tmp_path / "copy.distill")
    project.close()
    assert [each.name for each in tmp_path.iterdir()] == ["made"]


def test_a_backup_is_a_project_like_any_other(path: Path, tmp_path: Path) -> None:
    project = Project.open(path)
    copied = backup(project, tmp_path / "copy.distill")
    assert copied.trouble == "" and copied.head == project.project_dossier().audit_head
    project.close()
    assert Auditor(tmp_path / "copy.distill").rows() == Auditor(path).rows()
    assert wrong(tmp_path / "copy.distill") == {}
    assert not list(tmp_path.glob(".*"))


WRITER = """
import sys
from pathlib import Path
from distill_tui import actions
from distill_tui.store.project import Project
from distill_tui.rules.actor import Actor
project, number = Project.open(Path(sys.argv[1])), 0
while True:
    actions.comment(project, 1, Actor("bob", "account uid 100005"), f"number {number}")
    print(number, flush=True)
    number += 1
"""


def a_writer(path: Path) -> subprocess.Popen[str]:
    """Start a person who comments as fast as the file allows, and says after each commit that it is kept."""
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)


def test_a_backup_made_while_others_write_is_of_one_moment(path: Path, tmp_path: Path) -> None:
    writer, project = a_writer(path), Project.open(path)
    assert writer.stdout is not None
    for copy in range(3):
        writer.stdout.readline()
        target = tmp_path / f"copy{copy}.distill"
        assert backup(project, target).trouble == ""
        Auditor(target).look()
        assert wrong(target).keys() <= {"history"}  # older than what this account has seen meanwhile
    writer.kill()
    writer.wait()
    project.close()


def test_a_backup_of_what_is_not_whole_says_so(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(
        next(each for each in path.with_name(f"{NAME}.artifacts").iterdir() if (each / "manifest.json").exists())
    )
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER gate_fixed_update")
    connection.close()
    code = main(["--project", str(path), "backup", str(path.with_name("copy.distill"))])
    assert code == 1 and "damaged: The guard “gate_fixed_update”" in capsys.readouterr().err
    assert path.with_name("copy.distill").exists()


# --- killed --------------------------------------------------------------------------------------------------------


def test_a_writer_that_is_killed_loses_nothing_that_it_was_told_is_kept(path: Path) -> None:
    for _ in range(3):
        writer = a_writer(path)
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(5)]
        writer.send_signal(signal.SIGKILL)
        told += writer.stdout.readlines()
        writer.wait()
        connection = sqlite3.connect(path)
        kept = [text for (text,) in connection.execute("SELECT detail ->> '$.text' FROM audit ORDER BY seq")]
        connection.close()
        numbers = [int(line) for line in told if line.endswith("\n")]
        run = kept[len(kept) - kept[::-1].index("number 0") - 1 :]
        assert run[: len(numbers)] == [f"number {number}" for number in numbers] and len(run) <= len(numbers) + 1
        Auditor(path).look()
    assert wrong(path) == {}


HOLDER = """
import sys, time
from pathlib import Path
from distill_tui.store.project import Project
with Project.open(Path(sys.argv[1])).telemetry():
    print("held", flush=True)
    time.sleep(600)
"""


def test_whoever_waits_too_long_for_another_is_told_so_and_may_go_on_later(path: Path) -> None:
    project = Project.open(path)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    project.patience = 0.3
    with pytest.raises(ProjectError, match="Another program has been writing to"):
        actions.comment(project, 1, actor("bob"), "Hello?")
    holder.kill()
    holder.wait()
    project.patience = 30
    actions.comment(project, 1, actor("bob"), "Hello.")  # the turn that was given up keeps no one out
    actions.comment(project, 1, actor("bob"), "Hello again.")
    project.close()
    Auditor(path).look()


# --- many at once, and a long log ---------------------------------------------------------------------------------


def test_whoever_comes_again_and_again_does_not_go_before_those_who_wait(path: Path) -> None:
    order: list[str] = []
    for _ in range(20):
        with write_lock(path):
            waiting = threading.Thread(target=_take_a_turn, args=(path, order))
            waiting.start()
            end = time.monotonic() + 2
            while _is_free(Path(f"{path}.turn")) and time.monotonic() < end:
                time.sleep(0.001)
        with write_lock(path):
            order.append("again")
        waiting.join()
    assert order == ["who waited", "again"] * 20


def _take_a_turn(path: Path, order: list[str]) -> None:
    with write_lock(path):
        order.append("who waited")


def _is_free(path: Path) -> bool:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_one_who_is_stopped_in_the_queue_keeps_nobody_from_writing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_file, "COURTESY", 0.05)
    project = Project.open(path)
    with Path(f"{path}.turn").open("w") as stopped:
        fcntl.flock(stopped, fcntl.LOCK_EX)
        actions.comment(project, 1, actor("bob"), "Hello.")
    project.close()
    Auditor(path).look()


def test_a_write_costs_the_same_with_a_short_and_with_a_long_log(path: Path) -> None:
    project, steps = Project.open(path), []
    event.listen(project._writer, "connect", lambda connection, _: connection.set_progress_handler(_count(steps), 1))
    actions.comment(project, 1, actor("bob"), "Hello.")
    short = _steps_of_a_write(project, steps)
    add_comments(path, 3_000)
    actions.comment(project, 1, actor("bob"), "What came meanwhile is read once.")
    assert _steps_of_a_write(project, steps) <= 1.1 * short
    project.close()
    Auditor(path).look()


def _count(steps: list[int]) -> Callable[[], int]:
    return lambda: steps.append(1) or 0  # type: ignore[func-returns-value]


def _steps_of_a_write(project: Project, steps: list[int]) -> int:
    """Count the steps that SQLite's machine takes for one write."""
    steps.clear()
    actions.comment(project, 1, actor("bob"), "Hello.")
    return len(steps)


def add_comments(path: Path, times: int) -> None:
    """Write comments to the log by SQL, as the door writes them."""
    connection = sqlite3.connect(path)
    seq, head = connection.execute("SELECT seq, digest FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    (state,) = connection.execute("SELECT state FROM audit WHERE play_id = 1 ORDER BY seq DESC").fetchone()
    for number in range(seq + 1, seq + 1 + times):
        says = ["2026-01-01T00:00:00Z", "bob", actor("bob").proof, "comment", 1, '{"text":"x"}']
        content = digest_of(canonical([*says, digest_of("{}"), state]))
        before, head = head, digest_of(canonical([number, head, content]))
        connection.execute(
            f"INSERT INTO audit VALUES ({', '.join('?' * 11)})", (number, *says, "{}", state, before, head)
        )
    connection.commit()
    connection.close()


def test_what_another_adds_to_the_log_counts_at_the_next_write(path: Path) -> None:
    """What the log said is remembered from one write to the next; a builder whom only the log names is one still."""
    project, other = Project.open(path), Project.open(path)
    assert "bob" not in project.dossier(2).builders
    actions.assign_role(other, 2, actor("sam"), Role.DRIVER, "bob")
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER builder_never_deleted")
    connection.execute("DELETE FROM builder WHERE person_id = 'bob'")
    connection.commit()
    connection.close()
    assert "bob" in project.dossier(2).builders
    for each in (project, other):
        each.close()


def test_a_file_that_was_put_away_under_an_open_project_is_not_written_to(path: Path) -> None:
    project = Project.open(path)
    actions.comment(project, 1, actor("bob"), "To the first.")
    copy = path.with_name("copy.distill")
    backup(project, copy)
    path.rename(path.with_name("away"))
    with pytest.raises(ProjectError, match="is gone; put it back"):
        actions.comment(project, 1, actor("bob"), "To nowhere.")
    copy.rename(path)
    before = project.dossier(1).project.audit_size
    actions.comment(project, 1, actor("bob"), "To the second.")
    assert project.dossier(1).project.audit_size == before + 1 == Auditor(path).rows()["audit"][-1][0]
    project.close()


# --- clocks --------------------------------------------------------------------------------------------------------

DAY = 86_400
MOVES = {"an hour": 3600, "a day": DAY, "over a leap day": 1187 * DAY, "past 2038": 4500 * DAY}


def at(seconds: float) -> str:
    """The wall clock when it was set by so many seconds."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture(scope="module")
def made_queued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A play with a frozen data set, whose first run is not started yet."""
    folder = tmp_path_factory.mktemp("queued") / "made"
    folder.mkdir()
    traffic, project = write_traffic(folder / "calls.jsonl"), found(folder / NAME)
    drive_to_data(project, open_play(project), traffic)
    data_runs.freeze_data(project, 1, actor("dan"))
    project.close()
    return folder


@pytest.fixture
def queued(made_queued: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    shutil.copytree(made_queued, tmp_path / "made")
    monkeypatch.setattr(local, "start", lambda project, run: None)  # its worker is on its way, or dead
    return Project.open(tmp_path / "made" / NAME)


@pytest.mark.parametrize("move", [sign * move for move in MOVES.values() for sign in (1, -1)])
def test_a_clock_that_is_set_takes_no_run_from_its_worker(
    queued: Project, move: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = actions.start_run(queued, 1, actor("dan"), SPEC)
    monkeypatch.setattr(project_file, "now", lambda: at(move))
    assert local.reap(queued) == []  # the worker is on its way
    monkeypatch.setattr(project_file, "now", lambda: at(2 * move))
    assert local.reap(queued) == []
    claimed = Claim.take(queued, run)
    assert claimed is not None
    claimed.report(1, 2, "half", always=True)
    held = local.lock(queued.artifacts.run_folder(run))
    assert held is not None
    claimed.end(Action.FINISH_RUN, RunStatus.FINISHED, lambda change, row: None)
    os.close(held)
    entries = Auditor(queued.path).rows()["audit"]
    assert [entry[0] for entry in entries] == list(range(1, len(entries) + 1))
    Auditor(queued.path).look()
    queued.close()


@pytest.mark.parametrize("move", [sign * move for move in MOVES.values() for sign in (1, -1)])
def test_a_run_that_was_queued_by_a_clock_that_went_wrong_is_given_up_in_time(
    queued: Project, move: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as wrong:
        wrong.setattr(project_file, "now", lambda: at(move))
        run = actions.start_run(queued, 1, actor("dan"), SPEC)
    assert local.reap(queued) == []
    later = time.monotonic() + local.GRACE
    monkeypatch.setattr(local.time, "monotonic", lambda: later)
    assert local.reap(queued) == [run]
    actions.resume_run(queued, 1, actor("dan"), run)
    assert local.reap(queued) == []  # queued again: its second worker has the same time
    queued.close()


def test_a_worker_of_before_the_last_start_of_the_machine_is_not_waited_for(
    queued: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = actions.start_run(queued, 1, actor("dan"), SPEC)
    assert local.reap(queued) == []
    (tmp_path / "boot").write_text("another start\n")
    monkeypatch.setattr(local, "BOOT", tmp_path / "boot")
    assert local.reap(queued) == [run]
    queued.close()


def test_the_doctor_names_a_clock_that_is_behind_the_log(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project.open(path)
    with monkeypatch.context() as ahead:
        ahead.setattr(project_file, "now", lambda: at(3600))
        actions.comment(project, 1, actor("bob"), "From the future.")
    project.close()
    assert wrong(path)["clock"].startswith("60 minutes behind the newest entry of the log")


# --- what the doctor names -----------------------------------------------------------------------------------------


def change_in_spite(path: Path, table: str, change: str) -> None:
    """Change the row of play 1 that is fixed, with the guard out of the way and put back, as another program could."""
    connection, name = sqlite3.connect(path), f"{table}_fixed_update"
    (guard,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
    connection.execute(f"DROP TRIGGER {name}")
    assert connection.execute(f"UPDATE {table} SET {change} WHERE play_id = 1").rowcount == 1
    connection.execute(guard)
    connection.commit()
    connection.close()


def test_the_doctor_finds_nothing_wrong_with_a_sound_file(path: Path) -> None:
    assert wrong(path) == {}


@pytest.mark.parametrize(
    "change",
    [
        "facts = replace(facts, 'dan', 'bob')", "facts = '{}'", "locked_by = 'bob'",
        "locked_at = '2020-01-01T00:00:00Z'",
    ],
)  # fmt: skip
def test_what_a_lock_fixed_besides_the_gate_is_compared_with_the_log(path: Path, change: str) -> None:
    change_in_spite(path, "gate", change)
    assert "The row gate 1 differs from entry" in wrong(path)["audit log"]


@pytest.mark.parametrize("change", ["counts = '{}'", "labels = '[]'", "round = 2", "built_at = '2020-01-01T00:00:00Z'"])
def test_what_a_freeze_fixed_besides_the_rows_is_compared_with_the_log(path: Path, change: str) -> None:
    change_in_spite(path, "data_set", change)
    assert "The row data set 1 differs from entry" in wrong(path)["audit log"]


def test_a_schema_that_is_no_text_any_more_is_one_line(path: Path) -> None:
    Project.open(path).close()  # the last to close writes the log back into the file
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE person", b"\x96" * 19))
    with pytest.raises(ProjectError, match="not a readable project file"):
        Project.open(path)
    assert "not a readable project file" in wrong(path)["project file"]


def test_a_file_that_lost_its_write_ahead_log_is_opened_with_one(path: Path) -> None:
    with sqlite3.connect(path) as other:  # as a disk that failed at the end of a making leaves it
        assert other.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
    other.close()
    assert wrong(path) == {"journal": "journal mode is delete, not wal; opening the file mends it"}
    Project.open(path).close()
    assert not wrong(path)


def test_the_doctor_names_an_artifact_that_was_altered_or_is_gone(path: Path) -> None:
    folder = path.with_name(f"{NAME}.artifacts")
    for at, file in enumerate(sorted(each for each in folder.iterdir() if each.is_file() and len(each.name) == 64)):
        if at % 2:
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert set(wrong(path)) == {"artifact"}


def test_the_doctor_names_artifacts_that_were_swapped(path: Path) -> None:
    folder = path.with_name(f"{NAME}.artifacts")
    one, other = sorted(each for each in folder.iterdir() if each.is_file() and len(each.name) == 64)[:2]
    one.rename(folder / "aside")
    other.rename(one)
    (folder / "aside").rename(other)
    said = [finding.says for finding in doctor.file(path) if not finding.ok]
    assert len(said) == 2 and all(name[:12] in " ".join(said) for name in (one.name, other.name))


@pytest.mark.parametrize("value", ["'soon'", "NULL"])
def test_the_doctor_names_a_time_of_the_log_that_is_none(path: Path, value: str) -> None:
    """NULL stands in no column by SQL, but a byte that the disk changed can make it so."""
    with closing(sqlite3.connect(path, isolation_level=None)) as loose:
        for (name,) in loose.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"):
            loose.execute(f"DROP TRIGGER {name}")
        loose.execute("PRAGMA writable_schema = ON")
        loose.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '') WHERE name = 'audit'")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(f"UPDATE audit SET at = {value} WHERE seq = (SELECT max(seq) FROM audit)")
    assert {"schema guards", "audit log"} <= set(wrong(path))


def test_a_text_that_is_not_utf_8_is_one_line_on_each_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        guards = other.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'evaluation'")
        for (name,) in guards.fetchall():
            other.execute(f"DROP TRIGGER {name}")
        other.execute("PRAGMA ignore_check_constraints = ON")
        assert other.execute("UPDATE evaluation SET record = CAST(x'ff' AS TEXT)").rowcount
    for words in (["list"], ["show", "P-001"], ["next", "P-001"], ["comment", "P-001", "x"]):
        code, said = main(["--project", str(path), *words]), capsys.readouterr().err
        assert code == 0 or (len(said.splitlines()) == 1 and "not UTF-8" in said), words
    assert code and all(len(says.splitlines()) == 1 for says in wrong(path).values())


def test_the_doctor_names_a_symbolic_link(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")
    assert "symbolic link" in wrong(path)["project file"]


def test_the_doctor_names_a_disk_that_is_nearly_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "free", lambda folder: 5_000_000)
    assert wrong(path)["room"].startswith("5 MB free; a run may need 200 MB")


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_a_network_file_system_is_refused_with_its_name(path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = path.with_name("mounts")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {path.parent.parent} {kind} rw 0 0\n")
    monkeypatch.setattr(disks, "MOUNTS", mounts)
    with pytest.raises(ProjectError, match=rf"network file system \({kind}\)"):
        check(path)
    assert f"({kind})" in wrong(path)["project file"]
    mounts.write_text(mounts.read_text() + f"/dev/sdb {path.parent} xfs rw 0 0\n")  # a local disk inside it is fine
    check(path)


def test_a_mount_whose_name_has_a_blank_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {tmp_path}/our\\040share nfs rw 0 0\n")
    monkeypatch.setattr(disks, "MOUNTS", mounts)
    assert disks.network(tmp_path / "our share" / "team.distill") == "nfs"
    assert disks.network(tmp_path / "our") == ""


def test_the_doctor_names_a_login_manager_that_kills_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "logind.conf").write_text("[Login]\nKillUserProcesses = yes\n")
    monkeypatch.setattr(doctor, "LOGIND", tmp_path / "logind.conf")
    found = {each.name: each for each in doctor.machine()}
    assert not found["after logout"].ok and "enable-linger" in found["after logout"].says


def test_statistics_of_the_planner_are_no_intrusion(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("ANALYZE")
    connection.close()
    assert wrong(path) == {}


def test_what_a_killed_import_left_is_told_and_does_no_harm(path: Path) -> None:
    left = path.with_name(f"{NAME}.artifacts") / ".tmp-x"
    left.mkdir()
    (left / "traffic.parquet").write_bytes(b"half")
    assert {f.name: f.says for f in doctor.file(path)}["work files"].startswith("1 work files")
    assert wrong(path) == {} and left.exists()


# --- what another program wrote over a column -------------------------------------------------------------------------

COLUMNS = (
    "gate.content gate.facts traffic.report data_set.labels data_set.counts run.spec run.result spot_check.content "
    "watch.plan watch.state watch.findings remedy.detail audit.detail"
)
QUESTIONS = (
    "list", "log", "verify", "show P-001", "next P-001", "why P-001 ship", "roster show P-001", "gate show P-001",
    "data show P-001", "data audit P-001", "train status P-001", "eval show P-001", "live P-001", "--json show P-001",
)  # fmt: skip


def damaged(path: Path, column: str, value: str = "[]") -> None:
    """Write over a column of every row, as a person with another program can who drops the guards."""
    table, name = column.split(".")
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger}")
    assert connection.execute(f"UPDATE {table} SET {name} = ?", (value,)).rowcount > 0
    connection.commit()
    connection.close()


@pytest.mark.parametrize("column", COLUMNS.split())
def test_a_column_that_holds_something_else_is_never_more_than_one_line(
    path: Path, column: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged(path, column)
    for question in QUESTIONS:
        code = main(["--project", str(path), *question.split()])
        said = capsys.readouterr().err.splitlines()
        assert code in (cli.DONE, cli.FAILED, cli.BAD_INPUT, cli.ALARM, cli.DUE), (question, code, said)
        assert code != cli.BAD_INPUT or (len(said) == 1 and said[0].endswith("a backup.")), (question, said)


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (
            "run.result",
            r"The result of run 6 is not what this release writes \(it is 7\); restore a backup\.",
        ),
        ("data_set.counts", r"The count of data set 1 is not what this release writes \(it is 7\); restore a backup\."),
        ("data_set.labels", "The labels of data set 1 is not a JSON list in the project file; restore a backup."),
    ],
)
def test_no_bundle_is_written_from_a_column_that_holds_something_else(
    path: Path, tmp_path: Path, column: str, told: str
) -> None:
    damaged(path, column, "7")
    project = Project.open(path)
    seen = project.dossier(1)
    signed = seen.sign_offs[-1]
    with pytest.raises(ProjectError, match=told):
        write_content(tmp_path / "bundle", project.artifacts, seen, signed, [])
    project.close()


def test_quality_that_cannot_be_read_is_not_shown() -> None:
    play = a_play(Stage.DECIDE)
    for written in ("[]", "{", trained().replace("0.9", '"much"'), trained(0.5)):
        run = a_run(1, RunKind.TRAIN, RunStatus.FINISHED, result=written, artifact="sha256:" + 64 * "0")
        seen = headline.of(PlayDossier(project=PROJECT, play=play, runs=(run,)))
        assert seen.student == (0.5 if "0.5" in written else None)


# --- what comes in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trick", ["pipe", "link"])
def test_a_model_folder_with_a_pipe_or_a_link_is_refused_and_not_waited_for(tmp_path: Path, trick: str) -> None:
    (tmp_path / "config.json").write_text('{"id2label": {"0": "no"}}')
    weights = tmp_path / "model.safetensors"
    os.mkfifo(weights) if trick == "pipe" else weights.symlink_to("/dev/zero")
    for check_folder in (check_model_folder, check_encoder_folder, check_causal_folder):
        assert str(check_folder(tmp_path)).startswith(f"{weights} is ")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors.index.json", '{"weight_map": {"a": "weights.bin"}}'),
        ("model.safetensors.index.json", '{"weight_map": {"a": "../model.safetensors"}}'),
        ("model.safetensors.index.json", '{"weight_map": ["weights.bin"]}'),
        ("model.safetensors.index.json", "no json"),
        ("adapter_config.json", "{}"),
    ],
)
def test_weights_that_lie_elsewhere_or_are_a_pickle_are_never_loaded(tmp_path: Path, name: str, content: str) -> None:
    labels = {"id2label": {"0": "no", "1": "yes"}, "architectures": ["BertForSequenceClassification"]}
    (tmp_path / "config.json").write_text(json.dumps(labels))
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (tmp_path / "weights.bin").write_bytes(pickle.dumps([1.0]))
    assert check_model_folder(tmp_path) is None
    (tmp_path / name).write_text(content)
    for check_folder in (check_model_folder, check_encoder_folder, check_causal_folder):
        assert str(check_folder(tmp_path)).startswith(f"{tmp_path / name} ")


def test_every_model_is_loaded_without_code_and_from_this_machine_only() -> None:
    house = Path(local.__file__).parents[2]
    everything = "".join(path.read_text() for path in house.rglob("*.py"))
    assert not re.search(
        r"import pickle|pickle\.load|torch\.load|joblib\.load|allow_pickle|remote_code\W+True", everything
    )
    text = "".join(path.read_text() for path in (house / "training").rglob("*.py"))
    calls = text.replace("nn.Embedding.from_pretrained(", "").split("from_pretrained(")[1:]  # that one takes a tensor
    assert calls and all("**LOCAL" in call[:120] for call in calls)
    assert 'LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}' in text


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.csv", "calls.parquet"])
def test_a_pipe_is_no_traffic_and_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(records.BadInput, match="is not a file"):
        readers.guess_mapping(tmp_path / name)


def test_a_name_that_is_not_known_is_quoted_in_one_line() -> None:
    for read in (from_json, from_toml, Spec.from_json):
        body = '"new\\nline" = 1' if read == from_toml else '{"new\\nline": 1}'
        with pytest.raises(ValueError, match=r"'new\\nline'") as error:
            read(body)
        assert "\n" not in str(error.value)
