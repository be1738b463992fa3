"""The name of the model that answered, compared with the one that was asked for (pure)."""

from __future__ import annotations

import re

_DATED = re.compile(r"[-:@](?:v\d|\d{3})[\dv.:-]*")  # what a provider adds to a name: the day or number of a version
_LATEST = re.compile(r"[-:@]latest$")


def is_same(asked: str, served: str) -> bool:
    """Return whether a provider's name is the one asked for, or a dated or numbered version of it.

    `gpt-4o` is served as `gpt-4o-2024-08-06`; `gpt-4o-mini` is another model.
    An address before the name does not count.
    """
    wanted, given = (_LATEST.sub("", name.strip().casefold().rsplit("/", 1)[-1]) for name in (asked, served))
    return given == wanted or (given.startswith(wanted) and _DATED.fullmatch(given[len(wanted) :]) is not None)


def trouble(asked: str, served: dict[str, int]) -> str:
    """Return in one sentence that other models, or several versions, answered; empty where one did as asked."""
    others = {name: count for name, count in served.items() if not is_same(asked, name)}
    if not others and len(served) < 2:
        return ""
    named = ", ".join(f"{name} ({count:,})" for name, count in (others or served).items())
    total = f"{sum((others or served).values()):,} of {sum(served.values()):,} answers"
    if others:
        return f"{asked} was asked for, and {total} are by another model: {named}."
    return f"The answers are by {len(served)} versions of {asked}: {named}."
