"""The records of evaluations: read under their digests, and judged by a gate. Verdicts are computed, never stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Generic, TypeVar

from distill_tui import gates
from distill_tui.digests import digest_of
from distill_tui.rules import entities
from distill_tui.store.artifacts import Artifacts

Value = TypeVar("Value")


@dataclass(frozen=True)
class _Keyed(Generic[Value]):
    """A value under its digest: caches compare digests, not megabytes."""

    digest: str
    value: Value = field(compare=False)


def read_record(artifacts: Artifacts, digest: str) -> gates.Record:
    """Read a record, the very bytes that its digest names now; parse it once. Raises OSError or ValueError."""
    content = artifacts.path(digest).read_bytes()
    if digest_of(content) != digest:
        raise ValueError("it was altered after it was made; restore the original.")
    return _parsed(_Keyed(digest, content))


@lru_cache(maxsize=16)
def _parsed(content: _Keyed[bytes]) -> gates.Record:
    return gates.Record.from_json(content.value.decode())


def judged(record: gates.Record, digest: str, gate: gates.Gate) -> tuple[gates.Judgement, ...]:
    """Judge the record of this digest by a gate."""
    return _judged(_Keyed(digest, record), _Keyed(gates.digest(gate), gate))


@lru_cache(maxsize=16)
def _judged(record: _Keyed[gates.Record], gate: _Keyed[gates.Gate]) -> tuple[gates.Judgement, ...]:
    return gates.judge(gate.value, record.value)


def read_gate(row: entities.GateRow | None) -> tuple[gates.Gate | None, str]:
    """Read a stored gate, and what is wrong with it."""
    if row is None:
        return None, ""
    try:
        gate = gates.from_json(row.content)
    except ValueError as error:
        return None, f"The stored gate cannot be read: {error} Restore the file from a backup."
    if row.digest is not None and row.digest != gates.digest(gate):
        return gate, "The gate is not what was locked: its digest differs; restore the file from a backup."
    return gate, ""
