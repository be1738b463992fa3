"""What stands before every request: tokens, limits of size and time, clients that never finish, others' pages."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from distill_tui.serving import wire

TOKENS = "DISTILL_GATEWAY_TOKENS"
CONNECTION, WHOLE = "distill.connection", "distill.whole"  # of a request: its connection, and that all of it is there
HEAD = 64_000  # bytes of a request line and its headers


@dataclass(frozen=True)
class Limits:
    """How much a client may send, and how long it may take."""

    body: int = 4_000_000  # bytes
    seconds: float = 10.0  # to send the head of a request, and to send its body
    at_once: int = 512  # requests under way; four times as many connections may be open


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_this_machine(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a request asks this machine by its own name, and no page of another site makes it.

    A browser on this machine sends what any page wants, also to a name that the page's owner points here.
    """
    origin, host = (headers.get(name, b"").decode("latin-1") for name in (b"origin", b"host"))
    return (not origin or _is_this_machine(origin)) and (not host or _is_this_machine(f"//{host}"))


def _is_this_machine(address: str) -> bool:
    try:
        name = urlsplit(address).hostname
    except ValueError:
        return False
    return name is not None and is_loopback(name)


class Tokens:
    """The tokens that open the gateway: of the environment, or of a file that is read again when it changes."""

    def __init__(self, file: Path | None) -> None:
        self._file, self._seen = file, (0, 0)
        self._digests = _digests(os.environ.get(TOKENS, "").split(",")) if file is None else ()
        if file is not None:
            self._read(file)

    def _read(self, file: Path) -> None:
        """Read a token a line. Raises ValueError where others can read the file too."""
        state = file.stat()
        if stat.S_IMODE(state.st_mode) & 0o077:
            raise ValueError(f"{file.name} can be read by others; run chmod 600 on it.")
        if self._seen != (state.st_mtime_ns, state.st_ino):
            self._seen = (state.st_mtime_ns, state.st_ino)
            self._digests = _digests(file.read_text(encoding="utf-8").splitlines())

    @property
    def any(self) -> bool:
        return bool(self._digests) or self._file is not None

    def open(self, authorization: str) -> bool:
        """Whether a header holds one of the tokens; every one is compared, in constant time."""
        if self._file is not None:
            try:
                self._read(self._file)
            except (OSError, ValueError):
                self._digests = ()  # a file that is gone or open to others opens nothing
        kind, _, token = authorization.partition(" ")
        given = hashlib.sha256(token.strip().encode()).digest()
        found = [hmac.compare_digest(given, known) for known in self._digests]
        return any(found) and kind.lower() == "bearer"


def _digests(words: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(hashlib.sha256(word.strip().encode()).digest() for word in words if word.strip())


class Guard:
    """ASGI middleware: a wrong token gets 401, too large a body 413, a body that does not come 408, too many 503.

    Without tokens, what does not ask this machine by its own name gets 403. A client that does not take its reply loses
    the connection. What is refused reaches no play and no served log, so it is counted here.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens, limits: Limits, count: Callable[[str], None]) -> None:
        self.app, self.tokens, self.limits, self.count = app, tokens, limits, count
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        looks = scope["path"] in ("/health", "/metrics")  # an operator sees why, however busy it is
        if self._under_way >= self.limits.at_once and not looks:
            sentence = f"{self._under_way:,} requests are under way; try again in a second."
            await self._refuse(503, sentence, "busy", scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._pass(scope, receive, send)
        finally:
            self._under_way -= 1

    async def _refuse(self, status: int, sentence: str, kind: str, scope: Scope, receive: Receive, send: Send) -> None:
        self.count(kind)
        headers = {"retry-after": "1"} if kind == "busy" else {"connection": "close"}
        await JSONResponse(wire.error(sentence, kind), status, headers=headers)(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if self.tokens.any and not self.tokens.open(headers.get(b"authorization", b"").decode("latin-1")):
            await self._refuse(
                401, "This gateway needs a token: Authorization: Bearer …", "token", scope, receive, send
            )
            return
        if not self.tokens.any and not names_this_machine(headers):
            sentence = "Without tokens this gateway answers this machine only, as 127.0.0.1 or localhost: set --tokens."
            await self._refuse(403, sentence, "foreign", scope, receive, send)
            return
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.limits.body:
            sentence = f"The body is larger than {self.limits.body:,} bytes."
            await self._refuse(413, sentence, "too_large", scope, receive, send)
            return
        try:
            if scope.get(WHOLE):  # a timer costs more than reading what is there
                body = await self._body(receive)
            else:
                async with asyncio.timeout(self.limits.seconds):
                    body = await self._body(receive)
        except TimeoutError:
            await self._refuse(408, "The body did not come in time.", "slow", scope, receive, send)
            return
        if body is None:
            return
        if len(body) > self.limits.body:
            await self._refuse(
                413, f"The body is larger than {self.limits.body:,} bytes.", "too_large", scope, receive, send
            )
            return
        scope["distill.body"] = body
        if self.tokens.any:  # the gateway's token is not the teacher's key
            scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"authorization"]

        connection: Connection | None = scope.get(CONNECTION)

        async def hurried(message: Message) -> None:
            if connection is not None and not connection.flow.write_paused:
                connection.gathers(scope, message)
                await send(message)
                return
            async with asyncio.timeout(self.limits.seconds):
                await send(message)

        try:
            await self.app(scope, receive, hurried)
        except* TimeoutError:  # the server closes what was not sent to its end
            self.count("slow")

    async def _body(self, receive: Receive) -> bytes | None:
        """Read the body, at most a little more than the limit; None where the client is gone."""
        parts, size = [], 0
        while True:
            message: Message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part = message.get("body", b"")
            size += len(part)
            parts.append(part)
            if size > self.limits.body or not message.get("more_body", False):
                return b"".join(parts)


class Gathered:
    """A transport that keeps the head of a reply until its body is written, so that both leave in one piece."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self.gathers = False  # whether the next piece waits for the one after it

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)

    def write(self, piece: bytes) -> None:
        if self.gathers:
            self.gathers, self._head = False, piece
        else:
            head, self._head = self._head, b""
            self._transport.write(head + piece)

    def close(self) -> None:
        if self._head:
            self.write(b"")
        self._transport.close()


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with what the guard has to know of it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        gathered = Gathered(cast(asyncio.Transport, transport))
        super().connection_made(cast(asyncio.Transport, gathered))

    def gathers(self, scope: Scope, message: Message) -> None:
        """Keep back the head of a reply whose body follows at once."""
        if message["type"] == "http.response.start" and scope["method"] != "HEAD":
            whole = any(name == b"content-length" for name, _ in message["headers"])
            cast(Gathered, self.transport).gathers = whole

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast(Scope, self.scope)[CONNECTION] = self

    def on_message_complete(self) -> None:
        cast(Scope, self.scope)[WHOLE] = True
        super().on_message_complete()


def impatient(limits: Limits) -> type[Connection]:
    """Make uvicorn's protocol close a connection whose head is too large or does not come to its end in time."""

    class Impatient(Connection):
        _head = 0
        _hurry: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._stop()
            self._hurry = self.loop.call_later(limits.seconds, self._too_slow)

        def _stop(self) -> None:
            if self._hurry is not None:
                self._hurry.cancel()
                self._hurry = None

        def _too_slow(self) -> None:
            self._end(b"408 Request Timeout")

        def _end(self, status: bytes) -> None:
            if self.transport is not None and not self.transport.is_closing():
                self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                self.transport.close()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._hurry is not None:
                self._head += len(data)
                if self._head > HEAD:
                    self._end(b"431 Request Header Fields Too Large")

        def on_message_begin(self) -> None:
            self._head = 0
            if self._hurry is None:
                self._wait()
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            self._stop()
            super().on_headers_complete()

    return Impatient
