"""The spans of a gateway by OpenTelemetry's GenAI conventions; `spans` loads this where an OTLP endpoint is set.

One span a request, in the trace that the application names (`traceparent`). Content is on it as the play's policy keeps
it. A thread sends batches, outside any request; what is not delivered is counted. `import` reads such spans back, those
that the teacher answered.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from distill_tui.dataset.traces.messages import ASSISTANT, SYSTEM, Message
from distill_tui.dataset.traces.otel import FAIR, ROUTE
from distill_tui.serving import figures, wire
from distill_tui.serving.request import Request
from distill_tui.terms import KeptContent, Route

Attributes = dict[str, str | float | int | Sequence[str] | None]


class Spans:
    """The spans of one gateway process."""

    def __init__(self, meters: figures.Meters) -> None:
        named = Resource.create({} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "distill-tui"})
        self._provider = TracerProvider(resource=named, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(Counted(OTLPSpanExporter(), meters)))  # type: ignore[arg-type]
        self._tracer = self._provider.get_tracer("distill_tui.serving")
        self._parent = TraceContextTextMapPropagator().extract
        self._kinds = dict.fromkeys(Route, trace.SpanKind.INTERNAL) | {Route.TEACHER: trace.SpanKind.CLIENT}
        self._error = trace.Status(trace.StatusCode.ERROR)
        self._made = meters.spans.labels("made")

    def of(self, request: Request, route: Route, status: int, took: float, said: wire.Said | None) -> None:
        """Write the span of a request that was answered just now and took so many seconds."""
        end = time.time_ns()
        span = self._tracer.start_span(
            f"chat {request.asked.model}".strip(),
            context=self._parent(dict(request.headers)),
            kind=self._kinds[route],
            attributes=attributes(request, route, said),
            start_time=end - int(took * 1e9),
        )
        if status != 200:
            span.set_attribute("error.type", str(status))
            span.set_status(self._error)
        span.end(end)
        self._made.inc()

    def close(self) -> None:
        """Send what waits, for some seconds at most."""
        self._provider.shutdown()


class Counted:
    """An exporter whose deliveries and failures are counted."""

    def __init__(self, exporter: SpanExporter, meters: figures.Meters) -> None:
        self._exporter = exporter
        self._sent, self._failed = meters.spans.labels("sent"), meters.spans.labels("failed")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        (self._sent if result.value == 0 else self._failed).inc(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def attributes(request: Request, route: Route, said: wire.Said | None) -> dict[str, str | float | int | Sequence[str]]:
    """Return the attributes of a request's span."""
    asked, stand, by_teacher = request.asked, request.stand, route is Route.TEACHER
    model = (said.model if said is not None else "") if by_teacher else request.sent
    group = request.group
    found: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai" if by_teacher else "distill_tui",
        "gen_ai.request.model": asked.model,
        "gen_ai.response.model": model,
        "gen_ai.usage.input_tokens": said.tokens_in if said is not None else None,
        "gen_ai.usage.output_tokens": said.tokens_out if said is not None else None,
        "gen_ai.conversation.id": request.stand.kept(str(group)) if group not in (None, "") else None,
        ROUTE: route.value,
        FAIR: request.why != "unsure",
        "distill.play": stand.name,
        "distill.mode": stand.mode.value,
        "distill.input.digest": request.digest,
        "distill.why": request.why,
        "distill.bundle": request.sent,
        "distill.confidence": round(request.found.confidence, 6) if request.found is not None else None,
    }
    return {name: value for name, value in (found | _content(request, route, said)).items() if value not in (None, "")}


def _content(request: Request, route: Route, said: wire.Said | None) -> Attributes:
    """Return messages and answer as the policy keeps them; none where it keeps digests."""
    if request.stand.content is KeptContent.DIGESTS:
        return {}
    messages = request.asked.messages or ((Message("user", request.asked.text),) if request.asked.text else ())
    answer = said.raw or said.text if said is not None else None
    if route is not Route.TEACHER and request.found is not None:
        answer = request.found.text
    found: Attributes = {}
    system = [_part(request, each.text) for each in messages if each.role == SYSTEM]
    others = [{"role": m.role, "parts": [_part(request, m.text)]} for m in messages if m.role != SYSTEM]
    if system:
        found["gen_ai.system_instructions"] = json.dumps(system)
    if others:
        found["gen_ai.input.messages"] = json.dumps(others)
    if answer is not None:
        answered = {"role": ASSISTANT, "parts": [_part(request, answer)], "finish_reason": "stop"}
        found |= {"gen_ai.output.messages": json.dumps([answered]), "gen_ai.response.finish_reasons": ["stop"]}
    return found


def _part(request: Request, text: str) -> dict[str, str | None]:
    return {"type": "text", "content": request.stand.kept(text)}
