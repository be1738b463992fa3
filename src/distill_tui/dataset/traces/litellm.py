"""LiteLLM: rows of `LiteLLM_SpendLogs`, and the payload of its S3 and GCS callbacks.

Source: BerriAI/litellm, `schema.prisma` and `spend_tracking_utils.py`. Bodies are there only with
`store_prompts_in_spend_logs`; `messages` is then `{}` and the prompt is in `proxy_server_request`. Long text is cut in
the middle and marked `litellm_truncated`: such a row is rejected. The latency of a cached answer is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from distill_tui.dataset.traces.bodies import answer_in, first, object_at
from distill_tui.dataset.traces.call import Call, PassedOver, parameters_in, segment_of, tags_in
from distill_tui.dataset.traces.call_mapping import request_messages
from distill_tui.dataset.traces.format import Format, Found, between, text_of
from distill_tui.dataset.traces.messages import messages_of, opened

CALLS = ("completion", "acompletion", "text_completion", "atext_completion", "responses", "aresponses",
         "anthropic_messages", "pass_through_endpoint", "allm_passthrough_route", "")  # fmt: skip
CUT = "litellm_truncated"
NO_CONTENT = "no content: the setting is off; turn on store_prompts_in_spend_logs under general_settings"


def looks(record: Mapping[str, object]) -> bool:
    priced = "spend" in record or "response_cost" in record
    return priced and "call_type" in record


def read(record: Mapping[str, object]) -> Found:
    kind = text_of(record.get("call_type"))
    if kind not in CALLS:
        return PassedOver(f"not a model call ({kind})")
    status = text_of(record.get("status")).casefold()
    if status and status not in ("success", "200"):
        return PassedOver(f"the call failed (status {status})")
    parts = [record.get(name) for name in ("messages", "response", "proxy_server_request")]
    if any(part is not None and CUT in str(part) for part in parts):
        return "the text was cut in the middle by the proxy (litellm_truncated); raise MAX_STRING_LENGTH_PROMPT_IN_DB"
    answer = answer_in(record.get("response"))
    asked = object_at(record, "proxy_server_request")
    start, end = record.get("startTime"), record.get("endTime")
    cached = text_of(record.get("cache_hit")).casefold() == "true" or record.get("cache_hit") is True
    took = first(record, "request_duration_ms")
    about = object_at(record, "metadata")
    return Call(
        messages=messages_of(record.get("messages")) or request_messages(object_at(asked, "body") or asked),
        answer=answer.message,
        finish=answer.finish,
        model=answer.model or text_of(record.get("model")),
        time=start,
        cost=first(record, "spend", "response_cost"),
        latency_ms=None if cached else took if took is not None else between(start, end),
        tokens_in=record.get("prompt_tokens"),
        tokens_out=record.get("completion_tokens"),
        segment=segment_of(opened(record.get("request_tags"))),
        group=first(record, "session_id", "end_user"),
        plain=tags_in(about)
        | parameters_in(asked.get("body"), asked, record.get("model_parameters"))
        | {n: own for n in ("model_group", "team_id") if (own := record.get(n)) is not None},
        span=(text_of(first(record, "request_id", "id")),),
        no_content=NO_CONTENT,
    )


LOGS = Format("LiteLLM spend logs", looks, read)
