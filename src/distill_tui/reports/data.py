"""Plain-text reports of the data stage: values in, lines of text out. Nothing is read, decided or printed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from distill_tui.dataset.readers import SYNONYMS, kind_of_reason
from distill_tui.gates.scale import Scale
from distill_tui.gates.wording import count, money, percent
from distill_tui.reports.text import table
from distill_tui.text import PAIR, visible

SEPARATORS = {"\n": "a line break", "": "nothing: a text that is not a list is one label"}

if TYPE_CHECKING:
    from distill_tui.dataset.previews import Preview
    from distill_tui.dataset.readers import ColumnMapping
    from distill_tui.dataset.window import Measured
    from distill_tui.rounds.requests import RequestedRow
    from distill_tui.rounds.variations import Waiting
    from distill_tui.rules.results import Reject

MOST = 48  # characters of a text in a table
MOST_REASONS = 8  # why rows are left out


def clipped(value: object, most: int = MOST) -> str:
    text = " ".join(str(value).replace(PAIR, " ␟ ").split())
    return text if len(text) <= most else text[: most - 1] + "…"


def import_preview(
    look: Preview, columns: Mapping[str, str], calls: str, currency: str, *, plain: bool = False
) -> Iterator[str]:
    yield visible(preview_head(look, currency))
    if calls:
        yield visible(calls)
    shown = look.rows[:5] if calls.startswith("input") else look.rows[:3]
    used = [
        (
            name.replace("_", " "),
            column,
            look.values.get(column, ""),
            *(clipped(row.get(name, "–"), 30) for row in shown),
        )
        for name, column in columns.items()
    ]
    head = ("READ AS", "COLUMN", "VALUES", *(f"SAMPLE {n + 1}" for n in range(len(shown))))
    yield from table(head, used, plain=plain)
    if proposal := gold_proposal(look.values, columns):
        yield visible(f"! {proposal}")
    left = [
        f"{column} ({look.values[column]} values)" if column in look.values else column
        for column in look.columns
        if column not in columns.values()
    ]
    if left:
        yield visible(f"Not read: {', '.join(left[:20])}{f' and {len(left) - 20:,} more' if len(left) > 20 else ''}.")
    for form, rows in look.time_forms:
        yield visible(f"! '{columns['time']}': {rows:,} times are {form}")
    for doubt in look.doubts:
        yield visible(f"! {doubt}")
    yield from map(visible, _left_out(look))


def _left_out(look: Preview) -> Iterator[str]:
    """Count the rows left out by reason, each with the first such row."""
    first: dict[str, Reject] = {}
    for reject in look.rejects:
        first.setdefault(kind_of_reason(reject.reason), reject)
    for reason, rows in look.reasons[:MOST_REASONS]:
        one = first.get(reason)
        where = "" if one is None else f", first {f'{one.file}, ' if one.file else ''}line {one.line}"
        yield f"! {rows:,} left out{where}: {reason if one is None else one.reason}"
    rest = look.reasons[MOST_REASONS:]
    if rest:
        yield f"! {sum(rows for _, rows in rest):,} left out for {count(len(rest), 'other reason')}"


def preview_head(look: Preview, currency: str) -> str:
    """Describe what was recognised: the kind of log, rows, models, spend and latency."""
    kinds = ", ".join(f"{name}{f' ({files:,} files)' if files > 1 else ''}" for name, files in look.recognised)
    read = (
        f"{look.taken:,} of {look.sampled:,} rows"
        if look.whole
        else f"{look.taken:,} of the first {look.sampled:,} rows"
    )
    parts = [kinds, f"{read} usable"]
    if look.joined:
        parts.append(f"{count(look.joined, 'record')} joined to them")
    if look.models:
        named = ", ".join(f"{name} ({rows:,})" for name, rows in look.models[:3])
        parts.append(f"answered by {named}{f' and {len(look.models) - 3} more' if len(look.models) > 3 else ''}")
    if look.spend is not None:
        parts.append(f"spend {money(look.spend, currency)}")
    if look.p95_ms is not None:
        parts.append(f"p95 {look.p95_ms:,.0f} ms")
    return " · ".join(parts) + "."


def gold_proposal(
    values: Mapping[str, int], columns: Mapping[str, str], named_by: str = "--gold", none: str = "--gold ''"
) -> str:
    """Word which column was proposed as gold by its values, or which could be; empty where it has a usual name.

    `named_by` and `none` are how a person names another column, or none.
    """
    gold = columns.get("gold")
    if gold is None:
        rest = [f"'{name}' ({count:,} values)" for name, count in values.items() if name not in columns.values()]
        return f"No column is gold. These look like labels: {', '.join(rest)}. {named_by} names one." if rest else ""
    if gold.casefold() in SYNONYMS["gold"] or gold not in values:
        return ""
    return (
        f"'{gold}' is read as gold because its {values[gold]:,} values look like labels. {named_by} names another "
        f"column, {none} none."
    )


def window(measured: Measured, numbers: Mapping[str, str], currency: str, *, plain: bool = False) -> Iterator[str]:
    if measured.days:
        yield f"{measured.calls:,} calls from {measured.first_day} to {measured.last_day}, {measured.days} days."
    else:
        yield f"{measured.calls:,} calls, none with a time; map a time column to count them by month."
    if measured.undated and measured.days:
        yield f"! {measured.undated:,} rows have no time and are in no window."
    if measured.months:
        yield ""
        rows = [
            (
                month.month,
                f"{month.calls:,}",
                _or_dash(month.tokens),
                "–" if month.spend is None else money(month.spend, currency),
                "–" if month.p95_ms is None else f"{month.p95_ms:,.0f}",
            )
            for month in measured.months
        ]
        yield from table(("MONTH", "CALLS", "TOKENS", "SPEND", "P95 MS"), rows, plain=plain)
        yield ""
    yield visible(f"money: {measured.priced or 'no cost was logged and no prices were given'}")
    if measured.disagreement is not None:
        yield f"teacher against gold: differs on {percent(measured.disagreement)} of {measured.judged:,} rows"
    if measured.patterns:
        cut = 20 if measured.pattern_of == "segment" else 8  # an input is named by its digest
        named = [clipped(name or "(none)", cut) for name, _ in measured.patterns]
        what = f"the {len(named)} largest of the {measured.pattern_of}s ({', '.join(named[:5])})"
        yield visible(f"top patterns: {what} make up {percent(measured.top_share)} of the calls")
    yield ""
    yield from table(("NUMBER", "VALUE"), numbers.items(), plain=plain)


def _or_dash(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


def audit(found: Mapping[str, Any], *, plain: bool = False) -> Iterator[str]:
    """Print how the rows cover the traffic, one table an axis, what looks private, and how good the teacher is."""
    if found.get("teacher_says"):
        yield visible(found["teacher_says"])
        yield ""
    for axis, values in found.get("axes", {}).items():
        rows = [
            (
                clipped(each["value"], 32),
                percent(each["traffic"]),
                *(f"{each[split]:,}" for split in ("train", "validation", "held_out")),
                f"{each['differ']:,} of {each['judged']:,}" if each["judged"] else "–",
            )
            for each in values
        ]
        left = found.get("more", {}).get(axis, 0)
        yield from table(
            (axis.upper(), "TRAFFIC", "TRAIN", "VALIDATION", "HELD-OUT", "TEACHER ≠ GOLD"), rows, plain=plain
        )
        if left:
            yield f"and {left:,} more"
        yield ""
    for each in found.get("pii", ()):
        yield visible(f"{each['kind']}: {each['rows']:,} rows, like {', '.join(each['examples'])}")


def pairs(found: Sequence[Mapping[str, object]], *, plain: bool = False) -> Iterator[str]:
    for each in found:
        yield visible(f"{each['similarity']:.2f}  {'the same' if each['joined'] else 'apart'}")
        for name in ("one", "other"):
            yield visible(f"      {each[name] if plain else clipped(each[name], 110)}")


def rows(found: Sequence[Mapping[str, object]], *, plain: bool = False) -> Iterator[str]:
    head = ("ROW", "SPLIT", "SEGMENT", "GOLD", "TEACHER", "P", "INPUT")
    lines = [
        (
            *(each[name] for name in ("row", "split", "segment", "gold", "teacher_output")),
            "" if each["confidence"] is None else f"{each['confidence']:.2f}",
            each["input"] if plain else clipped(each["input"], 80),
        )
        for each in found
    ]
    yield from table(head, lines, plain=plain)


def ledger(found: Mapping[str, object]) -> Iterator[str]:
    spent, saved = (money(Decimal(str(found[name])), str(found["currency"])) for name in ("money", "money_not_spent"))
    yield visible(f"{found['teacher']}: {found['calls']:,} calls, {found['tokens_in']:,} tokens in, "
                  f"{found['tokens_out']:,} out, {spent} spent")  # fmt: skip
    if found["tokens_cached"]:
        yield f"{found['tokens_cached']:,} of the tokens in were read from the provider's cache (--price-cached)"
    if found["unread"]:
        yield f"! {found['unread']:,} answers could not be used"
    yield f"not asked again: {found['cache_hits']:,} inputs, {saved} not spent"


def estimate(found: Mapping[str, object]) -> Iterator[str]:
    writes = found.get("writes", False)
    read = clipped(found["label"], 40) if found["label"] else "no answer" if writes else "no label"
    yield visible(f"asked first: “{clipped(found['input'], 60)}” → “{clipped(found['said'], 40)}”, "
                  f"read as {read}, {found['seconds']:.2f} s")  # fmt: skip
    if found["timed"]:
        calls = f"{found['timed']} call{'' if found['timed'] == 1 else 's'}"
        yield f"then timed {calls}, {found['concurrency']} at once: one every {found['pace']:.2f} s"
    else:
        yield "too few inputs to time one after the first, which is slow"
    if found["stopped"]:
        yield visible(f"! {found['stopped']}")
    yield f"{found['left']:,} inputs are left: about {found['tokens_in']:,} tokens in and {found['tokens_out']:,} out"
    cost = money(Decimal(str(found["money"])), str(found["currency"]))
    yield f"about {cost} and {found['minutes']:.1f} minutes at that pace; what was asked is cached"
    if not writes:
        yield f"probabilities: {'given' if found['probabilities'] else 'not given; hard labels only'}"


def request(wanted: Sequence[RequestedRow], cells: Mapping[str, int], *, plain: bool = False) -> Iterator[str]:
    yield from table(("FAILED ON (SEGMENT / LABEL)", "ROWS"), list(cells.items())[:20], plain=plain)
    yield ""
    rows = [(f"{each.similarity:.2f}", each.like_row, each.cell, clipped(each.input, 80)) for each in wanted[:20]]
    yield from table(("LIKE", "ROW", "CELL", "INPUT"), rows, plain=plain)
    if len(wanted) > 20:
        yield f"and {len(wanted) - 20:,} more"


def variations(wait: Waiting, *, plain: bool = False) -> Iterator[str]:
    """List what a teacher wrote, with the row that each varies and its weight in training, and what was left out."""
    rows = [
        (f"{place}", f"{one.like_row}", one.cell, f"{wait.weights.get(one.cell, 1.0):g}", one.input if plain else
         clipped(one.input, 80))
        for place, one in enumerate(wait.written, 1)
    ]  # fmt: skip
    yield from table(("N", "OF ROW", "CELL", "WEIGHT", "INPUT"), rows, plain=plain)
    reasons = {"same": "in the data set already", "near": "near to a row of it", "held-out": "too like held-out rows"}
    reasons_ = [f"{count:,} {reasons.get(why, why)}" for why, count in wait.left_out.items()]
    yield visible(f"left out: {', '.join(reasons_) or 'none'}")


def answers(mapping: ColumnMapping) -> Iterator[str]:
    """Show how the answers of a source are read, where they are more than one label."""
    if mapping.several:
        yield sets(mapping)
    if mapping.scale:
        scale = Scale.read(mapping.scale)
        what = f"numbers of {scale.text}" if scale.ranged else f"one of the levels {scale.text}"
        mean = "; of probabilities over numbers the mean is the answer" if scale.ranged else ""
        yield f"Gold and answers are {what}; a row with any other is left out{mean}."


def sets(mapping: ColumnMapping) -> str:
    """Show how several labels are read."""
    between = SEPARATORS.get(mapping.separator, f"“{mapping.separator}”")
    empty = (
        "an empty cell of gold is the empty set" if mapping.empty_set else "an empty cell means no gold (--empty-set)"
    )
    return f"Labels are separated by {between}; {empty}."
