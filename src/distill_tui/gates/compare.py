"""Two gates side by side: that of a play, and that of the killed play that it replaces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from decimal import Decimal

from distill_tui.gates.canonical import decimal_text
from distill_tui.gates.gate import Criterion, Gate, Interim, bar_of
from distill_tui.terms import Reference


@dataclass(frozen=True)
class Line:
    """One field of a gate, before and now; empty where it is not set."""

    what: str
    before: str
    now: str

    @property
    def moved(self) -> bool:
        return self.before != self.now


def compare(before: Gate, now: Gate) -> list[Line]:
    return [*_criteria(before, now), *_rest(before, now)]


def _criteria(before: Gate, now: Gate) -> Iterator[Line]:
    first, second = ({each.words: _bar_text(each) for each in gate.criteria} for gate in (before, now))
    for words in dict.fromkeys([*first, *second]):
        yield Line(words, first.get(words, ""), second.get(words, ""))


def _bar_text(criterion: Criterion) -> str:
    bar = decimal_text(bar_of(criterion))
    text = f"margin {bar}" if criterion.reference is not Reference.NONE else bar
    text += ", binding" if criterion.binding else ""
    text += f", watched only: {criterion.watch_only}" if criterion.watch_only else ""
    return text + (f", agreed with {criterion.agreed_with}" if criterion.agreed_with else "")


def _rest(before: Gate, now: Gate) -> Iterator[Line]:
    for each in fields(Gate):
        if each.name not in ("criteria", "predecessor"):
            yield Line(each.name, _text(getattr(before, each.name)), _text(getattr(now, each.name)))


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, Interim):
        return f"a lead of {decimal_text(value.lead)} for {value.days} days"
    if isinstance(value, tuple):
        return "; ".join(f"{each.name} {each.low} to {each.high}" for each in value)
    return "" if value is None else str(value)
