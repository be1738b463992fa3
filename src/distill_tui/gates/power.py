"""What a number of held-out rows can and cannot prove, computed before the lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from distill_tui.gates import statistics
from distill_tui.gates.gate import ALL, EVERY_SEGMENT, P95, QUALITY, ROW_SCORES, SEGMENT, Criterion, Gate, bar_of
from distill_tui.gates.judgement import name_of
from distill_tui.gates.problems import criterion_problems
from distill_tui.gates.wording import ceil, count, points
from distill_tui.terms import Metric, Reference

ASSUMED_DISCORDANCE = 0.2  # share of rows on which student and teacher differ in being right, before there is a student


@dataclass(frozen=True)
class PowerNote:
    """What a criterion's rows can and cannot prove."""

    criterion: Criterion
    scope: str
    rows: int | None  # that will bear on it; None where that is not known yet
    enough: bool | None  # None: it depends on what is not known yet
    smallest: float | None  # smallest provable margin or lead, where there is one
    rows_needed: int | None  # in all
    sentence: str
    possible: bool = True  # whether a student without a single error or difference would prove it


def power(
    gate: Gate,
    discordance: float | None = None,
    segment_shares: Mapping[str, float] | None = None,
    design_effect: float = 1,
) -> list[PowerNote]:
    """Return for each criterion what the held-out rows can prove (80% power, the error budget split over the rounds).

    `discordance` is the share of rows on which exactly one of the two is right; without it, twice what the teacher
    disagrees with itself, or a fifth. `segment_shares` is the share of each segment; `design_effect` how many dependent
    rows are worth one independent row. Each row is taken to have gold, and each interaction pattern to be one row.
    """
    discordance = _discordance(gate) if discordance is None else discordance
    alpha = min(max(float((1 - gate.confidence) / max(1, gate.rounds)), 1e-12), 0.5)
    notes = []
    for criterion in gate.criteria:
        for scope, rows in _expected_rows(criterion, gate, segment_shares):
            notes.append(_power_note(criterion, gate, scope, rows, alpha, discordance, max(1.0, design_effect)))
    return notes


def _discordance(gate: Gate) -> float:
    own = gate.teacher_agreement
    return float(2 * (1 - own)) if own is not None and Decimal("0.5") < own < 1 else ASSUMED_DISCORDANCE


def _expected_rows(
    criterion: Criterion, gate: Gate, shares: Mapping[str, float] | None
) -> Iterator[tuple[str, int | None]]:
    segment = criterion.segment
    if segment is not None:
        yield criterion.scope, None if shares is None else int(gate.held_out_rows * shares.get(segment, 0.0))
    elif criterion.patterns is not None:
        most, others = criterion.patterns
        top = min(most, gate.held_out_rows)
        yield criterion.scope, gate.held_out_rows - top if others else top
    elif criterion.scope != EVERY_SEGMENT:
        yield criterion.scope, gate.held_out_rows
    elif not shares:
        yield criterion.scope, None
    else:
        own = {
            each.segment
            for each in gate.criteria
            if (each.metric, each.reference) == (criterion.metric, criterion.reference)
        }
        for name, share in shares.items():
            if name not in own:
                yield f"{SEGMENT}{name}", int(gate.held_out_rows * share)


def _power_note(
    criterion: Criterion, gate: Gate, scope: str, rows: int | None, alpha: float, discordance: float, effect: float
) -> PowerNote:
    problem, bar = next(criterion_problems(criterion), None), bar_of(criterion)
    if problem:
        return PowerNote(criterion, scope, rows, False, None, None, problem)
    if criterion.metric is Metric.P95_LATENCY:
        return _latency_power(criterion, gate, alpha)
    if criterion.metric is Metric.DEFERRED:
        return _deferred_power(criterion, gate, alpha, effect)
    if criterion.metric in ROW_SCORES:
        return _scored_power(criterion, scope, rows, float(bar), alpha, effect)
    if criterion.metric not in QUALITY:
        why = "nothing is sampled" if criterion.metric is Metric.SIZE else "it depends on timed runs and prices"
        return PowerNote(
            criterion, scope, None, True, None, None, f"{_title(criterion, scope)}: needs no rows, as {why}."
        )
    if criterion.reference is Reference.NONE:
        return _floor_power(criterion, scope, rows, float(bar), alpha, effect)
    if bar > 0:
        return _margin_power(criterion, scope, rows, float(bar), alpha, discordance, effect)
    return _lead_power(criterion, gate, scope, rows, -float(bar), alpha, discordance, effect)


def _title(criterion: Criterion, scope: str) -> str:
    name = name_of(criterion, scope)
    where = " in every segment" if scope == EVERY_SEGMENT else ""
    return f"{name[:1].upper()}{name[1:]}{where}"


def _margin_power(
    criterion: Criterion, scope: str, rows: int | None, margin: float, alpha: float, discordance: float, effect: float
) -> PowerNote:
    needed = statistics.rows_for_difference(margin, discordance, alpha)
    needed = None if needed is None else ceil(needed * effect)
    title, asked = _title(criterion, scope), points(margin)
    if rows is None or needed is None:
        text = f"{title}: a margin of {asked} needs {needed or 0:,} rows in each segment to recognise a true tie"
        return PowerNote(criterion, scope, rows, None, None, needed, f"{text}.")
    smallest = ceil(1000 * statistics.smallest_provable_margin(rows / effect, discordance, alpha) - 1e-9) / 1000
    if rows >= needed or smallest <= margin:
        smallest = min(smallest, margin)
        text = f"{title}: with {rows:,} rows a true tie is recognised from a margin of {points(smallest)} points on"
        return PowerNote(criterion, scope, rows, True, smallest, needed, f"{text}; you asked for {asked}.")
    least = ceil((statistics.rows_for_difference(margin, 0.0, alpha) or 0) * effect)
    will = "will most likely be unproven"
    if rows < least:
        will = (
            f"cannot but be unproven: not even a student without a single difference holds on fewer than {least:,} rows"
        )
    accept = f"accept {points(smallest)}, " if smallest < 1 else ""
    text = (
        f"{title}: with {rows:,} rows a true tie is recognised only with a margin of {points(smallest)} points; "
        f"you asked for {asked}: add {count(needed - rows, 'row')}, {accept}or lock knowing that the answer {will}."
    )
    return PowerNote(criterion, scope, rows, False, smallest, needed, text, possible=rows >= least)


def _lead_power(
    criterion: Criterion,
    gate: Gate,
    scope: str,
    rows: int | None,
    lead: float,
    alpha: float,
    discordance: float,
    effect: float,
) -> PowerNote:
    title, rival = _title(criterion, scope), f"the {gate.baseline} baseline"
    if rows is None:
        text = f"{title}: what lead over {rival} can be proven depends on the rows of each segment, not known yet"
        return PowerNote(criterion, scope, rows, None, None, None, f"{text}.")
    smallest = lead + statistics.smallest_provable_margin(rows / effect, discordance, alpha)
    if smallest >= 1:
        text = f"{title}: with {rows:,} rows no lead over {rival} can be proven; add rows"
        return PowerNote(criterion, scope, rows, False, None, None, f"{text}.")
    smallest = ceil(1000 * smallest - 1e-9) / 1000
    text = f"{title}: with {rows:,} rows a lead over {rival} is recognised from {points(smallest)} points"
    return PowerNote(criterion, scope, rows, None, smallest, None, f"{text}; you asked for {points(lead)}.")


def _floor_power(
    criterion: Criterion, scope: str, rows: int | None, floor: float, alpha: float, effect: float
) -> PowerNote:
    title, least = _title(criterion, scope), ceil(statistics.requests_to_bound(floor, alpha) * effect)
    if rows is None:
        text = f"{title}: a floor of {points(floor)}% needs {least:,} rows in each segment, with 0 errors in them"
        return PowerNote(criterion, scope, rows, None, None, least, f"{text}.")
    errors = statistics.errors_allowed(int(rows / effect), floor, alpha)
    if errors is None:
        text = (
            f"{title}: with {rows:,} rows a floor of {points(floor)}% can never be proven, even with 0 errors: "
            f"it takes {least:,}, so add {count(least - rows, 'row')}, lower the floor, or only watch it."
        )
        return PowerNote(criterion, scope, rows, False, None, least, text, possible=False)
    errors = int(errors * effect)
    text = f"{title}: with {rows:,} rows a floor of {points(floor)}% is proven by {count(errors, 'error')} at most"
    return PowerNote(criterion, scope, rows, True, None, least, f"{text}.")


def _scored_power(
    criterion: Criterion, scope: str, rows: int | None, bar: float, alpha: float, effect: float
) -> PowerNote:
    """Return the fewest rows that could be enough; beyond that it depends on how far scores spread, not known yet."""
    title, alone = _title(criterion, scope), criterion.reference is Reference.NONE
    room = bar if alone and not criterion.at_least else 1 - bar if alone else bar
    least = ceil(statistics.requests_to_bound(1 - room, alpha) * effect) if 0 < room < 1 else 2
    text = (
        f"{title}: what {'its' if rows is None else f'{rows:,}'} rows can prove is not known before the first look: "
        "it depends on how far the scores spread"
    )
    if rows is not None and rows < least:
        text = f"{title}: {rows:,} rows can never prove this: it takes at least {least:,}"
        return PowerNote(
            criterion, scope, rows, False, None, least, f"{text}, so add {count(least - rows, 'row')}.", possible=False
        )
    return PowerNote(criterion, scope, rows, None, None, None, f"{text}; it takes {least:,} at least.")


def _deferred_power(criterion: Criterion, gate: Gate, alpha: float, effect: float) -> PowerNote:
    """Return how many rows separate the share that is aimed at from the most that is allowed."""
    title, rows, most = _title(criterion, ALL), gate.held_out_rows, float(bar_of(criterion))
    aim = float(gate.deferral or 0)
    needed = statistics.rows_for_share(1 - most, 1 - aim, alpha) if aim < most else None
    if needed is None:
        return PowerNote(criterion, ALL, rows, False, None, None, f"{title}: aims at no less than it allows.")
    needed, allowed = ceil(needed * effect), statistics.errors_allowed(int(rows / effect), 1 - most, alpha)
    text = f"{title}: of {count(rows, 'row')} at most {int((allowed or 0) * effect):,} may go back to prove "
    text += f"{points(most)}%, and a student that sends back the {points(aim)}% that is aimed at takes {needed:,} rows"
    text += "" if rows >= needed else f": add {count(needed - rows, 'row')}, or allow more"
    text += ". Every row counts, and where one goes back the teacher cannot differ from itself, so the other "
    text += "criteria may need fewer rows than shown"
    return PowerNote(criterion, ALL, rows, rows >= needed, None, needed, f"{text}.", possible=allowed is not None)


def _latency_power(criterion: Criterion, gate: Gate, alpha: float) -> PowerNote:
    rows, least = gate.held_out_rows, statistics.requests_to_bound(P95, alpha)
    text = f"the p95 is bounded from above by {least} timed requests in each run, or more"
    if rows < least:
        text = (
            f"with {rows:,} held-out rows to time, no p95 can be bounded from above: that takes {least} requests in "
            f"each run, so add {count(least - rows, 'row')}"
        )
    if gate.deferral is not None and gate.deferral > 1 - Decimal(str(P95)):
        text += "; more than one request in 20 is to go back, so that the p95 is one of the teacher's requests"
    text = f"{_title(criterion, ALL)}: {text}."
    return PowerNote(criterion, ALL, rows, rows >= least, None, least, text, possible=rows >= least)
