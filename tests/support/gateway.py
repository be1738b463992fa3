"""A gateway of a test's own: real uvicorn on loopback, in a thread, or as the command in a process."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from openai import OpenAI

from distill_tui.serving import command, guard, server
from distill_tui.serving import served_log as logs


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Gateway:
    """What a client and a test see of a gateway that runs."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port, self.folder = port, folder
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.url, timeout=20)
        self.openai = OpenAI(base_url=f"{self.url}/v1", api_key="sk-of-the-application", max_retries=0, timeout=20)

    def chat(self, text: str, **more: Any) -> httpx.Response:
        body = {"model": "big", "messages": [{"role": "user", "content": text}]} | more
        return self.http.post("/v1/chat/completions", json=body)

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get("/health").json()["plays"][0]
        return found

    def records(self, kind: str = "") -> list[dict[str, Any]]:
        found = [dict(record) for _, record in logs.read(self.folder)]
        return [record for record in found if kind in ("", record["kind"])]

    def until(self, holds: Callable[[], bool], seconds: float = 10.0) -> float:
        """Wait until something holds; return the seconds that it took."""
        started = time.monotonic()
        while not holds():
            assert time.monotonic() - started < seconds, self.health()
            time.sleep(0.01)
        return time.monotonic() - started

    def close(self) -> None:
        self.http.close()
        self.openai.close()


@contextmanager
def serving(
    *plays: server.Served,
    teacher: str = "",
    limits: guard.Limits | None = None,
    say: Callable[[str], None] = lambda sentence: None,
    **more: Any,
) -> Iterator[Gateway]:
    """Run a gateway in a thread of this process."""
    port = free_port()
    setup = server.Setup(plays, port=port, teacher=teacher, limits=limits or guard.Limits(), **more)
    running = server.made(setup, say)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    started = time.monotonic()
    while not running.started:
        assert thread.is_alive() and time.monotonic() - started < 60
        time.sleep(0.02)
    gateway = Gateway(port, plays[0].folder)
    try:
        yield gateway
    finally:
        gateway.close()
        running.should_exit = True
        thread.join(30)


def of_play(path: Path) -> server.Served:
    return command.play(path, "P-001")


@contextmanager
def process(
    *words: str, folder: Path, env: dict[str, str] | None = None, file_limit: int = 0, fails: bool = False
) -> Iterator[tuple[Gateway, subprocess.Popen[str]]]:
    """Run `distill-tui serve` in a process of its own, until it answers; `file_limit` is a disk that is full."""
    port = free_port()

    def limited() -> None:
        if file_limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    program = [sys.executable, "-m", "distill_tui", "serve", *words, "--port", str(port)]
    with subprocess.Popen(
        program, stderr=subprocess.PIPE, text=True, env=os.environ | (env or {}), preexec_fn=limited
    ) as running:
        gateway = Gateway(port, folder)
        try:
            if not fails:
                answers(gateway, running)
            yield gateway, running
        finally:
            gateway.close()
            running.terminate()
            running.wait(30)


def answers(gateway: Gateway, running: subprocess.Popen[str], seconds: float = 60.0) -> None:
    """Wait until a gateway's process answers."""
    started = time.monotonic()
    while True:
        try:
            gateway.http.get("/health")
            return
        except httpx.HTTPError:
            assert running.poll() is None, running.stderr.read() if running.stderr else ""
            assert time.monotonic() - started < seconds
            time.sleep(0.05)
