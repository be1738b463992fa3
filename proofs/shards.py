"""Shards and Slurm under faults: torn shards, full disks, killed jobs and daemons, jobs that were taken over.

Of each run it is asked: is what came of it what one worker makes, to the bit, and was it counted once?
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from distill_tui import actions
from distill_tui.rules import entities
from distill_tui.runs import away
from distill_tui.runs.executors import files, local
from distill_tui.runs.executors.place import Place
from distill_tui.store import queries
from distill_tui.store.project import Project
from distill_tui.teachers import cache
from distill_tui.terms import Action, Executor, RunStatus
from kit import NAME, Bench, Row
from support import latency_play, slurm, small_disk, unlabelled_play
from support.latency_play import DAN
from support.live_play import workers_here
from support.training import made_teacher

SPEC = replace(latency_play.LONG, epochs=6, patience=6)
LONGEST = 300.0  # seconds that a run may take between two faults
AGAIN = (RunStatus.FAILED, RunStatus.STOPPED, RunStatus.LOST)


# --- labelling: what came back ---------------------------------------------------------------------------------------


class Labelling:
    """A play to label, and what its teacher answers when it is asked by one worker."""

    def __init__(self, folder: Path) -> None:
        os.environ["XDG_STATE_HOME"] = "/dev/null/nothing"  # each trial is a copy of one project
        with workers_here():
            project = unlabelled_play.made(folder / "play", made_teacher(folder / "teacher"))
            self.tried = self.answers(project)
            self.folder = shutil.copytree(folder / "play", folder / "before")
            actions.label(project, 1, DAN)
            self.right = self.answers(project)
            project.close()

    @staticmethod
    def answers(project: Project) -> dict[str, list[float]]:
        return cache.outputs(project.artifacts.folder, project.dossier(1).play.teacher_digest)

    def wrong(self, project: Project, *, finished: bool) -> str:
        """Return what is wrong with the answers that were taken in."""
        run, found = project.dossier(1).runs[-1], self.answers(project)
        if "\n" in (run.error or ""):
            return f"more than a line: {run.error}"
        if finished and (run.status is not RunStatus.FINISHED or found.keys() != self.right.keys()):
            return f"the run {run.status.value} with {len(found)} of {len(self.right)} answers: {run.error}"
        partly = run.status is RunStatus.STOPPED and "missing: shard" in run.message  # what is whole is taken in
        if not finished and (run.status not in AGAIN or not (partly or found == self.tried)):
            return f"the run {run.status.value} and took in {len(found) - len(self.tried)} answers: {run.error}"
        far = [digest for digest, row in found.items() if max(map(_apart, row, self.right[digest])) > 1e-5]
        return f"{len(far)} answers are not the teacher's" if far else ""


def _apart(one: float, other: float) -> float:
    return abs(one - other)


def torn(bench: Bench) -> Row:
    """Cut or change a file of a shard that came back: it is rejected in one line, or what counts is untouched."""
    row, play = Row("torn shards"), Labelling(bench.empty())
    with workers_here():
        start = bench.empty()
        project = Project.open(shutil.copytree(play.folder, start / "play") / NAME)
        place = Place(on=Executor.FILES, folder=str(start / "shards"), shards=2)
        run = actions.label(project, 1, DAN, where=place)
        project.close()
        for number in (1, 2):
            assert away.main([str(start / "shards" / f"shard-000{number}")]) == 0
        for _ in range(bench.times(100)):
            row.times += 1
            folder = shutil.copytree(start, bench.empty() / "trial")
            project = Project.open(folder / "play" / NAME)
            how = tear(folder / "shards", bench.chance)
            there = Place(on=Executor.FILES, folder=str(folder / "shards"))
            actions.resume_run(project, 1, DAN, run, there)
            accepted = project.dossier(1).runs[-1].status is RunStatus.FINISHED
            row.counts["accepted" if accepted else "rejected"] += 1
            row.check(play.wrong(project, finished=accepted), how)
            if not accepted:
                actions.resume_run(project, 1, DAN, run, replace(there, folder=str(start / "shards")))
                row.check(play.wrong(project, finished=True), f"{how}, then the whole ones")
            project.close()
            shutil.rmtree(folder.parent)
    row.detail = (
        f"{row.counts['rejected']} rejected, or named as missing, in one line, then the whole ones taken in; "
        f"{row.counts['accepted']} changed nothing that counts"
    )
    return row


def tear(folder: Path, chance: random.Random) -> str:
    """Cut a file of a job, change a byte of it, remove it, or put another shard's in its place."""
    shard, other = (folder / f"shard-000{number}" for number in chance.sample((1, 2), 2))
    inputs = json.loads((shard / files.SHARD).read_text())["traffic"][0]["artifact"].removeprefix("sha256:")
    name = chance.choice((files.SHARD, files.OUTCOME, files.ANSWERS, f"artifacts/{inputs}", f"../{files.JOB}"))
    path, how = shard / name, chance.choice(("cut", "changed", "removed", "of another"))
    content = bytearray(path.read_bytes())
    at = chance.randrange(len(content.rstrip()))
    if how == "removed":
        path.unlink()
    elif how == "of another" and (other / name).exists() and name != f"../{files.JOB}":
        shutil.copyfile(other / name, path)
    else:
        content[at:] = b"" if how == "cut" else bytes([content[at] ^ chance.randrange(1, 256), *content[at + 1 :]])
        path.write_bytes(content)
    return f"{name} {how} at {at}"


def full_disks(bench: Bench) -> Row:
    """Export to a disk of random size, work there, take in: each fault is a line, and with room the run goes on."""
    row, play = Row("full disk on the spool"), Labelling(bench.empty())
    with workers_here():
        for _ in range(bench.times(100)):
            row.times += 1
            project = Project.open(shutil.copytree(play.folder, bench.empty() / "play") / NAME)
            with small_disk.mounted(bench.empty() / "disk", bench.chance.randrange(50, 900)) as disk:
                place = Place(on=Executor.FILES, folder=str(disk.folder / "shards"))
                shard, run = disk.folder / "shards" / "shard-0001", actions.label(project, 1, DAN, where=place)
                if not (disk.folder / "shards" / files.JOB).exists():
                    row.counts["not written"] += 1
                    row.check(play.wrong(project, finished=False), "export")
                    disk.resize(20_000)
                    actions.resume_run(project, 1, DAN, run, place)
                    disk.fill(leaving=bench.chance.randrange(200_000))
                if away.main([str(shard)]):
                    row.counts["not worked on"] += 1
                    actions.resume_run(project, 1, DAN, run, place)
                    row.check(play.wrong(project, finished=False), "work")
                    disk.resize(40_000)
                    row.require(away.main([str(shard)]) == 0, "the shard does not go on with room")
                actions.resume_run(project, 1, DAN, run, place)
                row.check(play.wrong(project, finished=True), "import")
            project.close()
    row.detail = f"{row.counts['not written']} exports and {row.counts['not worked on']} shards met a full disk"
    return row


# --- training: killed, requeued, taken over --------------------------------------------------------------------------


@contextmanager
def training(bench: Bench) -> Iterator[tuple[Project, Right]]:
    """Yield a play with a frozen data set, its workers processes, and what is right."""
    folder = bench.empty()
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    with workers_here():
        project, _ = latency_play.frozen(folder)
        actions.start_run(project, 1, DAN, SPEC)
    right = Right.of(project, project.dossier(1).runs[-1].id)
    assert right.artifact and right.curve
    local.start = START
    try:
        yield project, right
    finally:
        for run in queries.active_runs(project):
            if run.pid is not None:
                os.kill(run.pid, signal.SIGKILL)
        project.close()


START = local.start


def disturbed(bench: Bench, row: Row, full: int, fault: Callable[[Project, entities.Run, Path], str]) -> Row:
    """Train on Slurm, with a fault at random moments until there were so many; each run must end right, and once."""
    with slurm.running(bench.empty() / "slurm"), training(bench) as (project, right):
        times = bench.times(full)
        while row.times < times:
            number = actions.start_run(project, 1, DAN, SPEC, Place(on=Executor.SLURM, memory_gb=1))
            end = time.monotonic() + LONGEST
            while (run := _settled(project, number, end)) is not None and run.status is not RunStatus.FINISHED:
                if run.status in AGAIN:
                    row.counts["resumed"] += 1
                    row.check(f"more than a line: {run.error}" if "\n" in (run.error or "") else None)
                    actions.resume_run(project, 1, DAN, number)
                elif row.times < times and (how := fault(project, run, _folder(project, number))):
                    row.times += 1
                    row.counts[how] += 1
                    end = time.monotonic() + LONGEST
                    time.sleep(bench.chance.uniform(0, 2))
            row.counts["runs"] += 1
            row.check(right.wrong(project, number), f"run {number}")
            if run is None:
                break
    faults = ", ".join(f"{count} {how}" for how, count in sorted(row.counts.items()) if how not in ("runs", "resumed"))
    row.detail = (
        f"{faults}; {row.counts['runs']} runs, resumed {row.counts['resumed']} times, each with the right student"
    )
    return row


def _folder(project: Project, number: int) -> Path:
    return project.artifacts.run_folder(number) / "shards"


def _settled(project: Project, number: int, end: float) -> entities.Run | None:
    """Wait a moment, and return the run as it stands; None where it takes too long."""
    time.sleep(0.1)
    local.reap(project)
    return queries.run(project, number) if time.monotonic() < end else None


@dataclass(frozen=True)
class Right:
    """What a run on this machine gives: its student's digest, and its curve on the validation split."""

    artifact: str | None
    curve: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, project: Project, number: int) -> Right:
        run = queries.run(project, number)
        points = [
            (each.step, each.validation) for each in queries.curve(project, number) if each.validation is not None
        ]
        return cls(run and run.artifact, tuple(points))

    def wrong(self, project: Project, number: int) -> str:
        """Return what is wrong with a run that ended: its student, its curve, how often its end is in the log."""
        run = queries.run(project, number)
        if run is None or run.status is not RunStatus.FINISHED:
            return f"it is {run and run.status.value}: {run and (run.error or run.message)}"
        log = [each for each in queries.entries(project, 1) if each.action is Action.FINISH_RUN]
        ends = [each for each in log if json.loads(each.detail)["run"] == number]
        if Right.of(project, number) != self:
            return "another student or another curve"
        return "" if len(ends) == 1 else f"counted {len(ends)} times"


def processes(folder: Path) -> list[int]:
    """Return the processes that work on the shards of a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "distill_tui.runs.away" in words and any(word.startswith(str(folder)) for word in words):
            found.append(int(path.parent.name))
    return found


def killed_processes(bench: Bench) -> Row:
    """SIGKILL the process of a job, or the worker that follows it."""

    def fault(project: Project, run: entities.Run, folder: Path) -> str:
        time.sleep(bench.chance.uniform(0, 6))
        working = processes(folder)
        if not working:
            return ""
        victim, how = working[0], "of a job's process"
        if run.pid is not None and bench.chance.random() < 0.3:
            victim, how = run.pid, "of the worker that follows"
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return ""
        return how

    return disturbed(bench, Row("SIGKILL in a Slurm run"), 50, fault)


def killed_jobs(bench: Bench) -> Row:
    """Have Slurm kill, cancel or requeue a job."""

    def fault(project: Project, run: entities.Run, folder: Path) -> str:
        time.sleep(bench.chance.uniform(0, 6))
        jobs = json.loads((folder / "slurm.json").read_text()) if (folder / "slurm.json").exists() else []
        if not jobs or not processes(folder):
            return ""
        how = bench.chance.choice(("killed", "cancelled", "requeued"))
        words = {
            "killed": ["scancel", "--full", "--signal=KILL", jobs[0]],
            "cancelled": ["scancel", jobs[0]],
            "requeued": ["scontrol", "requeue", jobs[0]],
        }[how]
        done = subprocess.run(words, capture_output=True, check=False)
        if how == "requeued" and done.returncode == 0:
            end = time.monotonic() + 60  # Slurm would wait two minutes before it starts the job again
            while time.monotonic() < end and "PENDING" not in _state(jobs[0]):
                time.sleep(0.2)
            subprocess.run(
                ["scontrol", "update", f"JobId={jobs[0]}", "StartTime=now"], capture_output=True, check=False
            )
        return how if done.returncode == 0 else ""

    return disturbed(bench, Row("jobs that Slurm kills"), 50, fault)


def _state(job: str) -> str:
    return subprocess.run(["squeue", "-h", "-j", job, "-o", "%T"], capture_output=True, text=True, check=False).stdout


def killed_daemons(bench: Bench) -> Row:
    """SIGKILL slurmd while a job works, and start it again."""

    def fault(project: Project, run: entities.Run, folder: Path) -> str:
        time.sleep(bench.chance.uniform(0, 1.5))
        if not processes(folder):
            return ""
        spool = Path(os.environ["SLURM_CONF"]).parent
        slurm.stop(spool, "slurmd", "KILL")
        time.sleep(bench.chance.uniform(0, 1))
        end = time.monotonic() + 30
        while subprocess.run(
            [shutil.which("slurmd") or "/usr/sbin/slurmd"], capture_output=True, check=False
        ).returncode:
            assert time.monotonic() < end, "slurmd does not start again"
            time.sleep(0.2)
        return "of slurmd"

    return disturbed(bench, Row("SIGKILL of slurmd"), 100, fault)


def taken_over(bench: Bench) -> Row:
    """Stop a job's process at a random moment, let a newer attempt finish the shard, and wake the first."""
    row = Row("jobs that wake after they were taken over")
    with training(bench) as (project, right):
        for _ in range(bench.times(20)):
            row.times += 1
            folder = bench.empty() / "shards"
            place = Place(on=Executor.FILES, folder=str(folder))
            run = _ended(project, actions.start_run(project, 1, DAN, SPEC, place))
            late = _away(folder, files.begin(folder))
            _until(lambda late=late, folder=folder: late.poll() is not None or _begun(folder))
            time.sleep(bench.chance.uniform(0, 2))
            late.send_signal(signal.SIGSTOP)
            code = _away(folder, files.begin(folder)).wait()
            late.send_signal(signal.SIGCONT)
            row.counts[{0: "had finished before", 3: "stopped by itself"}.get(late.wait(), "failed")] += 1
            row.require(code == 0, f"the newer attempt ended with code {code}")
            actions.resume_run(project, 1, DAN, run.id, place)
            _ended(project, run.id)
            row.check(right.wrong(project, run.id), f"run {run.id}")
    row.require(not row.counts["failed"], f"{row.counts['failed']} of the late attempts failed")
    row.detail = ", ".join(f"{count} {how}" for how, count in sorted(row.counts.items()))
    return row


def _away(folder: Path, attempt: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "distill_tui.runs.away", str(folder / "shard-0001"), attempt]
    return subprocess.Popen(words, stderr=subprocess.DEVNULL)


def _begun(folder: Path) -> bool:
    return any((folder / "shard-0001" / "work").rglob("*.safetensors"))


def _ended(project: Project, number: int) -> entities.Run:
    found: list[entities.Run | None] = []
    _until(lambda: (found.append(queries.run(project, number)) or found[-1] is None) or not found[-1].status.active)
    assert found[-1] is not None
    return found[-1]


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + LONGEST
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


PROOFS = {
    "torn shards": torn,
    "full disk on the spool": full_disks,
    "jobs that wake after they were taken over": taken_over,
    "SIGKILL in a Slurm run": killed_processes,
    "jobs that Slurm kills": killed_jobs,
    "SIGKILL of slurmd": killed_daemons,
}
