"""Personal data in texts, found by rules that check what can be checked, and shown masked (standard library; pure).

It finds what has a form: addresses of mail and machines, numbers of telephones, cards, accounts and social security.
Names, street addresses and illnesses have none and are not found: a clean screen is no proof.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from ipaddress import AddressValueError, IPv4Address

from distill_tui.rules.results import Screened

EXAMPLES = 3
GRAVE = ("card number", "bank account", "social security number")  # nobody trains on these by accident

_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b")
_ADDRESS = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_ACCOUNT = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_SOCIAL = re.compile(r"(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")
_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")
_PHONE = re.compile(r"(?<![\w+])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,5}\)[ .-]?)?\d{2,5}(?:[ .-]\d{2,5}){1,4}(?![\w])")


def screen(texts: Iterable[str]) -> list[Screened]:
    """Count the texts in which each kind is found; examples are masked, so that nothing can be read back."""
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
    """Yield (kind, what was found); what is claimed by one kind is no other."""
    for kind, pattern, sound in _KINDS:
        rest = []
        last = 0
        for match in pattern.finditer(text):
            if sound(match[0]):
                yield kind, match[0]
                rest.append(text[last : match.start()])
                last = match.end()
        text = "\n".join([*rest, text[last:]]) if last else text


def mask(value: str) -> str:
    """Keep the form and hide what is in it: every letter and digit but the first becomes a mark."""
    return value[:1] + "".join("•" if c.isalnum() else c for c in value[1:])


def _luhn(value: str) -> bool:
    """Check a card's last digit (ISO/IEC 7812-1)."""
    digits = [int(c) for c in reversed(value) if c.isdigit()]
    total = sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return total % 10 == 0 and len(set(digits)) > 1


def _iban(value: str) -> bool:
    """Check an account's two digits (ISO 13616: modulo 97)."""
    plain = value.replace(" ", "")
    return int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1


def _address(value: str) -> bool:
    try:
        return IPv4Address(value).is_global
    except AddressValueError:
        return False


def _phone(value: str) -> bool:
    """Take nine to fifteen digits in groups; with fewer a date or a price would do."""
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
