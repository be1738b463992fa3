"""Amazon Bedrock: the model invocation log in S3 or CloudWatch, of Converse and InvokeModel, streamed or not.

The log has no latency but that of Converse's own metrics. Bodies are absent where text delivery is off, or in another
object where they are large.
"""

from __future__ import annotations

from collections.abc import Mapping

from distill_tui.dataset.traces.bodies import answer_in, first, object_at
from distill_tui.dataset.traces.call import Call, PassedOver, parameters_in, segment_of, tags_in
from distill_tui.dataset.traces.call_mapping import request_messages
from distill_tui.dataset.traces.format import Format, Found, text_of
from distill_tui.dataset.traces.messages import opened

NO_CONTENT = "no content: the setting is off; turn on text data delivery in the model invocation logging of Bedrock"
ELSEWHERE = "the body is in another object (inputBodyS3Path); large bodies are not followed"


def looks(record: Mapping[str, object]) -> bool:
    return "schemaType" in record and ("modelId" in record or "operation" in record)


def read(record: Mapping[str, object]) -> Found:
    if record.get("errorCode"):
        return PassedOver(f"error {text_of(record['errorCode'])}")
    asked, given = object_at(record, "input"), object_at(record, "output")
    if "inputBodyS3Path" in asked or "outputBodyS3Path" in given:
        return ELSEWHERE
    body = object_at(asked, "inputBodyJson")
    answer = answer_in(_output(given.get("outputBodyJson")))
    about = object_at(record, "requestMetadata")
    model = text_of(record.get("modelId"))
    return Call(
        messages=request_messages(
            body if "messages" in body or "prompt" in body else {"prompt": body.get("inputText")}
        ),
        answer=answer.message,
        finish=answer.finish,
        model=model.rsplit("/", 1)[-1],
        time=record.get("timestamp"),
        latency_ms=answer.latency_ms,
        tokens_in=first(asked, "inputTokenCount") or answer.tokens_in,
        tokens_out=first(given, "outputTokenCount") or answer.tokens_out,
        segment=segment_of(first(about, "segment", "tag")),
        group=first(about, "conversation_id", "session_id", "sessionId", "user_id", "userId"),
        plain=tags_in(about) | parameters_in(body, body.get("inferenceConfig"), body.get("textGenerationConfig")),
        span=(text_of(record.get("requestId")),),
        no_content=NO_CONTENT,
    )


def _output(body: object) -> object:
    """Return the body of an answer; Amazon Titan and Llama have their own."""
    plain = opened(body)
    if not isinstance(plain, Mapping):
        return plain
    results = plain.get("results")
    if isinstance(results, list) and results and isinstance(results[0], Mapping):
        return {
            "choices": [{"text": results[0].get("outputText"), "finish_reason": results[0].get("completionReason")}]
        }
    if "generation" in plain:
        return {"choices": [{"text": plain["generation"], "finish_reason": plain.get("stop_reason")}]}
    return plain


LOGS = Format("Bedrock invocation log", looks, read)
