"""Killed, raced, crowded, stopped: what happens to real project files, by the thousand, and what of it is lost.

    python proofs/storms.py                 # everything, at full counts (hours on a small machine)
    python proofs/storms.py --scale 0.1     # a tenth of it
    python proofs/storms.py --only ship     # the lines whose name holds this word

Prints one table; exit code 1 where anything was lost, or a storm did not get far enough to prove something.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from distill_tui import actions
from distill_tui.gates import digest
from distill_tui.rules.actor import Actor
from distill_tui.rules.objection import Refused
from distill_tui.rules.requests import Comment
from distill_tui.runs import claim
from distill_tui.runs.claim import Claim, Stopped
from distill_tui.store import tables
from distill_tui.store.backup import backup
from distill_tui.store.project import Project, ProjectError, now
from distill_tui.terms import Action, Opinion, RunStatus
from support.story import GATE, actor
from trials import (
    DEEDS,
    MEMORY,
    NAME,
    TRAINING,
    Child,
    Row,
    beginnings,
    blow,
    fresh,
    killed,
    sqlite3,
    table,
    trouble,
    words,
)

Tell = Callable[[str], None]
TURNS = 1000  # reports after which a worker that nobody stops has an end


# --- killed -------------------------------------------------------------------------------------------------------


def writers(kept: dict[str, Path], parent: Path, times: int, chance: Random) -> Row:
    """Four who comment as fast as they can; one after the other is killed and another takes the place."""
    folder = fresh(kept["decided"], parent)
    path, told, lost = folder / NAME, {}, []

    def comments(name: str) -> Callable[[Tell], None]:
        def do(tell: Tell) -> None:
            project, number = Project.open(path), 0
            while True:
                actions.comment(project, 1, actor("bob"), f"{name} {number}")
                tell(str(number))
                number += 1

        return do

    def start(number: int) -> tuple[str, Child]:
        child = Child(comments(f"w{number}"))
        child.go()
        return f"w{number}", child

    at_work = [start(number) for number in range(4)]
    for number in range(4, times + 4):
        time.sleep(chance.uniform(0.02, 0.2))
        name, child = at_work.pop(chance.randrange(len(at_work)))
        child.kill()
        told[name] = child.end()
        if number < times:
            at_work.append(start(number))
    for name, child in at_work:
        child.kill()
        told[name] = child.end()
    kept_: dict[str, list[int]] = {}
    connection = sqlite3.connect(path)
    for (text,) in connection.execute("SELECT detail ->> '$.text' FROM audit WHERE action = 'comment' ORDER BY seq"):
        name, number_ = text.split()
        kept_.setdefault(name, []).append(int(number_))
    connection.close()
    for name, lines in told.items():
        acknowledged, there = [int(line) for line in lines if line.isdigit()], kept_.get(name, [])
        if there[: len(acknowledged)] != acknowledged or len(there) > len(acknowledged) + 1:
            lost.append(f"{name}: told {len(acknowledged)}, kept {len(there)}")
    lost += [wrong] if (wrong := trouble(path)) else []
    count = sum(map(len, told.values()))
    lost += [] if count > times / 2 else [f"only {count} commits were made; the storm was idle"]
    shutil.rmtree(folder.parent)
    return Row("SIGKILL: writers", times, f"{count:,} acknowledged commits", lost)


def making(kept: dict[str, Path], parent: Path, times: int, chance: Random) -> Row:
    """Kill whoever makes a project file (and so brings it from nothing to this release's format)."""
    lost, whole, took = [], 0, 0.15
    for number in range(times):
        folder = Path(tempfile.mkdtemp(dir=parent))
        path = folder / NAME

        def do(tell: Tell, path: Path = path) -> None:
            tell("begun")
            Project.create(path, "x", "mia", "Mia", Actor(None, "account"))
            tell("done")

        child = Child(do)
        child.go()
        child.line()
        started = time.monotonic()
        if number:
            time.sleep(chance.uniform(0, 1.1 * took))
            child.kill()
        told = "done" in child.end()
        took = took if number else time.monotonic() - started
        whole += path.exists()
        if told and not path.exists():
            lost.append("said to be made, and is not")
        try:
            project = Project.open(path) if path.exists() else Project.create(path, "x", "mia", "M", Actor(None, "a"))
            project.close()
        except Exception as error:
            lost.append(f"cannot be made after a kill: {error}")
        lost += [wrong] if (wrong := trouble(path)) else []
        shutil.rmtree(folder)
    return Row("SIGKILL: init, migration", times, f"{whole} were made, {times - whole} were not", lost)


def backing_up(kept: dict[str, Path], parent: Path, times: int, chance: Random) -> Row:
    """Kill a backup; the copy is whole or not there, and the next backup to the same name works."""
    lost, whole, took = [], 0, 0.0
    folder = fresh(kept["signed"], parent)
    for number in range(times):
        target = folder / f"copy{number}.distill"

        def do(tell: Tell, target: Path = target) -> None:
            project = Project.open(folder / NAME)
            tell("begun")
            backup(project, target)
            tell("done")

        child = Child(do)
        child.go()
        child.line()
        started = time.monotonic()
        if number:
            time.sleep(chance.uniform(0, 1.1 * took))
            child.kill()
        child.end()
        took = took or time.monotonic() - started
        whole += target.exists()
        if not target.exists():
            shutil.rmtree(f"{target}.artifacts", ignore_errors=True)  # what its user would be told to move away
            project = Project.open(folder / NAME)
            backup(project, target)
            project.close()
        lost += [wrong] if (wrong := trouble(target)) else []
        for end in ("", ".artifacts", ".lock", ".turn"):
            left = Path(f"{target}{end}")
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    lost += [wrong] if (wrong := trouble(folder / NAME)) else []
    shutil.rmtree(folder.parent)
    return Row("SIGKILL: backup", times, f"{whole} were whole, {times - whole} were not there", lost)


# --- many at once -------------------------------------------------------------------------------------------------


def crowd(kept: dict[str, Path], parent: Path, seconds: float, chance: Random) -> Row:
    """Eight on one file: each adds one to a number and leaves an entry, as fast as it may."""
    folder = fresh(kept["decided"], parent)
    path = folder / NAME

    def adds(number: int) -> Callable[[Tell], None]:
        def do(tell: Tell) -> None:
            project, end = Project.open(path), time.monotonic() + seconds
            while time.monotonic() < end:
                started = time.monotonic()
                with project.change(Action.COMMENT, 1, actor("bob"), Comment(f"c{number}")) as change:
                    change.play.refresh_days = (change.play.refresh_days or 0) + 1
                    change.session.add(change.play)
                tell(f"{1000 * (time.monotonic() - started):.1f}")

        return do

    connection = sqlite3.connect(path)
    ((before, entries),) = connection.execute("SELECT refresh_days, (SELECT count(*) FROM audit) FROM play")
    connection.close()  # nothing that is open is carried over a fork
    children = [Child(adds(number)) for number in range(8)]
    for child in children:
        child.go()
    told = [child.end() for child in children]
    lost = [line[:200] for lines in told for line in lines if line.startswith("!")]
    waits = sorted(float(line) for lines in told for line in lines if not line.startswith("!"))
    connection = sqlite3.connect(path)
    ((after, now_entries),) = connection.execute("SELECT refresh_days, (SELECT count(*) FROM audit) FROM play")
    connection.close()
    if after - before != len(waits) or now_entries - entries != len(waits):
        lost.append(f"{len(waits)} commits, but the number grew by {after - before}")
    lost += [wrong] if (wrong := trouble(path)) else []
    shares = [len(lines) for lines in told]
    p99 = waits[int(0.99 * len(waits))] if waits else 0.0
    lost += [] if max(shares) <= 3 * min(shares) else [f"turns {shares}: somebody wrote three times as often"]
    shutil.rmtree(folder.parent)
    said = (
        f"{seconds:.0f} s, p50 {statistics.median(waits):.0f} ms, p99 {p99:.0f}, most {waits[-1]:.0f}; "
        f"turns {min(shares)} to {max(shares)}"
    )
    return Row("8 writers on one file", len(waits), said, lost)


def opening(kept: dict[str, Path], parent: Path, times: int, chance: Random) -> Row:
    """Six make one file at the same instant, and open it at the same instant."""
    lost, wins = [], 0
    for _ in range(times):
        folder = Path(tempfile.mkdtemp(dir=parent))
        path = folder / NAME

        def do(tell: Tell, path: Path = path) -> None:
            try:
                Project.create(path, "x", "mia", "Mia", Actor(None, "account")).close()
                tell("made")
            except ProjectError:
                tell("there")
            Project.open(path).close()
            tell("open")

        children = [Child(do) for _ in range(6)]
        for child in children:
            child.go()
        told = [child.end() for child in children]
        made = sum("made" in lines for lines in told)
        wins += made
        if made != 1 or any(lines[-1:] != ["open"] for lines in told):
            lost.append(f"{made} made it; {told}"[:200])
        lost += [wrong] if (wrong := trouble(path)) else []
        shutil.rmtree(folder)
    return Row("6 make and open at once", times, f"{wins} winners", lost)


RACES: dict[str, tuple[str, Callable[[Project], object], Callable[[Project], object], set[tuple[bool, bool]]]] = {
    "ship / withdraw": (
        "signed",
        lambda p: actions.ship(p, 1, actor("olga")),
        lambda p: actions.withdraw(p, 1, actor("vera"), "I erred."),
        {(True, False), (False, True)},
    ),
    "ship / ship": (
        "signed",
        lambda p: actions.ship(p, 1, actor("olga")),
        lambda p: actions.ship(p, 1, actor("dan")),
        {(True, False), (False, True)},
    ),
    "sign / kill": (
        "decided",
        lambda p: actions.sign_off(p, 1, actor("vera"), Opinion.APPROVE, "I looked."),
        lambda p: actions.kill(p, 1, actor("sam"), "No."),
        {(True, True), (False, True)},
    ),
    "lock / edit": (
        "unlocked",
        lambda p: actions.lock_gate(p, 1, actor("sam"), digest(GATE)),
        lambda p: actions.edit_gate(p, 1, actor("dan"), _other_gate()),
        {(True, False), (False, True)},
    ),
    "evaluate / evaluate": (
        "trained",
        lambda p: actions.evaluate(p, 1, actor("dan")),
        lambda p: actions.evaluate(p, 1, actor("dan")),
        {(True, False), (False, True)},
    ),
    "claim / claim": (
        "queued",
        lambda p: _claim(p),
        lambda p: _claim(p),
        {(True, False), (False, True)},
    ),
}


def _other_gate() -> object:
    from dataclasses import replace

    return replace(GATE, rounds=2)


def _claim(project: Project) -> None:
    if Claim.take(project, TRAINING) is None:
        raise Refused([])


def race(name: str, kept: dict[str, Path], parent: Path, times: int, chance: Random) -> Row:
    """Two do what cannot both be done, at the same instant: one serial order comes out."""
    begins, one, other, serial = RACES[name]
    lost, first = [], 0
    for _ in range(times):
        folder = fresh(kept[begins], parent)

        def doing(deed: Callable[[Project], object], folder: Path = folder) -> Callable[[Tell], None]:
            def do(tell: Tell) -> None:
                project = Project.open(folder / NAME)
                tell("ready")
                try:
                    deed(project)
                    tell("done")
                except Refused:
                    tell("refused")
                os._exit(0)

            return do

        children = [Child(doing(one)), Child(doing(other))]
        chance.shuffle(order := [0, 1])
        for at in order:
            children[at].go()
        told = [child.end() for child in children]
        ends = ("done" in told[0], "done" in told[1])
        first += ends[0]
        if ends not in serial:
            lost.append(f"both {ends}: {told}"[:300])
        lost += [wrong] if (wrong := trouble(folder / NAME)) else []
        shutil.rmtree(folder.parent)
    return Row(f"race: {name}", times, f"the first won {first} times", lost)


def stopped(kept: dict[str, Path], parent: Path, times: int, chance: Random) -> Row:
    """Stop a worker (SIGSTOP) until its run is given to another; awake again, it may write nothing."""
    lost, slept, held_up = [], 0, 0
    for _ in range(times):
        folder = fresh(kept["queued"], parent)
        path = folder / NAME

        def do(tell: Tell, path: Path = path) -> None:
            claim.EVERY = 0.0
            held = Claim.take(Project.open(path), TRAINING)
            assert held is not None
            for step in range(1, TURNS):
                try:
                    held.report(step, TURNS, f"pid {os.getpid()}")
                except Stopped:
                    tell("stopped")
                    os._exit(0)
                tell(str(step))

        child = Child(do)
        child.go()
        for _ in range(chance.randint(1, 5)):
            child.line()
        project = Project.open(path)
        project.patience = 0.5
        child.kill(signal.SIGSTOP)
        while not _given_up(project):  # it was stopped in the midst of a write, and nobody else may write
            held_up += 1
            child.kill(signal.SIGCONT)
            time.sleep(chance.uniform(0.001, 0.02))
            child.kill(signal.SIGSTOP)
        actions.resume_run(project, 1, actor("dan"), TRAINING)
        second = Claim.take(project, TRAINING)
        assert second is not None
        second.report(7, TURNS, "the second", always=True)
        slept += 1
        child.kill(signal.SIGCONT)
        told = child.end()
        with project.read() as session:
            run = session.get(tables.Run, TRAINING)
        assert run is not None
        if told[-1:] != ["stopped"] or run.message != "the second" or run.step != 7 or run.token != second.token:
            lost.append(f"{told[-2:]}, {run.message}, step {run.step}")
        second._over.set()
        second._pulse.join()
        project.close()
        lost += [wrong] if (wrong := trouble(path)) else []
        shutil.rmtree(folder.parent)
    return Row(
        "SIGSTOP past the take-over", times, f"{slept} taken over, then woken; {held_up} stopped in a write", lost
    )


def _given_up(project: Project) -> bool:
    """Write what `reap` writes once a worker is thought to be gone; False where the file is held by one who sleeps."""
    try:
        with project.telemetry() as session:
            run = session.get(tables.Run, TRAINING)
            assert run is not None
            run.status, run.token, run.ended_at = RunStatus.LOST, None, now()
            session.add(run)
    except ProjectError:
        return False
    return True


# --- the table ----------------------------------------------------------------------------------------------------


def storms(kept: dict[str, Path], parent: Path, scale: float, chance: Random) -> dict[str, Callable[[], Row]]:
    """Name every storm, with how often it blows."""

    def often(times: int) -> int:
        return max(3, round(times * scale))

    found = {"SIGKILL: writers": lambda: writers(kept, parent, often(1000), chance)}
    for name in DEEDS:
        found[f"SIGKILL: {name}"] = lambda name=name: killed(name, kept, parent, often(200), chance)  # type: ignore[misc]
    found |= {
        "SIGKILL: init, migration": lambda: making(kept, parent, often(200), chance),
        "SIGKILL: backup": lambda: backing_up(kept, parent, often(200), chance),
        "8 writers on one file": lambda: crowd(kept, parent, max(5.0, 600 * scale), chance),
        "6 make and open at once": lambda: opening(kept, parent, often(100), chance),
        "SIGSTOP past the take-over": lambda: stopped(kept, parent, often(200), chance),
    }
    for name in RACES:
        found[f"race: {name}"] = lambda name=name: race(name, kept, parent, often(100), chance)  # type: ignore[misc]
    return found


def main() -> int:
    given = words(__doc__).parse_args()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        kept = beginnings(Path(folder))
        kept["trained"] = _trained(kept, Path(folder))
        (parent := Path(folder) / "trials").mkdir()
        return table(blow(storms(kept, parent, given.scale, Random(given.seed)), given.only))


def _trained(kept: dict[str, Path], folder: Path) -> Path:
    """A play with a trained student that nobody has looked at yet."""
    from support.stories import finish_training

    shutil.copytree(kept["queued"], folder / "trained")
    project = Project.open(folder / "trained" / NAME)
    finish_training(project, TRAINING)
    project.close()
    return folder / "trained"


if __name__ == "__main__":
    sys.exit(main())
