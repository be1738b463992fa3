"""Disks that fail, kill or interrupt: the k-th call of every deed, for every k; and disks that are full.

    python proofs/storms_disk.py                           # every k, and 1,000 points of a small tmpfs (needs root)
    python proofs/storms_disk.py --scale 0.1               # every tenth k, 100 points
    python proofs/storms_disk.py --only "killed at: ship"  # the lines whose name holds this word

Three things are done at each call. It fails (ENOSPC, EIO; once, and for good): a write, a sync, a rename, a link, a new
folder. A signal interrupts it (EINTR): a read, an opening and a lock too. The process is killed there: before a removal
too. After each the project must be as it was or as it should be, a fault must have been told in one line, and the deed
must be possible once the disk is well again. A training that goes on ends with the same bits as one left alone. The
failing disk is `failing_disk.c`, loaded before libc.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import storms_files
import storms_teacher
from distill_tui import actions
from distill_tui.cli import call
from distill_tui.digests import folder_digest
from distill_tui.rules.actor import Actor
from distill_tui.rules.objection import Refused
from distill_tui.runs import claim, worker
from distill_tui.runs.executors import local
from distill_tui.store.backup import backup
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import RunKind, RunStatus, TeacherSource
from support import data_runs
from support.stories import SPEC
from support.story import actor
from trials import (
    DEEDS,
    MEMORY,
    NAME,
    Child,
    Deed,
    Row,
    again_with,
    beginnings,
    blow,
    fresh,
    is_done,
    run_on,
    see_whole,
    table,
    trouble,
    words,
)

WAYS = {"failing disk": (errno.ENOSPC, errno.EIO), "interrupted at": (errno.EINTR,), "killed at": (0,)}
SMALL = replace(SPEC, hidden=16, depth=1, vocabulary=300, epochs=2, batch_size=128, controls=())  # four steps in all
ASKED = 6  # inputs that are labelled; each answer is kept by itself, so that more would only be more of the same


@dataclass(frozen=True)
class Fault:
    """What happens at which call: an errno, or 0 for the end of the process; once, or at each later one too."""

    k: int
    error: int
    good: bool = False

    def __str__(self) -> str:
        how = errno.errorcode[self.error] if self.error else "killed"
        return f"call {self.k}, {how}{' for good' if self.good else ''}"


Trial = Callable[[Fault], tuple[str, int, str]]  # what was told, how many calls there were, what was wrong after


def faults(way: str, count: int, scale: float) -> Iterator[Fault]:
    """Name every fault of so many calls; what interrupts or kills does so once."""
    for k in range(1, count + 1, max(1, round(1 / scale))):
        for error in WAYS[way]:
            for good in (False, True) if way == "failing disk" else (False,):
                yield Fault(k, error, good)


def told_in_one_line(error: Exception) -> bool:
    """See that a front end has one line for this, and no traceback."""
    if isinstance(error, Refused):
        return False  # the rules have no part in it
    at = call.Call()
    at.project_file = NAME
    said = call.bad_input(error, at)
    return said is not None and "\n" not in said


def attempt(do: Callable[[], object], disk: ctypes.CDLL, fault: Fault) -> tuple[str, int]:
    """Do something on a disk that has a fault, in a child; gives what it told, and how many calls there were."""

    def child(tell: Callable[[str], None]) -> None:
        try:
            disk.disk_arm(fault.k, fault.error, int(fault.good))
            do()
            said = "done"
        except Exception as error:
            said = "told" if told_in_one_line(error) else f"untold: {type(error).__name__}: {error!s:.200}"
        count = disk.disk_calls()
        disk.disk_arm(-1, 0, 0)
        tell(f"{count} {said}")

    made = Child(child)
    made.go()
    line = (made.end() or [f"0 {'nothing was told' if fault.error else 'killed'}"])[-1]
    count, _, said = line.partition(" ")
    return (said, int(count)) if count.isdigit() else (line, 0)


def tried(name: str, way: str, scale: float, one: Trial, *, first: bool) -> Row:
    """Try a deed with every fault, or until the first one that costs something."""
    said, count, wrong = one(Fault(0, WAYS[way][0]))
    assert said == "done" and count > 3 and not wrong, (name, said, count, wrong)
    ends, lost, times = dict.fromkeys(("done", "told", "killed"), 0), [], 0
    for fault in faults(way, count, scale):
        said, _, wrong = one(fault)
        times += 1
        if said in ends:
            ends[said] += 1
        else:
            lost.append(f"{fault} of {count}: {said}")
        lost += [f"{fault} of {count}: {wrong}"] if wrong else []
        if lost and first:
            break
    how = ", ".join(f"{number} {'done in spite' if end == 'done' else end}" for end, number in ends.items() if number)
    return Row(f"{way}: {name}", times, f"each of {count} calls; {how}", lost)


def of_a_deed(deed: Deed, kept: dict[str, Path], parent: Path, disk: ctypes.CDLL) -> Trial:
    """Do a deed of an open project."""

    def one(fault: Fault) -> tuple[str, int, str]:
        folder = fresh(kept[deed.begins], parent)
        said, count = attempt(lambda: deed.do(Project.open(folder / NAME)), disk, fault)
        copy = _copy_of(folder / NAME)
        wrong = trouble(copy) if copy.exists() else ""
        wrong = wrong or see_whole(folder, deed, said == "done")
        shutil.rmtree(folder.parent)
        return said, count, wrong

    return one


# --- more deeds -----------------------------------------------------------------------------------------------------


def _label(project: Project) -> None:
    """Label as a worker does, from the claim to the end that it tells."""
    run = run_on(project, RunKind.LABEL)
    if worker.main([str(project.path), str(run)]):
        raise ProjectError(project.dossier(1).run(run).message or "")  # type: ignore[union-attr]


def _copy_of(path: Path) -> Path:
    return path.with_name("copy.distill")


def _back_up(project: Project) -> None:
    """Back up, once what a killed backup left was moved away, as its user is told to."""
    copy = _copy_of(project.path)
    if not copy.exists():
        shutil.rmtree(f"{copy}.artifacts", ignore_errors=True)
    backup(project, copy)


MORE = {
    "labelling": Deed("asked", _label, "SELECT 1 FROM run WHERE kind = 'label' AND status = 'finished'"),
    "backup": Deed("signed", _back_up, lambda path: _copy_of(path).exists()),
}


def _train(project: Project) -> None:
    """Train as a worker does; whatever ends it early is told by the run, see `told_by_the_run`."""
    if worker.main([str(project.path), str(run_on(project, RunKind.TRAIN))]):
        raise ProjectError("the run says more")


TRAINING = Deed("to train", _train, "SELECT 1 FROM run WHERE kind = 'train' AND status = 'finished'")


def of_a_training(kept: dict[str, Path], parent: Path, disk: ctypes.CDLL) -> Trial:
    """Train a real student with a checkpoint after each step; what goes on must end with the bits of one left alone."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads would not survive a fork
    from distill_tui.training import loop

    loop.CHECKPOINT_SECONDS, claim.EVERY, claim.BEAT = 0.0, 1e6, 1e6  # so that no call hangs on time
    kept["to train"] = fresh(kept["frozen"], parent)
    project = Project.open(kept["to train"] / NAME)
    actions.start_run(project, 1, actor("dan"), SMALL)
    project.close()
    alone = fresh(kept["to train"], parent)
    project = Project.open(alone / NAME)
    _train(project)  # in this process, so that the children need no imports
    project.close()
    wanted = what_came_out(alone)

    def one(fault: Fault) -> tuple[str, int, str]:
        folder = fresh(kept["to train"], parent)
        said, count = attempt(lambda: _train(Project.open(folder / NAME)), disk, fault)
        if said not in ("done", "killed"):  # an end that the worker told of, or could not: the run must say which
            said = told_by_the_run(folder / NAME)
        wrong = half_named(folder, wanted) or see_whole(folder, TRAINING, said == "done")
        if not wrong and what_came_out(folder) != wanted:
            wrong = "it ended with other bits than the one left alone"
        shutil.rmtree(folder.parent)
        return said, count, wrong

    return one


def what_came_out(folder: Path) -> tuple[str | None, bytes, bytes]:
    """Give what must be the same: the student, the tensors of the last checkpoint, and its facts."""
    project = Project.open(folder / NAME)
    run = project.dossier(1).runs[-1]
    newest = sorted((project.artifacts.run_folder(run.id) / "scratch" / "checkpoints").glob("step-*"))[-1]
    project.close()
    return run.artifact, (newest / "state.safetensors").read_bytes(), (newest / "manifest.json").read_bytes()


def half_named(folder: Path, wanted: tuple[str | None, bytes, bytes]) -> str:
    """Say which checkpoint or student has its name and is not whole."""
    place = folder / f"{NAME}.artifacts" / "runs" / "1" / "scratch"
    for checkpoint in (place / "checkpoints").glob("step-*"):
        try:
            facts = json.loads((checkpoint / "manifest.json").read_text())
            tensors = (checkpoint / "state.safetensors").read_bytes()
        except (OSError, ValueError) as error:
            return f"{checkpoint.name} has its name and is not whole: {error}"
        if hashlib.sha256(tensors).hexdigest() != facts["sha256"]:
            return f"{checkpoint.name} has its name, and other tensors than it says"
    student = place / "student"
    return "half a student has its name" if student.exists() and folder_digest(student) != wanted[0] else ""


def told_by_the_run(path: Path) -> str:
    """See that a run which ended early says in one line what happened, without Python's words for it.

    Where only the last sync of its end failed, the end is in the file all the same, and must hold like any other.
    """
    project = Project.open(path)
    local.reap(project)
    run = project.dossier(1).runs[-1]
    project.close()
    if run.status is RunStatus.FINISHED:
        return "done"
    if run.status not in (RunStatus.FAILED, RunStatus.LOST, RunStatus.QUEUED):
        return f"untold: the run is {run.status.value}"
    said = [each for each in (run.message, run.error) if each]
    strange = [each for each in said if "\n" in each or re.match(r"\w*(Error|Exception): ", each)]
    return f"untold: {strange[0]:.200}" if strange else "told"


def asked(kept: dict[str, Path], folder: Path) -> Child:
    """Make a play whose labelling is queued, and the endpoint that it asks; gives the endpoint's process."""
    log = folder / "paid.jsonl"
    log.touch()
    endpoint = Child(lambda tell: storms_teacher.serve(log, tell))
    endpoint.go()
    kept["asked"] = fresh(kept["locked"], folder)
    calls_file, path = kept["asked"] / "calls.jsonl", kept["asked"] / NAME
    calls_file.write_text("".join(calls_file.read_text().splitlines(keepends=True)[:ASKED]))
    project = Project.open(path)
    data_runs.import_traffic(project, 1, actor("dan"), calls_file)
    project.close()
    url = endpoint.line()
    teacher = storms_teacher.Described(
        TeacherSource.ENDPOINT, "tiny", storms_teacher.LABELS, storms_teacher.TEMPLATES[TeacherSource.ENDPOINT], url
    )
    storms_teacher.LIMITS["concurrency"] = "1"  # so that the calls come in the same order each time
    storms_teacher.prepare(path, teacher)
    return endpoint


def of_an_init(parent: Path, disk: ctypes.CDLL) -> Trial:
    """Make a project file, which is brought up to the newest format from nothing."""

    def one(fault: Fault) -> tuple[str, int, str]:
        folder = Path(tempfile.mkdtemp(dir=parent))
        path = folder / NAME

        def make() -> Project:
            return Project.create(path, "x", "mia", "Mia", Actor(None, "account"))

        said, count = attempt(make, disk, fault)
        wrong = "said to be made, and is not" if said == "done" and not path.exists() else ""
        try:
            (Project.open(path) if path.exists() else make()).close()
        except Exception as error:
            wrong = wrong or f"it cannot be made any more: {type(error).__name__}: {error}"
        wrong = wrong or trouble(path)
        shutil.rmtree(folder)
        return said, count, wrong

    return one


def of_an_upgrade(kept: dict[str, Path], parent: Path, disk: ctypes.CDLL) -> Trial:
    """Open a file of an older format: there is one more step of `migrations` than when it was made."""
    storms_files.expect_one_more_step()

    def one(fault: Fault) -> tuple[str, int, str]:
        folder = fresh(kept["signed"], parent)
        path = folder / NAME
        length = len(storms_files.entries(path))
        said, count = attempt(lambda: Project.open(path), disk, fault)
        wrong = storms_files.upgraded(path, length) if said == "done" else ""
        try:
            Project.open(path).close()
        except Exception as error:
            wrong = wrong or f"it does not open any more: {type(error).__name__}: {error}"
        wrong = wrong or trouble(path) or storms_files.upgraded(path, length)
        shutil.rmtree(folder.parent)
        return said, count, wrong

    return one


# --- full -----------------------------------------------------------------------------------------------------------


def full(kept: dict[str, Path], times: int, chance: Random) -> Row:
    """Fill a small disk to some random byte, try a deed, make room again."""
    mount = Path(tempfile.mkdtemp())
    size = 6 << 20
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(mount)], capture_output=True)
    if made.returncode:
        mount.rmdir()
        return Row("full disk", 0, "not tried: to mount a small tmpfs needs root", [])
    lost, told, done = [], 0, 0
    try:
        for _ in range(times):
            deed = DEEDS[name := chance.choice(sorted(DEEDS))]
            folder = fresh(kept[deed.begins], mount)
            _fill(mount, chance.randint(0, 200_000))

            def do(tell: object, deed: Deed = deed, folder: Path = folder) -> None:
                try:
                    deed.do(Project.open(folder / NAME))
                    said = "done"
                except Exception as error:
                    said = "told" if told_in_one_line(error) else f"untold: {type(error).__name__}: {error!s:.200}"
                tell(said)  # type: ignore[operator]

            child = Child(do)
            child.go()
            said = (child.end() or ["nothing was told"])[-1]
            (mount / "filler").unlink()
            told, done = told + (said == "told"), done + is_done(folder / NAME, deed)
            if said not in ("done", "told"):
                lost.append(f"{name}: {said}")
            wrong = see_whole(folder, deed, said == "done")
            lost += [f"{name}: {wrong}"] if wrong else []
            shutil.rmtree(folder.parent)
    finally:
        subprocess.run(["umount", str(mount)], check=True)
        mount.rmdir()
    lost += [] if told > times / 5 else [f"only {told} were told that the disk is full"]
    return Row("full disk", times, f"{told} were told so, {done} had room enough", lost)


def _fill(mount: Path, left: int) -> None:
    """Write until only so many bytes are left."""
    stat = os.statvfs(mount)
    with (mount / "filler").open("wb", buffering=0) as filler:
        room = stat.f_bavail * stat.f_frsize - left
        while room > 0:
            room -= filler.write(bytes(min(room, 1 << 16)))


# --- the table ------------------------------------------------------------------------------------------------------


def main() -> int:
    parser = words(__doc__)
    parser.add_argument("--first", action="store_true", help="stop at the first loss")
    given = parser.parse_args()
    if "DISK" not in os.environ:
        return again_with("failing_disk.c", "DISK")
    disk = ctypes.CDLL(os.environ["DISK"])
    disk.disk_calls.restype = ctypes.c_long
    disk.disk_arm.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_int)
    worker.os.nice = lambda more: 0  # type: ignore[attr-defined]  # a worker that labels is this very process here,
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # which keeps the lock of each run that it had
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        kept = beginnings(Path(folder))
        (parent := Path(folder) / "trials").mkdir()
        endpoint = asked(kept, Path(folder))
        try:
            return table(blow(storms(kept, parent, given, disk, Random(given.seed)), given.only))
        finally:
            endpoint.kill()
            endpoint.end()


def storms(
    kept: dict[str, Path], parent: Path, given: Namespace, disk: ctypes.CDLL, chance: Random
) -> dict[str, Callable[[], Row]]:
    """Name every storm; the upgrade last, for it changes what an opening is."""
    found: dict[str, Callable[[], Row]] = {}
    ones: dict[str, Callable[[], Trial]] = {
        name: lambda deed=deed: of_a_deed(deed, kept, parent, disk)  # type: ignore[misc]
        for name, deed in (DEEDS | MORE).items()
    }
    ones |= {"a training": lambda: of_a_training(kept, parent, disk)}
    ones |= {"init": lambda: of_an_init(parent, disk), "upgrade": lambda: of_an_upgrade(kept, parent, disk)}
    found["full disk"] = lambda: full(kept, max(10, round(1000 * given.scale)), chance)
    for name, one in ones.items():
        for way in WAYS:
            found[f"{way}: {name}"] = lambda name=name, way=way, one=one: tried(  # type: ignore[misc]
                name, way, given.scale, one(), first=given.first
            )
    return found


if __name__ == "__main__":
    sys.exit(main())
