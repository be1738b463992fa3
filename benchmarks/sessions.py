"""Sessions over SSH: twenty at once, and terminals that are dropped while a run is under way.

    python benchmarks/sessions.py                                  # both, full counts
    python benchmarks/sessions.py --only many --sessions 20 --keys 40
    python benchmarks/sessions.py --only drops --terminals 100

`make prove` runs both as proofs.

Everything is real: a play at `decide` that real workers made, `distill-tui ssh serve` (an OpenSSH server), OpenSSH's
client with the validator's key, 80 by 24.

- many: a key goes to another tab, in one session alone, then in one of many, then in all at once.
- drops: a terminal starts an evaluation and follows it; once the worker holds its lock, the terminal is closed. The
  program in it must be gone, and the worker must live and finish.
"""

from __future__ import annotations

import os
import select
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import shared

from distill_tui.runs.executors import local
from distill_tui.store.project import Project
from distill_tui.terms import RunStatus
from kit import Bench, Row, print_losses
from support import real_play
from support.ssh_host import Host, Session
from support.terminal import Terminal

START = local.start  # the proofs start no workers; these sessions do
READABLE = (b"mail-topic", b"Decide")  # the play that waits, and the tab that it is decided on
LONGEST = 600.0
USABLE = 0.25  # seconds from a key to its first byte that 95 of 100 take at most
LOOKS = {"another tab": b"1", "the data tab": b"2", "the train tab": b"4", "all keys": b"?", "back": b"\x1b"}


# --- the two --------------------------------------------------------------------------------------------------------


def many(play: real_play.Play, folder: Path, count: int, keys: int) -> Row:
    """Press keys in one session, in one of many, and in all at once; one of many must answer quickly."""
    print(f"\nsessions on {os.cpu_count()} cores: a key to the first byte that comes back")
    print_row("", "p50 ms", "p95 ms", "MB each", "s to open")
    with serving(play, folder) as host:
        started = time.perf_counter()
        opened = [opened_by(host)]
        took = time.perf_counter() - started
        alone = [moved(opened[0], number) for number in range(keys)]
        print_figures("one session", alone, memory(host), took)
        started = time.perf_counter()
        opened += [opened_by(host) for _ in range(count - 1)]
        took = (time.perf_counter() - started) / max(1, count - 1)
        one = [moved(opened[number % count], number // count) for number in range(keys)]
        print_figures(f"one of {count}", one, memory(host), took)
        print_figures(f"all {count} at once", at_once(opened, max(1, keys // count)), memory(host), took)
        for session in opened:
            session.close()
    p95 = 1000 * quantile(one, 0.95)
    row = Row(f"{count} sessions over SSH", keys, f"a key to its first byte, p95 {p95:.0f} ms")
    row.require(p95 < 1000 * USABLE, f"p95 {p95:.0f} ms, more than {1000 * USABLE:.0f} ms")
    return row


def drops(play: real_play.Play, folder: Path, count: int, at_once: int) -> Row:
    """Drop terminals while their runs are under way; each worker must live and finish."""
    copies = [copy(play, folder / f"copy-{number}") for number in range(min(at_once, count))]
    gone = lived = finished = 0
    for wave in range(0, count, len(copies)):
        here = copies[: count - wave]
        terminals = [Terminal(*follow(each)) for each in here]
        runs = [under_way(each, terminal) for each, terminal in zip(here, terminals, strict=True)]
        for terminal in terminals:
            terminal.hang_up()
        gone += sum(terminal.process.wait(timeout=60) != 0 for terminal in terminals)
        lived += sum(local.alive(each.project, run) for each, run in zip(here, runs, strict=True))
        ends = [local.wait(each.project, run, lambda _: None) for each, run in zip(here, runs, strict=True)]
        finished += sum(run.status is RunStatus.FINISHED for run in ends)
    detail = f"programs that ended with their terminal {gone}, workers alive after it {lived}, finished {finished}"
    row = Row("terminals dropped during a run", count, detail)
    row.require(gone == lived == finished == count, detail)
    return row


# --- what they need ------------------------------------------------------------------------------------------------


@contextmanager
def serving(play: real_play.Play, folder: Path) -> Iterator[Host]:
    """Serve the play's project for as long as it is looked at."""
    host = Host(play, folder)
    try:
        yield host
    finally:
        host.close()


def until(session: Session, texts: Sequence[bytes]) -> float:
    """Read until all of them have come; gives the moment."""
    end = time.perf_counter() + LONGEST
    while not all(text in session.written for text in texts):
        if time.perf_counter() > end or session.process.poll() is not None:
            raise SystemExit(f"{texts} never came; the last that came: {session.written[-2000:]!r}")
        session.read(0.02)
    return time.perf_counter()


def settle(session: Session, quiet: float) -> float:
    """Read until nothing came for so long; gives the moment of the last byte."""
    last, size = time.perf_counter(), len(session.written)
    while time.perf_counter() - last < quiet:
        session.read(0.02)
        if len(session.written) != size:
            last, size = time.perf_counter(), len(session.written)
    return last


def opened_by(host: Host) -> Session:
    """Open a session, and wait until its play stands there."""
    session = Session(host, "vera")
    until(session, READABLE)
    session.press(b"6")  # where it is already; a session leaves a terminal that never sent anything
    settle(session, 2.0)
    return session


def moved(session: Session, number: int) -> float:
    """Go to the first tab or back to the one that is decided on; gives the seconds to the first byte."""
    settle(session, 0.3)
    pressed = time.perf_counter()
    session.press(b"6" if number % 2 else b"1")
    if not select.select([session.master], [], [], 30)[0] or session.process.poll() is not None:
        raise SystemExit("a key was not answered within 30 s, or the session had ended")
    return time.perf_counter() - pressed


def at_once(sessions: Sequence[Session], times: int) -> list[float]:
    """Press a key in all sessions in the same moment; gives the seconds to the first byte of each."""
    found = []
    for number in range(times):
        drain(sessions)
        pressed, waiting = time.perf_counter(), {session.master: session for session in sessions}
        for session in sessions:
            session.press(b"6" if number % 2 else b"1")
        while waiting:
            for ready in select.select(list(waiting), [], [], 30)[0] or sys.exit("a key was not answered within 30 s"):
                found.append(time.perf_counter() - pressed)
                del waiting[ready]
    return found


def drain(sessions: Sequence[Session], quiet: float = 0.5) -> None:
    """Read in all of them until nothing came in any for so long."""
    by_file = {session.master: session for session in sessions}
    while ready := select.select(list(by_file), [], [], quiet)[0]:
        for file in ready:
            by_file[file].read(0.01)


def memory(host: Host) -> float:
    """Return the mean memory of the running sessions in units of 1,000,000 bytes (PSS: shared pages once)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if line.endswith("ssh session") and str(host.play.path) in line and "python" in line.split()[0]:
                lines = (folder / "smaps_rollup").read_text().splitlines()
                found.append(next(int(each.split()[1]) for each in lines if each.startswith("Pss:")) * 1024 / 1e6)
        except OSError:  # it has ended meanwhile
            continue
    return statistics.mean(found)


def copy(play: real_play.Play, folder: Path) -> real_play.Play:
    """Copy the whole project, so that several run at once."""
    shutil.copytree(play.folder, folder)
    return real_play.Play(folder, Project.open(folder / play.path.name))


def follow(play: real_play.Play) -> tuple[str, ...]:
    """Return the words that start the validator's own evaluation and follow it."""
    return ("--project", str(play.path), "--key", str(play.key("vera")), "reproduce", "P-001", "--wait")


def under_way(play: real_play.Play, terminal: Terminal) -> int:
    """Wait until the worker of the newest run holds its lock; gives the run's number."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        terminal.read(0.05)
        runs = [run for run in play.project.dossier(1).runs if run.status is RunStatus.RUNNING]
        if runs and local.alive(play.project, runs[-1].id):
            return int(runs[-1].id)
        if terminal.process.poll() is not None:
            break
    raise SystemExit(
        f"the run was over before its terminal could be dropped, or never began: {terminal.written[-900:]!r}"
    )


def quantile(seconds: Sequence[float], share: float) -> float:
    """Return the value below which this share of them lies."""
    return sorted(seconds)[int(share * (len(seconds) - 1))]


def print_figures(name: str, seconds: Sequence[float], size: float, took: float) -> None:
    print_row(
        name,
        f"{1000 * quantile(seconds, 0.5):.0f}",
        f"{1000 * quantile(seconds, 0.95):.0f}",
        f"{size:.0f}",
        f"{took:.1f}",
    )


def print_row(name: str, *values: object) -> None:
    print(f"  {name:<18}" + "".join(f" {value!s:>15}" for value in values), flush=True)


def sessions_proof(bench: Bench) -> Row:
    with staged(bench.folder) as play:
        return many(play, bench.folder, 20, bench.times(100, 20))


def terminals_proof(bench: Bench) -> Row:
    with staged(bench.folder) as play:
        return drops(play, bench.folder, bench.times(100, 1), 4)


PROOFS = {"20 sessions over SSH": sessions_proof, "terminals dropped during a run": terminals_proof}


@contextmanager
def staged(folder: Path) -> Iterator[real_play.Play]:
    """Make a play at `decide`, with real workers."""
    os.environ["XDG_STATE_HOME"] = str(folder / "state")
    local.start = START
    play = real_play.copy_to(folder)
    yield play
    play.project.close()


def main() -> int:
    parser = shared.parser(__doc__)
    parser.add_argument("--only", choices=("many", "drops"), help="one of the two")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--keys", type=int, default=100, help="keys pressed in one session and in one of many")
    parser.add_argument("--terminals", type=int, default=100, help="terminals to drop")
    parser.add_argument("--at-once", type=int, default=4, help="runs under way at the same time")
    given, rows = parser.parse_args(), []
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, Python {sys.version.split()[0]}", flush=True)
    with tempfile.TemporaryDirectory() as scratch, staged(Path(scratch)) as play:
        if given.only != "drops":
            rows.append(many(play, Path(scratch), given.sessions, given.keys))
        if given.only != "many":
            rows.append(drops(play, Path(scratch), given.terminals, given.at_once))
    print_losses(rows)
    return int(any(row.lost for row in rows))


if __name__ == "__main__":
    sys.exit(main())
