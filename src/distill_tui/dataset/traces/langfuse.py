"""Langfuse: the blob export of observations and scores, and the JSON of its interface.

Source: langfuse-docs, `blob-storage-export-fields`. The field `latency` changed its unit on 2026-04-01, so latency is
computed from the times. A score whose source is ANNOTATION is a person's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from distill_tui.dataset.traces.bodies import answer_in, first, object_at
from distill_tui.dataset.traces.call import Call, PassedOver, parameters_in, segment_of, tags_in
from distill_tui.dataset.traces.call_mapping import request_messages
from distill_tui.dataset.traces.format import Format, Found, Score, between, text_of
from distill_tui.dataset.traces.messages import ASSISTANT, Message, message_of, messages_of, opened

_MODEL = ("provided_model_name", "providedModelName", "model", "internal_model_id")
NO_CONTENT = "no content: the observation has no input; log it with the generation, or turn masking off"


def looks_observation(record: Mapping[str, object]) -> bool:
    named = "provided_model_name" in record or "providedModelName" in record or "usage_details" in record
    usage = "usageDetails" in record or "modelParameters" in record
    return "type" in record and (named or usage) and ("trace_id" in record or "traceId" in record)


def looks_score(record: Mapping[str, object]) -> bool:
    return {"trace_id", "observation_id", "name", "source", "data_type"} <= set(record)


def looks_trace(record: Mapping[str, object]) -> bool:
    return {"id", "timestamp", "name", "input", "output", "session_id"} <= set(record) and bool(
        {"bookmarked", "release", "environment"} & set(record)
    )


def read_observation(record: Mapping[str, object]) -> Found:
    kind = text_of(record.get("type")).upper()
    if kind != "GENERATION":
        return PassedOver(f"not a model call ({kind.lower() or 'no type'})")
    if text_of(record.get("level")).upper() == "ERROR":
        return PassedOver("the call failed (level ERROR)")
    start, end = first(record, "start_time", "startTime"), first(record, "end_time", "endTime")
    answer = answer_in(_answer(record.get("output")))
    if answer.message is None and record.get("tool_calls"):
        answer = replace(answer, message=message_of({"role": ASSISTANT, "tool_calls": record["tool_calls"]}))
    usage = object_at(record, "usage_details") or object_at(record, "usageDetails") or object_at(record, "usage")
    cost = first(record, "total_cost", "totalCost", "calculatedTotalCost")
    return Call(
        messages=_messages(record.get("input")),
        answer=answer.message,
        finish=answer.finish,
        model=text_of(first(record, *_MODEL)),
        time=start,
        cost=cost if cost is not None else object_at(record, "cost_details").get("total"),
        latency_ms=between(start, end),
        tokens_in=usage.get("input"),
        tokens_out=usage.get("output"),
        segment=segment_of(opened(record.get("tags"))),
        group=first(record, "session_id", "sessionId", "user_id", "userId"),
        plain=tags_in(opened(record.get("metadata")))
        | parameters_in(first(record, "model_parameters", "modelParameters"))
        | {name: own for name in ("prompt_name", "prompt_version", "name") if (own := record.get(name)) is not None},
        span=tuple(text_of(record.get(name)) for name in ("id", "trace_id", "traceId") if record.get(name)),
        no_content=NO_CONTENT,
    )


def read_score(record: Mapping[str, object]) -> Found:
    source = text_of(record.get("source")).upper()
    if source != "ANNOTATION":
        return PassedOver(f"a score by {source or 'no source'}, not by a person")
    label = text_of(record.get("string_value"))
    if not label:
        return PassedOver("a person's rating in numbers, not a label")
    return Score(text_of(first(record, "observation_id", "trace_id")), label)


def _messages(value: object) -> tuple[Message, ...]:
    read = opened(value)
    return request_messages(read) if isinstance(read, Mapping) and "role" not in read else messages_of(read)


def _answer(value: object) -> object:
    """Return what was logged as the output: a body, a message, a list of one message, or text."""
    read = opened(value)
    if isinstance(read, list) and len(read) == 1:
        return read[0]
    return value if isinstance(read, Mapping) and not {"role", "choices", "content"} & set(read) else read


OBSERVATIONS = Format("Langfuse observations", looks_observation, read_observation)
SCORES = Format("Langfuse scores", looks_score, read_score, halves=True)
TRACES = Format("Langfuse traces", looks_trace, lambda record: PassedOver("a trace; its generations are the calls"))
