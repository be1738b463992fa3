"""Many people on one project file: plays, open boards, gateways, workers and writers at once.

    python benchmarks/people.py [--minutes 60] [--plays 50] [--sessions 10] [--gateways 4] [--workers 8] [--writers 8]

Everything is real and a process of its own: training workers that report twice a second (of as many plays; more of them
than cores), gateways in capture in front of a teacher, boards on terminals whose keys are pressed in turn, and writers
that comment through the door, each two or three times a second. A write is timed from the request to the commit, a key
to the first byte that comes back. At the end every write that was acknowledged must be in the log, the file whole, each
worker alive, each request answered.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import shared

# isort: split
import httpx

import screens
from distill_tui import actions
from distill_tui.rules.actor import Actor
from distill_tui.rules.requests import ServeMode
from distill_tui.serving import served_log
from distill_tui.store import queries
from distill_tui.store.project import Project
from distill_tui.terms import PlayKind, RunStatus, ServingMode
from kit import Child, Row, Send, failures, print_losses
from operations import query, trouble
from support import gateway
from support.teacher_server import TeacherServer

WRITE, KEY = 500, 60  # milliseconds: the goals for p99 of a write and p95 of a key
DANA = Actor("dana", screens.ME)
WRONG = (b"Traceback", b"is locked", b"database is", b"busy")  # that no screen may show


@dataclass
class Requests:
    """Clients of one gateway: what their replies were."""

    statuses: list[int] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def ask(self, url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as http:
            while not self.stop.wait(0.2):
                body = {"model": "big", "messages": [{"role": "user", "content": f"where is {time.monotonic_ns()}"}]}
                self.statuses.append(http.post("/v1/chat/completions", json=body).status_code)


def main() -> int:
    parser = shared.parser(__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    for name, count in (("plays", 50), ("sessions", 10), ("gateways", 4), ("workers", 8), ("writers", 8)):
        parser.add_argument(f"--{name}", type=int, default=count)
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}", flush=True)
    os.environ["DISTILL_CORES"] = "0"  # all workers work at once
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        rows = run(Path(folder), stack, given)
    print_losses(rows)
    return int(any(row.lost for row in rows))


def run(folder: Path, stack: ExitStack, given) -> list[Row]:  # type: ignore[no-untyped-def]
    """Set all up, let it run for the time given, and look at what came of it."""
    path = project_of(folder, given.plays - given.workers)
    writers = [Child(comments(path, number, given.plays)) for number in range(given.writers)]  # forked before threads
    for writer in writers:
        stack.callback(_end, writer)
    plays = [screens.play_to_train(path, folder, f"trains-{number}") for number in range(given.workers)]
    asked = [stack.enter_context(serving(path, f"P-{play:03d}")) for play in plays[: given.gateways]]
    boards = [stack.enter_context(board(path)) for _ in range(given.sessions)]
    runs = []
    for play in plays:  # last: from here on the machine is busy
        runs.append((play, screens.training_of(path, play)))
        stack.callback(screens.stop, path, *runs[-1])
    for writer in writers:
        writer.go()
    print(f"all at work, load {os.getloadavg()[0]:.1f}", flush=True)
    keys, shown = pressed(boards, 60 * given.minutes)
    for writer in writers:
        writer.kill(15)
    sent = [writer.end() for writer in writers]
    for requests in asked:
        requests.stop.set()
    return [written(path, sent, given.minutes), looked(keys, shown), served(path, runs, asked), worked(path, runs)]


def project_of(folder: Path, plays: int) -> Path:
    """Make a project with so many plays that were just opened."""
    project = Project.create(folder / "team.distill", "team", "dana", "Dana", Actor(None, screens.ME))
    actions.enrol_person(project, DANA, "vera", "Vera", uid=4_002)
    for number in range(1, plays + 1):
        actions.open_play(project, DANA, f"play-{number:05d}", PlayKind.COST)
    project.close()
    return project.path


def _end(writer: Child) -> None:
    """End a writer where something else went wrong before."""
    with suppress(ProcessLookupError):
        writer.kill()


# --- who is there ----------------------------------------------------------------------------------------------------


@contextmanager
def serving(path: Path, code: str) -> Iterator[Requests]:
    """Run a gateway of a play in capture, and a client that asks it five times a second."""
    project, play = Project.open(path), int(code.removeprefix("P-"))
    actions.set_mode(project, play, DANA, ServeMode(ServingMode.CAPTURE))
    project.close()
    requests, env = Requests(), {"DISTILL_PROJECT": str(path)}
    with TeacherServer() as teacher:
        words = (code, "--teacher", teacher.url)
        with gateway.process(*words, folder=served_log.folder_of(path, code), env=env) as (found, _):
            thread = threading.Thread(target=requests.ask, args=(found.url,))
            thread.start()
            try:
                yield requests
            finally:
                requests.stop.set()
                thread.join()


@contextmanager
def board(path: Path) -> Iterator[screens.Terminal]:
    """Open the board on a terminal."""
    env = {"XDG_STATE_HOME": os.environ["XDG_STATE_HOME"]}
    terminal = screens.Terminal([sys.executable, "-m", "distill_tui", "--project", str(path)], env)
    try:
        terminal.until(b"play-0000")
        yield terminal
    finally:
        terminal.end()


def comments(path: Path, name: int, plays: int):  # type: ignore[no-untyped-def]
    """Return a person who comments on one play after another, two or three times a second."""

    def do(send: Send) -> None:
        project, chance, number = Project.open(path), random.Random(name), 0
        while True:
            began = time.monotonic()
            actions.comment(project, 1 + chance.randrange(plays), DANA, f"writer {name} number {number}")
            send(f"{number} {1000 * (time.monotonic() - began):.1f}")
            number += 1
            time.sleep(chance.uniform(0.2, 0.6))

    return do


def pressed(boards: list[screens.Terminal], seconds: float) -> tuple[list[float], list[bytes]]:
    """Press a key in one board after another; return the milliseconds to each first byte, and wrong texts shown."""
    found, wrong, end, turn = [], [], time.monotonic() + seconds, 0
    while time.monotonic() < end:
        terminal = boards[turn % len(boards)]
        shown = terminal.read(0.05, most=0.5)
        wrong += [text for text in WRONG if text in shown]
        answer = terminal.key(b"jk"[turn // len(boards) % 2 :][:1], answer=screens.CURSOR)
        found.append(1000 * answer.first)
        turn += 1
    return found, wrong


# --- what came of it -------------------------------------------------------------------------------------------------


def written(path: Path, sent: list[list[str]], minutes: float) -> Row:
    """Every comment that was acknowledged is in the log, and nothing was slow."""
    row = Row("writes of several people")
    row.lost += [wrong for lines in sent for wrong in failures(lines)]
    texts = {str(text) for (text,) in query(path, "SELECT detail ->> '$.text' FROM audit WHERE action = 'comment'")}
    took = []
    for name, lines in enumerate(sent):
        for line in lines:
            if line[0].isdigit():
                number, milliseconds = line.split()
                took.append(float(milliseconds))
                row.require(f"writer {name} number {number}" in texts, f"comment {number} of writer {name} is lost")
    took.sort()
    row.times, p99 = len(took), quantile(took, 0.99)
    row.require(p99 <= WRITE, f"p99 {p99:.0f} ms, more than {WRITE} ms")
    row.check(trouble(path))
    row.detail = (
        f"{minutes:g} minutes, p50 {quantile(took, 0.5):.0f} ms, p99 {p99:.0f} ms, longest {took[-1]:.0f} ms; load "
        f"{os.getloadavg()[0]:.1f}"
    )
    return row


def looked(keys: list[float], shown: list[bytes]) -> Row:
    """No board showed an error, and a key was answered soon."""
    ranked = sorted(keys)
    p95 = quantile(ranked, 0.95)
    row = Row("keys on the open boards", len(keys), f"p50 {quantile(ranked, 0.5):.0f} ms, p95 {p95:.0f} ms")
    row.require(not shown, f"boards showed {set(shown)}")
    row.require(p95 <= KEY, f"p95 {p95:.0f} ms, more than {KEY} ms")
    return row


def served(path: Path, runs: list[tuple[int, int]], asked: list[Requests]) -> Row:
    """Every request was answered, and is in the log of its play."""
    row = Row("requests to the gateways", sum(len(each.statuses) for each in asked))
    row.require(all(status == 200 for each in asked for status in each.statuses), "a request was refused")
    for (play, _), each in zip(runs, asked, strict=False):
        records = served_log.read(served_log.folder_of(path, f"P-{play:03d}"))
        logged = sum(dict(record)["kind"] == "request" for _, record in records)
        row.require(logged >= len(each.statuses), f"{logged} of {len(each.statuses)} requests of P-{play:03d} logged")
    return row


def worked(path: Path, runs: list[tuple[int, int]]) -> Row:
    """Every worker still works and reported to the end."""
    project, row = Project.open(path), Row("workers", len(runs))
    for _, run_id in runs:
        run = queries.run(project, run_id)
        row.require(run is not None and run.status is RunStatus.RUNNING, f"run {run_id}: {run and run.error}")
        row.counts["steps"] += 0 if run is None else run.step
    project.close()
    row.detail = f"{row.counts['steps']:,} steps in all"
    return row


def quantile(ranked: list[float], share: float) -> float:
    return ranked[int(share * (len(ranked) - 1))]


if __name__ == "__main__":
    sys.exit(main())
