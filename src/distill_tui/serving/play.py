"""One play at the gateway: which of teacher and student answers a request, and how it stands."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse

from distill_tui.digests import digest_of
from distill_tui.serving import figures, replies, retention, wire
from distill_tui.serving.loaded import Loaded
from distill_tui.serving.recorder import Recorder
from distill_tui.serving.request import PARTS, Request, part
from distill_tui.serving.stand import Stand
from distill_tui.serving.students import StudentGone, Students
from distill_tui.serving.teacher import Fault, Teacher
from distill_tui.serving.unseen import Unseen
from distill_tui.terms import Route, ServingMode, TeacherFault

if TYPE_CHECKING:
    from distill_tui.serving.otlp import Spans


class Play:
    """A play that is served."""

    def __init__(
        self,
        code: str,
        folder: Path,
        teacher: Teacher | None,
        meters: figures.Meters,
        processes: int,
        spans: Spans | None = None,
        keep: retention.Keep | None = None,
    ) -> None:
        self.code, self.folder, self.teacher, self.meters = code, folder, teacher, meters
        self.stand: Stand | None = None
        self.loaded = Loaded(processes)
        self.recorder = Recorder(code, folder, meters, spans)
        self.retention = retention.Retention(self.recorder.log, keep or retention.Keep())
        self.unseen = Unseen(self.recorder, teacher)
        self.notes: list[str] = []  # what an operator should know and no request depends on
        self.begun = time.time()

    # --- how it stands -----------------------------------------------------------------------------------------------

    def take(self, stand: Stand) -> None:
        """Go by this from now on. The student that it names is loaded first; until then the teacher answers."""
        before, self.stand = self.stand, stand
        for mode in ServingMode:
            self.meters.mode.labels(self.code, mode.value).set(mode is stand.mode)
        self.meters.fell_back.labels(self.code).set(bool(stand.wrong))
        self.loaded.follow(before, stand)

    def health(self) -> dict[str, object]:
        """Return the truth about the play: what answers, from which bundle, since when, and what is wrong."""
        stand, log = self.stand, self.recorder.log
        if stand is None:
            return {"play": self.code, "status": "starting"}
        ready, student = self.loaded.ready(stand), stand.student
        wrong = [each for each in (stand.wrong, self.loaded.trouble, log.trouble) if each]
        wrong += [*self.retention.wrong, *self.notes]
        if self.teacher is None:
            wrong += [] if stand.mode.by_student else ["There is no teacher: every request gets 503."]
        return {
            "play": self.code,
            "name": stand.name,
            "status": "ok" if not wrong else "degraded",
            "mode": stand.mode.value,
            "percent": stand.percent,
            "answers": "student and teacher" if stand.answers and ready else "teacher" if self.teacher else "nothing",
            "bundle": student.bundle if student is not None and stand.mode is not ServingMode.SHADOW else None,
            "student": student.form if student is not None else None,
            "signer": stand.signer or None,
            "without_student": "teacher" if self.teacher is not None else "nothing: requests get 503",
            "device": "cpu" if ready is not None else None,
            "processes": self.loaded.processes if ready is not None else 0,
            "restarts": self.loaded.students.restarts if self.loaded.students is not None else 0,
            "since": stand.since or None,
            "entry": stand.seq,
            "wrong": wrong,
            "logged": log.written,
            "unlogged": log.unlogged,
            "log": self.retention.values(),
            "audit_share": stand.audit_share,
            "figures": self.recorder.figures.values(),
        }

    async def close(self) -> None:
        await self.unseen.close()
        await self.loaded.close()
        if self.teacher is not None:
            await self.teacher.close()
        with suppress(OSError):
            figures.keep(self.folder, self.health())
        self.recorder.log.close()

    # --- a request ---------------------------------------------------------------------------------------------------

    async def answer(self, request: Request) -> Response:
        """Answer a request by the student or the teacher, and record it."""
        asked, stand = request.asked, request.stand
        if asked.text is not None:
            request.digest = digest_of(asked.text)
            request.audited = part(request.digest, "audit") < stand.audit_share * PARTS
            if self._chosen(request, stand):
                answered = await self._by_student(request, stand)
                if answered is not None:
                    return answered
        else:
            request.why = asked.why
            self.meters.passed.labels(self.code, asked.why or "path").inc()
        return await self._by_teacher(request, stand)

    def _chosen(self, request: Request, stand: Stand) -> bool:
        """Whether the student is asked first: in a cascade always, in a canary for its fixed share."""
        if not stand.answers:
            return False
        if not self.recorder.figures.knows(request.asked.frame):
            request.why = "frame"
            self.meters.passed.labels(self.code, "frame").inc()
            return False
        if stand.mode is ServingMode.CANARY:
            return part(request.digest, f"canary {self.code}") < stand.percent * PARTS // 100
        return True

    async def _by_student(self, request: Request, stand: Stand) -> Response | None:
        """Return the student's answer; None where the teacher has to give it."""
        students = self.loaded.ready(stand)
        if students is None or request.asked.text is None:
            request.why = "student not ready"
            return None
        try:
            found = await students.ask(request.asked.text)
        except StudentGone:
            request.why = "student gone"
            return None
        request.found, request.sent = found, students.student.bundle
        self.recorder.computed(request, found, students.student)
        if not self._still(stand):  # withdrawn while it computed
            request.why = "withdrawn"
            return None
        if stand.mode is ServingMode.CASCADE and found.confidence < students.student.defers_below:
            request.why = "unsure"
            return None
        if wire.worded(found.text, stand.mapping) is None:
            request.why = "answer form"
            return None
        if request.audited:
            self.unseen.audit(request, found)
        return self._by_students_words(request, students, Route.STUDENT)

    def _still(self, stand: Stand) -> bool:
        now = self.stand
        return now is stand or (now is not None and now.answers and now.student == stand.student)

    def _by_students_words(self, request: Request, students: Students, route: Route) -> Response:
        assert request.found is not None
        self.recorder.request(request, route, 200)
        return replies.of_student(request, request.found, students.labels, route)

    # --- the teacher -------------------------------------------------------------------------------------------------

    async def _by_teacher(self, request: Request, stand: Stand) -> Response:
        if self.teacher is None:
            return await self._without_teacher(request, stand, Fault("none", "There is no teacher to ask.", 503))
        if stand.mode is ServingMode.SHADOW:
            self.unseen.shadow(request, self.loaded.ready(stand))
        try:
            if request.asked.stream:
                return await self._streamed(request, self.teacher)
            return await self._whole(request, self.teacher)
        except Fault as fault:
            self.meters.faults.labels(self.code, fault.word).inc()
            return await self._without_teacher(request, stand, fault)

    async def _whole(self, request: Request, teacher: Teacher) -> Response:
        reply = await teacher.ask(request.method, request.path, request.content, request.headers)
        value = reply.value()
        if request.asked.format in wire.FORMATS and reply.status == 200 and value is None:
            raise Fault("not JSON", "The teacher's answer is not JSON.", reply=None)
        said = wire.said(request.asked.format, value, request.stand.mapping)
        self.recorder.request(request, Route.TEACHER, reply.status, said)
        return replies.of_teacher(request, reply)

    async def _streamed(self, request: Request, teacher: Teacher) -> Response:
        status, headers, chunks = await teacher.stream(request.method, request.path, request.content, request.headers)
        answer = StreamingResponse(self._relay(request, status, chunks), status)
        answer.raw_headers = replies.raw(headers, request, None)
        return answer

    async def _relay(self, request: Request, status: int, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass on what the teacher streams; the record is written before the last bytes leave."""
        seen, held, whole = wire.Stream(request.asked.format, request.stand.mapping), b"", False
        try:
            async for chunk in chunks:
                seen.feed(chunk)
                if held:
                    yield held
                held = chunk
            whole = True
        except Fault as fault:
            self.meters.faults.labels(self.code, fault.word).inc()
            raise
        finally:
            said = seen.said() if whole else wire.Said(None)
            self.recorder.request(request, Route.TEACHER, status if whole else 499, said)
        yield held

    async def _without_teacher(self, request: Request, stand: Stand, fault: Fault) -> Response:
        """Answer with the student, marked, where the policy says so and it may answer; else pass the fault on."""
        students = self.loaded.ready(stand)
        if stand.on_fault is TeacherFault.STUDENT and stand.answers and students is not None and request.asked.text:
            with suppress(StudentGone):
                request.found = request.found or await students.ask(request.asked.text)
                request.sent, request.why = students.student.bundle, fault.word
                if self._still(stand):
                    return self._by_students_words(request, students, Route.FALLBACK)
        request.why = request.why or fault.word
        self.recorder.request(request, Route.TEACHER, fault.status)
        if fault.reply is not None:
            return replies.of_teacher(request, fault.reply)
        return replies.refused(request, fault.status, str(fault), "teacher_" + fault.word.replace(" ", "_"))
