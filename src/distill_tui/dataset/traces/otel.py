"""OpenTelemetry: GenAI spans and log records in OTLP JSON, and OpenInference spans that came over OTLP.

Sources: open-telemetry/semantic-conventions-genai and opentelemetry-proto, `examples/trace.json`. Content is off by
default, on the span, on an event of it, or in log records with its trace and span ID. Older conventions number it
(`gen_ai.prompt.0.content`), or write a log record for each message.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from distill_tui.dataset.traces import openinference
from distill_tui.dataset.traces.attributes import attributes_of, messages_at, pairs, value_of
from distill_tui.dataset.traces.bodies import first, object_at
from distill_tui.dataset.traces.call import Call, PassedOver, parameters_in, tags_in
from distill_tui.dataset.traces.format import Event, Format, Found, text_of
from distill_tui.dataset.traces.messages import SYSTEM, Message, message_of, opened

CALLS = ("chat", "text_completion", "generate_content", "")
NO_CONTENT = (
    "no content: the setting is off; turn on OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT, and export again; "
    "or, where log records hold it, import them together with the spans"
)
NO_SPAN = "no usable span in these files has its trace and span ID; import the spans together with the log records"
DETAILS = "gen_ai.client.inference.operation.details"
OLD_EVENTS = tuple(
    f"gen_ai.{name}" for name in ("system.message", "user.message", "assistant.message", "tool.message", "choice")
)
# on the spans of a gateway: who answered, and whether the student had not sent the request back
ROUTE, FAIR = "distill.route", "distill.fair_sample"
_STARTS = ("startTimeUnixNano", "start_time_unix_nano")
_LOGGED = ("timeUnixNano", "time_unix_nano", "observedTimeUnixNano", "observed_time_unix_nano")
_ENDS = ("endTimeUnixNano", "end_time_unix_nano")


def looks(record: Mapping[str, object]) -> bool:
    if any(name in record for name in _STARTS):
        return "attributes" in record or "spanId" in record
    named = any(name.startswith("gen_ai.") for name in (*record, *object_at(record, "attributes")))
    return named and not looks_logged(record)


def looks_logged(record: Mapping[str, object]) -> bool:
    logged = any(name in record for name in _LOGGED) and not any(name in record for name in _STARTS)
    return logged and ("attributes" in record or "spanId" in record)


def read(record: Mapping[str, object]) -> Found:
    attributes = attributes_of(record) or {name: own for name, own in record.items() if "." in name and own is not None}
    attributes = _with_events(record, attributes)
    start, end = (_nanoseconds(first(record, *names)) for names in ((*_STARTS, *_LOGGED), _ENDS))
    latency = None if start is None or end is None or end < start else round((end - start) / 1e6, 3)
    time = None if start is None else datetime.fromtimestamp(start / 1e9, UTC)
    failed = object_at(record, "status").get("code") in (2, "STATUS_CODE_ERROR") or "error.type" in attributes
    span = tuple(text_of(first(record, *names)) for names in (("spanId", "span_id"), ("traceId", "trace_id")))
    if "openinference.span.kind" in attributes:
        kind = text_of(attributes["openinference.span.kind"])
        return openinference.call_of(attributes, kind, failed, time, latency, span)
    logged, key = looks_logged(record), f"{span[1]} {span[0]}" if all(span) else ""
    event = text_of(first(record, "eventName", "event_name") or attributes.get("event.name"))
    if event in OLD_EVENTS:
        return _one_message(event, record, key)
    if not any(name.startswith("gen_ai.") for name in attributes):
        return PassedOver("not a model call (no gen_ai attributes)")
    if logged and event.startswith("gen_ai.") and event != DETAILS:
        return PassedOver(f"not a model call ({event})")
    why = _not_traffic(attributes, failed=failed)
    if why:
        return PassedOver(why, "" if logged else key)
    call = _call(attributes, time, latency, span)
    return _logged(call, key) if logged else replace(call, events=key)


def _not_traffic(attributes: Mapping[str, object], *, failed: bool) -> str:
    """Return why a span or log record with GenAI attributes is not a call of the teacher; "" where it is one."""
    operation = text_of(first(attributes, "gen_ai.operation.name", "llm.request.type"))
    if operation not in CALLS:
        return f"not a model call ({operation})"
    if failed:
        return f"the call failed ({text_of(attributes.get('error.type')) or 'status error'})"
    if text_of(attributes.get(ROUTE)) not in ("", "teacher"):
        return "a gateway's student answered, not the teacher"
    return "sent back by a gateway's student: no fair sample" if attributes.get(FAIR) in (False, "false") else ""


def _logged(call: Call, key: str) -> Found:
    """Take a log record of a whole call: a row, unless a half of it is missing."""
    asked = any(each.role != SYSTEM for each in call.messages)
    missing = "" if asked == (call.answer is not None) else "answer" if asked else "question"
    half = f"the log record has no {missing}, and {NO_SPAN}" if missing else ""
    return Event(key, call, half=half) if key else half or call


def _one_message(event: str, record: Mapping[str, object], key: str) -> Found:
    """Take one message of a call, as the convention of 2024 logs it: its content is the record's body."""
    if not key:
        return f"one message of a call ({event}), by the old convention; export events of whole calls, or spans"
    body = opened(value_of(record.get("body")))
    held = body if isinstance(body, Mapping) else {"content": body}
    chosen = event == OLD_EVENTS[-1]
    if chosen and text_of(held.get("index")) not in ("", "0"):
        return PassedOver("another choice of the same answer")
    said = opened(held.get("message")) if chosen else held
    role = "assistant" if chosen else event.split(".")[1]
    message = message_of({"role": role, **said}) if isinstance(said, Mapping) else None
    if message is None or message == Message(message.role):
        return NO_CONTENT
    half = f"one message of a call ({event}), and {NO_SPAN}"
    if chosen:
        call = Call(answer=message, finish=text_of(held.get("finish_reason")), no_content=NO_CONTENT)
    else:
        call = Call(messages=(message,), no_content=NO_CONTENT)
    return Event(key, call, whole=False, half=half)


def _call(attributes: Mapping[str, object], time: object, latency: float | None, span: tuple[str, ...]) -> Call:
    answers = messages_at(attributes, "gen_ai.output.messages") or messages_at(attributes, "gen_ai.completion")
    finishes = opened(first(attributes, "gen_ai.response.finish_reasons", "gen_ai.completion.0.finish_reason"))
    finish = finishes[0] if isinstance(finishes, list) and finishes else finishes
    messages = messages_at(attributes, "gen_ai.input.messages") or messages_at(attributes, "gen_ai.prompt")
    known = ("gen_ai.", "llm.", "openinference.")
    return Call(
        messages=(*_system(attributes), *messages),
        answer=answers[0] if answers else None,
        finish=text_of(finish),
        model=text_of(first(attributes, "gen_ai.response.model", "gen_ai.request.model")),
        time=time,
        cost=first(attributes, "gen_ai.usage.cost", "gen_ai.usage.total_cost"),
        latency_ms=latency,
        tokens_in=first(attributes, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        tokens_out=first(attributes, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        group=first(attributes, "gen_ai.conversation.id", "session.id", "user.id", "enduser.id"),
        plain=parameters_in(attributes)
        | tags_in({name: own for name, own in attributes.items() if not name.startswith(known)}),
        span=span,
        no_content=NO_CONTENT,
    )


def _system(attributes: Mapping[str, object]) -> tuple[Message, ...]:
    """Read the system instructions: text, a list of parts, or a message."""
    value = opened(attributes.get("gen_ai.system_instructions"))
    read = message_of({"role": SYSTEM, "content": value}) if value else None
    return (read,) if read is not None and read.text else ()


def _with_events(record: Mapping[str, object], attributes: dict[str, object]) -> dict[str, object]:
    """Add the content that stands on events of the span."""
    events = opened(record.get("events"))
    for event in events if isinstance(events, list) else ():
        if isinstance(event, Mapping):
            inner = event.get("attributes")
            own = pairs(inner) if isinstance(inner, list) else dict(inner) if isinstance(inner, Mapping) else {}
            attributes = {name: value for name, value in own.items() if name.startswith("gen_ai.")} | attributes
    return attributes


def _nanoseconds(value: object) -> int | None:
    text = text_of(value)
    return int(text) if text.isdecimal() and len(text) <= 20 else None


SPANS = Format("OpenTelemetry spans", looks, read)
LOGS = Format("OpenTelemetry log records", looks_logged, read, halves=True)
