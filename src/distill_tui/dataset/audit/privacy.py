"""Find personal data in texts by patterns and check digits, and mask it (standard library; pure).

Found are e-mail and IP addresses, and numbers of telephones, cards, bank accounts and social security. Names, street
addresses and illnesses have no pattern and are not found: an empty result does not prove that there are none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from ipaddress import AddressValueError, IPv4Address

from distill_tui.rules.results import Screened

EXAMPLES = 3
GRAVE = ("card number", "bank account", "social security number")  # must be accepted before a freeze

_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_ADDRESS = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_ACCOUNT = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_SOCIAL = re.compile(r"(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")
_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_PHONE = re.compile(r"(?<![\w+])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,5}\)[ .-]?)?\d{2,5}(?:[ .-]\d{2,5}){1,4}(?![\w])")


def screen(texts: Iterable[str]) -> list[Screened]:
    """Count the texts with each kind of personal data; examples are masked."""
    rows: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for text in texts:
        found = dict(reversed(list(find(text)))) if any(c.isdigit() or c == "@" for c in text) else {}
        for kind, value in found.items():
            rows[kind] += 1
            shown = examples.setdefault(kind, [])
            if len(shown) < EXAMPLES:
                shown.append(mask(value))
    return [Screened(kind, rows[kind], tuple(examples[kind])) for kind in sorted(rows)]


def find(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, match); a match counts for one kind only."""
    for kind, pattern, sound in _KINDS:
        rest = []
        last = 0
        for match in pattern.finditer(text):
            if sound(match[0]):
                yield kind, match[0]
                rest.append(text[last : match.start()])
                last = match.end()
        text = "\n".join([*rest, text[last:]]) if last else text


def scrub(text: str) -> tuple[str, dict[str, int]]:
    """Replace personal data by typed placeholders, like `[mail address]`; return the text and the counts by kind.

    A second pass changes nothing. Import, observing and serving use this one function.
    """
    counted: dict[str, int] = {}
    if not any(c.isdigit() or c == "@" for c in text):
        return text, counted
    for kind, pattern, sound in _KINDS:

        def replaced(match: re.Match[str], kind: str = kind, sound: Callable[[str], bool] = sound) -> str:
            if not sound(match[0]):
                return match[0]
            counted[kind] = counted.get(kind, 0) + 1
            return f"[{kind}]"

        text = pattern.sub(replaced, text)
    return text, counted


def mask(value: str) -> str:
    """Replace every letter and digit but the first by a bullet."""
    return value[:1] + "".join("•" if c.isalnum() else c for c in value[1:])


def _luhn(value: str) -> bool:
    """Check a card's last digit (ISO/IEC 7812-1)."""
    digits = [int(c) for c in reversed(value) if c.isdigit()]
    total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return total % 10 == 0 and len(set(digits)) > 1


def _iban(value: str) -> bool:
    """Check an account's check digits (ISO 13616: modulo 97)."""
    plain = value.replace(" ", "")
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _address(value: str) -> bool:
    try:
        return IPv4Address(value).is_global
    except AddressValueError:
        return False


def _phone(value: str) -> bool:
    """Accept nine to fifteen digits; fewer may be a date or a price."""
    digits = sum(c.isdigit() for c in value)
    return 9 <= digits <= 15 and not re.fullmatch(r"\d{4}[-.]\d{2}[-.]\d{2}.*", value)


def _sure(value: str) -> bool:
    return True


_KINDS = (
    ("mail address", _MAIL, _sure),
    ("bank account", _ACCOUNT, _iban),
    ("card number", _CARD, _luhn),
    ("social security number", _SOCIAL, _sure),
    ("machine address", _ADDRESS, _address),
    ("telephone number", _PHONE, _phone),
)
