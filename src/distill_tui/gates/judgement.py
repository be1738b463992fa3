"""What a record shows of one criterion: the verdict and its numbers, and the one sentence that is made from them.

The other modules of the gate compute numbers; every sentence about a verdict is written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from distill_tui.gates.canonical import decimal_text
from distill_tui.gates.economics import DRAWS
from distill_tui.gates.gate import ALL, LABEL, NOT_MEANS, ROW_SCORES, SCORED, SEGMENT, Criterion, bar_of
from distill_tui.gates.ratios import Ratios
from distill_tui.gates.statistics import Scores
from distill_tui.gates.wording import ceil, count, distance, lead, points, trim
from distill_tui.terms import Metric, Reference, Verdict

AT_BEST = " at best"  # behind the bound of a criterion that is missed
GROUPED = 1.1  # rows to a group from which on a sentence counts groups too
MOST_ROWS = 100_000  # more rows than these are not advised: the student stands at the bar


@dataclass(frozen=True)
class Judgement:
    """The verdict on one criterion in one scope, with its numbers."""

    criterion: Criterion
    scope: str  # "all" or "segment: NAME"
    verdict: Verdict
    level: float  # the one-sided error that this look may spend
    n: int = 0  # rows, or requests, that were counted
    groups: int = 0  # how many of them are independent; of latency: how many runs
    estimate: float | None = None  # of what is judged: a difference, a share, milliseconds, months or megabytes
    lower: float | None = None
    upper: float | None = None  # None next to an estimate: there is no bound on that side
    student: float | None = None  # accuracy, agreement or a mean score, to show
    reference: float | None = None
    rows_needed: int | None = None  # rows in all that would decide, where the verdict is unproven and some number would
    reason: str = ""  # why it is unmeasured
    other: str = ""  # the name of the reference
    by_disagreement: bool = False  # no row has gold: accuracy against the teacher is bounded by disagreement
    among: int = 0  # unproven as one of so many segments, where it would miss alone
    rough: bool = False  # the bound comes from few groups
    sent_back: float | None = None  # share of requests that the teacher answers, where the two are judged together
    confidence_below: float | None = None  # what goes back, where that is judged
    chance: float | None = None  # of payback in time over the locked ranges
    chance_asked: float | None = None

    @property
    def sentence(self) -> str:
        text = f"{_text(self)}{_more(self)}"
        watch_only = self.criterion.watch_only.rstrip(". ")
        return f"{text[:1].upper()}{text[1:]}{f' (watched only: {watch_only})' if watch_only else ''}."


def unmeasured(criterion: Criterion, scope: str, level: float, reason: str) -> Judgement:
    """Return that a criterion could not be judged, and why; that never counts as held."""
    return Judgement(criterion, scope, Verdict.UNMEASURED, level, reason=reason)


def decided(
    scores: Scores | Ratios, bar: float, alpha: float, *, misses: bool, among: int
) -> tuple[Verdict, int | None]:
    """Return the verdict of an interval against a bar, and of an unproven one the rows that would decide."""
    holds = scores.exceeds(bar) <= alpha
    verdict = Verdict.HOLDS if holds else Verdict.MISSES if misses else Verdict.UNPROVEN
    level = alpha if (scores.estimate or 0.0) > bar else alpha / among  # a miss is one of several claims
    return verdict, scores.rows_needed(bar, level) if verdict is Verdict.UNPROVEN else None


def name_of(criterion: Criterion, scope: str) -> str:
    words = {Metric.P95_LATENCY: "the student's p95 latency", Metric.PAYBACK: "payback", Metric.SIZE: "size"}
    words |= {Metric.DEFERRED: "the share sent back"}
    words |= {metric: score.name for metric, score in ROW_SCORES.items()} | NOT_MEANS
    where = f" in segment '{scope.removeprefix(SEGMENT)}'" if scope.startswith(SEGMENT) else ""
    where = f" of label '{scope.removeprefix(LABEL)}'" if scope.startswith(LABEL) else where
    where = " on rows without a segment" if scope == f"{SEGMENT}{ALL}" else where
    if scope == criterion.scope and criterion.patterns is not None:
        where = f" {'' if criterion.patterns[1] else 'on the '}{scope}"
    return words.get(criterion.metric, str(criterion.metric)) + where


# --- the sentence ----------------------------------------------------------------------------------------------------


def _text(found: Judgement) -> str:
    if found.verdict is Verdict.UNMEASURED:
        return f"{name_of(found.criterion, found.scope)} is unmeasured: {found.reason}"
    match found.criterion.metric:
        case Metric.P95_LATENCY:
            text = _latency(found)
        case Metric.PAYBACK:
            text = _payback(found)
        case Metric.SIZE:
            text = _size(found)
        case Metric.DEFERRED:
            text = _deferred(found)
        case _ if found.by_disagreement:
            text = _disagreement(found)
        case _ if found.criterion.reference is not Reference.NONE:
            text = _difference(found)
        case Metric.ACCURACY | Metric.AGREEMENT:
            text = _share(found)
        case _:
            text = _score(found)
    return f"{text}: {found.verdict}"


def _more(found: Judgement) -> str:
    scopes = "labels" if found.scope.startswith(LABEL) else "segments"
    text = f", as one of {found.among} {scopes} (alone it would miss)" if found.among else ""
    if found.rows_needed is not None and found.criterion.metric is Metric.P95_LATENCY:
        text += f", and about {found.rows_needed:,} requests in each run would decide"
    elif found.rows_needed is not None:
        text += _rows_wanted(found, found.rows_needed - found.n)
    elif found.verdict is Verdict.UNPROVEN and found.criterion.metric is Metric.PAYBACK:
        text += ", and more timed runs would decide"
    if found.rough:
        groups = "a single group" if found.groups == 1 else f"only {found.groups} groups"
        most = ": rows of other groups would help most" if found.verdict is Verdict.UNPROVEN else ""
        text += f" (its rows come from {groups}, so the bound is rough{most})"
    back = found.sent_back if found.criterion.metric is not Metric.PAYBACK else None
    return text if back is None else f"{text}, with {points(back)}% of requests sent back to the teacher"


def _rows_wanted(found: Judgement, more: int) -> str:
    rows = count(min(more, MOST_ROWS), "more held-out row") + _rows_of(found)
    if 0 < GROUPED * found.groups < found.n and found.criterion.metric not in NOT_MEANS:
        rows += f", of {count(ceil(min(more, MOST_ROWS) * found.groups / found.n), 'more group')},"
    near = f", so near the bar that it would take over {rows} to decide"
    return near if more > MOST_ROWS else f", and about {rows} would decide"


def _rows_of(found: Judgement) -> str:
    """Return which rows count: those of the segment, with what the criterion compares with."""
    of = " of this segment" if found.scope.startswith(SEGMENT) else ""
    if found.criterion.metric is Metric.DEFERRED:
        return of
    by_teacher = found.by_disagreement or found.criterion.metric is Metric.AGREEMENT
    return f"{of} with {'an answer of the teacher' if by_teacher else 'gold'}"


def _level(found: Judgement) -> str:
    return f"{points(1 - found.level)}%"


def _numbers(found: Judgement) -> tuple[float, float, float, float]:
    """Return estimate, lower bound, upper bound and what the gate asks for; a bound that does not exist is 0."""
    return found.estimate or 0.0, found.lower or 0.0, found.upper or 0.0, float(bar_of(found.criterion))


def _disagreement(found: Judgement) -> str:
    estimate, lower, _, allowed = _numbers(found)
    return (
        f"{name_of(found.criterion, found.scope)} trails the teacher by their disagreement at most, as no row has "
        f"gold: on {points(-estimate)}% of rows ({_level(found)} bound: {points(-lower, unlike=allowed)}%); the gate "
        f"allows {points(allowed)}%"
    )


def _difference(found: Judgement) -> str:
    estimate, lower, upper, allowed = _numbers(found)
    low, high = lead(lower, -allowed), lead(upper, -allowed)
    bounds = {Verdict.HOLDS: f"bound: {low}", Verdict.MISSES: f"bound: {high}{AT_BEST}"}
    bound = bounds.get(found.verdict, f"bounds: {low} to {high}")
    asked = f"allows {points(allowed)}" if allowed > 0 else "asks for a lead"
    asked += f" of {points(-allowed)}" if allowed < 0 else ""
    both = ""
    if found.criterion.metric in SCORED:
        both = f", {_four(found.student or 0.0)} against {_four(found.reference or 0.0)}"
    name = name_of(found.criterion, found.scope)
    return f"{name} {distance(estimate, found.other)}{both} ({_level(found)} {bound}); the gate {asked}"


def _share(found: Judgement) -> str:
    estimate, lower, upper, floor = _numbers(found)
    low, high = (points(each, unlike=floor) for each in (lower, upper))
    bounds = {Verdict.HOLDS: f"bound: {low}%", Verdict.MISSES: f"bound: at most {high}%"}
    bound = bounds.get(found.verdict, f"bounds: {low}–{high}%")
    name = name_of(found.criterion, found.scope)
    if found.criterion.metric is Metric.AGREEMENT:
        name = name.replace("agreement", "agreement with the teacher", 1)
    return f"{name} is {points(estimate)}% ({_level(found)} {bound}); the gate asks for {points(floor, unlike=1.0)}%"


def _score(found: Judgement) -> str:
    estimate, lower, upper, asked = _numbers(found)
    falls = not found.criterion.at_least
    bound = f"{_four(lower)} to {_four(upper)}"
    if found.verdict is not Verdict.UNPROVEN:
        at_most = falls == (found.verdict is Verdict.HOLDS)
        bound = f"at most {_four(upper)}" if at_most else f"at least {_four(lower)}"
    side = "at most" if falls else "at least"
    name = name_of(found.criterion, found.scope)
    return f"{name} is {_four(estimate)} ({_level(found)} bound: {bound}); the gate asks for {side} {_four(asked)}"


def _latency(found: Judgement) -> str:
    misses = found.upper is not None and found.verdict is Verdict.MISSES
    bound = found.lower if misses else found.upper
    runs = "its only run" if found.groups == 1 else f"the slowest of {found.groups} runs"
    said = "none" if bound is None else f"{_three(bound)} ms{AT_BEST if misses else ''}"
    return (
        f"the student's p95 latency is {_three(found.estimate or 0.0)} ms in {runs} ({_level(found)} bound: {said}); "
        f"the gate asks for less than {decimal_text(bar_of(found.criterion))} ms"
    )


def _payback(found: Judgement) -> str:
    never = "never pays the build back"
    pays = never if found.estimate is None else f"pays the build back in {_months(found.estimate)} months"
    pays += "" if found.sent_back is None else f" with {points(found.sent_back)}% of calls sent back to the teacher"
    misses = found.verdict is Verdict.MISSES
    months = found.lower if misses else found.upper
    bound = _months(months) + (AT_BEST if misses and months is not None else "")
    allowed = f"the gate allows {decimal_text(bar_of(found.criterion))}"
    if found.chance is not None and found.chance_asked is not None:
        allowed += (
            f" with a chance of at least {points(found.chance_asked)}%, and over {DRAWS:,} draws of the locked ranges "
            f"it is {points(found.chance)}%"
        )
    return f"the student {pays} ({_level(found)} bound: {bound}); {allowed}"


def _deferred(found: Judgement) -> str:
    estimate, lower, upper, allowed = _numbers(found)
    bounds = {Verdict.HOLDS: f"at most {points(upper)}%", Verdict.MISSES: f"at least {points(lower)}%"}
    return (
        f"{points(estimate)}% of requests go back to the teacher, those below a confidence of "
        f"{_four(found.confidence_below or 0.0)} ({_level(found)} bound: "
        f"{bounds.get(found.verdict, f'{points(lower)}–{points(upper)}%')}); the gate allows {points(allowed)}%"
    )


def _size(found: Judgement) -> str:
    bar, size = bar_of(found.criterion), Decimal(round((found.estimate or 0.0) * 1e6)) / 1_000_000
    shown = trim(f"{size:.6f}" if size < 1 else f"{size:.1f}")
    if found.verdict is Verdict.MISSES and Decimal(shown) <= bar:
        shown = decimal_text(size)
    return f"the student takes {shown} MB; the gate allows {decimal_text(bar)} MB"


def _months(months: float | None) -> str:
    return "never" if months is None else trim(f"{months:.1f}") if months >= 1 else trim(f"{months:.3f}")


def _three(number: float) -> str:
    return trim(f"{number:.3f}")


def _four(number: float) -> str:
    return trim(f"{number:.4f}")
