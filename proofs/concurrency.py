"""Several processes on one file: writers, creators, upgrades, races, a stopped worker, open boards."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import kit
import operations
from distill_tui import actions
from distill_tui.gates.written import digest
from distill_tui.rules.actor import Actor
from distill_tui.rules.objection import Refused
from distill_tui.rules.requests import SetMaintenance
from distill_tui.runs import claim
from distill_tui.runs.claim import Claim, Stopped
from distill_tui.store import tables
from distill_tui.store.project import Project, ProjectError, now
from distill_tui.terms import Action, Opinion, PlayKind, Role, RunStatus
from kit import NAME, Bench, Child, Row, Send, at_once
from operations import DAN, TRAINING, query, trouble
from support.story import GATE, actor

FAIR = 3.0  # turns of the writer who had most to those of the one who had fewest
REPORTS = 1000  # after which a worker that is not stopped ends


# --- writers --------------------------------------------------------------------------------------------------------


def through_the_door(path: Path) -> Callable[[], None]:
    """Return a write: the days between refreshes, one higher."""
    project = Project.open(path)

    def write() -> None:
        with project.change(Action.SET_MAINTENANCE, 1, DAN, SetMaintenance(400, 90)) as change:
            change.play.refresh_days = (change.play.refresh_days or 0) + 1
            change.session.add(change.play)

    return write


def crowd(
    name: str, path: Path, writers: int, seconds: float, make: Callable[[Path], Callable[[], object]] = through_the_door
) -> tuple[Row, float]:
    """Let several write as fast as they can; return the row and the p99 of a write, waiting included, in ms."""

    def does(send: Send) -> None:
        write, used, end = make(path), time.process_time(), time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            write()
            send(f"{1000 * (time.monotonic() - began):.1f}")
        send(f"cpu {1000 * (time.process_time() - used):.1f}")

    row, before = Row(name), count(path)
    sent = at_once(*[does] * writers)
    row.lost += [wrong for lines in sent for wrong in kit.failures(lines)]
    waits = sorted(float(line) for lines in sent for line in lines if line[0].isdigit())
    turns = [sum(line[0].isdigit() for line in lines) for lines in sent]
    used = sum(float(line.split()[1]) for lines in sent for line in lines if line.startswith("cpu"))
    row.times, grown = len(waits), count(path) - before
    row.require(grown == len(waits), f"{len(waits)} commits, but the number grew by {grown}")
    row.check(trouble(path))
    p99 = waits[int(0.99 * len(waits))] if waits else 0.0
    row.require(max(turns) <= FAIR * min(turns), f"turns are not fair: {turns}")
    if waits:
        row.detail = (
            f"{len(waits) / seconds:.0f} per second; p50 {statistics.median(waits):.0f} ms, p99 {p99:.0f} ms, longest "
            f"{waits[-1]:.0f} ms; turns {min(turns)} to {max(turns)}; CPU {used / len(waits):.1f} ms each"
        )
    return row, p99


def count(path: Path) -> int:
    return int(str(query(path, "SELECT refresh_days FROM play WHERE id = 1")[0][0]))


def writers(bench: Bench) -> Row:
    return crowd("8 writers on one file", bench.copy("decided") / NAME, 8, bench.seconds(600))[0]


# --- create, upgrade ------------------------------------------------------------------------------------------------


def creators(bench: Bench) -> Row:
    """Six create one file in the same moment, and open it."""
    row = Row("6 create and open one file")
    for folder in bench.trials(row, 100):

        def do(send: Send, path: Path = folder / NAME) -> None:
            try:
                operations.create(path)
                send("created")
            except ProjectError:
                send("there")
            Project.open(path).close()
            send("open")

        sent = at_once(*[do] * 6)
        created = sum("created" in lines for lines in sent)
        row.require(created == 1 and all(lines[-1:] == ["open"] for lines in sent), f"{created} created it: {sent}")
        row.check(trouble(folder / NAME))
    row.detail = "each created by one of six, opened by all"
    return row


def upgraders(bench: Bench) -> Row:
    """Six open a file of an older format in the same moment: it is upgraded once, and each can write."""
    operations.expect_one_more_step()
    row = Row("6 upgrade one file")
    for folder in bench.trials(row, 100, "signed"):
        path = folder / NAME
        before = len(query(path, "SELECT seq FROM audit"))

        def do(send: Send, path: Path = path) -> None:
            project = Project.open(path)
            actions.comment(project, 1, actor("bob"), "in the new format")
            send("open")

        for lines in at_once(*[do] * 6):
            row.require(lines == ["open"], f"{lines}"[:300])
        row.require(operations.is_upgraded(path), "it is not upgraded")
        row.require(len(query(path, "SELECT seq FROM later")) == before, "the upgrade saw other entries")
        row.require(len(query(path, "SELECT seq FROM audit")) == before + 6, "an entry is missing")
        row.check(trouble(path))
    row.detail = "each upgraded once, by one of six"
    return row


# --- races ----------------------------------------------------------------------------------------------------------


def take(project: Project) -> None:
    if Claim.take(project, TRAINING) is None:
        raise Refused([])


def sign(project: Project) -> None:
    actions.sign_off(project, 1, actor("vera"), Opinion.APPROVE, "I looked.")


def ship(person: str) -> Callable[[Project], object]:
    return lambda project: actions.ship(project, 1, actor(person))


def evaluate(project: Project) -> None:
    actions.evaluate(project, 1, DAN)


ONE = {(True, False), (False, True)}  # which of the two may have been done
RACES: dict[str, tuple[str, Callable[[Project], object], Callable[[Project], object], set[tuple[bool, bool]]]] = {
    "ship / withdraw": ("signed", ship("olga"), lambda p: actions.withdraw(p, 1, actor("vera"), "I erred."), ONE),
    "ship / ship": ("signed", ship("olga"), ship("dan"), ONE),
    "sign off / kill": (
        "decided", sign, lambda p: actions.kill(p, 1, actor("sam"), "No."), {(True, True), (False, True)},
    ),
    "lock / edit": (
        "unlocked",
        lambda p: actions.lock_gate(p, 1, actor("sam"), digest(GATE)),
        lambda p: actions.edit_gate(p, 1, DAN, replace(GATE, rounds=2)),
        ONE,
    ),
    "evaluate / evaluate": ("trained", evaluate, evaluate, ONE),
    "claim / claim": ("queued", take, take, ONE),
}  # fmt: skip


def race(name: str) -> Callable[[Bench], Row]:
    """Two do in the same moment what cannot both be done: one serial order must result."""
    stage, one, other, serial = RACES[name]

    def proof(bench: Bench) -> Row:
        row = Row(f"race: {name}")
        for folder in bench.trials(row, 100, stage):

            def doing(do: Callable[[Project], object], path: Path = folder / NAME) -> Callable[[Send], None]:
                def run(send: Send) -> None:
                    project = Project.open(path)
                    try:
                        do(project)
                        send("done")
                    except Refused:
                        send("rejected")
                    os._exit(0)

                return run

            if bench.chance.random() < 0.5:
                first, second = at_once(doing(one), doing(other))
            else:
                second, first = at_once(doing(other), doing(one))
            ends = ("done" in first, "done" in second)
            row.counts["first"] += ends[0]
            row.require(ends in serial, f"done: {ends}: {first} {second}")
            row.check(trouble(folder / NAME))
        row.detail = f"the first was done {row.counts['first']} times"
        return row

    return proof


# --- a stopped worker -----------------------------------------------------------------------------------------------


def stopped_worker(bench: Bench) -> Row:
    """Stop a worker (SIGSTOP) until its run is resumed by another; once it continues, it may write nothing."""
    row = Row("SIGSTOP of a worker past its replacement")
    for folder in bench.trials(row, 200, "queued"):
        path = folder / NAME

        def do(send: Send, path: Path = path) -> None:
            claim.EVERY = 0.0
            held = Claim.take(Project.open(path), TRAINING)
            assert held is not None
            for step in range(1, REPORTS):
                try:
                    held.report(step, REPORTS, f"pid {os.getpid()}")
                except Stopped:
                    send("stopped")
                    os._exit(0)
                send(str(step))

        child = Child(do).go()
        for _ in range(bench.chance.randint(1, 5)):
            child.line()
        project = Project.open(path)
        project.patience = 0.5
        child.kill(signal.SIGSTOP)
        while not mark_lost(project):  # it was stopped during a write, which keeps the others out
            row.counts["in a write"] += 1
            child.kill(signal.SIGCONT)
            time.sleep(bench.chance.uniform(0.001, 0.02))
            child.kill(signal.SIGSTOP)
        actions.resume_run(project, 1, DAN, TRAINING)
        second = Claim.take(project, TRAINING)
        assert second is not None
        second.report(7, REPORTS, "the second", always=True)
        child.kill(signal.SIGCONT)
        lines = child.end()
        found = query(path, f"SELECT message, step, token FROM run WHERE id = {TRAINING}")
        row.require(lines[-1:] == ["stopped"] and found == [("the second", 7, second.token)], f"{lines[-2:]}, {found}")
        second._over.set()
        second._pulse.join()
        project.close()
        row.check(trouble(path))
    row.detail = f"each replaced, then continued; {row.counts['in a write']} more stops were during a write"
    return row


def mark_lost(project: Project) -> bool:
    """Write what `reap` writes once a worker is gone; False where the stopped worker keeps the file."""
    try:
        with project.telemetry() as session:
            run = session.get(tables.Run, TRAINING)
            assert run is not None
            run.status, run.token, run.ended_at = RunStatus.LOST, None, now()
            session.add(run)
    except ProjectError:
        return False
    return True


# --- boards ---------------------------------------------------------------------------------------------------------


def boards(bench: Bench) -> Row:
    """Three boards are open, each on a terminal of its own: each shows a new play within a second."""
    from support.terminal import Terminal

    row, waits, path = Row("3 open boards"), list[float](), bench.empty() / NAME
    mia = Actor("mia", f"account uid {os.getuid()}")
    project = Project.create(path, "x", "mia", "Mia", mia)
    actions.open_play(project, mia, "the first", PlayKind.COST)
    terminals = [Terminal("--project", str(path), "open") for _ in range(3)]
    for terminal in terminals:
        bench.finally_.callback(terminal.close)
    for terminal in terminals:
        terminal.shows(b"the first")
        terminal.read(1.0)
    for _ in bench.trials(row, 100):
        name = f"{bench.chance.randrange(16**5):05x}"
        for terminal in terminals:
            terminal.written = b""
        play = actions.open_play(project, mia, name, PlayKind.COST)
        committed, missing = time.monotonic(), list(terminals)
        while missing and time.monotonic() < committed + 20:
            for terminal in list(missing):
                terminal.read(0.005)
                if name.encode() in terminal.written:
                    waits.append(time.monotonic() - committed)
                    missing.remove(terminal)
        row.require(not missing, f"{len(missing)} boards never showed play {play}")
        actions.assign_role(project, play, mia, Role.DRIVER, "mia")
        actions.kill(project, play, mia, "Enough.")  # the next play has its place
    project.close()
    late = sum(wait > 1 for wait in waits)
    row.require(not late, f"{late} of {len(waits)} took more than a second")
    row.detail = (
        f"shown after {statistics.median(waits):.2f} s (p50), {sorted(waits)[int(0.99 * len(waits))]:.2f} s (p99)"
    )
    return row


PROOFS = {
    "8 writers on one file": writers,
    "6 create and open one file": creators,
    "6 upgrade one file": upgraders,
    "SIGSTOP of a worker past its replacement": stopped_worker,
    "3 open boards": boards,
} | {f"race: {name}": race(name) for name in RACES}
