"""Batch files of OpenAI (Together, Mistral and vLLM alike), Anthropic and Gemini: requests, and results without order.

A result holds neither its question nor an order; `custom_id` (Gemini: `key`) joins it to the request. Sources: the
providers' batch references; anthropic-sdk-python, `message_batch_individual_response`.
"""

from __future__ import annotations

from collections.abc import Mapping

from distill_tui.dataset.traces.bodies import Answer, answer_in, first, object_at
from distill_tui.dataset.traces.call import Call, PassedOver
from distill_tui.dataset.traces.call_mapping import request_messages
from distill_tui.dataset.traces.format import Format, Found, Question, text_of

NO_QUESTION = "no question: import the request file together with the results, so that custom_id joins them"


def looks_request(record: Mapping[str, object]) -> bool:
    key = "custom_id" in record and "response" not in record and "result" not in record
    gemini = "key" in record and bool(object_at(record, "request")) and "response" not in record
    return (key and bool(object_at(record, "body") or object_at(record, "params"))) or gemini


def looks_result(record: Mapping[str, object]) -> bool:
    openai = "custom_id" in record and ("response" in record or "error" in record)
    gemini = bool({"candidates", "usageMetadata"} & set(object_at(record, "response")))
    return openai or gemini or ("custom_id" in record and "type" in object_at(record, "result"))


def read_request(record: Mapping[str, object]) -> Found:
    asked = next((found for name in ("body", "params", "request") if (found := object_at(record, name))), {})
    messages = request_messages(asked)
    key = text_of(first(record, "custom_id", "key"))
    if not key:
        return "the request has no custom_id"
    return Question(key, messages, text_of(asked.get("model"))) if messages else "the request has no messages"


def outcome(record: Mapping[str, object]) -> Answer | PassedOver:
    """Return the answer in a result of any provider, or its error."""
    result = object_at(record, "result")
    if result:
        kind = text_of(result.get("type"))
        if kind != "succeeded":
            error = object_at(result, "error")
            inner = object_at(error, "error") or error
            return PassedOver(f"the batch request {kind} {text_of(inner.get('type'))}".strip())
        return answer_in(result.get("message"))
    error = object_at(record, "error")
    response = object_at(record, "response")
    if error or not response:
        return PassedOver(f"error {text_of(first(error, 'code', 'message')) or 'without an answer'}"[:100])
    status = text_of(response.get("status_code"))
    if status and status != "200":
        return PassedOver(f"error {status}")
    return answer_in(object_at(response, "body") or response)


def read_result(record: Mapping[str, object]) -> Found:
    answer = outcome(record)
    if isinstance(answer, PassedOver):
        return answer
    asked = object_at(record, "request")
    return Call(
        messages=request_messages(asked) if asked else (),
        answer=answer.message,
        finish=answer.finish,
        model=answer.model,
        time=answer.created,
        tokens_in=answer.tokens_in,
        tokens_out=answer.tokens_out,
        key=text_of(first(record, "custom_id", "key")),
        no_content=NO_QUESTION,
    )


REQUESTS = Format("batch requests", looks_request, read_request, halves=True)
RESULTS = Format("batch results", looks_result, read_result)
