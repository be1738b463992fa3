"""LangSmith: runs of the bulk export (Parquet) and of the API (JSONL).

Source: langchain-ai/docs, `run-data-format`. `session_id` is the project, not a conversation, so it is not the group.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill_tui.dataset.traces.bodies import Answer, answer_in, first, object_at
from distill_tui.dataset.traces.call import Call, PassedOver, parameters_in, segment_of, tags_in
from distill_tui.dataset.traces.call_mapping import request_messages
from distill_tui.dataset.traces.format import Format, Found, between, text_of
from distill_tui.dataset.traces.messages import Message, message_of, messages_of, opened

CONVERSATIONS = ("conversation_id", "thread_id", "session_id", "user_id")
NO_CONTENT = "no content: the run has no inputs; unset LANGSMITH_HIDE_INPUTS"


def looks(record: Mapping[str, object]) -> bool:
    return "run_type" in record and ("inputs" in record or "trace_id" in record)


def read(record: Mapping[str, object]) -> Found:
    kind = text_of(record.get("run_type"))
    if kind != "llm":
        return PassedOver(f"not a model call ({kind or 'no run type'})")
    if record.get("error") or text_of(record.get("status")) == "error":
        return PassedOver("the call failed (status error)")
    inputs, outputs = object_at(record, "inputs"), object_at(record, "outputs")
    extra = object_at(record, "extra")
    about, asked = object_at(extra, "metadata"), object_at(extra, "invocation_params")
    answer = _answer(outputs)
    start, end = record.get("start_time"), record.get("end_time")
    return Call(
        messages=_messages(inputs),
        answer=answer.message,
        finish=answer.finish,
        model=answer.model or text_of(first(about, "ls_model_name") or first(asked, "model", "model_name")),
        time=start,
        cost=record.get("total_cost"),
        latency_ms=between(start, end),
        tokens_in=first(record, "prompt_tokens") or answer.tokens_in,
        tokens_out=first(record, "completion_tokens") or answer.tokens_out,
        segment=segment_of(opened(record.get("tags"))),
        group=first(about, *CONVERSATIONS),
        plain=tags_in(about) | parameters_in(asked) | ({"name": record["name"]} if record.get("name") else {}),
        span=(text_of(record.get("id")),),
        no_content=NO_CONTENT,
    )


def _messages(inputs: Mapping[str, Any]) -> tuple[Message, ...]:
    prompts = inputs.get("prompts")
    return messages_of(prompts[0]) if isinstance(prompts, list) and prompts else request_messages(inputs)


def _answer(outputs: Mapping[str, Any]) -> Answer:
    generations = outputs.get("generations")
    while isinstance(generations, list) and generations:
        generations = generations[0]
    if not isinstance(generations, Mapping):
        said = outputs.get("messages", outputs.get("message", outputs.get("output")))
        said = said[-1] if isinstance(said, list) and said else said
        return answer_in(outputs) if said is None else answer_in(said)
    message = message_of(generations["message"]) if generations.get("message") else None
    if message is None and isinstance(generations.get("text"), str):
        message = Message("assistant", generations["text"])
    more, about = object_at(outputs, "llm_output"), object_at(generations, "generation_info")
    kept = object_at(generations, "message", "kwargs") or object_at(generations, "message")
    resolved = object_at(kept, "response_metadata")
    used = object_at(more, "token_usage") or object_at(kept, "usage_metadata")
    return Answer(
        message,
        text_of(first(about, "finish_reason") or first(resolved, "finish_reason", "stop_reason")),
        text_of(first(resolved, "model_name", "model") or first(more, "model_name", "model")),
        first(used, "prompt_tokens", "input_tokens"),
        first(used, "completion_tokens", "output_tokens"),
    )


RUNS = Format("LangSmith runs", looks, read)
