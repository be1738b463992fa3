"""Send damaged requests to a real gateway and say what went wrong: a 500, a secret or a held-out row that came out."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import socket
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from distill_tui import actions
from distill_tui.rules.requests import ServeMode
from distill_tui.serving import guard, served_log
from distill_tui.terms import KeptContent, ServingMode, TeacherFault
from support import gateway, mutants, real_play, targeted
from support.teacher_server import TeacherServer

TOKEN, CLIENT, QUERY, TEACHER = (f"sk-{name}-5f0c9b7e" for name in ("gateway", "client", "query", "teacher"))
SECRETS = {"authorization": f"Bearer {TOKEN}", "x-api-key": CLIENT, "cookie": f"session={CLIENT}", "query": QUERY}
CANARY = "kanarienvogel"  # in every text: under the policy `digests` no log may hold it
CLIENTS = 4
MODES = {
    "student": ServeMode(ServingMode.CANARY, 100, content=KeptContent.DIGESTS, on_fault=TeacherFault.STUDENT),
    "teacher": ServeMode(ServingMode.CAPTURE, content=KeptContent.DIGESTS),
}


@dataclass
class Result:
    """What came of the requests."""

    wrong: list[str] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)


@contextlib.contextmanager
def error_output() -> Iterator[IO[str]]:
    """Catch all that this process and its children write as errors."""
    with tempfile.TemporaryFile("w+", errors="backslashreplace") as file:
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            with contextlib.redirect_stderr(file):
                yield file
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def exchange(port: int, content: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes, read one reply: status, headers, body; status 0 where the connection ended without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        line.sendall(content)
        reply = http.client.HTTPResponse(line, method=content.split(b" ", 1)[0].decode("latin-1"))
        try:
            reply.begin()
            body = reply.read()
        except (http.client.HTTPException, ConnectionError):
            return 0, {}, b""
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, body


def fuzz(play: real_play.Play, mode: str, formats: Sequence[str], count: int, seed: int) -> Result:
    """Send `count` requests of each format to a gateway in a mode; at last, to a teacher whose replies are damaged."""
    found, held_out = Result(), targeted.held_out(play.project)
    actions.set_mode(play.project, play.id, play.by("olga"), MODES[mode])
    limits = guard.Limits(body=60_000, seconds=0.3)
    os.environ[guard.TOKENS] = TOKEN
    try:
        with error_output() as errors, TeacherServer() as teacher:
            more: dict[str, Any] = {"teacher": teacher.url, "key": TEACHER, "limits": limits}
            with gateway.serving(gateway.of_play(play.path), **more) as running:
                running.http.headers["authorization"] = f"Bearer {TOKEN}"
                for format in formats:
                    _ask_all(running, format, count, f"{seed} {format} {mode}", found, held_out)
                teacher.damage = random.Random(seed)
                _ask_all(running, formats[0], count, f"{seed} damaged {mode}", found, held_out)
                teacher.damage = None
                _still_right(running, mode, found)
            errors.flush()
            errors.seek(0)
            _search("the error output", errors.read(), SECRETS_OF_LOGS, held_out, found)
    finally:
        del os.environ[guard.TOKENS]
    for path in sorted(served_log.folder_of(play.path, "P-001").iterdir()):
        if path.is_file():
            _search(path.name, path.read_text(encoding="utf-8"), SECRETS_OF_LOGS, held_out, found)
    return found


SECRETS_OF_LOGS = (TOKEN, CLIENT, QUERY, TEACHER, CANARY)


def _ask_all(running: gateway.Gateway, format: str, count: int, seed: str, found: Result, held_out: set[str]) -> None:
    """Ask from several clients at once; each request is made from its own seed, so that it can be made again."""
    guard_of = threading.Lock()

    def ask(first: int) -> None:
        for number in range(first, count, CLIENTS):
            content = mutants.raw_request(format, random.Random(f"{seed} {number}"), SECRETS, CANARY)
            status, headers, body = exchange(running.port, content)
            with guard_of:
                found.statuses[str(status)] += 1
                found.routes[headers.get("x-distill-route", "none")] += 1
                _judge(f"request {seed} {number}", status, headers, body, held_out, found)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _judge(name: str, status: int, headers: dict[str, str], body: bytes, held_out: set[str], found: Result) -> None:
    """No fault of the gateway's own, an error that a client can read, no secret and no held-out row."""
    by_teacher = headers.get("x-distill-route") == "teacher"
    if status == 500 or (status > 500 and not by_teacher):
        found.wrong.append(f"{name}: status {status}, {body[:200]!r}")
    if status >= 400 and body and status not in (404, 405) and not by_teacher:
        try:
            assert "error" in json.loads(body)
        except (ValueError, AssertionError):
            if status != 400:  # uvicorn answers what is not HTTP by itself
                found.wrong.append(f"{name}: status {status} without an error that a client reads: {body[:100]!r}")
    whole = f"{headers} {body.decode('utf-8', 'replace')}"
    _search(name, whole, (TOKEN, CLIENT, TEACHER, *(() if by_teacher else (QUERY,))), held_out, found)


def _search(where: str, text: str, secrets: tuple[str, ...], held_out: set[str], found: Result) -> None:
    found.wrong += [f"{where} holds {secret}" for secret in secrets if secret in text]
    found.wrong += [f"{where} holds the held-out row {row!r}" for row in held_out if row in text]
    if "Traceback" in text:
        found.wrong.append(f"{where}: {text[-1_500:]}")


def _still_right(running: gateway.Gateway, name: str, found: Result) -> None:
    """After all that: a good request is answered as before, nothing went unrecorded, no process had to be restarted."""
    reply = running.chat("where is my refund")
    if reply.status_code != 200 or reply.headers["x-distill-route"] != name:
        found.wrong.append(f"a good request afterwards: {reply.status_code} {dict(reply.headers)}")
    health = running.health()
    for what in ("unlogged", "restarts"):
        if health[what]:
            found.wrong.append(f"{health[what]} {what}")
    if "distill_errors_total 0.0" not in running.http.get("/metrics").text:
        found.wrong.append("the gateway counted a fault of its own")
