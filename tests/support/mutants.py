"""Real requests in every wire format, and damaged ones made of them: seeded, so that each can be made again."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

WORDS = ("refund", "invoice", "parcel", "courier", "please", "where", "is", "my", "a", "of", "the")
HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**70, 1e308, float("nan"), float("inf"), "", " ", [], {}, [[]], [None], [1, "x"]),
    *("\ud800", "\x00\x1b]0;x\x07", "\x1f", "a\x1fb", "\u202e", "[" * 2_000, '{"a": [', "{" * 300, "x" * 20_000),
    *({"": None}, {"type": 5}, {"type": "text", "text": 7}, {"role": None, "content": []}, {"value": {}}, ["a", "b"]),
)
NAMES = (
    *("messages", "input", "inputs", "prompt", "contents", "system", "instructions", "questions", "state", "choices"),
    *("criteria", "name", "type", "stream", "stream_options", "metadata", "user", "model", "response_format", "text"),
    *(
        "role",
        "content",
        "parts",
        "tool_calls",
        "function",
        "arguments",
        "conversation",
        "n",
        "tools",
        "body",
        "request",
    ),
)
BYTES = (
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\x1b]0;x\x07",
    b'"',
    b"{",
    b"[" * 999,
    b"9" * 5_000,
    b"\\ud800",
)


def requests_of(format: str, chance: random.Random, canary: str) -> Any:
    """Write a request as clients of this format do; its text holds the canary."""
    text = " ".join([*chance.choices(WORDS, k=6), canary])
    user = {"role": "user", "content": text}
    system = {"role": "system", "content": "Answer money or post."}
    more: dict[str, Any] = {"user": "u-1", "metadata": {"segment": "de", "session": 4}}
    choices = {"type": "choice", "choices": ["money", "post"]}
    bodies: dict[str, list[Any]] = {
        "/chat/completions": [
            {"model": "big", "messages": [user]},
            {"model": "big", "messages": [system, user], "stream": True, "stream_options": {"include_usage": True}},
            {"model": "P-001", "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}], **more},
            {"model": "big", "messages": [user], "tools": [{"type": "function", "function": {"name": "f"}}]},
            {"model": "big", "messages": [user], "response_format": {"type": "json_object"}, "n": 1},
        ],
        "/responses": [
            {"model": "big", "input": text},
            {"model": "big", "instructions": "Answer.", "input": [user], "stream": True},
            {"model": "big", "input": [{"role": "user", "content": [{"type": "input_text", "text": text}]}], **more},
        ],
        "/systemone": [
            {"model": "big", "state": text, "questions": {"topic": choices}},
            {"model": "big", "state": {"text": text}, "questions": {"topic": {**choices, "criteria": {"money": ""}}}},
        ],
        "/decisions": [
            {"model": "big", "input": text, "questions": [{"name": "topic", **choices}]},
            {"input": text, "questions": [{"name": "t", "type": "choice", "choices": [{"value": "post"}]}]},
        ],
        "/predict": [{"inputs": text}, {"inputs": [text, text]}, {"inputs": text, "truncate": True}],
        "/embeddings": [{"model": "big", "input": text}],  # a path that only the teacher knows
    }
    return copy.deepcopy(chance.choice(bodies[format]))


FORMATS = ("/chat/completions", "/responses", "/systemone", "/decisions", "/predict", "/embeddings")


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every value below the top."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, own in pairs:
        yield (*at, name)
        yield from _places(own, (*at, name))


def damaged_value(body: Any, chance: random.Random) -> Any:
    """Damage a parsed body: other types, missing, renamed, wrapped, doubled and deeply nested values."""
    places = list(_places(body))
    if not places:
        return copy.deepcopy(chance.choice(HOSTILE))
    *path, name = chance.choice(places)
    if name == "segment":  # the client's word for its kind of request, which every policy keeps
        return body
    holder = body
    for step in path:
        holder = holder[step]
    match chance.randrange(7):
        case 0 | 1:
            holder[name] = copy.deepcopy(chance.choice(HOSTILE))
        case 2:
            del holder[name]
        case 3 if isinstance(holder, dict):
            holder[chance.choice(NAMES)] = holder.pop(name)
        case 4:
            holder[name] = chance.choice(
                ([holder[name]], {"x": holder[name]}, json.dumps(holder[name]), [holder[name]] * 3)
            )
        case 5:
            for _ in range(chance.choice((3, 60, 200))):
                holder[name] = [holder[name]]
        case _:
            other = body
            for step in chance.choice(places):
                other = other[step] if isinstance(other, dict | list) and _has(other, step) else other
            holder[name] = json.loads(json.dumps(other))
    return body


def _has(value: Any, step: Any) -> bool:
    return step in value if isinstance(value, dict) else isinstance(step, int) and step < len(value)


def damaged_bytes(data: bytes, chance: random.Random) -> bytes:
    """Damage some bytes: other values, cuts, insertions, repeated pieces."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(out) + 1)
        match chance.randrange(5):
            case 0:
                out[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del out[at : at + chance.randint(1, 40)]
            case 2:
                out[at:at] = chance.choice(BYTES)
            case 3:
                out[at:at] = out[at : at + chance.randint(1, 200)]
            case _:
                del out[at:]
    return bytes(out)


def body_of(format: str, chance: random.Random, canary: str) -> bytes:
    """Return a request's body: one in twenty whole, the others damaged as a value, as bytes, or both."""
    body = requests_of(format, chance, canary)
    kind = chance.randrange(20)
    if kind:
        for _ in range(chance.randint(1, 3)):
            body = damaged_value(body, chance)
    try:
        data = json.dumps(body).encode()
    except RecursionError:
        data = b"[" * 5_000
    return damaged_bytes(data, chance) if kind > 14 else data


def head_of(path: str, length: int, secrets: dict[str, str], chance: random.Random) -> bytes:
    """Return a request's head; one in five is damaged: method, path, query, lengths, names, values, order."""
    prefix = chance.choice(("", "/plays/P-001"))
    target = f"{prefix}{path}" if path == "/predict" else f"{prefix}/v1{path}"
    headers = [("host", "x"), ("content-type", "application/json"), ("content-length", str(length))]
    headers += [(name, value) for name, value in secrets.items() if name != "query"]
    method = "POST"
    if chance.randrange(5) == 0:
        match chance.randrange(8):
            case 0:
                method = chance.choice(("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "post", "FOO", ""))
            case 1:
                target += chance.choice(
                    ("/../../admin", "/%2e%2e/x", "/%00", "%0d%0ax: y", "//", "/\xe9", "/%ff", "/%F0%9F%98%80")
                )
            case 2:
                target += f"?key={secrets['query']}" + chance.choice(
                    ("", "&a=%ff", "&\xe9=1", "&x=%0a", "#f", "&" * 3_000)
                )
            case 3:
                headers.append(
                    (chance.choice(("x-note", "x-distill-route", "accept-encoding", "te", "expect")), "\xe9\xff")
                )
            case 4:
                headers.append(("transfer-encoding", chance.choice(("chunked", "identity", "gzip, chunked"))))
            case 5:
                headers[2] = ("content-length", chance.choice(("-1", "0", "1e3", str(length // 2), "٣", "")))
            case 6:
                headers.append(
                    (chance.choice(("x" * 3_000, "x y", "", "X\x00")), chance.choice(("", "v" * 9_000, "a\tb")))
                )
            case _:
                chance.shuffle(headers)
                headers.append(chance.choice(headers))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


def raw_request(format: str, chance: random.Random, secrets: dict[str, str], canary: str) -> bytes:
    """Return the bytes of one request."""
    body = body_of(format, chance, canary)
    return head_of(format, len(body), secrets, chance) + body
