"""Reasons why a gate cannot be locked: numbers out of range, bars that cannot fail or cannot pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import date
from decimal import Decimal

from distill_tui.gates import economics
from distill_tui.gates.canonical import DIGITS, too_long
from distill_tui.gates.gate import (
    ALL,
    BASELINES,
    BY_LABEL,
    EVERY_LABEL,
    EVERY_SEGMENT,
    LISTS,
    METHODS,
    QUALITY,
    ROW_SCORES,
    SCORED,
    Criterion,
    Gate,
)
from distill_tui.terms import Metric, PlayKind, Reference

MOST_INTERIM = 366  # days


def problems(gate: Gate, kind: PlayKind) -> list[str]:
    """Return why this gate cannot be locked for this kind of play, in full sentences; empty means lockable."""
    found = list(_gate_problems(gate))
    for criterion in gate.criteria:
        found.extend(criterion_problems(criterion))
    found.extend(_duplicates(gate))
    found.extend(_range_problems(gate))
    found.extend(_rare_problems(gate))
    found.extend(_agreement_problems(gate))
    found.extend(_deferral_problems(gate))
    found.extend(_interim_problems(gate))
    found.extend(_binding_problems(gate, kind))
    return found


def _interim_problems(gate: Gate) -> Iterator[str]:
    asked = gate.interim
    if asked is None:
        return
    if not (asked.lead.is_finite() and 0 < asked.lead < 1):
        yield f"lead of interim is {asked.lead}; it must be above 0 and below 1, like 0.05."
    if not 1 <= asked.days <= MOST_INTERIM:
        yield f"days of interim is {asked.days}; it must be a whole number from 1 to {MOST_INTERIM}."


def _gate_problems(gate: Gate) -> Iterator[str]:
    if not gate.criteria:
        yield "The gate has no criteria; add at least one."
    if not (gate.confidence.is_finite() and Decimal("0.5") < gate.confidence < 1):
        yield f"confidence is {gate.confidence}; it must be above 0.5 and below 1, like 0.95."
    if gate.rounds < 1:
        yield f"rounds is {gate.rounds}; at least one round is needed."
    if gate.held_out_rows < 1:
        yield f"held_out_rows is {gate.held_out_rows}; at least one held-out row is needed."
    elif not 0 <= gate.minimum_spot_check <= gate.held_out_rows:
        yield (
            f"minimum_spot_check is {gate.minimum_spot_check}; it must be between 0 and the {gate.held_out_rows:,} "
            "held-out rows that it is drawn from."
        )
    if not (gate.validation_share.is_finite() and 0 < gate.validation_share < 1):
        yield f"validation_share is {gate.validation_share}; it must be above 0 and below 1, like 0.1."
    if gate.methods not in METHODS:
        yield f"methods is {gate.methods}; this release supports {' and '.join(map(str, METHODS))}."
    if gate.seed < 0:
        yield f"seed is {gate.seed}; it must be 0 or more."
    if gate.baseline not in BASELINES:
        yield f"baseline is '{gate.baseline}'; it is {' or '.join(BASELINES)}."
    if gate.lists not in LISTS:
        yield f"lists is '{gate.lists}'; it is '{LISTS[0]}' or '{LISTS[1]}'."
    dates = [("window_from", gate.window_from), ("window_to", gate.window_to)]
    wrong = [f"{name} is '{day}'; write a date like 2026-01-31." for name, day in dates if day and not is_date(day)]
    yield from wrong
    if not wrong and gate.window_from and gate.window_to and gate.window_from > gate.window_to:
        yield f"window_from {gate.window_from} is after window_to {gate.window_to}; swap them."


def is_date(text: str) -> bool:
    """Check that a text is a date like 2026-01-31."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def criterion_problems(criterion: Criterion) -> Iterator[str]:
    name = criterion.words
    if criterion.metric in BY_LABEL:
        if criterion.label is None and criterion.scope != EVERY_LABEL:
            yield f"{name} is of one label: give it the scope 'every label' or 'label: NAME'."
    elif criterion.segment is None and criterion.patterns is None and criterion.scope not in (ALL, EVERY_SEGMENT):
        yield (
            f"The scope of {name} is none of 'all', 'every segment' and 'segment: NAME', nor 'top 50 patterns' or "
            "'beyond the top 50 patterns'; write one of them."
        )
    if criterion.segment is not None and not criterion.segment.strip():
        yield f"The scope of {name} names no segment; write 'segment: NAME'."
    if criterion.label is not None and not criterion.label.strip():
        yield f"The scope of {name} names no label; write 'label: NAME'."
    if criterion.metric not in (*QUALITY, *SCORED) and criterion.scope != ALL:
        yield f"{name} is measured over all requests; give it the scope 'all'."
    if criterion.metric not in (Metric.ACCURACY, *SCORED) and criterion.reference is not Reference.NONE:
        if criterion.metric is Metric.AGREEMENT:
            yield f"{name}: agreement already compares with the teacher; give it a threshold and the reference none."
        else:
            yield f"{name} has no reference to trail; give a threshold and the reference none."
    elif criterion.reference is Reference.NONE:
        yield from _threshold_problems(criterion)
    else:
        yield from _margin_problems(criterion)
    if criterion.watch_only and criterion.binding:
        yield f"{name} is binding and only watched; choose one."
    if criterion.watch_only and not criterion.watch_only.strip():
        yield f"{name} is only watched, without a reason; write why it does not count."


def _threshold_problems(criterion: Criterion) -> Iterator[str]:
    name, threshold = criterion.words, criterion.threshold
    if criterion.margin is not None:
        yield f"{name} has a margin but no reference; name the teacher or the baseline, or give a threshold instead."
        return
    if threshold is None:
        yield f"{name} has no threshold; give one, or a reference and a margin."
    elif not threshold.is_finite() or too_long(threshold):
        yield f"The threshold of {name} is {threshold}; give a number of at most {DIGITS} digits."
    elif criterion.at_least and threshold >= 1:
        yield f"The threshold of {name} is {threshold}, which no sample proves; give a share below 1, like 0.9."
    elif criterion.metric in ROW_SCORES and threshold >= 1:
        yield f"The threshold of {name} is {threshold}, which cannot fail; give a score below 1, like 0.1."
    elif criterion.metric is Metric.DEFERRED and threshold >= 1:
        yield f"The threshold of {name} is {threshold}, which cannot fail; give a share below 1, like 0.25."
    elif criterion.at_least and threshold <= 0:
        yield f"The threshold of {name} is {threshold}, which cannot fail; give a share above 0, like 0.9."
    elif threshold <= 0:
        yield f"The threshold of {name} is {threshold}, which cannot pass; give a number above 0."


def _margin_problems(criterion: Criterion) -> Iterator[str]:
    name, margin = criterion.words, criterion.margin
    if criterion.threshold is not None:
        yield f"{name} has a reference and a threshold; give a margin, or the reference none."
        return
    if margin is None:
        yield f"{name} has no margin; write how far the student may trail the {criterion.reference}, like 0.05."
    elif not margin.is_finite() or too_long(margin):
        yield f"The margin of {name} is {margin}; give a number of at most {DIGITS} digits."
    elif margin >= 1:
        yield f"The margin of {name} is {margin}, which cannot fail; 5 points are written 0.05."
    elif margin <= -1:
        yield f"The margin of {name} is {margin}, which cannot pass; a lead of 5 points is written -0.05."
    elif criterion.reference is Reference.TEACHER and margin <= 0:
        yield (
            f"The margin of {name} is {margin}, and a student that learns from the teacher cannot be shown to lead it; "
            "allow it to trail by something above 0, like 0.02."
        )


def _range_problems(gate: Gate) -> Iterator[str]:
    names = [each.name for each in fields(economics.Prices)]
    for each in gate.ranges:
        if each.name not in names:
            yield f"Unknown price '{each.name}' in a range; the prices are {', '.join(names)}."
        elif not (each.low.is_finite() and each.high.is_finite() and 0 <= each.low <= each.high):
            yield f"The range of {each.name} goes from {each.low} to {each.high}; begin at 0 or more and end no lower."
        if not each.source.strip() or not is_date(each.dated):
            yield f"The range of {each.name} has no source or no date; write both, the date as 2026-01-31."
    if len({each.name for each in gate.ranges}) < len(gate.ranges):
        yield "A price has two ranges; keep one."
    if not (gate.payback_chance.is_finite() and 0 < gate.payback_chance < 1):
        yield f"payback_chance is {gate.payback_chance}; it must be above 0 and below 1, like 0.8."


def _rare_problems(gate: Gate) -> Iterator[str]:
    for criterion in gate.criteria:
        if criterion.patterns is None or not criterion.patterns[1] or criterion.agreed_with.strip():
            continue
        common = [c for c in gate.criteria if c is not criterion and _alike(c, criterion) and c.segment is None]
        strictest = min((c.margin for c in common if c.margin is not None and c.margin.is_finite()), default=None)
        looser = criterion.margin is not None and criterion.margin.is_finite()
        if looser and (strictest is None or (criterion.margin or 0) > strictest):
            yield (
                f"{criterion.words} allows more on rare inputs than on common ones; name the product owner "
                "who agreed to that: agreed_with."
            )


def _alike(one: Criterion, other: Criterion) -> bool:
    return (one.metric, one.reference) == (other.metric, other.reference)


def _agreement_problems(gate: Gate) -> Iterator[str]:
    own = gate.teacher_agreement
    if own is None:
        return
    if not (own.is_finite() and 0 < own <= 1):
        yield f"teacher_agreement is {own}; it is a share above 0 and at most 1, like 0.97."
        return
    for criterion in gate.criteria:
        bar = criterion.threshold
        if criterion.metric is Metric.AGREEMENT and criterion.counts and bar is not None and own <= bar:
            yield (
                f"{criterion.words} asks for more than {bar}, and the teacher agrees with itself on {own} only: no "
                "student can pass that; ask for less, or judge by accuracy."
            )


def _deferral_problems(gate: Gate) -> Iterator[str]:
    """What goes back to the teacher is a share that can be missed, and a criterion bounds it on the held-out rows."""
    share, bounds = gate.deferral, [each for each in gate.criteria if each.metric is Metric.DEFERRED]
    if share is None:
        if bounds:
            yield "deferred_share has a criterion, but the gate sends nothing back; set deferral, like 0.2."
        return
    if not (share.is_finite() and 0 < share < 1):
        yield (
            f"deferral is {share}; it is the share of requests that goes back to the teacher, above 0 and below 1: "
            "leave it out to judge the student alone."
        )
        return
    bar = next((each.threshold for each in bounds if each.counts), None)
    if bar is None:
        yield (
            f"The gate sends {share} of the requests back, and nothing bounds how many really go; add a deferred_share "
            "criterion that counts, with a threshold above that."
        )
    elif bar.is_finite() and bar <= share:
        yield (f"The gate aims at sending {share} back and allows {bar}, so chance decides; allow more, or aim lower.")
    if any(each.name == "fallback_share" for each in gate.ranges):
        yield "fallback_share has a range, but the gate measures what goes back; drop the range."


def _duplicates(gate: Gate) -> Iterator[str]:
    seen = set()
    for criterion in gate.criteria:
        key = (criterion.metric, criterion.reference, criterion.scope)
        if key in seen:
            yield f"{criterion.words} is in the gate twice; keep one."
        seen.add(key)


def _binding_problems(gate: Gate, kind: PlayKind) -> Iterator[str]:
    binding = [criterion for criterion in gate.criteria if criterion.binding]
    counting = {criterion.metric for criterion in gate.criteria if criterion.counts}
    if gate.criteria and len(binding) != 1:
        count = "No criterion is" if not binding else f"{len(binding)} criteria are"
        yield f"{count} binding; mark exactly one, the win metric of a {kind} play: {_fit(kind)}."
    for criterion in binding if len(binding) == 1 else ():
        if not _fits(criterion, kind):
            yield f"{criterion.words} is binding, but a {kind} play is won by {_fit(kind)}; mark that."
    if gate.criteria and kind is PlayKind.COST and Metric.PAYBACK not in counting:
        yield "A cost play must pay back within a window; add a payback_months criterion that counts."
    if gate.criteria and kind is PlayKind.LATENCY and not counting.intersection((*QUALITY, *SCORED)):
        yield "A latency play must not buy speed with quality; add an accuracy or agreement criterion that counts."


def _fits(criterion: Criterion, kind: PlayKind) -> bool:
    if kind is PlayKind.LATENCY:
        return criterion.metric is Metric.P95_LATENCY
    if kind is PlayKind.SPECIALIZATION:
        lead = criterion.margin is None or criterion.margin.is_nan() or criterion.margin <= 0
        scored = criterion.metric in (Metric.ACCURACY, *SCORED)
        return scored and criterion.reference is Reference.BASELINE and lead
    return criterion.metric in (*QUALITY, *SCORED)


def _fit(kind: PlayKind) -> str:
    if kind is PlayKind.LATENCY:
        return "p95_latency_ms below a threshold"
    if kind is PlayKind.SPECIALIZATION:
        return "accuracy or another score, against the baseline with a margin of 0 or less"
    return "accuracy, agreement or another score"
