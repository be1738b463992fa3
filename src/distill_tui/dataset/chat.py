"""Turn logs of chat calls into plain columns: messages in, a choice out, usage, time, model (standard library; pure).

A record with `messages`, at the top or under `request`, `body` or both (as a proxy, or OpenAI's batch files, log it),
gets the columns below; its own stay as they are. The system message is not part of the input, and a truncated answer
does not count. The group is the conversation, else the session, else the user; every plain entry of `metadata` becomes
a column.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

INPUT, OUTPUT, TIME, MODEL, TOKENS_IN, TOKENS_OUT, GROUP = COLUMNS = (
    "chat_input",
    "chat_output",
    "chat_time",
    "chat_model",
    "chat_tokens_in",
    "chat_tokens_out",
    "chat_group",
)
PARTS = ("messages", "choices", "usage", "created", "model", "request", "response", "body", "completion")
FRAME = ("system", "developer")
GROUPS = (  # fields that identify the group of a row, the narrowest first
    "conversation_id",
    "conversation",
    "thread_id",
    "session_id",
    "user_id",
    "safety_identifier",
    "user",
)
METADATA, MOST_METADATA = "metadata", 50
CONTEXT = (*GROUPS, METADATA)


def flattened(record: Mapping[str, object]) -> Mapping[str, object]:
    """Add a chat's columns to a record; any other record is returned as it is."""
    request = next((found for found in _places(record, "request") if _messages(found)), None)
    if request is None:
        return record
    response = next((found for found in _places(record, "response") if _listed(found.get("choices"))), None) or {}
    messages = _messages(request)
    answer = _answer(response)
    if not response and len(messages) > 1 and messages[-1].get("role") == "assistant":
        answer = _text(messages.pop())
    used = _opened(response.get("usage"))
    usage = used if isinstance(used, Mapping) else {}
    columns = {
        INPUT: _input(messages),
        OUTPUT: answer,
        TIME: response.get("created") or request.get("created"),
        MODEL: response.get("model") or request.get("model"),
        TOKENS_IN: usage.get("prompt_tokens", usage.get("input_tokens")),
        TOKENS_OUT: usage.get("completion_tokens", usage.get("output_tokens")),
        GROUP: _group(record),
    }
    found = {name: value for name, value in columns.items() if value is not None}
    return {**record, **found, **{name: value for name, value in _metadata(record).items() if name not in record}}


def needs_parts(column: str) -> bool:
    """Whether a column is derived from a chat's parts."""
    return column in COLUMNS or column.startswith(f"{METADATA}.")


def _group(record: Mapping[str, object]) -> str | int | None:
    """Find the conversation, else session, else user: on the record, the request, or in the metadata of one."""
    places = list(_places(record, "request"))
    within = [inner for place in places if isinstance(inner := _opened(place.get(METADATA)), Mapping)]
    for name in GROUPS:
        for place in (*places, *within):
            value = place.get(name)
            value = value.get("id") if isinstance(value, Mapping) else value
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                return value
    return None


def _metadata(record: Mapping[str, object]) -> dict[str, object]:
    """Return the plain entries of metadata as columns; those of the record replace those of the request."""
    found: dict[str, object] = {}
    for place in reversed(list(_places(record, "request"))):
        inner = _opened(place.get(METADATA))
        plain = inner.items() if isinstance(inner, Mapping) else ()
        found |= {f"{METADATA}.{name}": value for name, value in plain if isinstance(value, str | int | float)}
    return dict(list(found.items())[:MOST_METADATA])


def _places(record: Mapping[str, object], side: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects that may hold one side of a call, the record itself first."""
    yield record
    for name in (side, "body", "completion"):
        inner = _opened(record.get(name))
        if isinstance(inner, Mapping):
            yield inner
            body = _opened(inner.get("body"))
            if isinstance(body, Mapping):
                yield body


def _opened(value: object) -> object:
    """Parse an object or a list that was logged as JSON text."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value


def _listed(value: object) -> list[Mapping[str, Any]]:
    """Return a list of objects; an empty one for anything else."""
    opened = _opened(value)
    if isinstance(opened, list) and opened and all(isinstance(each, Mapping) for each in opened):
        return list(opened)
    return []


def _messages(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    messages = _listed(found.get("messages"))
    return messages if all(isinstance(each.get("role"), str) for each in messages) else []


def _answer(response: Mapping[str, Any]) -> str | None:
    """Return the text of the first choice, unless it was truncated."""
    choices = _listed(response.get("choices"))
    if not choices or choices[0].get("finish_reason") == "length":
        return None
    message = choices[0].get("message")
    return _text(message) if isinstance(message, Mapping) else None


def _input(messages: list[Mapping[str, Any]]) -> str | None:
    """Join the messages: a single one as it is, several with their roles."""
    parts = [(each["role"], _text(each)) for each in messages if each["role"] not in FRAME]
    texts = [(role, text) for role, text in parts if text]
    if len(texts) == 1:
        return texts[0][1]
    return "\n".join(f"{role}: {text}" for role, text in texts) or None


def _text(message: Mapping[str, Any]) -> str | None:
    """Return a message's text; of one in parts, the text parts."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, Mapping)]
        content = "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) and content else None
