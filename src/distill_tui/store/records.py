"""The records of evaluations: read under their digests, and judged by a gate. Verdicts are computed, never stored."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from distill_tui import gates
from distill_tui.digests import digest_of
from distill_tui.store import tables
from distill_tui.store.artifacts import Artifacts


@lru_cache(maxsize=16)
def record_of(path: Path, digest: str) -> gates.Record:
    """Read a record, the very bytes that its digest names. Raises OSError or ValueError."""
    content = path.read_bytes()
    if digest_of(content) != digest:
        raise ValueError("it was altered after it was made")
    return gates.Record.from_json(content.decode())


def read_record(artifacts: Artifacts, digest: str) -> str:
    """Read an evaluation's record, the very bytes that its digest names. Raises OSError or ValueError."""
    content = artifacts.path(digest).read_bytes()
    if digest_of(content) != digest:
        raise ValueError("it was altered after it was made; restore the original.")
    return content.decode()


@lru_cache(maxsize=16)
def judged(record_json: str, gate_json: str) -> tuple[gates.Record, tuple[gates.Judgement, ...]]:
    """Judge a record by a gate; verdicts are computed again whenever they are asked for, never stored."""
    record = gates.Record.from_json(record_json)
    return record, gates.judge(gates.from_json(gate_json), record)


def read_gate(row: tables.GateRow | None) -> tuple[gates.Gate | None, str]:
    if row is None:
        return None, ""
    try:
        gate = gates.from_json(row.content)
    except ValueError as error:
        return None, f"The stored gate cannot be read: {error} Restore the file from a backup."
    if row.digest is not None and row.digest != gates.digest(gate):
        return gate, "The gate is not what was locked: its digest differs; restore the file from a backup."
    return gate, ""
