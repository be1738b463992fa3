"""OpenInference, as Phoenix and Arize write it: data frames of spans, spans as JSON, and people's annotations.

Source: Arize-ai/openinference, `semantic_conventions`. An annotation whose kind is HUMAN is gold; LLM and CODE are not.
"""

from __future__ import annotations

from collections.abc import Mapping

from distill_tui.dataset.traces.attributes import attributes_of, messages_at
from distill_tui.dataset.traces.bodies import answer_in, first, object_at
from distill_tui.dataset.traces.call import Call, PassedOver, parameters_in, segment_of, tags_in
from distill_tui.dataset.traces.call_mapping import request_messages
from distill_tui.dataset.traces.format import Format, Found, Score, between, text_of
from distill_tui.dataset.traces.messages import Message, messages_of, opened

NO_CONTENT = "no content: unset OPENINFERENCE_HIDE_INPUTS, OPENINFERENCE_HIDE_INPUT_MESSAGES and the like"


def looks(record: Mapping[str, object]) -> bool:
    return any(name.startswith(("attributes.llm.", "attributes.openinference.")) for name in record) or (
        "span_kind" in record and ("context.span_id" in record or isinstance(opened(record.get("context")), Mapping))
    )


def looks_annotation(record: Mapping[str, object]) -> bool:
    return "annotator_kind" in record and bool({"span_id", "context.span_id", "annotation_name", "label"} & set(record))


def read(record: Mapping[str, object]) -> Found:
    attributes = attributes_of(record)
    kind = text_of(record.get("span_kind") or attributes.get("openinference.span.kind"))
    failed = text_of(record.get("status_code")).upper() == "ERROR"
    start, end = record.get("start_time"), record.get("end_time")
    ids = (text_of(record.get("context.span_id") or object_at(record, "context").get("span_id")),)
    return call_of(attributes, kind, failed, start, between(start, end), ids)


def call_of(
    attributes: Mapping[str, object],
    kind: str,
    failed: bool,
    time: object,
    latency_ms: float | None,
    span: tuple[str, ...],
) -> Found:
    """Read the attributes of a span, from a data frame or OTLP."""
    if kind.upper() != "LLM":
        return PassedOver(f"not a model call ({kind.lower() or 'no kind'})")
    if failed:
        return PassedOver("the call failed (status ERROR)")
    answers = messages_at(attributes, "llm.output_messages")
    body = answer_in(attributes.get("output.value"))
    return Call(
        messages=messages_at(attributes, "llm.input_messages") or _value(attributes.get("input.value")),
        answer=answers[0] if answers else body.message,
        finish=text_of(attributes.get("llm.finish_reason")) or body.finish,
        model=text_of(attributes.get("llm.model_name")) or body.model,
        time=time,
        cost=attributes.get("llm.cost.total"),
        latency_ms=latency_ms,
        tokens_in=attributes.get("llm.token_count.prompt"),
        tokens_out=attributes.get("llm.token_count.completion"),
        segment=segment_of(opened(attributes.get("tag.tags"))),
        group=first(attributes, "session.id", "user.id"),
        plain=tags_in(opened(attributes.get("metadata")))
        | parameters_in(attributes, attributes.get("llm.invocation_parameters")),
        span=span,
        no_content=NO_CONTENT,
    )


def read_annotation(record: Mapping[str, object]) -> Found:
    kind = text_of(record.get("annotator_kind")).upper()
    if kind != "HUMAN":
        return PassedOver(f"an annotation by {kind or 'no annotator'}, not by a person")
    label = text_of(first(record, "label", "result.label") or object_at(record, "result").get("label"))
    if not label:
        return PassedOver("a person's rating in numbers, not a label")
    return Score(text_of(first(record, "span_id", "context.span_id")), label)


def _value(value: object) -> tuple[Message, ...]:
    read = opened(value)
    return request_messages(read) if isinstance(read, Mapping) else messages_of(read)


SPANS = Format("OpenInference spans (Phoenix)", looks, read)
ANNOTATIONS = Format("OpenInference annotations", looks_annotation, read_annotation, halves=True)
