"""A student in processes of its own: requests wait here, and go to a process together as soon as it is free.

No time is spent waiting for a batch to fill: a free process takes what waits, so a quiet gateway answers at once and a
busy one in batches.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import cast

from distill_tui.bundles.student import BundledStudent

BATCH = 32
STARTS_WITHIN = 120.0  # seconds for a large model to load
LONGEST_QUEUE = 4_096
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


class StudentGone(RuntimeError):
    """The student cannot answer: its process ended, or too many requests wait."""


@dataclass(frozen=True)
class Answer:
    """What the student says to one input."""

    text: str
    confidence: float
    probabilities: tuple[float, ...]  # in the order of the labels; empty for a student that writes


Waiting = tuple[str, asyncio.Future[Answer]]  # a text, and where its answer goes


class _Process(asyncio.SubprocessProtocol):
    """One process of a student. Its frames are read where they arrive: no task waits between a text and its answer."""

    def __init__(self, got: Callable[[_Process, bytes], None], gone: Callable[[_Process], None]) -> None:
        self._got, self._gone = got, gone
        self._rest = bytearray()
        self.taken: list[Waiting] = []  # what it answers now
        loop = asyncio.get_running_loop()
        self.started: asyncio.Future[bytes] = loop.create_future()  # its first frame, which may come before it is known
        self.ended = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self._texts = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))

    def send(self, taken: list[Waiting]) -> None:
        self.taken = taken
        content = json.dumps([text for text, _ in taken]).encode()
        if not self._texts.is_closing():  # else its end is about to be seen
            self._texts.write(len(content).to_bytes(4, "big") + content)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._rest += data
        while len(self._rest) >= 4 and len(self._rest) >= (end := 4 + int.from_bytes(self._rest[:4], "big")):
            content = bytes(self._rest[4:end])
            del self._rest[:end]
            self._got(self, content)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.kill()

    def process_exited(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
            self._gone(self)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._transport.kill()


class Students:
    """The processes of one bundle's student."""

    def __init__(self, student: BundledStudent, processes: int) -> None:
        self.student = student
        self.labels: tuple[str, ...] = ()
        self.processes = processes
        self._waiting: deque[Waiting] = deque()
        self._due = False  # whether what waits is handed out in the next turn of the event loop
        self._running: list[_Process] = []
        self._free: deque[_Process] = deque()
        self._again: set[asyncio.Task[None]] = set()
        self._closed = False
        self.restarts = 0

    async def start(self) -> None:
        """Start the processes and wait until each has its model loaded. Raises StudentGone."""
        try:
            await asyncio.gather(*(self._spawn() for _ in range(self.processes)))
        except BaseException:
            await self.close()
            raise

    async def _spawn(self) -> None:
        folder, threads, most = self.student.folder, self.student.threads, self.student.max_tokens
        words = ["-m", "distill_tui.training.student_process", str(folder), str(threads), str(most)]
        loop = asyncio.get_running_loop()
        _, process = await loop.subprocess_exec(
            partial(_Process, self._got, self._gone),
            sys.executable,
            *words,
            stderr=None,
            env=os.environ | QUIET,
            start_new_session=True,  # a Ctrl-C ends the gateway, which then ends its students
        )
        self._running.append(process)
        try:
            labels = json.loads(await asyncio.wait_for(asyncio.shield(process.started), STARTS_WITHIN))
        except (StudentGone, TimeoutError, ValueError):
            process.kill()
            if process in self._running:
                self._running.remove(process)
            raise StudentGone(f"The student in {folder.name} does not start; its error is above.") from None
        self.labels = tuple(map(str, labels)) if isinstance(labels, list) else ()
        if not process.ended.done():
            self._free.append(process)
            self._hand_out()

    async def ask(self, text: str) -> Answer:
        """Answer one text. Raises StudentGone."""
        if len(self._waiting) >= LONGEST_QUEUE:
            raise StudentGone("Too many requests wait for the student.")
        if not self.alive:
            raise StudentGone("The student was closed.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((text, future))
        if self._free and not self._due:  # what else came in this turn goes along
            self._due = True
            loop.call_soon(self._hand_out)
        return await future

    def _hand_out(self) -> None:
        self._due = False
        while self._free and self._waiting:
            taken = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            taken = [(text, future) for text, future in taken if not future.done()]  # its client may be gone
            if taken:
                self._free.popleft().send(taken)

    def _got(self, process: _Process, content: bytes) -> None:
        """Take a frame of a process: its labels at first, then its answers."""
        if not process.started.done():
            process.started.set_result(content)
            return
        try:
            found = json.loads(content)
        except ValueError:
            process.kill()
            return
        taken, process.taken = process.taken, []
        if not process.ended.done():  # its last frame may come after its end
            self._free.append(process)
            self._hand_out()
        if not isinstance(found, list) or len(found) != len(taken):
            _fail(taken, str(found))
            return
        for (_, future), (answer, confidence, shares) in zip(taken, found, strict=True):
            if not future.done():
                future.set_result(Answer(answer, confidence, tuple(shares)))

    def _gone(self, process: _Process) -> None:
        """Start another process in the place of one that ended; what it had taken is asked again."""
        started = process.started.done()
        if not started:
            process.started.set_exception(StudentGone("It ended."))
        if process not in self._running:
            return
        self._running.remove(process)
        if process in self._free:
            self._free.remove(process)
        self._waiting.extendleft(reversed(process.taken))
        if started and not self._closed:
            self.restarts += 1
            task = asyncio.get_running_loop().create_task(self._replace())
            self._again.add(task)
            task.add_done_callback(self._again.discard)

    async def _replace(self) -> None:
        try:
            await self._spawn()
        except StudentGone as error:
            _fail(list(self._waiting), str(error))
            self._waiting.clear()

    @property
    def alive(self) -> bool:
        """Whether a process answers, or is being started again."""
        return not self._closed and bool(self._running or self._again)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def close(self) -> None:
        """End the processes. Requests get StudentGone at once, also where a later change of the stand cancels this."""
        self._closed = True
        ending = list(self._running)
        for process in ending:
            process.kill()
            taken, process.taken = process.taken, []
            self._waiting.extend(taken)
        _fail(list(self._waiting), "The student was closed.")
        self._waiting.clear()
        for task in self._again:
            task.cancel()
        await asyncio.gather(*self._again, return_exceptions=True)
        for process in self._running:  # one that was being started again
            process.kill()
        await asyncio.gather(*(asyncio.shield(process.ended) for process in {*ending, *self._running}))


def _fail(taken: list[Waiting], why: str) -> None:
    for _, future in taken:
        if not future.done():
            future.set_exception(StudentGone(why))
