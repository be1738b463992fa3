"""The gateway under load: killed, sent back to the teacher, in front of a teacher that fails at random."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType

import httpx

import kit
from distill_tui import actions
from distill_tui.rules.requests import ServeMode
from distill_tui.runs.executors import local
from distill_tui.serving import served_log
from distill_tui.terms import ServingMode, TeacherFault
from kit import Bench, Row
from support import gateway, real_play, served
from support.teacher_server import TeacherServer

CLIENTS = 4
PART, GATEWAYS = 25, 1  # rollbacks of one copy of the play; gateways at once, each of its copy, where cores are free
PAUSE = 0.005  # seconds between a client's requests, so that the load is of the gateway and not of the machine
FAULTS = ("429", "500", "503", "drop", "half", "not json", "cut", "")


class Load:
    """Clients that ask one request at a time; what each reply said, and when its request began and its reply came."""

    def __init__(self, url: str, pause: float = 0.0) -> None:
        self.pause = pause
        self.answers: list[tuple[float, float, str, str, int, str]] = []  # begun, ended, text, route, status, bundle
        self.broken: list[str] = []  # why connections ended without a reply
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(url, name)) for name in range(CLIENTS)]

    def _ask(self, url: str, name: int) -> None:
        with httpx.Client(base_url=url, timeout=10) as http:
            number = 0
            while not self._stop.wait(self.pause) if self.pause else not self._stop.is_set():
                number += 1
                text, begun = f"a refund {name} {time.monotonic_ns()} {number}", time.monotonic()
                body = {"model": "big", "messages": [{"role": "user", "content": text}]}
                try:
                    answer = http.post("/v1/chat/completions", json=body)
                except httpx.HTTPError as error:
                    self.broken.append(f"{type(error).__name__} after {time.monotonic() - begun:.2f} s: {error}")
                    return
                route = answer.headers.get("x-distill-route", "")
                bundle = answer.headers.get("x-distill-bundle", "")
                self.answers.append((begun, time.monotonic(), text, route, answer.status_code, bundle))

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


WORKS = local.start  # taken before the runner switches workers off: this play is made by real ones


@contextmanager
def workers() -> Iterator[None]:
    """Have runs start worker processes, and this account remember what it saw, as outside the proofs."""
    off, local.start = local.start, WORKS
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="state-")
    try:
        yield
    finally:
        local.start = off


@contextmanager
def play_of(bench: Bench, asked: ServeMode) -> Iterator[real_play.Play]:
    with workers():
        play = served.copy_to(bench.empty())
    try:
        actions.set_mode(play.project, play.id, play.by("olga"), asked)
        yield play
    finally:
        play.project.close()


EVERY = ServeMode(ServingMode.CANARY, 100)


def kills(bench: Bench) -> Row:
    """Kill a gateway under load: every request that was answered is in the log, and no record is a half."""
    row, acknowledged, starts = Row("SIGKILL of a gateway under load"), 0, []
    with TeacherServer() as teacher, play_of(bench, EVERY) as play:
        folder = served_log.folder_of(play.path, "P-001")
        env = {"DISTILL_PROJECT": str(play.path)}
        for _ in range(bench.times(200)):
            row.times += 1
            begun = time.monotonic()
            with gateway.process("P-001", "--teacher", teacher.url, folder=folder, env=env) as (found, running):
                starts.append(time.monotonic() - begun)
                with Load(found.url) as load:
                    until = time.monotonic() + 20
                    while len(load.answers) < CLIENTS and time.monotonic() < until:
                        time.sleep(0.01)
                    time.sleep(bench.chance.uniform(0, 0.6))
                    running.kill()
            known = {str(record.get("input")) for _, record in served_log.read(folder)}
            lost = [text for _, _, text, _, status, _ in load.answers if status == 200 and text not in known]
            acknowledged += len(load.answers)
            row.check(f"{len(lost)} of {len(load.answers)} answered requests are not in the log" if lost else None)
            torn = [path.name for path in served_log.segments(folder) if _torn(path)]
            row.check(f"half a record in {torn}" if torn else None)
    row.require(acknowledged > row.times, "too few requests were answered to prove anything")
    ranked = sorted(starts)
    row.detail = (
        f"{acknowledged:,} answered requests; a restart takes {ranked[len(ranked) // 2]:.1f} s with Python's start"
    )
    return row


def _torn(path: Path) -> bool:
    content = path.read_bytes()
    return bool(content) and not content.endswith(b"\n")


def suspensions(bench: Bench) -> Row:
    """Send a gateway under load back to the teacher: no answer of the student's begins a second later."""
    row, longest = Row("suspending a student under load"), 0.0
    with TeacherServer() as teacher, play_of(bench, EVERY) as play:
        one = gateway.of_play(play.path)
        with gateway.serving(one, teacher=teacher.url) as found, Load(found.url) as load:
            for _ in range(bench.times(1000)):
                row.times += 1
                actions.set_mode(play.project, play.id, play.by("olga"), EVERY)
                found.until(lambda: load.answers[-1][3] == "student" if load.answers else False, 30)
                actions.set_mode(play.project, play.id, play.by("olga"), ServeMode(ServingMode.SUSPENDED))
                ended = time.monotonic()
                time.sleep(1.2)
                late = [
                    begun - ended for begun, _, _, route, _, _ in load.answers if route == "student" and begun > ended
                ]
                longest = max([longest, *late])
                row.check(f"a student answered {max(late):.2f} s later" if late and max(late) > 1 else None)
        row.require(all(status == 200 for *_, status, _ in load.answers), "a request was refused")
        row.require(not load.broken, f"connections broke: {load.broken}")
    row.detail = f"{len(load.answers):,} requests; the last student's answer began {longest:.2f} s after"
    return row


def rollbacks(bench: Bench) -> Row:
    """Roll back and forth under load: a second later nothing comes from the bundle before, and no request is lost."""
    row, whole, full = bench.row("a rollback under load"), bench.empty(), bench.times(1000)
    with workers():
        served.with_two_bundles(whole).project.close()
    while bench.goes_on(row, full):
        times = min(PART, max(1, (full - row.times) // GATEWAYS))
        copies = [Path(shutil.copytree(whole / "team", bench.empty() / "team")) for _ in range(GATEWAYS)]
        for lines in kit.at_once(*(partial(_part, folder, times) for folder in copies)):
            row.require(lines and not kit.failures(lines), f"a gateway ended without a result: {kit.failures(lines)}")
            for part in map(json.loads, () if kit.failures(lines) else lines):
                row.times, row.lost = row.times + part["times"], row.lost + part["lost"]
                row.counts["requests"] += part["requests"]
                row.counts["longest, ms"] = max(row.counts["longest, ms"], part["longest, ms"])
        for folder in copies:
            shutil.rmtree(folder)
        bench.keep(row)
    row.detail = (
        f"{row.counts['requests']:,} requests, each answered; the last answer of the bundle before came "
        f"{row.counts['longest, ms'] / 1000:.2f} s after"
    )
    return row


def _part(folder: Path, times: int, send: kit.Send) -> None:
    """Roll one play back and forth, in a process of its own."""
    os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="state-")  # the other copies are of the same project
    row, play = Row("a part"), real_play.opened(folder)
    try:
        with TeacherServer() as teacher:
            _roll(row, play, teacher.url, times)
    finally:
        play.project.close()
    send(json.dumps({"times": row.times, "lost": row.lost} | row.counts))


def _roll(row: Row, play: real_play.Play, teacher: str, times: int) -> None:
    actions.set_mode(play.project, play.id, play.by("olga"), EVERY)
    with gateway.serving(gateway.of_play(play.path), teacher=teacher) as found, Load(found.url, PAUSE) as load:
        for _ in range(times):
            dossier = play.project.dossier(play.id)
            before = dossier.live
            other = next(each for each in dossier.bundles if before is not None and each.id != before.id)
            assert before is not None
            actions.roll_back(play.project, play.id, play.by("olga"), other.id, "proof")
            at, seen = time.monotonic(), len(load.answers)
            found.until(lambda other=other: bool(load.answers) and load.answers[-1][5] == other.digest, 60)
            time.sleep(max(0.0, at + 1.2 - time.monotonic()))
            late = [end - at for _, end, _, _, _, bundle in load.answers[seen:] if bundle == before.digest]
            row.counts["longest, ms"] = max([row.counts["longest, ms"], *(round(1000 * each) for each in late)])
            row.check(f"bundle {before.id} answered {max(late):.2f} s later" if late and max(late) > 1 else None)
            row.times += 1
    row.counts["requests"] += len(load.answers)
    row.require(all(status == 200 for _, _, _, _, status, _ in load.answers), "a request had no answer")
    row.require(not load.broken, f"connections broke: {load.broken}")


def faults(bench: Bench) -> Row:
    """Ask through a teacher that fails at random: each request gets a whole answer or a clean error."""
    row, routes = Row("a teacher that fails at random"), dict[str, int]()
    asked = ServeMode(ServingMode.CANARY, 30, on_fault=TeacherFault.STUDENT)
    with TeacherServer() as teacher, play_of(bench, asked) as play:
        one = gateway.of_play(play.path)
        with gateway.serving(one, teacher=teacher.url, teacher_timeout=1.0) as found:
            for number in range(bench.times(5_000, 50)):
                row.times += 1
                teacher.plan = [bench.chance.choice(FAULTS)]
                stream = bench.chance.random() < 0.3
                try:
                    answer = found.chat(f"a refund {number}", stream=stream)
                except httpx.HTTPError:
                    row.require(stream, "a connection broke that was no stream")
                    continue
                routes[answer.headers["x-distill-route"]] = routes.get(answer.headers["x-distill-route"], 0) + 1
                row.require(answer.status_code in (200, 429, 500, 502, 503, 504), f"status {answer.status_code}")
                row.require(answer.status_code == 200 or "error" in answer.json(), "an error that no client reads")
            row.require(found.health()["unlogged"] == 0, "a request is not in the log")
            row.require(len(found.records("request")) == row.times, "the log has more or fewer requests")
    row.detail = ", ".join(f"{count:,} {name}" for name, count in sorted(routes.items()))
    return row


PROOFS = {
    "SIGKILL of a gateway under load": kills,
    "suspending a student under load": suspensions,
    "a rollback under load": rollbacks,
    "a teacher that fails at random": faults,
}
