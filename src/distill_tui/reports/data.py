"""Plain-text reports of the data stage: values in, lines of text out. Nothing is read, decided or printed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from distill_tui.gates.wording import percent
from distill_tui.reports.text import table
from distill_tui.text import visible

if TYPE_CHECKING:
    from distill_tui.dataset.readers import Preview
    from distill_tui.dataset.window import Measured
    from distill_tui.rounds.requests import RequestedRow
    from distill_tui.rounds.variations import Waiting

MOST = 48  # characters of a text in a table


def clipped(value: object, most: int = MOST) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def import_preview(look: Preview, columns: Mapping[str, str], *, plain: bool = False) -> Iterator[str]:
    shown = look.rows[:3]
    used = [
        (name.replace("_", " "), column, *(clipped(row.get(name, "–"), 30) for row in shown))
        for name, column in columns.items()
    ]
    yield from table(("READ AS", "COLUMN", *(f"SAMPLE {n + 1}" for n in range(len(shown)))), used, plain=plain)
    left = [column for column in look.columns if column not in columns.values()]
    if left:
        yield visible(f"Not read: {', '.join(left[:20])}{' …' if len(left) > 20 else ''}.")
    for reject in look.rejects[:5]:
        yield visible(f"! line {reject.line}: {reject.reason}")


def window(measured: Measured, numbers: Mapping[str, str], *, plain: bool = False) -> Iterator[str]:
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
                "–" if month.spend is None else f"{month.spend:,.{2 if month.spend >= 1 else 4}f}",
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
        yield from table(
            (axis.upper(), "TRAFFIC", "TRAIN", "VALIDATION", "HELD-OUT", "TEACHER ≠ GOLD"), rows, plain=plain
        )
        yield ""
    for each in found.get("pii", ()):
        yield visible(f"{each['kind']}: {each['rows']:,} rows, like {', '.join(each['examples'])}")


def pairs(found: Sequence[Mapping[str, Any]], *, plain: bool = False) -> Iterator[str]:
    for each in found:
        yield visible(f"{each['similarity']:.2f}  {'the same' if each['joined'] else 'apart'}")
        for name in ("one", "other"):
            yield visible(f"      {each[name] if plain else clipped(each[name], 110)}")


def rows(found: Sequence[Mapping[str, Any]], *, plain: bool = False) -> Iterator[str]:
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


def ledger(found: Mapping[str, Any]) -> Iterator[str]:
    yield visible(f"{found['teacher']}: {found['calls']:,} calls, {found['tokens_in']:,} tokens in, "
                  f"{found['tokens_out']:,} out, {found['money']} spent")  # fmt: skip
    if found["unread"]:
        yield f"! {found['unread']:,} answers could not be used"
    yield f"not asked again: {found['cache_hits']:,} inputs, {found['money_not_spent']} not spent"


def estimate(found: Mapping[str, Any]) -> Iterator[str]:
    writes = found.get("writes", False)
    read = clipped(found["label"], 40) if found["label"] else "no answer" if writes else "no label"
    yield visible(f"asked one input: “{clipped(found['input'], 60)}” → “{clipped(found['said'], 40)}”, "
                  f"read as {read}, {found['seconds']:.2f} s")  # fmt: skip
    yield f"{found['left']:,} inputs are left: about {found['tokens_in']:,} tokens in and {found['tokens_out']:,} out"
    pace = f"{found['minutes']:.1f} minutes with {found['concurrency']} requests at once"
    yield f"about {found['money']} of money and {pace}"
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
    reasons = {
        "same": "in the data set already",
        "near": "near to a row of it",
        "held-out": "too like held-out rows",
    }
    reasons_ = [f"{count:,} {reasons.get(why, why)}" for why, count in wait.left_out.items()]
    yield visible(f"left out: {', '.join(reasons_) or 'none'}")
