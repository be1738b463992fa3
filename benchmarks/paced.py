"""A client that asks at a fixed rate, whether it is answered or not; milliseconds from when each request was due.

    python benchmarks/paced.py PORT RATE SECONDS [--clients 64]

A process of its own with nothing but sockets in it, which sleeps until a request is due or an answer comes: it takes a
tenth of a core at 2,000 requests a second, where a client that polls takes all of one from whom it measures. A request
that waits for a free connection waits since it was due. With the rate `inf` each connection asks again once it is
answered: the most that client and gateway do together.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import select
import socket
import time
from collections import deque

WORDS = ("refund", "invoice", "charge", "parcel", "courier", "delivery", "please", "where", "late", "my", "the", "is")
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n"
LENGTH = b"content-length: "


def texts(count: int) -> list[str]:
    return [
        " ".join(WORDS[(number * step) % len(WORDS)] for step in range(1, 12)) + f" {number}" for number in range(count)
    ]


def requests(count: int) -> list[bytes]:
    listed = []
    for text in texts(count):
        body = json.dumps({"model": "big", "messages": [{"role": "user", "content": text}]}).encode()
        listed.append(HEAD % len(body) + body)
    return listed


def whole(reply: bytes) -> bool:
    """Whether a reply is there to its end. Raises AssertionError where it is not a 200."""
    end = reply.find(b"\r\n\r\n")
    if end < 0:
        return False
    assert reply.startswith(b"HTTP/1.1 200"), reply
    at = reply.lower().index(LENGTH) + len(LENGTH)
    return len(reply) >= end + 4 + int(reply[at : reply.index(b"\r\n", at)])


def ask(port: int, rate: float, seconds: float, clients: int) -> dict[str, float]:
    some, took, asked = requests(5_000), list[float](), 0
    ready, free = select.epoll(), deque[socket.socket]()
    of, due, rest = dict[int, socket.socket](), dict[int, float](), dict[int, bytes]()
    for _ in range(clients):
        opened = socket.create_connection(("127.0.0.1", port))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        of[opened.fileno()] = opened
        ready.register(opened, select.EPOLLIN)
        free.append(opened)
    gc.freeze()
    gc.disable()
    begun, last = time.perf_counter(), math.inf if rate == math.inf else round(rate * seconds)
    while asked < last or len(free) < clients:
        now = time.perf_counter() - begun
        if rate == math.inf and now >= seconds:
            last = asked
        while free and asked < last and asked <= now * rate:
            one = free.popleft()
            due[one.fileno()], rest[one.fileno()] = asked / rate or now, b""
            one.sendall(some[asked % len(some)])
            asked += 1
        waits = asked / rate - (time.perf_counter() - begun) if free and asked < last else None
        if not select.select([ready], [], [], waits if waits is None else max(0.0, waits))[0]:  # to the microsecond
            continue
        for number, _ in ready.poll(0):
            rest[number] += of[number].recv(65_536)
            assert rest[number], "a connection was closed"
            if whole(rest[number]):
                took.append(1000 * (time.perf_counter() - begun - due[number]))
                free.append(of[number])
    spent, ranked = time.perf_counter() - begun, sorted(took)
    found = {"rps": len(ranked) / spent, "cpu": time.process_time() / spent}
    return found | {f"p{part}_ms": ranked[int(part / 100 * len(ranked))] for part in (50, 90, 99)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("rate", type=float, help="requests a second, or inf")
    parser.add_argument("seconds", type=float)
    parser.add_argument("--clients", type=int, default=64)
    given = parser.parse_args()
    print(json.dumps(ask(given.port, given.rate, given.seconds, given.clients)))


if __name__ == "__main__":
    main()
