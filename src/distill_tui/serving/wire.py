"""The wire formats: what a request asks the student, and how the student's answer is written back. Pure.

The input is made of messages by the function that `import` uses, so that what a student reads in service is what it
read in training. A request that a student of this play cannot answer as asked has no input, and the reason why.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from distill_tui.dataset.traces import bodies, call_mapping
from distill_tui.dataset.traces.call import CUT, FILTERED
from distill_tui.dataset.traces.call_mapping import CallMapping, NotMapped
from distill_tui.dataset.traces.messages import SYSTEM, Message
from distill_tui.digests import digest_of, sorted_json
from distill_tui.gates.scale import is_range
from distill_tui.serving.students import Answer
from distill_tui.text import is_whole

CHAT, RESPONSES, SYSTEM_ONE, DECISIONS, PREDICT = (
    "/chat/completions",
    "/responses",
    "/systemone",
    "/decisions",
    "/predict",
)
FORMATS = (CHAT, RESPONSES, SYSTEM_ONE, DECISIONS, PREDICT)
_MORE_THAN_TEXT = ("tools", "functions", "logprobs", "top_logprobs", "audio", "prediction", "web_search_options")


@dataclass(frozen=True)
class Asked:
    """A request, as far as a student is concerned."""

    format: str  # one of FORMATS; another path of the teacher's is passed on unread
    text: str | None  # the student's input; None where the student cannot answer this
    why: str = ""  # the word for why not, for the counter
    model: str = ""
    stream: bool = False
    frame: str = ""  # digest of the instructions around the input; empty without any
    question: str = ""  # the name of the question, of formats that have one
    usage_at_end: bool = False  # whether a stream ends with the tokens
    messages: tuple[Message, ...] = ()  # of formats that have them: system text first


def read(format: str, body: object, labels: Sequence[str] = (), mapping: CallMapping = call_mapping.DEFAULT) -> Asked:
    """Read a request. It never raises: what cannot be read is not for the student."""
    if not isinstance(body, dict):
        return Asked(format, None, "not an object")
    model, stream = str(body.get("model") or ""), body.get("stream") is True
    asked = _read(format, body, labels, mapping, model)
    texts = (asked.text or "", asked.question, *(message.text for message in asked.messages))
    if not all(map(is_whole, texts)):  # `import` rejects such a row too
        return Asked(format, None, "half a character", stream=stream)
    return replace(asked, stream=stream, frame=_frame(asked.messages))


def _read(format: str, body: Mapping[str, object], labels: Sequence[str], mapping: CallMapping, model: str) -> Asked:
    if format in (CHAT, RESPONSES):
        options = body.get("stream_options")
        messages = call_mapping.request_messages(body)
        text, why = _text(body, messages, labels, mapping)
        usage = isinstance(options, dict) and options.get("include_usage") is True
        return Asked(format, text, why, model, usage_at_end=usage, messages=messages)
    if format == PREDICT:
        return _made(Asked(format, None, "inputs", model), body.get("inputs"), mapping)
    return _one_question(format, body, labels, model, mapping)


def _made(asked: Asked, value: object, mapping: CallMapping) -> Asked:
    """Make the input of what came without messages; it stays without one where it does not fit the mapping."""
    try:
        return replace(asked, text=call_mapping.plain_input(value, mapping), why="")
    except NotMapped:
        return asked


def _text(
    body: Mapping[str, object], messages: Sequence[Message], labels: Sequence[str], mapping: CallMapping
) -> tuple[str | None, str]:
    """Return the student's input; without one, the word for why the student cannot answer as asked."""
    if any(body.get(name) for name in _MORE_THAN_TEXT):
        return None, "tools"
    if body.get("n") not in (None, 1) or body.get("previous_response_id") or body.get("conversation"):
        return None, "several answers"
    shape = body.get("response_format") or bodies.object_at(body, "text", "format")
    if labels and not mapping.answer and isinstance(shape, Mapping) and shape.get("type") not in (None, "text"):
        return None, "response format"
    if any(message.other for message in messages):
        return None, "not text"
    try:
        return (call_mapping.input_of(messages, mapping), "") if messages else (None, "messages")
    except NotMapped:
        return None, "messages"


def _frame(messages: Sequence[Message]) -> str:
    """Digest the instructions of a request: another frame asks another task."""
    framed = [message.text for message in messages if message.role == SYSTEM]
    return digest_of(sorted_json(framed)) if framed else ""


def _one_question(
    format: str, body: Mapping[str, object], labels: Sequence[str], model: str, mapping: CallMapping
) -> Asked:
    """Read a typed decision with one question, whose choices are this play's labels."""
    asked = body.get("questions")
    listed = asked if isinstance(asked, list) else ()
    named = list(asked.items()) if isinstance(asked, dict) else [(_name(each), each) for each in listed]
    state = body.get("state" if format == SYSTEM_ONE else "input")
    if len(named) != 1 or not isinstance(named[0][1], dict) or not state:
        return Asked(format, None, "questions", model)
    name, question = named[0]
    if question.get("type") != "choice" or not _choices(question) <= set(labels or _choices(question)):
        return Asked(format, None, "questions", model)
    return _made(Asked(format, None, "input", model, question=str(name)), state, mapping)


def _name(question: object) -> str:
    return str(question.get("name", "")) if isinstance(question, dict) else ""


def _choices(question: Mapping[str, object]) -> set[str]:
    """Return the words that a question offers, however the format lists them."""
    offered = question.get("choices") or question.get("criteria") or ()
    if isinstance(offered, dict):
        return set(map(str, offered))
    listed = offered if isinstance(offered, list) else ()
    return {str(each.get("value", "")) if isinstance(each, dict) else str(each) for each in listed if each is not None}


# --- what the student says -------------------------------------------------------------------------------------------


def reply(asked: Asked, answer: Answer, labels: Sequence[str], model: str) -> object:
    if asked.format == CHAT:
        return _completion(asked, model, "chat.completion") | {
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": answer.text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        }
    if asked.format == RESPONSES:
        return _response(asked, model, _item(answer.text))
    shares = dict(zip(labels, answer.probabilities, strict=False))
    if asked.format == PREDICT:
        ranked = [] if is_range(labels) else sorted(shares.items(), key=lambda pair: -pair[1])
        ranked = ranked or [(answer.text, answer.confidence)]  # a written answer, or a number
        return [{"label": label, "score": share} for label, share in ranked]
    usage = {"input_tokens": 0, "output_tokens": 0}
    found = {"type": "choice", "choice": answer.text, "confidence": round(answer.confidence, 6)}
    if asked.format == SYSTEM_ONE:
        return {"model": model, "answers": {asked.question: found | {"probabilities": shares}}, "usage": usage}
    listed = [{"value": label, "probability": share} for label, share in shares.items()]
    answers = [{"name": asked.question} | found | {"probabilities": listed}]
    return {"id": _id("dec"), "object": "decision", "model": model, "answers": answers, "usage": usage}


def events(asked: Asked, answer: Answer, model: str) -> Iterator[bytes]:
    """Write the student's answer as the events of a stream: `/chat/completions` or `/responses`."""
    if asked.format == RESPONSES:
        yield from _response_events(asked, answer.text, model)
        return
    head = _completion(asked, model, "chat.completion.chunk")
    deltas: tuple[tuple[dict[str, object], str | None], ...] = (
        ({"role": "assistant", "content": answer.text, "refusal": None}, None),
        ({}, "stop"),
    )
    for delta, reason in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        yield _event(head | {"choices": [choice]})
    if asked.usage_at_end:
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        yield _event(head | {"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _completion(asked: Asked, model: str, kind: str) -> dict[str, object]:
    return {"id": _id("chatcmpl"), "object": kind, "created": int(time.time()), "model": asked.model or model}


def _response(asked: Asked, model: str, item: dict[str, object]) -> dict[str, object]:
    return {
        "id": _id("resp"),
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": asked.model or model,
        "output": [item],
        "parallel_tool_calls": False,
        "temperature": 0.0,
        "tool_choice": "none",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        },
    }


def _part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _item(text: str) -> dict[str, object]:
    return {"type": "message", "id": _id("msg"), "status": "completed", "role": "assistant", "content": [_part(text)]}


def _response_events(asked: Asked, text: str, model: str) -> Iterator[bytes]:
    item = _item(text)
    whole = _response(asked, model, item)
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    begun = whole | {"status": "in_progress", "output": []}
    sent: tuple[tuple[str, dict[str, object]], ...] = (
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        ("response.output_item.added", {"output_index": 0, "item": item | {"status": "in_progress", "content": []}}),
        ("response.content_part.added", at | {"part": _part("")}),
        ("response.output_text.delta", at | {"delta": text, "logprobs": []}),
        ("response.output_text.done", at | {"text": text, "logprobs": []}),
        ("response.content_part.done", at | {"part": _part(text)}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": whole}),
    )
    for number, (kind, value) in enumerate(sent):
        yield f"event: {kind}\n".encode() + _event({"type": kind, "sequence_number": number} | value)


def _event(value: object) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def _id(kind: str) -> str:
    return f"{kind}-{random.getrandbits(96):024x}"


def error(sentence: str, kind: str) -> dict[str, object]:
    """Write an error as OpenAI's clients read it."""
    return {"error": {"message": sentence, "type": kind, "param": None, "code": kind}}


# --- what the teacher said -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """What the log keeps of a teacher's reply."""

    text: str | None  # None: it holds no whole answer
    tokens_in: int | None = None
    tokens_out: int | None = None
    model: str = ""
    raw: str | None = None  # the text as the teacher wrote it


def said(format: str, body: object, mapping: CallMapping = call_mapping.DEFAULT) -> Said:
    """Read a teacher's whole reply, its answer as `import` would take it. It never raises."""
    if not isinstance(body, dict):
        return Said(None)
    if format in (SYSTEM_ONE, DECISIONS):
        into, out = bodies.usage_of(body)
        return Said(_decided(body), _whole(into), _whole(out), str(body.get("model") or ""))
    found = bodies.answer_in(body)
    finish = found.finish.casefold()
    text = None
    if found.message is not None and finish not in CUT | FILTERED and not found.message.refusal:
        try:
            text = call_mapping.answer_of(found.message, mapping)
        except NotMapped:
            text = None
    raw = found.message.text if found.message is not None else None
    return Said(text, _whole(found.tokens_in), _whole(found.tokens_out), found.model, raw)


def _whole(count: object) -> int | None:
    return count if isinstance(count, int) else None


def _decided(body: Mapping[str, object]) -> str | None:
    answers = body.get("answers")
    listed = list(answers.values()) if isinstance(answers, dict) else answers
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
    return str(first["choice"]) if isinstance(first.get("choice"), str) else None


def worded(text: str, mapping: CallMapping) -> str | None:
    """Write a student's answer as the application reads the teacher's; None where that cannot be done."""
    if mapping.answer in ("", "$"):
        return text
    names = mapping.answer.removeprefix("$.").split(".")
    if not mapping.answer.startswith("$.") or any("[" in name or not name for name in names):
        return None
    value: object = text
    for name in reversed(names):
        value = {name: value}
    return json.dumps(value, ensure_ascii=False)


class Stream:
    """Collects what a teacher streams: fed with bytes as they pass, it knows the whole reply at the end."""

    def __init__(self, format: str, mapping: CallMapping = call_mapping.DEFAULT) -> None:
        self.format, self.mapping = format, mapping
        self._rest = b""
        self._text: list[str] = []
        self._last: dict[str, object] = {}
        self.ended = False

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                self._take(line[5:].strip())
        self._rest = self._rest[-1_000_000:]

    def _take(self, data: bytes) -> None:
        if data == b"[DONE]":
            self.ended = True
            return
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return
        if not isinstance(event, dict):
            return
        if self.format == RESPONSES:
            if event.get("type") == "response.completed" and isinstance(event.get("response"), dict):
                self._last, self.ended = event["response"], True
            return
        self._last |= {name: event[name] for name in ("model", "usage") if event.get(name)}
        for choice in event.get("choices") or ():
            delta = choice.get("delta") if isinstance(choice, dict) else None
            if isinstance(delta, dict) and isinstance(delta.get("content"), str) and choice.get("index", 0) == 0:
                self._text.append(delta["content"])
            if isinstance(choice, dict) and choice.get("finish_reason"):
                self._last["finish"] = choice["finish_reason"]

    def said(self) -> Said:
        """Return what was said; no text where the stream was cut, or the answer was."""
        if self.format == RESPONSES:
            return said(RESPONSES, self._last, self.mapping) if self.ended else Said(None)
        reason = self._last.get("finish")
        message = {"role": "assistant", "content": "".join(self._text)}  # a streamed tool call is not put together
        whole = {**self._last, "choices": [{"message": message, "finish_reason": reason}]} if reason else {}
        return said(self.format, whole, self.mapping)
