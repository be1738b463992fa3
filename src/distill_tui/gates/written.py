"""The gate as text: TOML that people edit and bundles carry, and the canonical JSON that its digest is taken of."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any

from distill_tui.digests import canonical, digest_of
from distill_tui.gates.canonical import (
    a_boolean,
    a_number,
    a_string,
    a_whole_number,
    one_of,
    plain,
    show,
    strict_json,
)
from distill_tui.gates.economics import Range
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.terms import Assurance, Metric, Reference

# younger than the format: a gate that was locked before keeps its digest
_LEFT_OUT = (("minimum_spot_check", 0), ("methods", 1))


def to_toml(gate: Gate) -> str:
    """Write the gate as the TOML that people edit and bundles carry."""
    import tomli_w

    whole: dict[str, Any] = {name: value for name, value in plain(gate).items() if name not in _TABLES}
    for name in ("confidence", "validation_share", "teacher_agreement", "payback_chance", "deferral"):
        if name in whole:
            whole[name] = Decimal(whole[name])
    if gate.ranges:
        whole["ranges"] = [plain(each) | {"low": each.low, "high": each.high} for each in gate.ranges]
    whole["criteria"] = [
        {
            name: Decimal(value) if name in ("margin", "threshold") else value
            for name, value in plain(criterion).items()
            if value is not None and (name, value) not in (("watch_only", ""), ("binding", False))
        }
        for criterion in gate.criteria
    ]
    return tomli_w.dumps(whole)


def from_toml(text: str, methods: int = 1) -> Gate:
    """Read a gate from TOML. Raises ValueError with one sentence; whether it can be locked is for `problems` to say.

    `methods` is for a text that does not say: an old gate has 1, and a new draft the present ones.
    """
    import tomllib

    try:
        values = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")
        raise ValueError(f"The gate is not TOML: {reason}.") from None
    return _read_gate({"methods": methods} | values, text)


def to_json(gate: Gate) -> str:
    """Write the gate as canonical JSON: decimals as normalised text."""
    values = {name: value for name, value in plain(gate).items() if (name, value) not in _LEFT_OUT}
    return canonical(values).decode()


def from_json(text: str) -> Gate:
    """Read `to_json` back. Raises ValueError with one sentence."""
    return _read_gate({"methods": 1} | strict_json(text, "gate"), "")


def digest(gate: Gate) -> str:
    """Give the digest that a lock fixes: SHA-256 of the canonical JSON."""
    return digest_of(to_json(gate))


def _read_gate(values: Mapping[str, object], text: str) -> Gate:
    where = _finder(text)
    known = {each.name for each in fields(Gate)}
    read: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"A gate has no {show(name)}{where(name)}; it has {', '.join(sorted(known))}.")
        if name in _TABLES:
            if not isinstance(value, list):
                raise ValueError(f"{name}{where(name)} is no list; write each one under [[{name}]].")
            read[name] = tuple(_TABLES[name](each, index, where) for index, each in enumerate(value, 1))
        else:
            read[name] = _GATE_READERS[name](value, f"{name}{where(name)}")
    read.setdefault("criteria", ())
    return Gate(**read)


def _read_criterion(values: object, index: int, where: Callable[[str], str]) -> Criterion:
    if not isinstance(values, dict):
        raise ValueError(f"Criterion {index} is no table; write it under [[criteria]].")
    known = {each.name for each in fields(Criterion)}
    read: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ValueError(
                f"Criterion {index} has an unknown {show(name)}{where(name)}; it may have {', '.join(sorted(known))}."
            )
        read[name] = None if value is None else _CRITERION_READERS[name](value, f"{name} of criterion {index}")
    if read.get("metric") is None:
        raise ValueError(f"Criterion {index} has no metric; name one of {', '.join(Metric)}.")
    return Criterion(**{name: value for name, value in read.items() if value is not None})


def _read_range(values: object, index: int, where: Callable[[str], str]) -> Range:
    if not isinstance(values, dict):
        raise ValueError(f"Range {index} is no table; write it under [[ranges]].")
    known = [each.name for each in fields(Range)]
    for name in values:
        if name not in known:
            raise ValueError(f"Range {index} has an unknown {show(name)}{where(name)}; it may have {', '.join(known)}.")
    missing = [name for name in known[:3] if name not in values]
    if missing:
        raise ValueError(f"Range {index} lacks {', '.join(missing)}; write the name of a price, low and high.")
    return Range(**{name: _RANGE_READERS[name](value, f"{name} of range {index}") for name, value in values.items()})


def _finder(text: str) -> Callable[[str], str]:
    """Say on which line a key stands, as far as that is plain to see."""

    def where(name: str) -> str:
        for number, line in enumerate(text.splitlines(), 1):
            if re.match(rf"\s*(\[+\s*)?[\"']?{re.escape(name)}[\"']?\s*[].=]", line):
                return f" (line {number})"
        return ""

    return where


_GATE_READERS: dict[str, Callable[[object, str], object]] = {
    "confidence": a_number,
    "rounds": a_whole_number,
    "held_out_rows": a_whole_number,
    "validation_share": a_number,
    "seed": a_whole_number,
    "baseline": a_string,
    "minimum_assurance": one_of(Assurance),
    "minimum_spot_check": a_whole_number,
    "window_from": a_string,
    "window_to": a_string,
    "statement": a_string,
    "predecessor": a_string,
    "by_time": a_boolean,
    "teacher_agreement": a_number,
    "payback_chance": a_number,
    "deferral": a_number,
    "methods": a_whole_number,
}
_RANGE_READERS: dict[str, Callable[[object, str], Any]] = {
    "name": a_string,
    "low": a_number,
    "high": a_number,
    "source": a_string,
    "dated": a_string,
}
_TABLES: dict[str, Callable[[object, int, Callable[[str], str]], object]] = {
    "criteria": _read_criterion,
    "ranges": _read_range,
}
_CRITERION_READERS: dict[str, Callable[[object, str], object]] = {
    "metric": one_of(Metric),
    "reference": one_of(Reference),
    "scope": a_string,
    "margin": a_number,
    "threshold": a_number,
    "binding": a_boolean,
    "watch_only": a_string,
    "agreed_with": a_string,
}
