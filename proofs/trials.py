"""What the storms are made of: beginnings, deeds with a before and an after, children that can be killed, one table.

A deed leaves the project as it was or as it should be; whatever was between is a loss. Children are forked, so that a
trial costs milliseconds and not the second that the imports take; nothing here imports torch.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from distill_tui import actions, gates  # noqa: F401  # before any fork
from distill_tui.dataset import build, coverage, frozen, readers, traffic  # noqa: F401  # before any fork
from distill_tui.rules.objection import Refused
from distill_tui.runs.executors import local
from distill_tui.store import doctor
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.project import Project, ProjectError
from distill_tui.store.sqlite import module as sqlite3
from distill_tui.terms import Opinion, RunKind
from support import data_runs
from support.stories import SPEC, Auditor, finish_evaluation, finish_rehearsal, finish_training, found, open_play
from support.stories import write_traffic as write_traffic
from support.story import actor

TRAINING = 4  # the number of the run that trains: import, build and freeze come before it
MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
NAME = "team.distill"


@dataclass
class Row:
    """One line of the table: what was tried, how often, how far it got, and what was lost."""

    what: str
    times: int
    progress: str
    lost: list[str] = field(default_factory=list)


def keep(rows: list[Row]) -> None:
    """Hand the lines to `prove.py`, where it is what runs this."""
    if "PROVED" in os.environ:
        with Path(os.environ["PROVED"]).open("a") as file:
            file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)


def table(rows: list[Row]) -> int:
    """Print the table; gives the exit code: 1 where anything was lost."""
    keep(rows)
    wide = max(len(row.what) for row in rows)
    print(f"\n{'WHAT':<{wide}}  {'TIMES':>7}  {'LOST':>4}  HOW FAR")
    for row in rows:
        print(f"{row.what:<{wide}}  {row.times:>7,}  {len(row.lost):>4}  {row.progress}")
    for row in rows:
        for each in row.lost[:5]:
            print(f"  {row.what}: {each}")
    return int(any(row.lost for row in rows))


def words(says: str | None) -> argparse.ArgumentParser:
    """Give the words that a program of several storms takes."""
    parser = argparse.ArgumentParser(description=says, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", default="", help="the lines whose name holds this word")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def blow(storms: dict[str, Callable[[], Row]], only: str) -> list[Row]:
    """Let the storms blow whose name holds this word, one after the other."""
    rows = []
    for name, storm in storms.items():
        if only in name:
            started = time.monotonic()
            rows.append(storm())
            print(f"{name}: {rows[-1].times:,} in {time.monotonic() - started:,.0f} s", flush=True)
    return rows


# --- beginnings and deeds -----------------------------------------------------------------------------------------


def beginnings(folder: Path) -> dict[str, Path]:
    """Make one play and keep a copy at each point from which a deed starts."""
    local.start = lambda project, run: None  # type: ignore[assignment]  # the trials play the workers' part
    work = folder / "work"
    work.mkdir()
    calls, project = write_traffic(work / "calls.jsonl"), found(work / NAME)
    play, kept = open_play(project), {}

    def keep(name: str) -> None:
        project.close()  # whoever closes last writes the log back into the file; it opens again by itself
        shutil.copytree(work, folder / name)
        kept[name] = folder / name

    keep("gated")
    actions.qualify(project, play, actor("dan"))
    keep("unlocked")
    actions.lock_gate(project, play, actor("sam"))
    keep("locked")
    data_runs.import_traffic(project, play, actor("dan"), calls)
    actions.set_teacher(project, play, actor("dan"), None)
    keep("imported")
    data_runs.build_data(project, play, actor("dan"))
    keep("built")
    data_runs.freeze_data(project, play, actor("dan"))
    keep("frozen")
    run = actions.start_run(project, play, actor("dan"), SPEC)
    keep("queued")
    finish_training(project, run)
    look = actions.evaluate(project, play, actor("dan"))
    keep("looking")
    finish_evaluation(project, look, 12)
    finish_rehearsal(project, actions.rehearse(project, play, actor("olga")))
    keep("decided")
    actions.sign_off(project, play, actor("vera"), Opinion.APPROVE, "I looked.")
    keep("signed")
    project.close()
    return kept


@dataclass(frozen=True)
class Deed:
    """Something that is done whole or not at all: from where, how, and how one sees which of the two it was."""

    begins: str
    do: Callable[[Project], object]
    done: str | Callable[[Path], bool]  # SQL that gives a row once it is done, or how else one sees it
    once: bool = True  # whether the rules refuse it once it is done


def _calls(project: Project) -> Path:
    return project.path.parent / "calls.jsonl"


def run_on(project: Project, kind: RunKind) -> int:
    """Resume what a killed worker left, as anybody who opens the project and its owner would."""
    local.reap(project)
    run = next(r for r in project.dossier(1).runs if r.kind is kind)
    assert run.id is not None
    return run.id if run.status == "queued" else actions.resume_run(project, 1, actor("dan"), run.id)


def _import(project: Project) -> None:
    data_runs.import_traffic(project, 1, actor("dan"), _calls(project))


DEEDS = {
    "import": Deed(
        "locked", lambda p: data_runs.import_traffic(p, 1, actor("dan"), _calls(p)), "SELECT 1 FROM traffic"
    ),
    "data build": Deed("imported", lambda p: data_runs.build_data(p, 1, actor("dan")), "SELECT 1 FROM data_set", False),
    "gate lock": Deed(
        "unlocked", lambda p: actions.lock_gate(p, 1, actor("sam")), "SELECT 1 FROM gate WHERE locked_at IS NOT NULL"
    ),
    "training's end": Deed(
        "queued",
        lambda p: finish_training(p, run_on(p, RunKind.TRAIN)),
        "SELECT 1 FROM run WHERE kind = 'train' AND status = 'finished'",
    ),
    "evaluation": Deed(
        "looking",
        lambda p: finish_evaluation(p, run_on(p, RunKind.EVALUATE), 12),
        "SELECT 1 FROM evaluation JOIN play ON stage = 'decide'",
    ),
    "sign-off": Deed(
        "decided",
        lambda p: actions.sign_off(p, 1, actor("vera"), Opinion.APPROVE, "I looked."),
        "SELECT 1 FROM sign_off",
        False,
    ),
    "ship": Deed(
        "signed", lambda p: actions.ship(p, 1, actor("olga")), "SELECT 1 FROM bundle JOIN play ON stage = 'live'"
    ),
}


def trouble(path: Path) -> str:
    """Say what is wrong with a project after whatever happened to it, or nothing."""
    try:
        Auditor(path).look()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    of_the_machine = ("room", "clock")
    wrong = [f"{each.name}: {each.says}" for each in doctor.file(path) if not (each.ok or each.name in of_the_machine)]
    artifacts = Artifacts(path.with_name(f"{path.name}.artifacts"))
    if artifacts.folder.is_dir():
        named = [each.name for each in artifacts.folder.iterdir() if len(each.name) == 64]
        wrong += [said for name in named if (said := artifacts.trouble(f"sha256:{name}"))]
    return "; ".join(wrong)


def is_done(path: Path, deed: Deed) -> bool:
    """See whether a deed is done."""
    if callable(deed.done):
        return deed.done(path)
    connection = sqlite3.connect(path)
    try:
        return connection.execute(deed.done).fetchone() is not None
    finally:
        connection.close()


def see_whole(folder: Path, deed: Deed, told: bool) -> str:
    """See that a deed that was broken off is done or not, and can be done; gives what was lost, or nothing."""
    path = folder / NAME
    wrong = trouble(path)
    if wrong:
        return wrong
    if told and not is_done(path, deed):
        return "it was said to be done, and is not"
    project = Project.open(path)
    try:
        if not is_done(path, deed):
            deed.do(project)
        elif deed.once:
            try:
                deed.do(project)
            except (Refused, ProjectError, StopIteration):
                pass
            else:
                return "it could be done twice"
        if not is_done(path, deed):
            return "it cannot be done any more"
    except Exception as error:
        return f"it cannot be done any more: {type(error).__name__}: {error}"
    finally:
        project.close()
    return trouble(path)


# --- children -----------------------------------------------------------------------------------------------------


class Child:
    """A forked process that does one thing after a signal, and tells on a pipe."""

    def __init__(self, do: Callable[[Callable[[str], None]], object]) -> None:
        reading, writing = os.pipe()
        start, self._go = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if not self.pid:
            os.read(start, 1)
            code = 0
            try:
                do(lambda said: os.write(writing, f"{said}\n".encode()) and None)
            except BaseException:
                os.write(writing, f"!{traceback.format_exc(limit=-3)!r}\n".encode())
                code = 1
            os._exit(code)
        os.close(writing)
        os.close(start)
        self._pipe = os.fdopen(reading)

    def go(self) -> None:
        """Let it begin."""
        os.write(self._go, b"g")
        os.close(self._go)

    def line(self) -> str:
        """Wait for what it tells next; empty at its end."""
        return self._pipe.readline().rstrip("\n")

    def kill(self, how: int = signal.SIGKILL) -> None:
        """Send a signal."""
        os.kill(self.pid, how)

    def end(self) -> list[str]:
        """Wait for its end; gives whatever it told that was not read yet, complete lines only."""
        told = [line.rstrip("\n") for line in self._pipe if line.endswith("\n")]
        self._pipe.close()
        os.waitpid(self.pid, 0)
        return told


def again_with(source: str, variable: str) -> int:
    """Compile a library that lies here, and run this very program again with it loaded before libc.

    The variable tells that program where the library is, and that it need not do this once more.
    """
    with tempfile.TemporaryDirectory() as folder:
        there = library(source, Path(folder))
        if there is None:
            return table([Row(Path(source).stem, 0, "not tried: it needs Linux and a C compiler")])
        environment = os.environ | {"LD_PRELOAD": str(there), variable: str(there)}
        return subprocess.run([sys.executable, *sys.argv], env=environment).returncode


def library(source: str, folder: Path) -> Path | None:
    """Compile a library that lies here; None where that cannot be done."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        return None
    made = folder / f"{Path(source).stem}.so"
    words = [compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(Path(__file__).with_name(source)), "-ldl"]
    subprocess.run(words, check=True)
    return made


def fresh(kept: Path, parent: Path) -> Path:
    """Give a copy of a beginning."""
    folder = Path(tempfile.mkdtemp(dir=parent)) / "play"
    shutil.copytree(kept, folder)
    return folder


def killed(name: str, kept: dict[str, Path], parent: Path, times: int, chance: Random) -> Row:
    """Kill a deed inside, so many times at random moments; each time it must be whole, and go on.

    A kill that comes after the deed said that it was done is looked at like the others and not counted. How long the
    deed takes is learnt on the way, for a machine is not as quick at one moment as at the next.
    """
    deed, lost, inside, late, after = DEEDS[name], [], 0, 0, 0
    took = _duration(deed, kept[deed.begins], parent)
    while inside < times and late < 3 * times:
        folder = fresh(kept[deed.begins], parent)
        child = Child(_doing(deed, folder))
        child.go()
        child.line()
        time.sleep(chance.uniform(0, took))
        child.kill()
        told = "done" in child.end()
        took *= 0.95 if told else 1.02
        inside, late = inside + (not told), late + told
        after += is_done(folder / NAME, deed) and not told
        wrong = see_whole(folder, deed, told)
        if wrong:
            lost.append(wrong)
        shutil.rmtree(folder.parent)
    lost += [] if inside == times else [f"only {inside} kills came before it said that it was done"]
    said = f"all before it said so: {after} were done, {inside - after} were not; {late} more came after"
    return Row(f"SIGKILL: {name}", inside, said, lost)


def _doing(deed: Deed, folder: Path) -> Callable[[Callable[[str], None]], None]:
    def do(tell: Callable[[str], None]) -> None:
        project = Project.open(folder / NAME)
        tell("begun")
        deed.do(project)
        tell("done")

    return do


def _duration(deed: Deed, kept: Path, parent: Path) -> float:
    times = []
    for _ in range(3):
        folder = fresh(kept, parent)
        child = Child(_doing(deed, folder))
        child.go()
        assert child.line() == "begun"
        started = time.monotonic()
        said = child.line()
        assert said == "done", said
        times.append(time.monotonic() - started)
        child.end()
        shutil.rmtree(folder.parent)
    return statistics.median(times)
