"""How numbers are written in a sentence: points, leads, counts."""

from __future__ import annotations


def points(share: float, unlike: float | None = None) -> str:
    """Write a share in points; with as many places as it takes to differ from a number that it does differ from."""
    for places in (1, 2, 3, 4):
        text = trim(f"{100 * share:.{places}f}")
        if unlike is None or share == unlike or text != trim(f"{100 * unlike:.{places}f}"):
            break
    return text


def trim(text: str) -> str:
    """Drop zeros after the point, and the sign of nothing."""
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def lead(difference: float, bar: float) -> str:
    """Write a difference as a lead or a lag, told apart from the bar."""
    if difference == 0:
        return "no difference"
    by = points(abs(difference), unlike=abs(bar) if bar * difference > 0 else None)
    return f"{'leads' if difference > 0 else 'trails'} by {by}"


def distance(difference: float, other: str) -> str:
    """Say how far the student is from another."""
    if difference == 0:
        return f"is that of {other}"
    by = points(abs(difference))
    if by == "0":
        return f"is within 0.05 points of {other}"
    return f"{'leads' if difference > 0 else 'trails'} {other} by {by} point{'' if by == '1' else 's'}"


def count(number: int, thing: str) -> str:
    """Count things: 1 row, 2 rows."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def ceil(number: float) -> int:
    """Round up."""
    return -int(-number // 1)
