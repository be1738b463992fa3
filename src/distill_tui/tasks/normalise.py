"""Values that an answer writes otherwise than the input does: found in the input, and made what the answer writes.

A model card prints this module as part of the program that runs a tagger: it imports the standard library only.
"""

import datetime
import decimal
import json
import re

INSIDE = "\x1f"  # between the parts of a path; one that begins with # is a place in a list
MONTHS = "jan ene|feb fév|mar mär|apr avr abr|may mai maj|jun juin|jul juil|aug aoû ago|sep|oct okt|nov|dec dez déc dic"
_MONTH = {name: number for number, names in enumerate(MONTHS.split("|"), 1) for name in names.split()}
_DAY = r"(\d{1,2})(?:st|nd|rd|th|\.)?"
_NAME = r"([^\W\d_]{3,10})\.?"
PATTERNS = {
    "date": rf"\b(?:(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}})|(\d{{1,2}})[-/.](\d{{1,2}})[-/.](\d{{4}}|\d{{2}})|"
    rf"{_DAY}\s+(?:of\s+)?{_NAME},?\s+(\d{{4}})|{_NAME}\s+{_DAY},?\s+(\d{{4}}))\b",
    "time": r"\b(\d{1,2})(?:[:.h](\d{2}))?\s*([ap])\.?m\b\.?|\b(\d{1,2})[:.h](\d{2})\b",
    "number": r"(?<![\w.,])-?\d+(?:[.,']\d+|[ \u00a0\u202f]\d{3}(?!\d))*",
    "phone": r"(?<!\w)\+?\(?\d(?:[\d ()/\u00a0-]|\.(?=\d)){4,}\d",
}


def date(text: str, form: str) -> str | None:
    """ISO 8601; `form` is the order of day and month where both are numbers and fit both: dmy or mdy."""
    found = re.fullmatch(PATTERNS["date"], text.strip(), re.IGNORECASE)
    if found is None:
        return None
    year, month, day, one, two, short, day1, name1, year1, name2, day2, year2 = found.groups()
    if one:
        year, (day, month) = short, (one, two) if form == "dmy" else (two, one)
        day, month = (month, day) if int(month) > 12 else (day, month)
        year = f"20{year}" if len(year) == 2 else year
    elif not year:
        name, day, year = name1 or name2, day1 or day2, year1 or year2
        month = _MONTH.get(name[:4].lower()) or _MONTH.get(name[:3].lower())
    try:
        return datetime.date(int(year), int(month or 0), int(day)).isoformat()
    except ValueError:
        return None


def time(text: str, form: str) -> str | None:
    """Hours and minutes of a day of 24 hours."""
    found = re.fullmatch(PATTERNS["time"], text.strip(), re.IGNORECASE)
    if found is None:
        return None
    hour, minute = int(found[1] or found[4]), int(found[2] or found[5] or 0)
    if found[3]:
        hour = hour % 12 + 12 * (found[3].lower() == "p")
    return f"{hour:02}:{minute:02}" if hour < 24 and minute < 60 else None


def number(text: str, form: str) -> str | None:
    """A number; `form` is the mark of decimals where one mark can be either, and how many are written (none: all)."""
    plain = re.sub(r"[' \u00a0\u202f]", "", text.strip())
    mark = _decimals(plain, form[:1] or ".")
    plain = plain.replace("," if mark == "." else ".", "").replace(mark, ".")
    if not re.fullmatch(r"-?\d+(\.\d+)?", plain):
        return None
    if form[1:]:
        return f"{decimal.Decimal(plain):.{int(form[1:])}f}"
    return value(plain)


def _decimals(plain: str, usual: str) -> str:
    """The mark of decimals: the last of two, one without three digits behind it, one behind 0 or four digits."""
    marks = re.findall("[.,]", plain)
    if not marks:
        return usual
    last: str = marks[-1]
    before, other = plain.lstrip("-").partition(last)[0], "," if last == "." else "."
    if len(set(marks)) == 2:
        return last
    if not plain.partition(last)[2] or not re.fullmatch(r"\d{3}", plain.rpartition(last)[2]):
        return last
    if len(marks) > 1:
        return other
    return last if before[:1] in ("", "0") or len(before) > 3 else usual


def value(text: str) -> str:
    """A number in the one spelling of its value."""
    found = decimal.Decimal(text)
    if not found:
        return "0"
    plain = f"{found:f}" if abs(found.adjusted()) < 100 else str(found.normalize())
    return plain.rstrip("0").rstrip(".") if "." in plain and "E" not in plain else plain


def phone(text: str, form: str) -> str | None:
    """Digits; `form` is what stands before a number without a country, as in +49 (none: digits alone)."""
    digits = re.sub(r"\D", "", text)
    if not form:
        return digits
    if text.strip().startswith("+"):
        return f"+{digits}"
    return f"+{digits[2:]}" if digits.startswith("00") else form + digits.lstrip("0")


WRITERS = {"date": date, "time": time, "number": number, "phone": phone}


def found_in(text: str, kind: str, form: str) -> list[tuple[int, int, str]]:
    """Every value of a kind in a text: (first character, one after the last, the value as the answer writes it)."""
    spans = [match.span() for match in re.finditer(PATTERNS[kind], text, re.IGNORECASE)]
    made = [(first, last, WRITERS[kind](text[first:last], form)) for first, last in spans]
    return [(first, last, said) for first, last, said in made if said is not None]


def nearest(text: str, first: int, last: int, kind: str, form: str) -> str | None:
    """The value of a kind that a marked span touches; None for none."""
    return next((made for begin, end, made in found_in(text, kind, form) if begin < last and first < end), None)


def nested(pairs: list[tuple[list[str], str]]) -> str:
    """Write paths and their literals as one JSON text: objects, and lists where parts begin with #."""
    groups: dict[str, list[tuple[list[str], str]]] = {}
    for (head, *rest), literal in pairs:
        groups.setdefault(head, []).append((rest, literal))
    if any(head[:1] == "#" for head in groups):
        return "[" + ", ".join(_inner(each) for each in groups.values()) + "]"
    names = ((_quoted(head), _inner(each)) for head, each in groups.items())
    return "{" + ", ".join(f"{name}: {inner}" for name, inner in names) + "}"


def _inner(pairs: list[tuple[list[str], str]]) -> str:
    return nested(pairs) if pairs[0][0] else pairs[0][1]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
