"""What a number of held-out rows can and cannot prove, computed before the lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from distill_tui.gates import statistics
from distill_tui.gates.gate import (
    ALL,
    EVERY_LABEL,
    EVERY_SEGMENT,
    NOT_MEANS,
    P95,
    ROW_SCORES,
    SCALE_SCORES,
    SEGMENT,
    Criterion,
    Gate,
    bar_of,
    baseline_name,
)
from distill_tui.gates.judgement import name_of
from distill_tui.gates.problems import criterion_problems
from distill_tui.gates.scale_scores import REACH_OF_RANKS
from distill_tui.gates.usable import Need, SegmentRows, need_of, total, usable
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
    held_out: Sequence[SegmentRows] | None = None,
) -> list[PowerNote]:
    """Return for each criterion what the held-out rows can prove (80% power, the error budget split over the rounds).

    `discordance` is the share of rows on which exactly one of the two is right; without it, twice what the teacher
    disagrees with itself, or a fifth. `design_effect` is how many dependent rows are worth one independent row.
    `held_out` is what the held-out rows have, or are expected to have; without it each row is taken to have gold and
    an answer of the teacher, and `segment_shares` is the share of each segment. Each interaction pattern is taken to be
    one row.
    """
    discordance = _discordance(gate) if discordance is None else discordance
    alpha = min(max(float((1 - gate.confidence) / max(1, gate.rounds)), 1e-12), 0.5)
    return [
        _note(_Asked(criterion, gate, scope, rows, alpha, discordance, max(1.0, design_effect), of))
        for criterion in gate.criteria
        for scope, rows, of in (
            _rows_there(criterion, gate, held_out)
            if held_out
            else ((scope, rows, rows) for scope, rows in _expected_rows(criterion, gate, segment_shares))
        )
    ]


def _rows_there(
    criterion: Criterion, gate: Gate, held_out: Sequence[SegmentRows]
) -> Iterator[tuple[str, int | None, int | None]]:
    """Yield each scope of a criterion, the held-out rows that it can use there, and all rows of the scope."""
    shares = {each.segment: each.rows / max(1, total(held_out)) for each in held_out}
    for scope, rows in _expected_rows(criterion, gate, shares):
        if rows is None:
            yield scope, None, None
        elif scope.startswith(SEGMENT):
            of = total(each for each in held_out if each.segment == scope.removeprefix(SEGMENT))
            yield scope, usable(held_out, criterion, scope), of
        else:
            there = usable(held_out, criterion, ALL)
            yield scope, there if criterion.patterns is None else rows * there // max(1, total(held_out)), rows


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


@dataclass(frozen=True)
class _Asked:
    """What a criterion asks of one scope, and what is expected of its rows."""

    criterion: Criterion
    gate: Gate
    scope: str
    rows: int | None
    alpha: float
    discordance: float
    effect: float
    of: int | None = None  # all rows of the scope, with or without what the criterion needs

    @property
    def bar(self) -> float:
        return float(bar_of(self.criterion))

    def more(self, rows: int | None = None) -> str:
        """Name the rows that are missing by what they must have to count."""
        need, named = need_of(self.criterion), "held-out rows" if rows is None else count(rows, "held-out row")
        return f"add {named}" if need is Need.NOTHING else f"add {named} with {need.words}"

    def note(
        self,
        text: str,
        enough: bool | None,
        needed: int | None = None,
        *,
        smallest: float | None = None,
        possible: bool = True,
    ) -> PowerNote:
        name = name_of(self.criterion, self.scope)
        where = {EVERY_SEGMENT: " in every segment", EVERY_LABEL: " of every label"}.get(self.scope, "")
        there = ""
        if self.rows and self.of is not None and self.rows < self.of:
            there = f" ({self.rows:,} of {self.of:,} held-out rows have {need_of(self.criterion).words})"
        sentence = f"{name[:1].upper()}{name[1:]}{where}: {text}{there}."
        return PowerNote(self.criterion, self.scope, self.rows, enough, smallest, needed, sentence, possible)


def _note(asked: _Asked) -> PowerNote:
    criterion = asked.criterion
    problem = next(criterion_problems(criterion), None)
    if problem:
        return PowerNote(criterion, asked.scope, asked.rows, False, None, None, problem)
    if asked.rows == 0 and need_of(criterion) is not Need.NOTHING:
        return asked.note(f"cannot be measured: no held-out row has {need_of(criterion).words}", False, possible=False)
    match criterion.metric:
        case Metric.P95_LATENCY:
            return _latency_power(asked, asked.gate.held_out_rows)
        case Metric.DEFERRED:
            return _deferred_power(asked, asked.gate.held_out_rows)
        case Metric.SIZE:
            return replace(asked, rows=None).note("needs no rows, as nothing is sampled", True)
        case Metric.PAYBACK:
            return replace(asked, rows=None).note("needs no rows, as it depends on timed runs and prices", True)
        case metric if metric in ROW_SCORES:
            return _scored_power(asked)
        case metric if metric in SCALE_SCORES:
            return _scale_power(asked)
        case metric if metric in NOT_MEANS:
            return _label_power(asked)
        case _ if criterion.reference is Reference.NONE:
            return _floor_power(asked, asked.bar)
        case _ if asked.bar > 0:
            return _margin_power(asked, asked.bar)
        case _:
            return _lead_power(asked, -asked.bar)


def _margin_power(asked: _Asked, margin: float) -> PowerNote:
    rows, wanted = asked.rows, points(margin)
    independent = statistics.rows_for_difference(margin, asked.discordance, asked.alpha) or 0
    needed = ceil(independent * asked.effect)
    if rows is None:
        text = f"a margin of {wanted} needs {needed:,} rows in each segment to recognise a true tie"
        return asked.note(text, None, needed)
    found = statistics.smallest_provable_margin(rows / asked.effect, asked.discordance, asked.alpha)
    smallest = ceil(1000 * found - 1e-9) / 1000
    if rows >= needed or smallest <= margin:
        smallest = min(smallest, margin)
        text = f"with {rows:,} rows a true tie is recognised from a margin of {points(smallest)} points on"
        return asked.note(f"{text}; you asked for {wanted}", True, needed, smallest=smallest)
    least = ceil((statistics.rows_for_difference(margin, 0.0, asked.alpha) or 0) * asked.effect)
    will = "will most likely be unproven"
    if rows < least:
        will = f"will be unproven: even a student without a single difference needs at least {least:,} rows to hold"
    accept = f"accept {points(smallest)}, " if smallest < 1 else ""
    text = (
        f"with {rows:,} rows a true tie is recognised only with a margin of {points(smallest)} points; "
        f"you asked for {wanted}: {asked.more(needed - rows)}, {accept}or lock knowing that the answer {will}"
    )
    return asked.note(text, False, needed, smallest=smallest, possible=rows >= least)


def _lead_power(asked: _Asked, lead: float) -> PowerNote:
    rows, rival = asked.rows, f"the {baseline_name(asked.gate)} baseline"
    if rows is None:
        text = f"what lead over {rival} can be proven depends on the rows of each segment, not known yet"
        return asked.note(text, None)
    smallest = lead + statistics.smallest_provable_margin(rows / asked.effect, asked.discordance, asked.alpha)
    if smallest >= 1:
        return asked.note(f"with {rows:,} rows no lead over {rival} can be proven; {asked.more()}", False)
    smallest = ceil(1000 * smallest - 1e-9) / 1000
    text = f"with {rows:,} rows a lead over {rival} is recognised from {points(smallest)} points"
    return asked.note(f"{text}; you asked for {points(lead)}", None, smallest=smallest)


def _floor_power(asked: _Asked, floor: float) -> PowerNote:
    wanted = points(floor, unlike=1.0)
    rows, least = asked.rows, ceil(statistics.requests_to_bound(floor, asked.alpha) * asked.effect)
    if rows is None:
        text = f"a floor of {wanted}% needs {least:,} rows in each segment, with 0 errors in them"
        return asked.note(text, None, least)
    errors = statistics.errors_allowed(int(rows / asked.effect), floor, asked.alpha)
    if errors is None:
        text = (
            f"with {rows:,} rows a floor of {wanted}% can never be proven, even with 0 errors: "
            f"it takes {least:,}, so {asked.more(least - rows)}, lower the floor, or only watch it"
        )
        return asked.note(text, False, least, possible=False)
    allowed = count(int(errors * asked.effect), "error")
    return asked.note(f"with {rows:,} rows a floor of {wanted}% is proven by {allowed} at most", True, least)


def _scored_power(asked: _Asked) -> PowerNote:
    """Return the fewest rows that could be enough; beyond that it depends on how far scores spread, not known yet."""
    rows, criterion = asked.rows, asked.criterion
    alone = criterion.reference is Reference.NONE
    room = asked.bar if not alone or not criterion.at_least else 1 - asked.bar
    least = ceil(statistics.requests_to_bound(1 - room, asked.alpha) * asked.effect) if 0 < room < 1 else 2
    if rows is not None and rows < least:
        text = f"{rows:,} rows can never prove this: it takes at least {least:,}, so {asked.more(least - rows)}"
        return asked.note(text, False, least, possible=False)
    text = (
        f"what {'its' if rows is None else f'{rows:,}'} rows can prove is not known before the first look: "
        f"it depends on how far the scores spread; it takes {least:,} at least"
    )
    return asked.note(text, None)


def _label_power(asked: _Asked) -> PowerNote:
    """Return how many groups that bear on a label could be enough: those that have it, or are given it."""
    criterion, rows = asked.criterion, asked.rows
    room = asked.bar if criterion.reference is not Reference.NONE else 1 - asked.bar
    least = ceil(statistics.requests_to_bound(1 - room, asked.alpha) * asked.effect) if 0 < room < 1 else 2
    of_one = asked.scope == EVERY_LABEL or criterion.label is not None
    if of_one:
        text = f"it takes {least:,} rows that have the label at least, and {rows or 0:,} rows are held out"
        return asked.note(text, None, least, possible=rows is None or rows >= least)
    if criterion.metric is Metric.MICRO_F1 and rows is not None and rows < least:
        text = f"{rows:,} rows can never prove this: it takes at least {least:,}, so add {count(least - rows, 'row')}"
        return asked.note(text, False, least, possible=False)
    text = "what its rows can prove is not known before the first look: it depends on how often each label occurs"
    return asked.note(text, None)


def _scale_power(asked: _Asked) -> PowerNote:
    """Return the fewest rows that could be enough: what too few rows do not show can move a score of ranks far."""
    criterion, rows = asked.criterion, asked.rows
    room = asked.bar if criterion.reference is not Reference.NONE else 1 - asked.bar
    share = room / (REACH_OF_RANKS if criterion.metric is Metric.SPEARMAN else 1.0)
    least = ceil(statistics.requests_to_bound(1 - share, asked.alpha) * asked.effect) if 0 < share < 1 else 2
    if rows is not None and rows < least:
        text = f"{rows:,} rows can never prove this: it takes at least {least:,}, so {asked.more(least - rows)}"
        return asked.note(text, False, least, possible=False)
    text = "what its rows can prove is not known before the first look: it depends on how gold spreads over the scale"
    return asked.note(f"{text}; it takes {least:,} at least", None, least)


def _deferred_power(asked: _Asked, rows: int) -> PowerNote:
    """Return how many rows separate the share that is aimed at from the most that is allowed."""
    most, aim, effect = asked.bar, float(asked.gate.deferral or 0), asked.effect
    needed = statistics.rows_for_share(1 - most, 1 - aim, asked.alpha) if aim < most else None
    if needed is None:
        return asked.note("aims at no less than it allows", False)
    needed, allowed = ceil(needed * effect), statistics.errors_allowed(int(rows / effect), 1 - most, asked.alpha)
    more = "" if rows >= needed else f": {asked.more(needed - rows)}, or allow more"
    text = (
        f"of {count(rows, 'row')} at most {int((allowed or 0) * effect):,} may go back to prove {points(most)}%, and a "
        f"student that sends back the {points(aim)}% that is aimed at takes {needed:,} rows{more}. Every row counts, "
        "and where one goes back the teacher cannot differ from itself, so the other criteria may need fewer rows than "
        "shown"
    )
    return asked.note(text, rows >= needed, needed, possible=allowed is not None)


def _latency_power(asked: _Asked, rows: int) -> PowerNote:
    least, deferral = statistics.requests_to_bound(P95, asked.alpha), asked.gate.deferral
    text = f"the p95 is bounded from above by {least} timed requests in each run, or more"
    if rows < least:
        text = (
            f"with {rows:,} held-out rows to time, no p95 can be bounded from above: that takes {least} requests in "
            f"each run, so {asked.more(least - rows)}"
        )
    if deferral is not None and deferral > 1 - Decimal(str(P95)):
        text += "; more than one request in 20 is to go back, so that the p95 is one of the teacher's requests"
    return asked.note(text, rows >= least, least, possible=rows >= least)
