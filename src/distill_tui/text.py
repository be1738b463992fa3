"""Text from data made safe to print: whatever could steer a terminal becomes a mark that is seen (standard library)."""

from __future__ import annotations

_C0 = {code: chr(0x2400 + code) for code in range(0x20)}  # the pictures of control characters: ␀ … ␟
_C1 = dict.fromkeys(range(0x80, 0xA0), "�")
_BREAKS = dict.fromkeys((0x2028, 0x2029), "␤")  # line and paragraph separator
_BIDI = dict.fromkeys((0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), "�")
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), "�")
_MARKS = _C0 | {0x7F: "␡"} | _C1 | _BREAKS | _BIDI | _SURROGATES


def visible(text: str) -> str:
    """Replace C0, C1, DEL, bidi controls, line separators and lone surrogates by one visible character each."""
    return text.translate(_MARKS)
