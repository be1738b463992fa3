"""The gate as text: TOML that people edit and bundles carry, and the canonical JSON that its digest is taken of."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any

import tomli_w

from distill_tui.digests import canonical, digest_of
from distill_tui.gates.canonical import a_boolean, a_number, a_string, a_whole_number, one_of, plain, show, strict_json
from distill_tui.gates.economics import Range
from distill_tui.gates.gate import Criterion, Gate, Interim
from distill_tui.terms import Assurance, Metric, Reference

# younger than the format: a gate that was locked before keeps its digest
_LEFT_OUT = (("minimum_spot_check", 0),)


def to_toml(gate: Gate) -> str:
    whole: dict[str, Any] = {name: value for name, value in plain(gate).items() if name not in _PARTS}
    for name in ("confidence", "validation_share", "teacher_agreement", "payback_chance", "deferral"):
        if name in whole:
            whole[name] = Decimal(whole[name])
    if gate.ranges:
        whole["ranges"] = [plain(each) | {"low": each.low, "high": each.high} for each in gate.ranges]
    if gate.interim is not None:
        whole["interim"] = plain(gate.interim) | {"lead": gate.interim.lead}
    whole["criteria"] = [
        {
            name: Decimal(value) if name in ("margin", "threshold") else value
            for name, value in plain(criterion).items()
            if value is not None and (name, value) not in (("watch_only", ""), ("binding", False))
        }
        for criterion in gate.criteria
    ]
    return tomli_w.dumps(whole)


def from_toml(text: str) -> Gate:
    """Read a gate from TOML. Raises ValueError with one sentence; `problems` decides whether it can be locked."""
    try:
        values = tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")
        raise ValueError(f"The gate is not TOML: {reason}.") from None
    return _read_gate(values, text)


def to_json(gate: Gate) -> str:
    values = {name: value for name, value in plain(gate).items() if (name, value) not in _LEFT_OUT}
    return canonical(values).decode()


def from_json(text: str) -> Gate:
    """Read `to_json` back. Raises ValueError with one sentence."""
    return _read_gate(strict_json(text, "gate"), "")


def digest(gate: Gate) -> str:
    return digest_of(to_json(gate))


def _read_gate(values: Mapping[str, object], text: str) -> Gate:
    where = _finder(text)
    known = {each.name: _READERS.get(each.type) for each in fields(Gate)}
    read: dict[str, Any] = {"criteria": ()}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"A gate has no {show(name)}{where(name)}; it has {', '.join(sorted(known))}.")
        reader = known[name]
        if name == "interim":
            read[name] = _read_part(name, value, 0, where)
        elif reader is not None:
            read[name] = reader(value, f"{name}{where(name)}")
        elif isinstance(value, list):
            read[name] = tuple(_read_part(name, each, index, where) for index, each in enumerate(value, 1))
        else:
            raise ValueError(f"{name}{where(name)} is not a list; write each one under [[{name}]].")
    return Gate(**read)


def _read_part(table: str, values: object, index: int, where: Callable[[str], str]) -> Criterion | Range | Interim:
    kind, needs, cure = _PARTS[table]
    title = f"{kind.__name__} {index}" if index else kind.__name__
    if not isinstance(values, dict):
        raise ValueError(f"{title} is not a table; write it under {f'[[{table}]]' if index else f'[{table}]'}.")
    known = {each.name: _READERS[each.type] for each in fields(kind)}
    for name in values:
        if name not in known:
            raise ValueError(f"{title} has an unknown {show(name)}{where(name)}; it may have {', '.join(known)}.")
    read = {
        name: known[name](value, f"{name} of {title.lower()}") for name, value in values.items() if value is not None
    }
    missing = [name for name in needs if name not in read]
    if missing:
        raise ValueError(f"{title} lacks {', '.join(missing)}; {cure}.")
    return kind(**read)


def _finder(text: str) -> Callable[[str], str]:
    """Return a function that names the line of a key, as far as that is plain to see."""

    def where(name: str) -> str:
        for number, line in enumerate(text.splitlines(), 1):
            if re.match(rf"\s*(\[+\s*)?[\"']?{re.escape(name)}[\"']?\s*[].=]", line):
                return f" (line {number})"
        return ""

    return where


# by the annotation of a field; a field with another one is a table of parts
_READERS: dict[object, Callable[[object, str], Any]] = {
    "str": a_string,
    "int": a_whole_number,
    "bool": a_boolean,
    "Decimal": a_number,
    "Decimal | None": a_number,
    "Metric": one_of(Metric),
    "Reference": one_of(Reference),
    "Assurance": one_of(Assurance),
}
# what each must have, and the cure
_PARTS: dict[str, tuple[type[Criterion] | type[Range] | type[Interim], tuple[str, ...], str]] = {
    "criteria": (Criterion, ("metric",), f"name one of {', '.join(Metric)}"),
    "interim": (Interim, ("lead", "days"), "write a lead like 0.05, and days like 30"),
    "ranges": (Range, ("name", "low", "high"), "write the name of a price, low and high"),
}
