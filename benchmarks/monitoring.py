"""The audit channel under serving: false alarms over a year of hourly looks, delays of a drift, what the audit costs.

    python benchmarks/monitoring.py [--lives 100] [--only WORD]

A life is a year of a play behind its gateway: requests by the hour, busy by day and quiet at night; the student's
answers; what the audit channel picks; and the monitor of the product (`monitor.plan`), fed every hour and looked
at after each feed. Ceilings and scores come from 1,000 held-out rows of the same life, so that they are as wrong as
estimates are. The student is calibrated: it disagrees with its teacher as often as it is unsure, on 6% in the mean. In
lives with a drift it disagrees twice as often from day 180 on.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import shared

from distill_tui.gates.gate import Criterion, Gate
from distill_tui.gates.record import Record
from distill_tui.monitor import plan as observe
from distill_tui.rules.entities import Observation
from distill_tui.terms import Metric, Reference, Standing

YEAR, CHANGE, FIRST = 365, 180, date(2026, 1, 1)
HELD_OUT = 1_000
PER_DAY = 1_000  # requests
LABELS, SEGMENTS, SHARES = ("a", "b", "c", "d"), ("de", "en", "fr"), (0.5, 0.3, 0.2)
BURST_CHANCE, BURST_SIZE = 0.01, 20  # an hour with so many times its requests, of one source
REFRESH_DAYS = 90
PROBE_EVERY = 28  # days
GATE = Gate(criteria=(Criterion(Metric.AGREEMENT, Reference.TEACHER, binding=True),), held_out_rows=HELD_OUT)
HOURS = 0.2 + 1.6 * np.clip(np.sin((np.arange(24) - 6) / 24 * 2 * np.pi), 0, 1)
HOURS = HOURS / HOURS.sum()


@dataclass(frozen=True)
class Setting:
    """How a play is served, and what changes at day 180."""

    name: str
    audit: float = 0.02
    growth: tuple[tuple[int, float], ...] = ((0, 1.0),)  # from a day on, the share of requests that the student gets
    sends_back: float = 0.0  # share of requests, the least sure ones
    sent_back_too: bool = True  # whether the audit channel's share of what goes back is observed too
    bursts: bool = False
    like: float = 0.0  # correlation of the disagreements of one burst
    rise: float = 1.0  # of disagreement
    teacher: float = 0.0  # share of inputs that another version of the teacher answers otherwise
    budget: float = 1.0  # the play's sampling budget as a share of the pairs that the channel brings


def rows(random: np.random.Generator, count: int) -> tuple[np.ndarray, ...]:
    """Draw requests: how unsure the student is of each, its distance, length, answer and segment."""
    unsure = random.beta(0.5, 7.83, count)
    unsure = np.minimum(unsure, 0.75)
    distance, length = np.abs(random.normal(1, 0.2, count)), random.lognormal(4, 0.6, count).astype(int)
    return unsure, distance, length, random.integers(0, 4, count), random.choice(3, count, p=SHARES)


def begun(random: np.random.Generator, setting: Setting) -> tuple[observe.Monitor, float]:
    """Judge a student on its held-out rows; return its monitor, and below which confidence requests go back."""
    unsure, distance, length, said, segment = rows(random, HELD_OUT)
    differs = random.random(HELD_OUT) < unsure
    taught = np.where(differs, (said + 1) % 4, said)
    everyone = tuple(range(HELD_OUT))
    record = Record(
        labels=LABELS,
        rows=everyone,
        gold=(-1,) * HELD_OUT,
        teacher=tuple(map(int, taught)),
        student=tuple(map(int, said)),
        baseline=tuple(map(int, said)),
        majority=0,
        segment=tuple(map(int, segment)),
        segments=SEGMENTS,
        group=everyone,
    )
    pairs = PER_DAY * setting.audit * 30
    planned = observe.plan(record, GATE, round(pairs * setting.budget), REFRESH_DAYS)
    scored = observe.Scored(
        uncertainty=tuple(map(float, unsure)),
        distance=tuple(map(float, distance)),
        length=tuple(map(float, length)),
        labels=Counter(LABELS[i] for i in said),
        segments=Counter(SEGMENTS[i] for i in segment),
        answers=LABELS,
    )
    below = 1 - float(np.quantile(unsure, 1 - setting.sends_back)) if setting.sends_back else 0.0
    return observe.Monitor(planned, scored), below


def year(random: np.random.Generator, setting: Setting, below: float) -> Iterator[tuple[int, list[Observation]]]:
    """Yield what the audit channel brings, hour by hour: the day, and its observations. All is drawn beforehand."""
    days = np.repeat(np.arange(YEAR), 24)
    burst = (random.random(24 * YEAR) < BURST_CHANCE) & setting.bursts
    requests = random.poisson(PER_DAY * np.tile(HOURS, YEAR) * np.where(burst, BURST_SIZE, 1))
    shares = np.array([max(at for at in setting.growth if at[0] <= day)[1] for day in range(YEAR)])
    counts = random.binomial(requests, shares[days] * setting.audit)
    begins = np.concatenate([[0], np.cumsum(counts)])
    unsure, distance, length, said, segment = rows(random, begins[-1])
    changed = np.repeat(days, counts) >= CHANGE
    chance = unsure * np.where(changed, setting.rise, 1.0)
    for hour in np.flatnonzero(burst) if setting.like else ():  # of one source: all of it is harder, or easier
        here, spread = slice(begins[hour], begins[hour + 1]), 1 / setting.like - 1
        chance[here] *= random.beta(0.06 * spread, 0.94 * spread) / 0.06
        segment[here] = random.choice(3, p=SHARES)
    differs = random.random(len(unsure)) < chance
    differs ^= changed & (random.random(len(unsure)) < setting.teacher)
    seen = np.ones(len(unsure), dtype=bool) if setting.sent_back_too else 1 - unsure >= below
    columns = (each.tolist() for each in (said, differs, segment, unsure, distance, length, seen))
    drawn = list(zip(*columns, strict=True))
    for hour in range(24 * YEAR):
        day = hour // 24
        name = (FIRST + timedelta(day)).isoformat()
        if setting.teacher and hour % (24 * PROBE_EVERY) == 0:
            answers = random.random(observe.PROBE_ROWS) < (setting.teacher if day >= CHANGE else 0.0)
            yield day, [_probe(name, at, bool(other)) for at, other in enumerate(answers)]
        hourly = []
        for number in range(begins[hour], begins[hour + 1]):
            answer, other, place, doubt, far, long, is_seen = drawn[number]
            if is_seen:
                said_by = LABELS[(answer + 1) % 4 if other else answer]
                row = _row(name, f"{number:x}", LABELS[answer], said_by, SEGMENTS[place])
                hourly.append(Observation(**row | {"uncertainty": doubt, "distance": far, "length": long}))  # type: ignore[arg-type]
        yield day, hourly


def _row(day: str, digest: str, answer: str, teacher: str, segment: str, probe: int = 0) -> dict[str, object]:
    return {
        "play_id": 1, "bundle_id": 1, "feed_id": 1, "day": day, "input_digest": digest, "probe": probe, "asked": 0,
        "segment": segment, "answer": answer, "teacher": teacher, "uncertainty": 0.0, "distance": 0.0, "length": 0,
        "excerpt": "",
    }  # fmt: skip


def _probe(day: str, at: int, other: bool) -> Observation:
    return Observation(**_row(day, f"probe {at}", "a", "b" if other else "a", "", probe=1))  # type: ignore[arg-type]


def probed(random: np.random.Generator, share: float, since: int) -> int:
    """Ask a teacher's probe over a year; return the day on which the monitor names the teacher, or -1."""
    monitor = observe.Monitor(observe.Plan({}, {}, 0, 2 * REFRESH_DAYS, ""), observe.Scored())
    for day in range(0, YEAR, PROBE_EVERY):
        answers = random.random(observe.PROBE_ROWS) < (share if day >= since else 0.0)
        name = (FIRST + timedelta(day)).isoformat()
        observe.feed(monitor, name, [_probe(name, at, bool(other)) for at, other in enumerate(answers)])
        if monitor.teacher.group.alarm:
            return day
    return -1


@dataclass
class Life:
    """On which day each alarm of a life came; -1 where it did not."""

    red: int = -1
    rows: int = -1
    inputs: int = -1
    teacher: int = -1
    pairs: int = 0


def lived(seed: tuple[int, ...], setting: Setting) -> Life:
    """Live a year; a drift that was noticed ends it."""
    random = np.random.default_rng(seed)
    monitor, below = begun(random, setting)
    life = Life()
    shifts = setting.rise > 1 or setting.teacher > 0
    for day, seen in year(random, setting, below):
        observe.feed(monitor, (FIRST + timedelta(day)).isoformat(), seen)
        life.pairs += sum(not each.probe for each in seen)
        groups = {"rows": monitor.rows, "inputs": monitor.inputs, "teacher": monitor.teacher, "red": monitor.days}
        for name, group in groups.items():
            if group.group.alarm and getattr(life, name) < 0:
                setattr(life, name, day)
        if shifts and life.rows < 0:
            life.rows = life.red  # amber at the latest
        assert (monitor.standing is Standing.ALARM) == (life.red >= 0)
        if shifts and life.red >= 0 and (not setting.teacher or life.teacher >= 0 or life.red < CHANGE):
            break
    return life


def share(found: list[int]) -> str:
    """The share of lives with an alarm, with the upper end of its 95% interval."""
    from scipy import stats

    hits, count = sum(each >= 0 for each in found), len(found)
    upper = stats.beta.ppf(0.975, hits + 1, count - hits) if hits < count else 1.0
    return f"{100 * hits / count:.1f}% (to {100 * upper:.1f})"


def late(found: list[int]) -> str:
    """Days from the drift to its alarm: the median, and the day by which nine in ten lives were told."""
    after = sorted(each - CHANGE if each >= CHANGE else 10_000 for each in found if not 0 <= each < CHANGE)
    if not after:
        return "-"
    middle, slow = after[len(after) // 2], after[min(len(after) - 1, int(0.9 * len(after)))]
    return " ".join(f"{each}" if each < 10_000 else "-" for each in (middle, slow)).replace(" ", " (") + ")"


BASE = Setting("2% audit, all requests by the student")
SETTINGS = (
    replace(BASE, name="1% audit", audit=0.01),
    BASE,
    replace(BASE, name="5% audit", audit=0.05),
    replace(BASE, name="bursts", bursts=True),
    replace(BASE, name="bursts of one source, correlation 0.3", bursts=True, like=0.3),
    replace(BASE, name="20% sent back, and none of it observed", sends_back=0.2, sent_back_too=False),
    replace(BASE, name="20% sent back, the same share of it observed", sends_back=0.2),
    replace(BASE, name="canary 5, 20, 50, 100%", growth=((0, 0.05), (60, 0.2), (120, 0.5), (240, 1.0))),
    replace(BASE, name="a sampling budget of a quarter of the pairs", budget=0.25),
)


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("--lives", type=int, default=100, help="of each setting; half as many with a drift")
    parser.add_argument("--only", default="", help="settings whose name contains this")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"{options.lives} lives of a year without a drift, {options.lives // 2} with one; 8,760 looks a year\n")
    heads = ("pairs a month", "red", "amber by rows", "amber by inputs", "doubled: days to amber", "days to red")
    print("| setting | " + " | ".join(heads) + " |\n|---|" + "---|" * len(heads))
    for number, setting in enumerate(SETTINGS):
        if options.only not in setting.name:
            continue
        started = time.monotonic()
        still = [lived((options.seed, number, life), setting) for life in range(options.lives)]
        doubled = replace(setting, rise=2.0)
        drifts = [lived((options.seed, 100 + number, life), doubled) for life in range(options.lives // 2)]
        pairs = np.mean([life.pairs for life in still]) / 12
        alarms = [share([getattr(life, name) for life in still]) for name in ("red", "rows", "inputs")]
        delays = [late([getattr(life, name) for life in drifts]) for name in ("rows", "red")]
        print(f"| {setting.name} | {pairs:,.0f} | " + " | ".join([*alarms, *delays]) + " |", flush=True)
        print(f"{setting.name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    for changed in (0.05, 0.10, 0.20):
        setting = replace(BASE, name=f"another teacher version, {100 * changed:.0f}% of inputs", teacher=changed)
        if options.only not in setting.name:
            continue
        lives = [lived((options.seed, 200 + round(100 * changed), life), setting) for life in range(options.lives // 2)]
        found = [late([getattr(life, name) for life in lives]) for name in ("teacher", "rows", "red")]
        print(f"{setting.name}: days until the probe names the teacher {found[0]}, amber {found[1]}, red {found[2]}")
    if options.only in "the probe alone":
        random = np.random.default_rng(options.seed)
        still = [probed(random, observe.TEACHER_CHANGES, 0) for _ in range(10 * options.lives)]
        print(f"the probe alone, 5% of answers otherwise all year, which is allowed: {share(still)} of lives")
        for changed in (0.10, 0.15, 0.20, 0.30):
            found = [probed(random, changed, CHANGE) for _ in range(10 * options.lives)]
            named = f"{share(found)} of lives, days {late(found)}"
            print(f"the probe alone, {100 * changed:.0f}% from day {CHANGE} on: {named}")


if __name__ == "__main__":
    sys.exit(main())
