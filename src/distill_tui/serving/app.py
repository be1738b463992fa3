"""The routes of the gateway."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from distill_tui import tasks
from distill_tui.gates.scale import is_range
from distill_tui.serving import wire
from distill_tui.serving.figures import Meters
from distill_tui.serving.play import Play
from distill_tui.serving.request import Request

ALL = ["GET", "POST", "PUT", "PATCH", "DELETE"]
PLAIN = "/:@!$&'()*+,;=~"  # what stays as it is in a path that is passed on
LONGEST_PATH = 60_000  # characters, once written for a URL
UNREAD = "unread"  # the format of a path that only the teacher knows


def make(plays: Mapping[str, Play], meters: Meters) -> Router:
    gateway = Gateway(plays, meters)
    answer = Answering(gateway)
    routes = [
        Route("/health", gateway.health),
        Route("/metrics", gateway.metrics),
        *(
            Route(prefix + path, endpoint, methods=methods)
            for prefix in ("", "/plays/{play}")
            for path, endpoint, methods in (
                ("/v1/models", gateway.models, ["GET"]),
                ("/predict", answer, ["POST"]),
                ("/v1/{path:path}", answer, ALL),
            )
        ),
    ]
    return Router(routes=routes, redirect_slashes=False)


class Gateway:
    """What the routes share."""

    def __init__(self, plays: Mapping[str, Play], meters: Meters) -> None:
        self.plays, self.meters = plays, meters

    def play_of(self, named: str, *, by_path: bool) -> Play | None:
        """Find the play of a request: by its path, else by the model's name, else the only one."""
        for play in self.plays.values():
            if named in (play.code, play.stand.name if play.stand is not None else ""):
                return play
        return next(iter(self.plays.values())) if len(self.plays) == 1 and not by_path else None

    async def models(self, request: HttpRequest) -> Response:
        named = request.path_params.get("play")
        found = [play for play in self.plays.values() if named in (None, play.code)]
        data = [
            {"id": play.code, "object": "model", "created": int(play.begun), "owned_by": "distill-tui"}
            for play in found
        ]
        return JSONResponse({"object": "list", "data": data})

    async def health(self, request: HttpRequest) -> Response:
        plays = [play.health() for play in self.plays.values()]
        whole = all(each["status"] == "ok" for each in plays)
        return JSONResponse({"status": "ok" if whole else "degraded", "plays": plays})

    async def metrics(self, request: HttpRequest) -> Response:
        for play in self.plays.values():
            if play.loaded.students is not None:
                self.meters.waiting.labels(play.code).set(play.loaded.students.waiting)
        return Response(self.meters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


class Answering:
    """The endpoint of all that a student or the teacher answers; plain ASGI, because every request passes here."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope)
        except Exception:  # a fault of the gateway's own must not look like one of the teacher's, nor go unseen
            traceback.print_exc()
            self.gateway.meters.errors.inc()
            answer = _wrong("The gateway failed; its error output has the reason.", "internal", 500)
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        named, content = scope["path_params"], scope["distill.body"]
        path = "/" + named["path"] if "path" in named else wire.PREDICT
        format = path if path in wire.FORMATS and scope["method"] == "POST" else UNREAD
        body: object = None
        if format != UNREAD:
            try:
                body = json.loads(content)
            except (ValueError, RecursionError):
                return _wrong("The body is not JSON.", "bad_json")
            if not isinstance(body, dict):
                return _wrong("The body is not a JSON object.", "bad_json")
        if ".." in path.split("/"):
            return _wrong("The path leads out of /v1.", "path")
        model = str(body.get("model", "")) if isinstance(body, dict) else ""
        play = self.gateway.play_of(named.get("play", model), by_path="play" in named)
        if play is None:
            known = ", ".join(self.gateway.plays)
            return _wrong(f"No play of this name is served; served: {known}.", "unknown_play", 404)
        stand = play.stand
        if stand is None:
            return _wrong("The gateway is starting.", "starting", 503)
        labels = stand.student.labels if stand.student is not None else ()
        asked = wire.Asked(UNREAD, None, "path")
        if format != UNREAD:
            asked = wire.read(format, body, labels, stand.mapping)
            ranged = is_range(labels)  # a choice among points of a range is not asked for either
            if asked.question and stand.student is not None and (ranged or tasks.of(stand.student.task).several):
                asked = replace(asked, text=None, why="questions")  # one choice of all labels is another task
        path, query = quote(path, safe=PLAIN), quote(scope["query_string"], safe=PLAIN + "?%")
        path += f"?{query}" if query else ""
        if len(path) > LONGEST_PATH:
            return _wrong("The path is too long.", "path", 414)
        return await play.answer(Request(scope["method"], path, content, scope["headers"], asked, body, stand))


def _wrong(sentence: str, kind: str, status: int = 400) -> Response:
    return JSONResponse(wire.error(sentence, kind), status)
