"""Helicone: the export of requests with `--include-body`, JSONL or CSV. Source: Helicone, `examples/export`."""

from __future__ import annotations

from collections.abc import Mapping

from distill_tui.dataset.traces.bodies import answer_in, first, object_at
from distill_tui.dataset.traces.call import Call, PassedOver, parameters_in, tags_in
from distill_tui.dataset.traces.call_mapping import request_messages
from distill_tui.dataset.traces.format import Format, Found, text_of

NO_CONTENT = "no content: the export has no bodies; export again with --include-body"
SESSION, USER = "Helicone-Session-Id", "Helicone-User-Id"


def looks(record: Mapping[str, object]) -> bool:
    return "request_body" in record or {"response_status", "request_created_at"} <= set(record)


def read(record: Mapping[str, object]) -> Found:
    status = text_of(record.get("response_status")).split(".")[0]
    if status and not status.startswith("2"):
        return PassedOver(f"error {status}")
    answer = answer_in(first(record, "response_body", "response"))
    named = object_at(record, "request_properties")
    tags = {name: own for name, own in named.items() if name not in (SESSION, USER)}
    return Call(
        messages=request_messages(object_at(record, "request_body")),
        answer=answer.message,
        finish=answer.finish,
        model=answer.model or text_of(first(record, "model", "response_model", "request_model")),
        time=record.get("request_created_at"),
        cost=first(record, "cost", "costUSD", "cost_usd"),
        latency_ms=first(record, "latency", "delay_ms", "latency_ms"),
        tokens_in=first(record, "prompt_tokens") or answer.tokens_in,
        tokens_out=first(record, "completion_tokens") or answer.tokens_out,
        segment=next(iter(map(text_of, tags.values())), "") or None if len(tags) == 1 else None,
        group=first(named, SESSION) or first(record, "request_user_id"),
        plain=tags_in(tags) | parameters_in(record.get("request_body")),
        span=(text_of(first(record, "request_id", "response_id")),),
        no_content=NO_CONTENT,
    )


REQUESTS = Format("Helicone requests", looks, read)
