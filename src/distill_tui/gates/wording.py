"""How numbers are written, for every sentence, table and screen: percent, points, times, sizes, counts."""

from __future__ import annotations

from decimal import Decimal

DASH = "–"


def percent(share: float | None, places: int = 1) -> str:
    """Write a share: 95.7%; a dash for None."""
    return DASH if share is None else f"{100 * share:.{places}f}%"


def estimate(share: float, lower: float, upper: float) -> str:
    """Write a share with its interval: 95.7% (94.1–97.0)."""
    return f"{percent(share)} ({100 * lower:.1f}–{100 * upper:.1f})"


def signed(bounds: tuple[float, float, float] | None) -> str:
    """Write a difference in points with its interval: +1.5 (-0.3 to +3.2); a dash for None."""
    return DASH if bounds is None else "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * each for each in bounds))


def milliseconds(time: float | None) -> str:
    """Write a time: 11.4 ms, below 1 ms with three places; a dash for None."""
    return DASH if time is None else f"{time:,.1f} ms" if time >= 1 else f"{time:.3f} ms"


def megabytes(size: int | None) -> str:
    """Write a size: 28.4 MB; a dash for None."""
    return DASH if size is None else f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e6:.3f} MB"


def in_points(share: float) -> str:
    """Write a share in points with their unit: 1 point, 7.7 points."""
    text = points(share)
    return f"{text} {'point' if text in ('1', '-1') else 'points'}"


def points(share: float, unlike: float | None = None) -> str:
    """Write a share in points; with as many places as it takes to differ from a number that it does differ from."""
    for places in (1, 2, 3, 4):
        text = trim(f"{100 * share:.{places}f}")
        if unlike is None or share == unlike or text != trim(f"{100 * unlike:.{places}f}"):
            break
    return text


def trim(text: str) -> str:
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def lead(difference: float, bar: float) -> str:
    """Write a difference as a lead or a lag, with enough places to differ from the bar."""
    if difference == 0:
        return "no difference"
    by = points(abs(difference), unlike=abs(bar) if bar * difference > 0 else None)
    return f"{'leads' if difference > 0 else 'trails'} by {by}"


def distance(difference: float, other: str) -> str:
    if difference == 0:
        return f"equals that of {other}"
    by = points(abs(difference))
    if by == "0":
        return f"is within 0.05 points of {other}"
    return f"{'leads' if difference > 0 else 'trails'} {other} by {by} point{'' if by == '1' else 's'}"


def count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def ceil(number: float) -> int:
    return -int(-number // 1)


def money(amount: Decimal | float, currency: str) -> str:
    """Write an amount with its currency, everywhere the same: USD 2,160, USD 45.20, USD 0.0043."""
    exact = Decimal(str(amount))
    size = abs(exact)
    places = 0 if size >= 100 or not size else 2 if size >= 1 or round(size, 2) == size else 4
    return f"{currency} {exact:,.{places}f}"
