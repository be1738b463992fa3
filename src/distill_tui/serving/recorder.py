"""What is kept of a play's requests: a line of the served log, counts for Prometheus, figures for the card, a span."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from distill_tui import tasks
from distill_tui.bundles.student import BundledStudent
from distill_tui.gates.label_sets import written
from distill_tui.gates.scale import Scale, apart
from distill_tui.serving import figures, routing, wire
from distill_tui.serving.request import Request
from distill_tui.serving.served_log import ServedLog
from distill_tui.serving.stand import Stand
from distill_tui.serving.students import Answer
from distill_tui.tasks.set_text import labels_in
from distill_tui.terms import KeptContent, Route, ServingMode, Task

if TYPE_CHECKING:
    from distill_tui.serving.otlp import Spans


class Recorder:
    """The record of one play. A record is written before its reply leaves."""

    def __init__(self, code: str, folder: Path, meters: figures.Meters, spans: Spans | None = None) -> None:
        self.code, self.meters, self.spans = code, meters, spans
        self.count = meters.of(code)
        self.log = ServedLog(folder)
        self.figures = figures.restored(folder)

    def request(self, request: Request, route: Route, status: int, said: wire.Said | None = None) -> None:
        """Record a request that is answered; `said` is the teacher's answer, where it gave one."""
        took, stand = time.perf_counter() - request.started, request.stand
        answered, asked = status == 200, request.asked
        cost = stand.cost_per_call if answered and asked.text is not None else None
        self.count.request(route, status, took)
        self.figures.count(route, took, cost)
        if answered and asked.text is not None and stand.mode in (ServingMode.CAPTURE, ServingMode.SHADOW):
            self.figures.captured(asked.frame)
        if cost is not None:
            self.count.money(route, cost)
        record = about(request) | {
            "kind": "request",
            "route": route.value,
            "status": status,
            "latency_ms": round(1000 * took, 3),
            "why": request.why,
            "audited": request.audited,
        }
        if request.found is not None:
            record |= _student(request, request.found, request.sent)
        if said is not None:
            record |= {"teacher_output": stand.kept(said.text), "tokens_in": said.tokens_in}
            record |= _call(request, said)
            record |= {"tokens_out": said.tokens_out, "model": said.model}
            record["cost"] = str(stand.cost_per_call) if stand.cost_per_call is not None and answered else None
        self._write(record)
        if said is not None and answered:
            request.said = said.text
            self._pair(request)
        if self.spans is not None:
            self.spans.of(request, route, status, took, said)

    def computed(self, request: Request, found: Answer, student: BundledStudent) -> None:
        """Count an answer of the student, whether it leaves the gateway or not."""
        self.count.confidence(found.confidence)
        if self.figures.routing.bundle != student.bundle:
            self.figures.routing = routing.begun(student.bundle, student.defers_below)
        answer = "" if student.writes else request.stand.kept(found.text) or ""
        self.figures.routing.compute(found.confidence, answer, request.segment)

    def shadow(self, request: Request, found: Answer, student: BundledStudent) -> None:
        """Record what the student would have answered."""
        self.computed(request, found, student)
        request.shadow = found
        self._write(about(request) | {"kind": "shadow"} | _student(request, found, student.bundle))
        self._pair(request)

    def _pair(self, request: Request) -> None:
        """Compare a shadow with the teacher's answer, once both are there."""
        student = request.stand.student
        if request.shadow is not None and request.said is not None and student is not None:
            self._compare(request, request.shadow, request.said, student.bundle)

    def _compare(self, request: Request, found: Answer, said: str, bundle: str) -> bool:
        agrees = agree(request.stand, stands_for(request.stand, said).strip(), found.text.strip())
        kept, counts = request.stand.kept, self.figures.routing
        if counts.bundle == bundle:
            answers = kept(found.text) or "", kept(said) or ""
            text = kept(request.asked.text)
            counts.pair(found.confidence, *answers, agrees=agrees, text=text, segment=request.segment)
        return agrees

    def audit(self, request: Request, found: Answer, said: wire.Said) -> None:
        """Record what the teacher says to a request that the student answered; count whether they agree."""
        outcome = "agrees" if self._compare(request, found, str(said.text), request.sent) else "differs"
        self.meters.audits.labels(self.code, outcome).inc()
        record = about(request) | {"kind": "audit"} | _student(request, found, request.sent)
        self._write(record | {"model": said.model, "teacher_output": request.stand.kept(said.text)})

    def paid(self, stand: Stand) -> None:
        self.figures.paid(stand.cost_per_call)

    def _write(self, record: dict[str, object]) -> None:
        if not self.log.write({name: value for name, value in record.items() if value not in (None, "")}):
            self.meters.unlogged.labels(self.code).inc()


def about(request: Request) -> dict[str, object]:
    """Return what every record of a request has, whichever route it took."""
    stand, asked = request.stand, request.asked
    group = request.group
    return {
        "id": f"{random.getrandbits(64):016x}",
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "mode": stand.mode.value,
        "format": asked.format,
        "digest": request.digest,
        "input": stand.kept(asked.text),
        "group": stand.kept(str(group)) if group not in (None, "") else None,
        "segment": request.segment,
        "frame": asked.frame,
    }


def agree(stand: Stand, teacher: str, student: str) -> bool:
    """Whether two answers are the same; of scores, whether they are within one level, or a tenth of a range."""
    of_scores = stand.student is not None and stand.student.task is Task.SCORE
    return not apart(Scale.of(stand.student.labels) if stand.student and of_scores else None, teacher, student)


def stands_for(stand: Stand, said: str) -> str:
    """Return the teacher's answer in the words of the student: the label, or the set of labels, that it means."""
    if stand.student is not None and stand.student.task is Task.SCORE:
        return Scale.of(stand.student.labels).known(said) or stand.names.get(said, said)
    if stand.student is None or not tasks.of(stand.student.task).several:
        return stand.names.get(said, said)
    try:
        return written(stand.names.get(name, name) for name in labels_in(said, "the answer", "\n"))
    except ValueError:
        return said


def _student(request: Request, found: Answer, bundle: str) -> dict[str, object]:
    answer = request.stand.kept(found.text)
    return {"student": answer, "confidence": round(found.confidence, 6), "bundle": bundle}


def _call(request: Request, said: wire.Said) -> dict[str, object]:
    """Return what `import` needs to read the call by another mapping than today's."""
    stand = request.stand
    if not request.asked.messages or stand.content is KeptContent.DIGESTS or said.text is None:
        return {}
    listed = [{"role": each.role, "content": stand.kept(each.text)} for each in request.asked.messages]
    found: dict[str, object] = {"messages": listed}
    if said.raw != said.text:
        found["teacher_text"] = stand.kept(said.raw)
    return found
