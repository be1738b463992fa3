"""The HTTP replies of a play: the student's answer in the format of the request, the teacher's as it came, an error."""

from __future__ import annotations

import json
from dataclasses import replace

from starlette.responses import JSONResponse, Response

from distill_tui.serving import wire
from distill_tui.serving.request import Request
from distill_tui.serving.students import Answer
from distill_tui.serving.teacher import Headers, Reply
from distill_tui.terms import Route

STREAM = "text/event-stream"


def marks(request: Request, route: Route) -> dict[str, str]:
    """Return the headers that name who answered, how sure the student was, and its bundle."""
    found = {"x-distill-route": route.value}
    if request.found is not None:
        found["x-distill-confidence"] = f"{request.found.confidence:.4f}"
        found["x-distill-bundle"] = request.sent
    return found


def of_student(request: Request, found: Answer, labels: tuple[str, ...], route: Route) -> Response:
    """Write the student's answer; where the application reads the teacher's words, in those."""
    asked, stand = request.asked, request.stand
    if asked.format in (wire.CHAT, wire.RESPONSES):
        text = stand.words.get(found.text, found.text)
        found = replace(found, text=wire.worded(text, stand.mapping) or text)
    headers = marks(request, route)
    if asked.stream:
        return Response(b"".join(wire.events(asked, found, stand.name)), headers=headers, media_type=STREAM)
    content = json.dumps(wire.reply(asked, found, labels, stand.name))
    return Response(content, headers=headers, media_type="application/json")


def of_teacher(request: Request, reply: Reply) -> Response:
    answer = Response(reply.content, reply.status)
    answer.raw_headers = raw(reply.headers, request, len(reply.content))
    return answer


def refused(request: Request, status: int, sentence: str, kind: str) -> Response:
    return JSONResponse(wire.error(sentence, kind), status, headers=marks(request, Route.TEACHER))


def raw(headers: Headers, request: Request, length: int | None) -> list[tuple[bytes, bytes]]:
    """Return a teacher's headers with ours; `length` of the body, where it is known."""
    found = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    found += [(name.encode(), value.encode()) for name, value in marks(request, Route.TEACHER).items()]
    return found if length is None else [*found, (b"content-length", str(length).encode())]
