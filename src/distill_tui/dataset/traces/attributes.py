"""The attributes of a span: OTLP values, nested objects and numbered names, read as one flat mapping.

`llm.input_messages.0.message.role` and the like are collected into lists of messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from distill_tui.dataset.traces.messages import Message, messages_of, opened

_NUMBERED = re.compile(r"(.+?)\.(\d+)\.(.+)")
MOST_DEPTH = 12


def attributes_of(record: Mapping[str, object]) -> dict[str, object]:
    """Return a span's attributes: of OTLP (`[{key, value}]`), of a data frame (`attributes.x`), or of an object."""
    found: dict[str, object] = {}
    listed = opened(record.get("attributes"))
    if isinstance(listed, list):
        found |= pairs(listed)
    elif isinstance(listed, dict):
        found |= _flat(listed)
    for name, value in record.items():
        if name.startswith("attributes.") and value is not None:
            inner = name.removeprefix("attributes.")
            read = opened(value)
            found |= _flat(read, f"{inner}.") if isinstance(read, dict) else {inner: value}
    return found


def pairs(listed: Sequence[object]) -> dict[str, object]:
    """Read OTLP's list of keys and values."""
    return {
        str(each["key"]): value_of(each.get("value")) for each in listed if isinstance(each, dict) and "key" in each
    }


def value_of(value: object) -> object:
    """Read one OTLP value: {stringValue | intValue | doubleValue | boolValue | arrayValue | kvlistValue}."""
    if not isinstance(value, dict):
        return value
    for name, own in value.items():
        if own is None:  # a table has every kind of value in every row
            continue
        if name == "intValue":
            return int(own) if str(own).lstrip("-").isdecimal() else own
        if name == "arrayValue":
            return [value_of(each) for each in own.get("values", ())] if isinstance(own, dict) else []
        if name == "kvlistValue":
            return pairs(own.get("values", ())) if isinstance(own, dict) else {}
        return own
    return None


def _flat(value: Mapping[str, object], prefix: str = "", depth: int = 0) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, own in value.items():
        if isinstance(own, dict) and depth < MOST_DEPTH:
            found |= _flat(own, f"{prefix}{name}.", depth + 1)
        elif own is not None:
            found[f"{prefix}{name}"] = own
    return found


def messages_at(attributes: Mapping[str, object], name: str) -> tuple[Message, ...]:
    """Return the messages under a name: a list, JSON text of one, or numbered names."""
    value = opened(attributes.get(name))
    if isinstance(value, list) and value:
        return messages_of([_message(each) for each in value])
    numbered: dict[int, dict[str, object]] = {}
    for key, own in attributes.items():
        if key.startswith(f"{name}."):
            found = _NUMBERED.fullmatch(key)
            if found is not None and found[1] == name and len(found[2]) < 7:
                _put(numbered.setdefault(int(found[2]), {}), found[3].removeprefix("message."), own)
    return messages_of([numbered[place] for place in sorted(numbered)])


def _message(value: object) -> object:
    """Take `{"message": {…}}`, as nested exports write a message, as the message."""
    if isinstance(value, dict) and isinstance(value.get("message"), dict):
        return value["message"]
    return value


def _put(message: dict[str, object], name: str, value: object) -> None:
    """Set one entry of a message; `contents.0.message_content.text` and tool calls make lists."""
    found = _NUMBERED.fullmatch(name)
    if found is None:
        message[name] = value
        return
    into, place, inner = found.groups()
    listed = message.setdefault("content" if into == "contents" else into, [])
    if isinstance(listed, list) and len(place) < 4:
        listed += [{} for _ in range(int(place) + 1 - len(listed))]
        plain = inner.removeprefix("message_content.").removeprefix("tool_call.")
        listed[int(place)][plain] = value
