"""The records of evaluations: read under their digests, and judged by a gate. Verdicts are computed, never stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Generic, TypeVar

from distill_tui.digests import digest_of
from distill_tui.gates import written
from distill_tui.gates.gate import Gate
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.judging import judge
from distill_tui.gates.record import Record
from distill_tui.gates.written import from_json
from distill_tui.rules import entities
from distill_tui.store.artifacts import Artifacts

Value = TypeVar("Value")


@dataclass(frozen=True)
class Keyed(Generic[Value]):
    """A value under its digest: caches compare digests, not megabytes."""

    digest: str
    value: Value = field(compare=False)


def read_content(artifacts: Artifacts, digest: str) -> bytes:
    """Read the very bytes that the digest of a record names. Raises OSError or ValueError."""
    content = artifacts.path(digest).read_bytes()
    if digest_of(content) != digest:
        raise ValueError("it was altered after it was made; restore the original.")
    return content


def read_record(artifacts: Artifacts, digest: str) -> Record:
    """Read a record; parse it once. Raises OSError or ValueError."""
    return _parsed(Keyed(digest, read_content(artifacts, digest)))


@lru_cache(maxsize=16)
def _parsed(content: Keyed[bytes]) -> Record:
    return Record.from_json(content.value.decode())


def judged(record: Record, digest: str, gate: Gate) -> tuple[Judgement, ...]:
    """Judge the record of this digest by a gate."""
    return _judged(Keyed(digest, record), Keyed(written.digest(gate), gate))


@lru_cache(maxsize=16)
def _judged(record: Keyed[Record], gate: Keyed[Gate]) -> tuple[Judgement, ...]:
    return judge(gate.value, record.value)


def read_gate(row: entities.GateRow | None) -> tuple[Gate | None, str]:
    """Read a stored gate, and what is wrong with it."""
    if row is None:
        return None, ""
    try:
        gate, digest = _gate(row.content)
    except ValueError as error:
        return None, f"The stored gate cannot be read: {error} Restore the file from a backup."
    if row.digest is not None and row.digest != digest:
        return gate, "The gate is not what was locked: its digest differs; restore the file from a backup."
    return gate, ""


@lru_cache(maxsize=16)
def _gate(content: str) -> tuple[Gate, str]:
    gate = from_json(content)
    return gate, written.digest(gate)
