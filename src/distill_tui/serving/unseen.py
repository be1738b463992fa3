"""What happens next to requests, without a client that waits: the student's shadow, and the audit channel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from contextlib import suppress

from distill_tui.serving import wire
from distill_tui.serving.recorder import Recorder
from distill_tui.serving.request import Request
from distill_tui.serving.students import Answer, StudentGone, Students
from distill_tui.serving.teacher import Fault, Teacher

AT_ONCE, WAITING = 8, 1_000


class Unseen:
    """The background work of one play: bounded, and what is skipped is counted."""

    def __init__(self, recorder: Recorder, teacher: Teacher | None) -> None:
        self.recorder, self.teacher = recorder, teacher
        self._audits = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def shadow(self, request: Request, students: Students | None) -> None:
        """Have the student answer too."""
        if students is not None and request.asked.text is not None:
            self._later(self._shadow(request, students, request.asked.text))

    def audit(self, request: Request, found: Answer) -> None:
        """Ask the teacher what the student has answered, whatever the routing: the fair sample of a cascade."""
        if self.teacher is not None:
            self._later(self._audit(request, found, self.teacher))

    def _later(self, work: Coroutine[None, None, None]) -> None:
        if len(self._tasks) >= WAITING:
            self._outcome("skipped")
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shadow(self, request: Request, students: Students, text: str) -> None:
        with suppress(StudentGone):
            self.recorder.shadow(request, await students.ask(text), students.student)

    async def _audit(self, request: Request, found: Answer, teacher: Teacher) -> None:
        async with self._audits:
            try:
                reply = await teacher.ask(request.method, request.path, _whole(request), request.headers)
            except Fault as fault:
                self.recorder.meters.faults.labels(self.recorder.code, fault.word).inc()
                self._outcome("failed")
                return
            said = wire.said(request.asked.format, reply.value(), request.stand.mapping)
            self.recorder.paid(request.stand)
            if reply.status != 200 or said.text is None:
                self._outcome("failed")
                return
            self.recorder.audit(request, found, said)

    def _outcome(self, word: str) -> None:
        self.recorder.meters.audits.labels(self.recorder.code, word).inc()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _whole(request: Request) -> bytes:
    """Return a request's content as one that does not stream."""
    if not request.asked.stream or not isinstance(request.body, dict):
        return request.content
    return json.dumps({k: v for k, v in request.body.items() if k not in ("stream", "stream_options")}).encode()
