"""The label map: which label of the task each name stands for that gold, or the teacher, is written with. Pure.

Two vocabularies meet here: the names in gold, and the names that the teacher answers with. What is written like a label
is that label. For any other name a match is proposed by its spelling (`WAYS`), and a person confirms it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import regex

MOST_UNMATCHED = 0.02  # of the rows with gold, or with an answer: more is accepted by name before a freeze
SHOWN = 5  # names in a sentence
LONGEST = 200  # characters of a name; what is longer is a text

MISSING = frozenset(["na", "n/a", "#n/a", "nan", "null", "<na>", "#null!", "#value!", "#ref!", "#name?", "#div/0!"])

_MARKS = " \t\r\n*_~`\"'“”„‘’‚«»‹›()[]{}<>「」『』（）【】.,;:!?…。、，；：！？¡¿"
_BULLETS = "#>-–—•·"
_TAGS = re.compile(r"^(?:\s*<[a-z][a-z0-9]*>)+|(?:</[a-z][a-z0-9]*>\s*)+$")  # <b>money</b>
_SYMBOLS = regex.compile(r"^[\p{So}\p{Sk}\p{M}\s]+|[\p{So}\p{Sk}\s][\p{So}\p{Sk}\p{M}\s]*$")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ACCENTS = frozenset(map(chr, range(0x300, 0x370)))  # of Latin, Greek and Cyrillic letters
_WHOLE = re.compile(r"([+-]?)0*(\d+)(?:\.0*)?")
_NUMBERED = re.compile(r"(?:label[_ -]?|class[_ -]?)?(\d+)", re.IGNORECASE)


def _unicode(name: str) -> str:
    """Normalise, without characters that nothing shows: a zero-width space, a mark of direction."""
    shown = "".join(each for each in unicodedata.normalize("NFKC", name) if unicodedata.category(each) != "Cf")
    return " ".join(shown.split())


def _case(name: str) -> str:
    return _unicode(unicodedata.normalize("NFKC", name).casefold())


def _number(name: str) -> str:
    found = _WHOLE.fullmatch(_unicode(name))
    return f"{'-' if found[1] == '-' and found[2] != '0' else ''}{found[2]}" if found else ""


def _punctuation(name: str) -> str:
    """Strip marks, quotes, markdown, tags and emoji around a name. What is part of names, like the + of C++, stays."""
    bare: str = _SYMBOLS.sub("", _TAGS.sub("", _case(name)))
    return bare.lstrip(_MARKS + _BULLETS).rstrip(_MARKS)


def _separators(name: str) -> str:
    """Write a space for each separator, and where `camelCase` begins a word."""
    return " ".join(re.split(r"[\s_\-–/.]+", _punctuation(_CAMEL.sub(" ", name)))).strip()


def _accents(name: str) -> str:
    """Leave out the accents: of `café`, `cafe`."""
    apart = unicodedata.normalize("NFD", _separators(name))
    return unicodedata.normalize("NFC", "".join(each for each in apart if each not in _ACCENTS))


def _index(name: str) -> str:
    """Return the number of an output: of `3`, and of `LABEL_3`."""
    found = _NUMBERED.fullmatch(_number(name) or _punctuation(name))
    return str(int(found[1])) if found else ""


_SPELLED: Mapping[str, Callable[[str], str]] = {  # how a name is compared with the labels, the closest first
    "Unicode form": _unicode,
    "case": _case,
    "whole number": _number,
    "punctuation": _punctuation,
    "separators": _separators,
    "accents": _accents,
    "id2label": _index,
}
WAYS = tuple(_SPELLED)
CONFIRMED = "confirmed"


@lru_cache(maxsize=20_000)
def _spellings(name: str) -> tuple[str, ...]:
    """Spell a name in each of `WAYS`; empty where a way does not apply to it."""
    return tuple(way(name) for way in _SPELLED.values())


def alike(one: str, other: str) -> bool:
    """Whether a label map would propose that two names are the same label, whatever the other labels are."""
    if one == other or max(len(one), len(other)) > LONGEST:
        return one == other
    return any(a == b != "" for a, b in zip(_spellings(one), _spellings(other), strict=True))


# --- the map ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LabelMap:
    """The labels of a task, in the order of the student's outputs, and the other names that stand for one of them."""

    labels: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)  # as written → label

    @cached_property
    def _all(self) -> Mapping[str, str]:
        return {**self.names, **{label: label for label in self.labels}}

    def of(self, name: str | None) -> str | None:
        """Return the label that a name stands for; None where it stands for none."""
        return None if name is None else self._all.get(name)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The names that are not labels, with their labels, in the order in which they are digested."""
        return tuple(sorted(self.names.items()))

    def shares(self, names: Sequence[str], shares: Sequence[float]) -> list[float]:
        """Reorder a teacher's probabilities, in the order of its own names, to the labels; equals are added."""
        place, found = {label: at for at, label in enumerate(self.labels)}, [0.0] * len(self.labels)
        for name, share in zip(names, shares, strict=True):
            label = self.of(name)
            if label is not None:
                found[place[label]] += share
        return found


# --- two vocabularies ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Vocabulary:
    """The names that gold and the teacher use, with the rows of each. Only so many names are listed: see `others`."""

    gold: Mapping[str, int] = field(default_factory=dict)
    answers: Mapping[str, int] = field(default_factory=dict)
    choices: tuple[str, ...] = ()  # of a teacher that computes: its labels, in the order of its outputs
    named: tuple[str, ...] = ()  # in recorded probabilities
    more_gold: int = 0  # rows whose name is not listed
    more_answers: int = 0

    def with_rows(self, other: Vocabulary) -> Vocabulary:
        """Add the names and rows of another file."""
        gold, answers = Counter(self.gold), Counter(self.answers)
        gold.update(other.gold)
        answers.update(other.answers)
        return Vocabulary(
            gold,
            answers,
            self.choices,
            tuple(dict.fromkeys((*self.named, *other.named))),
            self.more_gold + other.more_gold,
            self.more_answers + other.more_answers,
        )


@dataclass(frozen=True)
class Name:
    """One name as it is written, its rows, and the label that it stands for."""

    name: str
    gold: int
    answers: int
    label: str | None  # None: it stands for none
    way: str  # how it was matched; empty: it is a label, or stands for none

    @property
    def proposed(self) -> bool:
        return self.label is not None and self.way not in ("", CONFIRMED)


@dataclass(frozen=True)
class Reading:
    """What all names of a play stand for: what was confirmed, what is a label as it stands, and what is proposed."""

    labels: tuple[str, ...]
    names: tuple[Name, ...]  # those of most rows first
    more_gold: int = 0
    more_answers: int = 0

    @property
    def proposed(self) -> tuple[Name, ...]:
        return tuple(each for each in self.names if each.proposed)

    @property
    def unmatched(self) -> tuple[Name, ...]:
        return tuple(each for each in self.names if each.label is None)

    @property
    def map(self) -> LabelMap:
        """The map that holds now: without what is only proposed."""
        known = {each.name: each.label for each in self.names if each.label is not None and not each.proposed}
        return LabelMap(self.labels, {name: label for name, label in known.items() if name != label})

    @property
    def gold(self) -> tuple[int, int]:
        """Rows with gold that stands for a label, as proposed, and all rows with gold."""
        return self._counted([(each.gold, each.label) for each in self.names], self.more_gold)

    @property
    def answers(self) -> tuple[int, int]:
        """Rows whose answer stands for a label, as proposed, and all rows with an answer."""
        return self._counted([(each.answers, each.label) for each in self.names], self.more_answers)

    def _counted(self, rows: Sequence[tuple[int, str | None]], more: int) -> tuple[int, int]:
        return sum(count for count, label in rows if label is not None), sum(count for count, _ in rows) + more


def read(vocabulary: Vocabulary, confirmed: Mapping[str, str | None]) -> Reading:
    """Read what each name stands for. `confirmed` is what a person settled: name → label, None for no label."""
    settled = {name: label for name, label in confirmed.items() if label is not None}
    labels = _labels(vocabulary, settled)
    index = _Index(labels)
    if vocabulary.choices and not index.numbered:
        index.number([settled.get(name, name) for name in vocabulary.choices])
    known = set(labels)
    rows = Counter(vocabulary.gold)
    rows.update(vocabulary.answers)
    rows.update(dict.fromkeys((*vocabulary.choices, *vocabulary.named, *labels), 0))
    found = []
    for name in sorted(rows, key=lambda name: (-rows[name], name)):
        counts = name, vocabulary.gold.get(name, 0), vocabulary.answers.get(name, 0)
        if name in known:
            found.append(Name(*counts, name, ""))
        elif name in confirmed:
            found.append(Name(*counts, confirmed[name], CONFIRMED))
        else:
            found.append(Name(*counts, *index.proposal(name)))
    return Reading(labels, tuple(found), vocabulary.more_gold, vocabulary.more_answers)


def _labels(vocabulary: Vocabulary, settled: Mapping[str, str]) -> tuple[str, ...]:
    """Return the task's labels: of a teacher that computes in its order, else by the alphabet.

    Without such a teacher they are what was confirmed, or the names in gold and in probabilities, or where there is
    neither, the answers; of names that are spelled alike the most frequent is the label.
    """
    if vocabulary.choices:
        of_teacher = [settled.get(name, name) for name in vocabulary.choices]
        return tuple(dict.fromkeys((*of_teacher, *sorted(set(settled.values())))))
    if settled:  # a person saw all of them: what comes later is a label only once it is confirmed
        return tuple(sorted(set(settled.values())))
    rows = _present(vocabulary.gold)
    rows.update(dict.fromkeys(vocabulary.named, 0))
    rows = rows or _present(vocabulary.answers)
    index, found = _Index(()), []
    for name in sorted(rows, key=lambda name: (-rows[name], name)):
        if index.proposal(name)[0] is None:
            index.add(name)
            found.append(name)
    return tuple(sorted(found))


def _present(rows: Mapping[str, int]) -> Counter[str]:
    """Leave out how programs write a missing value: a label of that name is confirmed first."""
    return Counter({name: count for name, count in rows.items() if name.casefold() not in MISSING})


class _Index:
    """Labels by their spellings."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._keyed: tuple[dict[str, set[str]], ...] = tuple({} for _ in WAYS)
        for label in labels:
            self.add(label)

    def add(self, label: str) -> None:
        for keyed, key in zip(self._keyed, _spellings(label), strict=True):
            if key:
                keyed.setdefault(key, set()).add(label)

    @property
    def numbered(self) -> bool:
        """Whether a label is itself a number, like `3` or `LABEL_3`."""
        return bool(self._keyed[-1])

    def number(self, labels: Sequence[str]) -> None:
        """Number the labels by their place: `3` is the fourth output of the teacher."""
        for at, label in enumerate(labels):
            self._keyed[-1].setdefault(str(at), set()).add(label)

    def proposal(self, name: str) -> tuple[str | None, str]:
        """Return the one label that a name is spelled like, and in which way; (None, "") where none or several are."""
        for way, keyed, key in zip(WAYS, self._keyed, _spellings(name), strict=True):
            labels = keyed.get(key, set())
            if labels:
                return (next(iter(labels)), way) if len(labels) == 1 else (None, "")
        return None, ""


class Spelled:
    """The labels of a task, to find which one of them a name is another spelling of."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._labels = tuple(dict.fromkeys(labels))
        self._index = _Index(self._labels)

    def like(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the labels that the names are spelled like; a name that is a label, or like none, has none."""
        found = (self._index.proposal(name)[0] for name in names if name not in self._labels)
        return tuple(dict.fromkeys(label for label in found if label is not None))


def with_spelling(name: str, rows: int, like: Sequence[str]) -> str:
    """Quote a name with its rows, and the labels that it is spelled like."""
    also = f", spelled like {' and '.join(like)}" if like else ""
    return f"“{name}” ({rows:,}{also})"


def listed(names: Sequence[Name], rows: Callable[[Name], int], quote: str = "“{}”") -> str:
    """Name the most frequent names with their rows, for a sentence."""
    told = [f"{quote.format(each.name)} ({rows(each):,})" for each in names if rows(each)]
    more = f" and {len(told) - SHOWN:,} more" if len(told) > SHOWN else ""
    return f"{', '.join(told[:SHOWN])}{more}"
