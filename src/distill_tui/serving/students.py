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
from contextlib import suppress
from dataclasses import dataclass

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


class Students:
    """The processes of one bundle's student."""

    def __init__(self, student: BundledStudent, processes: int) -> None:
        self.student = student
        self.labels: tuple[str, ...] = ()
        self.processes = processes
        self._waiting: deque[tuple[str, asyncio.Future[Answer]]] = deque()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._running: list[asyncio.subprocess.Process] = []
        self.restarts = 0

    async def start(self) -> None:
        """Start the processes and wait until each has its model loaded. Raises StudentGone."""
        try:
            started = await asyncio.gather(*(self._spawn() for _ in range(self.processes)))
        except BaseException:
            await self.close()
            raise
        self._tasks = [asyncio.create_task(self._serve(process)) for process in started]

    async def _spawn(self) -> asyncio.subprocess.Process:
        folder, threads, most = self.student.folder, self.student.threads, self.student.max_tokens
        words = ["-m", "distill_tui.training.student_process", str(folder), str(threads), str(most)]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | QUIET,
            start_new_session=True,  # a Ctrl-C ends the gateway, which then ends its students
        )
        self._running.append(process)
        try:
            labels = await asyncio.wait_for(_receive(process), STARTS_WITHIN)
        except (asyncio.IncompleteReadError, TimeoutError, ValueError):
            raise StudentGone(f"The student in {folder.name} does not start; its error is above.") from None
        self.labels = tuple(map(str, labels)) if isinstance(labels, list) else ()
        return process

    async def ask(self, text: str) -> Answer:
        """Answer one text. Raises StudentGone."""
        if len(self._waiting) >= LONGEST_QUEUE:
            raise StudentGone("Too many requests wait for the student.")
        if not self._tasks:
            raise StudentGone("The student was closed.")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((text, future))
        self._wake.set()
        return await future

    async def _serve(self, process: asyncio.subprocess.Process) -> None:
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            taken = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            taken = [(text, future) for text, future in taken if not future.done()]  # its client may be gone
            if not taken:
                continue
            try:
                found = await _exchange(process, [text for text, _ in taken])
            except (OSError, asyncio.IncompleteReadError, ValueError):
                process = await self._again(process, taken)
                continue
            except asyncio.CancelledError:
                _fail(taken, "The student was closed.")
                raise
            if not isinstance(found, list):
                _fail(taken, str(found))
                continue
            for (_, future), (answer, confidence, shares) in zip(taken, found, strict=True):
                if not future.done():
                    future.set_result(Answer(answer, confidence, tuple(shares)))

    async def _again(
        self, gone: asyncio.subprocess.Process, taken: list[tuple[str, asyncio.Future[Answer]]]
    ) -> asyncio.subprocess.Process:
        """Start another process in the place of one that ended; what it had taken is asked again."""
        self._waiting.extendleft(reversed(taken))
        with suppress(ProcessLookupError):
            gone.kill()
        await gone.wait()
        self._running.remove(gone)
        self.restarts += 1
        try:
            return await self._spawn()
        except StudentGone as error:
            _fail(list(self._waiting), str(error))
            self._waiting.clear()
            raise

    @property
    def alive(self) -> bool:
        """Whether a process answers, or is being started again."""
        return any(not task.done() for task in self._tasks)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def close(self) -> None:
        """End the processes. Waiting requests get StudentGone."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        _fail(list(self._waiting), "The student was closed.")
        self._waiting.clear()
        for process in self._running:
            with suppress(ProcessLookupError):
                process.kill()
        await asyncio.gather(*(process.wait() for process in self._running))
        self._running.clear()


def _fail(taken: list[tuple[str, asyncio.Future[Answer]]], why: str) -> None:
    for _, future in taken:
        if not future.done():
            future.set_exception(StudentGone(why))


async def _exchange(process: asyncio.subprocess.Process, texts: list[str]) -> object:
    assert process.stdin is not None
    content = json.dumps(texts).encode()
    process.stdin.write(len(content).to_bytes(4, "big") + content)
    await process.stdin.drain()
    return await _receive(process)


async def _receive(process: asyncio.subprocess.Process) -> object:
    assert process.stdout is not None
    head = await process.stdout.readexactly(4)
    return json.loads(await process.stdout.readexactly(int.from_bytes(head, "big")))
