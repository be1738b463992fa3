"""Bad luck and bad disks, each a few times: killed writers, copies made while others write, what the doctor names.

The same is done by the thousand in `benchmarks/storms.py` and `benchmarks/flips.py`.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from distill_tui import actions, disks, doctor, gates, launch
from distill_tui.backup import backup
from distill_tui.cli import main
from distill_tui.dataset import readers
from distill_tui.project import Project, ProjectError, check
from distill_tui.spec import Spec
from distill_tui.training.folders import check_encoder_folder, check_model_folder
from stories import Auditor
from story import actor
from test_project import NAME, make


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "start", lambda project, run: None)
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
    assert copied.trouble == "" and copied.head == project.dossier().audit_head
    project.close()
    assert Auditor(tmp_path / "copy.distill").rows() == Auditor(path).rows()
    assert wrong(tmp_path / "copy.distill") == {}
    assert not list(tmp_path.glob(".*"))


WRITER = """
import sys
from pathlib import Path
from distill_tui import actions
from distill_tui.project import Project
from distill_tui.rules import Actor
project, number = Project.open(Path(sys.argv[1])), 0
while True:
    actions.comment(project, 1, Actor("bob", "account"), f"number {number}")
    print(number, flush=True)
    number += 1
"""


def a_writer(path: Path) -> subprocess.Popen[str]:
    """Start somebody who comments as fast as the file allows, and says after each commit that it is kept."""
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)


def test_a_backup_made_while_others_write_is_of_one_moment(path: Path, tmp_path: Path) -> None:
    writer, project = a_writer(path), Project.open(path)
    assert writer.stdout is not None
    for copy in range(3):
        writer.stdout.readline()
        target = tmp_path / f"copy{copy}.distill"
        assert backup(project, target).trouble == ""
        Auditor(target).look()
        assert wrong(target) == {}
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
    assert code == 1 and "not whole: The guard “gate_fixed_update”" in capsys.readouterr().err
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
from distill_tui.project import Project
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
    actions.comment(project, 1, actor("bob"), "Hello.")  # the turn that was given up keeps nobody out
    actions.comment(project, 1, actor("bob"), "Hello again.")
    project.close()
    Auditor(path).look()


# --- what the doctor names -----------------------------------------------------------------------------------------


def test_the_doctor_finds_nothing_wrong_with_a_sound_file(path: Path) -> None:
    assert wrong(path) == {}


def test_the_doctor_names_an_artifact_that_was_altered_or_is_gone(path: Path) -> None:
    folder = path.with_name(f"{NAME}.artifacts")
    for at, file in enumerate(sorted(each for each in folder.iterdir() if each.is_file() and len(each.name) == 64)):
        if at % 2:
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert set(wrong(path)) == {"artifact"}


def test_the_doctor_names_a_symbolic_link(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")
    assert "symbolic link" in wrong(path)["project file"]


def test_the_doctor_names_a_disk_that_is_nearly_full(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disks, "free", lambda folder: 5_000_000)
    assert wrong(path)["room"].startswith("5 MB free; a run may need 200")


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


# --- what comes in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trick", ["pipe", "link"])
def test_a_model_folder_with_a_pipe_or_a_link_is_refused_and_not_waited_for(tmp_path: Path, trick: str) -> None:
    (tmp_path / "config.json").write_text('{"id2label": {"0": "no"}}')
    weights = tmp_path / "model.safetensors"
    os.mkfifo(weights) if trick == "pipe" else weights.symlink_to("/dev/zero")
    for check_folder in (check_model_folder, check_encoder_folder):
        assert str(check_folder(tmp_path)).startswith(f"{weights} is ")


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.csv", "calls.parquet"])
def test_a_pipe_is_no_traffic_and_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(readers.BadInput, match="is not a file"):
        readers.guess_mapping(tmp_path / name)


def test_a_name_that_is_not_known_is_quoted_in_one_line() -> None:
    for read in (gates.from_json, gates.from_toml, Spec.from_json):
        body = '"new\\nline" = 1' if read == gates.from_toml else '{"new\\nline": 1}'
        with pytest.raises(ValueError, match=r"'new\\nline'") as error:
            read(body)
        assert "\n" not in str(error.value)
