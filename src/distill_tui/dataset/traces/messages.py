"""Read chat messages as every tool writes them: one form for OpenAI, Anthropic, Gemini, Bedrock, LangChain and traces.

A message is an object with a role and a text. The text may stand in `content` (text, or a list of parts), in `parts`,
in `value` (ShareGPT), in `kwargs` (LangChain) or under `message.` names (OpenInference). Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

USER, ASSISTANT, SYSTEM, TOOL = "user", "assistant", "system", "tool"

_ROLES = {
    "human": USER, "humanmessage": USER, "humanmessagechunk": USER,
    "ai": ASSISTANT, "gpt": ASSISTANT, "chatgpt": ASSISTANT, "bot": ASSISTANT, "model": ASSISTANT,
    "function_call": ASSISTANT, "aimessage": ASSISTANT, "aimessagechunk": ASSISTANT,
    "developer": SYSTEM, "systemmessage": SYSTEM,
    "function": TOOL, "observation": TOOL, "tool_response": TOOL, "toolmessage": TOOL, "function_call_output": TOOL,
}  # fmt: skip
_TEXT_PARTS = ("text", "input_text", "output_text", "")
_QUIET_PARTS = ("thinking", "redacted_thinking", "reasoning", "reasoningContent", "cachePoint")  # not part of the text
_PREFIXES = ("message.", "message_content.", "tool_call.")


@dataclass(frozen=True)
class ToolCall:
    """A function that a model chose to call."""

    name: str
    arguments: str  # JSON


@dataclass(frozen=True)
class Message:
    """One message of a chat."""

    role: str  # user, assistant, system, tool, or another that the source names
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    other: str = ""  # the kind of a part that is not text, like image_url; such a message cannot be read as text
    refusal: str = ""


def messages_of(value: object) -> tuple[Message, ...]:
    """Read a chat in any of the usual forms; empty where the value is not a chat."""
    value = opened(value)
    if isinstance(value, str):
        return (Message(USER, value),) if value.strip() else ()
    if isinstance(value, dict):
        value = value.get("messages", value.get("contents", [value]))
    if not isinstance(value, list) or not value:
        return ()
    if isinstance(value[0], list) and not all(isinstance(each, str) for each in value[0]):  # LangChain: a batch of one
        return messages_of(value[0])
    found = tuple(message_of(each) for each in value)
    return () if any(each is None for each in found) else tuple(each for each in found if each is not None)


def message_of(value: object) -> Message | None:
    """Read one message; None where the value is not a message."""
    value = opened(value)
    if isinstance(value, str):
        return Message(USER, value)
    if isinstance(value, list) and len(value) == 2 and all(isinstance(each, str) for each in value):
        return Message(_role(value[0]), value[1])  # LangChain: ("human", "…")
    if not isinstance(value, dict):
        return None
    value = _plain(value)
    named = value.get("role", value.get("from", _kind(value)))
    if not isinstance(named, str):
        return None
    inner = value.get("kwargs")
    kept = _plain(inner) if isinstance(inner, dict) else value
    content = next((kept[name] for name in ("content", "parts", "value", "contents") if kept.get(name)), None)
    if value.get("type") in ("function_call", "function_call_output"):
        content = [value]
    read = _Content()
    read.take(content)
    more = kept.get("additional_kwargs")
    for call in _listed(kept.get("tool_calls")) or _listed(more.get("tool_calls") if isinstance(more, dict) else None):
        read.call(call)
    read.call(kept.get("function_call"))
    refusal = kept.get("refusal")
    refused = refusal if isinstance(refusal, str) else read.refusal
    return Message(_role(named), "\n".join(read.texts), tuple(read.calls), read.other, refused)


def opened(value: object) -> object:
    """Parse an object or a list that was logged as JSON text; other text stays text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def compact(value: object) -> str:
    """Write JSON as answers are stored: as short as it is, characters as they are, keys in their order."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _listed(value: object) -> list[object]:
    found = opened(value)
    return found if isinstance(found, list) else []


def _plain(value: Mapping[str, object]) -> Mapping[str, object]:
    """Drop the prefixes of OpenInference: `message.role` is `role`."""
    if not any("." in name for name in value):
        return value
    return {_bare(name): own for name, own in value.items()}


def _bare(name: str) -> str:
    return name.removeprefix(next((each for each in _PREFIXES if name.startswith(each)), ""))


def _kind(value: Mapping[str, object]) -> object:
    """Return the role of a message that has a type or a class instead."""
    kind, lc = value.get("type"), value.get("id")
    if kind == "constructor" and isinstance(lc, list) and lc:
        return lc[-1]
    if kind in ("function_call", "function_call_output"):
        return kind
    return kind if isinstance(kind, str) and (kind in _ROLES or kind in (USER, ASSISTANT, SYSTEM, TOOL)) else None


def _role(named: str) -> str:
    return _ROLES.get(named.casefold(), named.casefold())


class _Content:
    """The texts, tool calls and other parts that a message's content holds."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.calls: list[ToolCall] = []
        self.other = self.refusal = ""

    def take(self, content: object) -> None:
        if isinstance(content, str):
            self.texts += [content] if content else []
        elif isinstance(content, dict):
            self._part(_plain(content))
        elif isinstance(content, Sequence):
            for part in content:
                self.take(part)

    def call(self, value: object) -> None:
        """Take a tool call as OpenAI, LangChain, OpenInference, Anthropic, Gemini or Bedrock write it."""
        if not isinstance(value, dict):
            return
        plain = _plain(value)
        function = plain.get("function")
        inner = _plain(function) if isinstance(function, dict) else plain
        name = inner.get("name", inner.get("function.name"))
        given = next(
            (inner[key] for key in ("arguments", "function.arguments", "args", "input") if inner.get(key) is not None),
            {},
        )
        if isinstance(name, str):
            self.calls.append(ToolCall(name, given if isinstance(given, str) else compact(given)))

    def _part(self, part: Mapping[str, object]) -> None:
        kind = part.get("type", "")
        text = part.get("text", part.get("content"))
        text = text.get("value") if isinstance(text, dict) else text
        if kind == "refusal" or "refusal" in part:
            self.refusal = str(part.get("refusal") or "refused")
        elif kind in ("tool_use", "tool_call", "function_call"):
            self.call(part)
        elif inner := next((part[k] for k in ("functionCall", "toolUse") if isinstance(part.get(k), dict)), None):
            self.call(inner)
        elif kind in ("tool_result", "tool_call_response", "function_call_output", "toolResult"):
            self.take(part.get("content", part.get("output", part.get("response", part.get("result")))))
        elif isinstance(text, str) and kind in _TEXT_PARTS:
            self.texts += [text] if text else []
        elif kind in _QUIET_PARTS or any(name in part for name in _QUIET_PARTS) or (not kind and not part):
            return
        elif kind == "message" or part.get("parts"):
            self.take(part.get("content", part.get("parts")))
        else:
            named = kind or next((name for name, own in part.items() if own is not None), "")
            self.other = self.other or str(named)
