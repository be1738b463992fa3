"""A request under way: what was asked, by which stand it is answered, and what is known of it for the record."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from distill_tui.dataset.traces import chat
from distill_tui.serving import wire
from distill_tui.serving.stand import Stand
from distill_tui.serving.students import Answer
from distill_tui.serving.teacher import Headers
from distill_tui.text import is_whole

PARTS = 1_000_000  # a share of requests is chosen in this many parts


@dataclass
class Request:
    """A request under way."""

    method: str
    path: str  # after /v1, with the query
    content: bytes
    raw_headers: Sequence[tuple[bytes, bytes]]
    asked: wire.Asked
    body: object
    stand: Stand
    started: float = field(default_factory=time.perf_counter)
    digest: str = ""
    found: Answer | None = None  # of the student
    sent: str = ""  # the digest of the student's bundle, where it was asked
    why: str = ""  # why the student does not answer
    audited: bool = False
    shadow: Answer | None = None  # of the student, unseen
    said: str | None = None  # by the teacher

    @cached_property
    def headers(self) -> Headers:
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw_headers]

    @cached_property
    def marks(self) -> tuple[str | int | None, str]:
        """The group and the segment that the request names."""
        group, segment = chat.marks_of(self.body) if isinstance(self.body, dict) else (None, None)
        group = group if is_whole(str(group)) else None
        return group, segment if isinstance(segment, str) and len(segment) <= 100 and is_whole(segment) else ""

    @property
    def group(self) -> str | int | None:
        return self.marks[0]

    @property
    def segment(self) -> str:
        return self.marks[1]


def part(digest: str, what: str) -> int:
    """Return the part of all requests that an input belongs to: the same for the same input from any client."""
    return int.from_bytes(hashlib.sha256(f"{what}:{digest}".encode()).digest()[:8], "big") % PARTS
