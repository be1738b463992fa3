"""Numbers as people type them: 400,000 and 2.5k and 1%. What could be read in two ways is not read."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

_TYPED = re.compile(r"([+-]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d*)?(?:[eE][+-]?\d{1,3})?)\s*([kKM%]?)", re.ASCII)
_TIMES = {"": Decimal(1), "k": Decimal(1000), "K": Decimal(1000), "M": Decimal(1_000_000), "%": Decimal("0.01")}


def number(text: object) -> Decimal | None:
    """Read a number with thousands separated by commas, or ending in k, M or %; None where it is none.

    “1,5” is none: it is fifteen tenths to some and a mistake to others.
    """
    found = _TYPED.fullmatch(str(text).strip())
    if found is None:
        return None
    try:
        value = Decimal(found[1].replace(",", "")) * _TIMES[found[2]]
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def plain(text: str) -> str:
    """Return a number's text as it is stored: as it was typed where that is plain, else written out."""
    try:
        Decimal(text)
        return text.strip()
    except InvalidOperation:
        found = number(text)
        return text if found is None else f"{found.normalize():f}"
