"""Read the answer in a provider's response body: OpenAI chat, completions and Responses, Anthropic, Gemini, Bedrock.

A streamed answer that was logged as a list of chunks is put together first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distill_tui.dataset.traces.messages import ASSISTANT, Message, ToolCall, compact, message_of, opened
from distill_tui.teachers.usage import Usage, usage_in

Body = Mapping[str, Any]  # a reply, or an object in it, as JSON holds it


@dataclass(frozen=True)
class Answer:
    """An answer, and what the body states about it."""

    message: Message | None = None
    finish: str = ""
    model: str = ""
    tokens_in: object = None
    tokens_out: object = None
    created: object = None
    latency_ms: object = None
    cached: int = 0  # of the tokens in: read from the provider's cache, and written to it
    written: int = 0


def answer_in(body: object) -> Answer:
    """Read a response body; an empty answer where it is none of the known shapes."""
    body = opened(body)
    if isinstance(body, list):
        return _streamed([each for each in body if isinstance(each, dict)])
    if not isinstance(body, dict):
        return Answer(Message(ASSISTANT, body)) if isinstance(body, str) and body else Answer()
    for shape in (_chosen, _responses, _converse, _gemini, _anthropic):
        found = shape(body)
        if found is not None:
            return found
    message = message_of(body) if "role" in body or "message.role" in body or "content" in body else None
    return Answer(message or None)


def is_answer(body: object) -> bool:
    """Whether a value is a response body of one of the known shapes."""
    found = answer_in(body) if isinstance(opened(body), dict | list) else Answer()
    return found.message is not None or bool(found.finish)


def object_at(value: object, *names: str) -> Body:
    """Return the object at a path of names, JSON text opened on the way; empty where there is none."""
    for name in names:
        value = opened(value)
        value = value.get(name) if isinstance(value, dict) else None
    found = opened(value)
    return found if isinstance(found, dict) else {}


def usage_of(body: Body) -> tuple[object, object]:
    """Return the tokens in and out that a body states, those of a cache among them."""
    found = _usage(body)
    return found.tokens_in, found.tokens_out


def _usage(body: Body) -> Usage:
    return usage_in(object_at(body, "usage") or object_at(body, "usageMetadata"))


def first(found: Body, *names: str) -> Any:
    """Return the first of these entries that has a value."""
    return next((found[name] for name in names if found.get(name) not in (None, "")), None)


def _listed(value: object) -> list[Body]:
    found = opened(value)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _answer(body: Body, message: Message | None, finish: object, model: object = None) -> Answer:
    used = _usage(body)
    named = model or body.get("model") or body.get("modelVersion") or ""
    created = first(body, "created", "created_at")
    about = (str(finish or ""), str(named), used.tokens_in, used.tokens_out, created)
    return Answer(message, *about, cached=used.cached, written=used.written)


def _chosen(body: Body) -> Answer | None:
    """OpenAI chat and completions, and all that answer like them."""
    if not isinstance(opened(body.get("choices")), list):
        return None
    choices = _listed(body.get("choices"))
    if not choices:
        return _answer(body, None, "")
    choice = choices[0]
    if "delta" in choice:
        return _streamed([body])
    said = opened(choice.get("message"))
    message = message_of({"role": ASSISTANT, **said}) if isinstance(said, dict) else None
    if message is None and isinstance(choice.get("text"), str):
        message = Message(ASSISTANT, choice["text"])
    return _answer(body, message, choice.get("finish_reason"))


def _responses(body: Body) -> Answer | None:
    """OpenAI Responses: a list of items, of which messages and function calls make the answer."""
    if body.get("object") != "response" and not (isinstance(body.get("output"), list) and "status" in body):
        return None
    items = [each for each in _listed(body.get("output")) if each.get("type") in ("message", "function_call")]
    read = [found for each in items if (found := message_of({"role": ASSISTANT, **each})) is not None]
    finish = object_at(body, "incomplete_details").get("reason") or ""
    return _answer(body, _joined(read), finish)


def _converse(body: Body) -> Answer | None:
    """Bedrock Converse."""
    said = object_at(body, "output", "message")
    if not said:
        return None
    found = _answer(body, message_of({"role": ASSISTANT, **said}), body.get("stopReason"))
    return Answer(**vars(found) | {"latency_ms": object_at(body, "metrics").get("latencyMs")})


def _gemini(body: Body) -> Answer | None:
    candidates = _listed(body.get("candidates"))
    if not candidates:
        return None
    content = object_at(candidates[0], "content")
    message = message_of({"role": ASSISTANT, **content}) if content else None
    return _answer(body, message, candidates[0].get("finishReason"))


def _anthropic(body: Body) -> Answer | None:
    if "stop_reason" not in body and body.get("type") != "message":
        return None
    content = body.get("content")
    if content is None and isinstance(body.get("completion"), str):
        content = body["completion"]
    return _answer(body, message_of({"role": ASSISTANT, "content": content}), body.get("stop_reason"))


def _joined(read: list[Message]) -> Message | None:
    if not read:
        return None
    text = "\n".join(each.text for each in read if each.text)
    refusal = next((each.refusal for each in read if each.refusal), "")
    return Message(ASSISTANT, text, tuple(call for each in read for call in each.calls), refusal=refusal)


def _streamed(chunks: list[Body]) -> Answer:
    """Put the chunks of a stream together: OpenAI deltas, Anthropic events, Bedrock ConverseStream."""
    texts: list[str] = []
    tools: dict[object, list[str]] = {}
    finish = model = ""
    tokens_in = tokens_out = created = latency = None
    for chunk in chunks:
        for text, tool, key in _deltas(chunk):
            if tool or key in tools:
                tools.setdefault(key, [tool, ""])[1] += text
            else:
                texts.append(text)
        inner = object_at(chunk, "message") or object_at(chunk, "metadata") or chunk
        found_in, found_out = usage_of(inner) if inner.get("usage") else usage_of(chunk)
        tokens_in, tokens_out = tokens_in or found_in, found_out or tokens_out
        model, created = model or str(inner.get("model") or ""), created or first(chunk, "created")
        latency = latency or object_at(inner, "metrics").get("latencyMs")
        finish = str(_finish(chunk) or finish)
    calls = tuple(ToolCall(name, given or "{}") for name, given in tools.values())
    message = Message(ASSISTANT, "".join(texts), calls) if texts or calls else None
    return Answer(message, finish, model, tokens_in, tokens_out, created, latency)


def _deltas(chunk: Body) -> Iterator[tuple[str, str, object]]:
    """Yield (text, name of a tool that begins, key of the tool's arguments)."""
    for choice in _listed(chunk.get("choices"))[:1]:
        delta = object_at(choice, "delta")
        if isinstance(delta.get("content"), str):
            yield delta["content"], "", None
        for call in _listed(delta.get("tool_calls")):
            function = object_at(call, "function")
            yield str(function.get("arguments") or ""), str(function.get("name") or ""), ("tool", call.get("index", 0))
    started = object_at(chunk, "content_block") or object_at(chunk, "contentBlockStart", "start", "toolUse")
    place = ("tool", chunk.get("index", object_at(chunk, "contentBlockStart").get("contentBlockIndex", 0)))
    if started.get("name"):
        yield "", str(started["name"]), place
    delta = object_at(chunk, "delta") or object_at(chunk, "contentBlockDelta", "delta")
    if isinstance(delta.get("text"), str):
        yield delta["text"], "", None
    inside = object_at(chunk, "contentBlockDelta").get("contentBlockIndex", chunk.get("index", 0))
    partial = delta.get("partial_json", object_at(delta, "toolUse").get("input"))
    if partial is not None:
        yield partial if isinstance(partial, str) else compact(partial), "", ("tool", inside)
    if isinstance(chunk.get("outputText"), str):  # Amazon Titan
        yield chunk["outputText"], "", None


def _finish(chunk: Body) -> object:
    choices = _listed(chunk.get("choices"))
    return (
        (choices[0].get("finish_reason") if choices else None)
        or object_at(chunk, "delta").get("stop_reason")
        or object_at(chunk, "messageStop").get("stopReason")
        or chunk.get("completionReason")
    )
