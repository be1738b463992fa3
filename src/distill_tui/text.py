"""Text from data: made safe to print, and an input of two parts as one text (standard library)."""

from __future__ import annotations

_C0 = {code: chr(0x2400 + code) for code in range(0x20)}  # the pictures of control characters: ␀ … ␟
_C1 = dict.fromkeys(range(0x80, 0xA0), "�")
_BREAKS = dict.fromkeys((0x2028, 0x2029), "␤")  # line and paragraph separator
_BIDI = dict.fromkeys((0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "�")
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "�")
_MARKS = _C0 | {0x7F: "␡"} | _C1 | _BREAKS | _BIDI | _SURROGATES


PAIR = "\x1f"  # U+001F, the unit separator, between the two parts of an input that is a pair


def pair_of(text: str) -> tuple[str, str] | None:
    """Return the two parts of an input that is a pair; None for any other text."""
    first, separator, second = text.partition(PAIR)
    return (first, second) if separator and first.strip() and second.strip() and PAIR not in second else None


def in_a_row(text: str) -> str:
    """Return an input as one text, for a reader without pairs: an empty line stands between the parts."""
    return text.replace(PAIR, "\n\n")


def is_whole(text: str) -> bool:
    """Whether a text can be stored: no NUL, no half of a surrogate pair, which JSON can carry and UTF-8 cannot."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def visible(text: str) -> str:
    """Replace C0, C1, DEL, bidi controls, line separators and lone surrogates by one visible character each."""
    return text.translate(_MARKS)
