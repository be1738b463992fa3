"""Plain logs of chats in any clothes: messages and choices, request and response, prompt and completion, ShareGPT.

The question stands at the top or under `request`, `body` or both, as an object or as JSON text in a cell. The group is
the conversation, else the session, else the user; every plain entry of `metadata` becomes a column. A record's own
columns stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from distill_tui.dataset.traces.bodies import Answer, answer_in, is_answer
from distill_tui.dataset.traces.call import Call
from distill_tui.dataset.traces.call_mapping import request_messages
from distill_tui.dataset.traces.format import Format, Found
from distill_tui.dataset.traces.messages import ASSISTANT, Message, messages_of, opened

GROUPS = (  # fields that identify the group of a row, the narrowest first
    "conversation_id",
    "conversation",
    "thread_id",
    "session_id",
    "user_id",
    "safety_identifier",
    "user",
)
QUESTIONS = ("messages", "conversations", "conversation", "dialog", "contents", "prompt", "input", "request_messages")
ANSWERS = ("response", "body", "completion", "output", "answer", "result", "chosen")
METADATA, MOST_METADATA = "metadata", 50
_MARKED = frozenset((*GROUPS, METADATA, "request", "request_body", "body", "completion"))  # where these may stand


def looks(record: Mapping[str, object]) -> bool:
    return any(_question(place) is not None for place in _places(record, "request"))


def read(record: Mapping[str, object]) -> Found:
    asked = next((place for place in _places(record, "request") if _question(place)), None)
    messages = (_question(asked) or ()) if asked is not None else ()
    answer = _answer(record)
    if answer is None and len(messages) > 1 and messages[-1].role == ASSISTANT:
        answer, messages = Answer(messages[-1]), messages[:-1]
    answer = answer or Answer()
    return Call(
        messages=messages,
        answer=answer.message,
        finish=answer.finish,
        model=answer.model or str((asked or {}).get("model") or ""),
        time=answer.created or (asked or {}).get("created"),
        tokens_in=answer.tokens_in,
        tokens_out=answer.tokens_out,
        group=_group(record),
        plain=_metadata(record),
        no_content="the call has no messages",
    )


def marks_of(body: Mapping[str, object]) -> tuple[str | int | None, object]:
    """Return the group and the segment that a request names, without reading its messages."""
    if _MARKED.isdisjoint(body):
        return None, None
    return _group(body), _metadata(body).get("metadata.segment")


def _question(place: Mapping[str, Any]) -> tuple[Message, ...] | None:
    """Return the messages that an object holds as a list, with its system text; None where it holds none."""
    for name in QUESTIONS:
        value = opened(place.get(name))
        listed = isinstance(value, list) and value and isinstance(value[0], Mapping | list)
        if listed and messages_of(value):
            framed = {key: own for key, own in place.items() if key not in QUESTIONS}
            return request_messages({**framed, "messages": value})
    return None


def _answer(record: Mapping[str, object]) -> Answer | None:
    """Return the first response body of a record, or a message that stands as one; None where there is none."""
    found = next((place for place in _places(record, "response") if place.get("choices") is not None), None)
    found = found or next((place for place in _places(record, "response") if is_answer(_without_question(place))), None)
    if found is not None:
        return answer_in(_without_question(found))
    for name in ANSWERS:
        value = opened(record.get(name))
        read = messages_of(value) if isinstance(value, list) else ()
        if read and read[-1].role == ASSISTANT:
            return Answer(read[-1])
        if isinstance(value, str) and value.strip():
            return Answer(Message(ASSISTANT, value))
    return None


def _without_question(place: Mapping[str, Any]) -> dict[str, Any]:
    return {name: own for name, own in place.items() if name not in QUESTIONS and name not in ("role", "content")} | (
        {name: place[name] for name in ("role", "content") if place.get("role") == ASSISTANT and name in place}
    )


def _places(record: Mapping[str, object], side: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects that may hold one side of a call, the record itself first."""
    yield record
    for name in (side, f"{side}_body", "body", "completion", *(ANSWERS if side == "response" else ())):
        inner = opened(record.get(name))
        if isinstance(inner, Mapping):
            yield inner
            body = opened(inner.get("body"))
            if isinstance(body, Mapping):
                yield body


def _group(record: Mapping[str, object]) -> str | int | None:
    """Find the conversation, else session, else user: on the record, the request, or in the metadata of one."""
    places = list(_places(record, "request"))
    within = [inner for place in places if isinstance(inner := opened(place.get(METADATA)), Mapping)]
    for name in GROUPS:
        for place in (*places, *within):
            value = opened(place.get(name))
            value = value.get("id") if isinstance(value, Mapping) else value
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                return value
    return None


def _metadata(record: Mapping[str, object]) -> dict[str, object]:
    """Return the plain entries of metadata as columns; those of the record replace those of the request."""
    found: dict[str, object] = {}
    for place in reversed(list(_places(record, "request"))):
        inner = opened(place.get(METADATA))
        plain = inner.items() if isinstance(inner, Mapping) else ()
        found |= {f"{METADATA}.{name}": value for name, value in plain if isinstance(value, str | int | float)}
    return dict(list(found.items())[:MOST_METADATA])


LOGS = Format("chat log", looks, read, keeps=True)
