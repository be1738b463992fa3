"""The teacher behind the gateway: requests are passed on as they are, and a failure is named."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import httpx

HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
     "upgrade", "host", "content-length", "content-encoding", "accept-encoding", "expect"}
)  # fmt: skip
OURS = ("x-distill-",)
BUSY = (429, 500, 502, 503, 504, 529)
LONGEST_REPLY = 64_000_000  # bytes of a reply that is not streamed

Headers = list[tuple[str, str]]


class Fault(Exception):
    """The teacher gave no usable answer: a word for the counter, a sentence for the client, and its status."""

    def __init__(self, word: str, sentence: str, status: int = 502, reply: Reply | None = None) -> None:
        super().__init__(sentence)
        self.word, self.status, self.reply = word, status, reply


@dataclass(frozen=True)
class Reply:
    """A teacher's whole reply."""

    status: int
    headers: Headers
    content: bytes

    def value(self) -> object:
        """Parse the content; None where it is not JSON."""
        try:
            found: object = json.loads(self.content)
        except (ValueError, RecursionError):
            return None
        return found


class Teacher:
    """An HTTP endpoint, asked with the gateway's own key or, where it has none, the application's."""

    def __init__(self, url: str, key: str, timeout: float) -> None:
        self.url, self._key = url.rstrip("/"), key
        limits = httpx.Limits(max_connections=256, max_keepalive_connections=64)
        self._client = httpx.AsyncClient(timeout=httpx.Timeout(timeout, connect=min(5.0, timeout)), limits=limits)

    def _headers(self, given: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
        dropped = HOP | ({"authorization", "x-api-key"} if self._key else set())
        kept = [(name, value) for name, value in given if name not in dropped and not name.startswith(OURS)]
        own = [("authorization", f"Bearer {self._key}")] if self._key else []
        sent = [*kept, *own, ("accept-encoding", "identity")]
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent]  # as they came

    async def ask(self, method: str, path: str, content: bytes, headers: Iterable[tuple[str, str]]) -> Reply:
        """Pass a request on and read the whole reply. Raises Fault."""
        try:
            async with self._client.stream(
                method, f"{self.url}{path}", content=content, headers=self._headers(headers)
            ) as answer:
                reply = Reply(answer.status_code, _kept(answer.headers), await _whole(answer))
        except httpx.HTTPError as error:
            raise _fault(error) from None
        if reply.status in BUSY:
            raise Fault(str(reply.status), f"The teacher answered {reply.status}.", reply.status, reply)
        return reply

    async def stream(
        self, method: str, path: str, content: bytes, headers: Iterable[tuple[str, str]]
    ) -> tuple[int, Headers, AsyncIterator[bytes]]:
        """Pass a request on; return the reply's head and its bytes as they come. Raises Fault before the first byte."""
        request = self._client.build_request(
            method, f"{self.url}{path}", content=content, headers=self._headers(headers)
        )
        try:
            answer = await self._client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise _fault(error) from None
        if answer.status_code in BUSY:
            try:
                body = await _whole(answer)
            except httpx.HTTPError as error:
                raise _fault(error) from None
            finally:
                await answer.aclose()
            reply = Reply(answer.status_code, _kept(answer.headers), body)
            raise Fault(str(reply.status), f"The teacher answered {reply.status}.", reply.status, reply)
        chunks = answer.aiter_raw()
        try:
            first = await anext(chunks, b"")
        except httpx.HTTPError as error:
            await answer.aclose()
            raise _fault(error) from None
        return answer.status_code, _kept(answer.headers), _chunks(answer, first, chunks)

    async def close(self) -> None:
        await self._client.aclose()


async def _whole(answer: httpx.Response) -> bytes:
    """Read a reply to its end. Raises Fault where it is too long to hold, HTTPError where it breaks off."""
    parts, size = [], 0
    async for part in answer.aiter_bytes():
        size += len(part)
        if size > LONGEST_REPLY:
            raise Fault("too long", f"The teacher's answer is longer than {LONGEST_REPLY:,} bytes.")
        parts.append(part)
    return b"".join(parts)


async def _chunks(answer: httpx.Response, first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        if first:
            yield first
        async for chunk in rest:
            yield chunk
    except httpx.HTTPError as error:
        raise _fault(error) from None
    finally:
        await answer.aclose()


def _kept(headers: httpx.Headers) -> Headers:
    plain = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers.raw]
    return [(name, value) for name, value in plain if name not in HOP]


def _fault(error: httpx.HTTPError) -> Fault:
    """Word a failure without the request's headers: they hold the key."""
    kind = type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        return Fault("timeout", "The teacher did not answer in time.", 504)
    if "CERTIFICATE" in str(error).upper() or "SSL" in str(error).upper():
        return Fault("certificate", "The teacher's certificate cannot be verified.")
    if isinstance(error, httpx.ConnectError):
        return Fault("connect", "The teacher cannot be reached.")
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return Fault("half", "The teacher broke off its answer.")
    return Fault("error", f"The teacher cannot be asked ({kind}).")
