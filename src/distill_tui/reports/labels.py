"""The label map in print: both vocabularies with their rows, what is matched, proposed, and left without a label."""

from __future__ import annotations

from collections.abc import Iterator

from distill_tui.gates.wording import count
from distill_tui.reports.text import table
from distill_tui.rules.labels import like_text, lost
from distill_tui.tasks.label_map import CONFIRMED, SHOWN, Name, Reading
from distill_tui.text import visible

MOST = 60  # names that are listed on one screen
TEXTS = 5  # of those that look like texts


def label_map(found: Reading, code: str, *, plain: bool = False) -> Iterator[str]:
    """Print every name that stands for something else than itself first, and then the labels."""
    names = sorted(found.names, key=lambda each: (not each.proposed, each.label is not None, not each.way))
    rows = [
        (f"“{each.name}”", _rows(each.gold), _rows(each.answers), each.label or "none", _how(each)) for each in names
    ]
    if not rows:
        yield "There are neither gold nor answers."
        return
    most = len(rows) if plain else TEXTS if like_text(found) else MOST
    yield from table(("NAME", "GOLD", "ANSWERS", "LABEL", "MATCHED BY"), rows[:most], plain=plain)
    if len(rows) > most:
        yield f"and {len(rows) - most:,} more; --json lists all."
    yield ""
    yield from summary(found, code)


def summary(found: Reading, code: str) -> Iterator[str]:
    """Show in a few lines whether the vocabularies meet, and what is left to do."""
    for sentence in counted(found):
        yield visible(sentence)
    if found.proposed:
        yield f"`distill-tui labels {code} --confirm` confirms it; `NAME=LABEL` before --confirm settles it otherwise."
    elif found.unmatched:
        yield f"To settle a name: `distill-tui labels {code} NAME=LABEL --confirm`; NAME=NAME makes it a label."


def counted(found: Reading) -> Iterator[str]:
    """Count the rows that stand for a label, as proposed, and those that do not."""
    for name, (read, rows) in (("gold", found.gold), ("answers", found.answers)):
        if rows:
            yield f"{name}: in {rows:,} rows, {read:,} stand for one of {count(len(found.labels), 'label')}"
    if like_text(found):
        yield f"! {len(found.labels):,} different labels look like texts: a task of labels needs few that come often."
    elif len(found.labels) == 1 and (found.gold[1] or found.answers[1]):
        yield "! A task of labels needs two or more."
    for sentence in lost(found):
        yield f"! {sentence}"
    if found.proposed:
        few = [f"“{each.name}” as {each.label} ({each.gold + each.answers:,} rows)" for each in found.proposed[:SHOWN]]
        more = f" and {len(found.proposed) - SHOWN:,} more" if len(found.proposed) > SHOWN else ""
        are = "name is" if len(found.proposed) == 1 else "names are"
        matched = f"{len(found.proposed):,} {are} matched by the spelling, and not confirmed yet"
        yield f"{matched}: {', '.join(few)}{more}."


def notes(found: Reading, code: str) -> Iterator[str]:
    """Show only what is not in order, for the commands that read traffic or choose a teacher."""
    if found.proposed or any(lost(found)):
        yield from summary(found, code)


def _rows(count: int) -> str:
    return f"{count:,}" if count else "–"


def _how(each: Name) -> str:
    if each.label is None:
        return "not matched" if each.way != CONFIRMED else CONFIRMED
    return f"{each.way}, proposed" if each.proposed else each.way or "itself"
