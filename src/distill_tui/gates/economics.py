"""What teacher and student cost, when a student has paid for itself, and the trigger worksheets.

Decimal only, never float: money is exact. One currency throughout, that of the project. Pure; standard library
and `terms`. It judges no quality: that is `gates`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Context, Decimal, localcontext

from distill_tui.gates.currencies import USUAL
from distill_tui.gates.wording import money
from distill_tui.terms import PlayKind

_MICROSECONDS_PER_HOUR = Decimal(3_600_000_000)
_THOUSAND = Decimal(1000)
_DIGITS = 18  # before the point: no worksheet number needs more, and arithmetic stays exact enough


# --- payback ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prices:
    """The numbers that payback is computed from; names are those of the worksheet."""

    calls_per_month: Decimal
    teacher_cost_per_1k: Decimal
    machine_price_per_hour: Decimal
    serving_cost_per_month: Decimal
    build_cost: Decimal
    sample_share: Decimal  # of the calls that still go to the teacher, to watch the student
    retrains_per_month: Decimal = Decimal(0)
    retrain_cost: Decimal = Decimal(0)
    fallback_share: Decimal = Decimal(0)  # of the calls that the student hands back to the teacher

    @classmethod
    def from_values(cls, values: Mapping[str, Decimal]) -> Prices:
        """Pick the prices out of a worksheet. Raises ValueError with one sentence: what is missing or wrong."""
        wanted = [field.name for field in fields(cls)]
        missing = [name for name in wanted[:6] if name not in values]
        if missing:
            raise ValueError(f"Payback needs {_and(missing)} too: fill in the worksheet.")
        picked = {name: values[name] for name in wanted if name in values}
        for name, value in picked.items():
            wrong = out_of_range(name, value)
            if wrong:
                raise ValueError(wrong)
        return cls(**picked)


def student_cost_per_1k(latency_us_mean: Decimal, machine_price_per_hour: Decimal) -> Decimal:
    """Return what 1,000 answers of the student cost on a machine that gives them one after the other, without idling.

    Idle time is not in it: a machine that is rented by the month belongs into `serving_cost_per_month`.
    """
    return latency_us_mean * _THOUSAND * machine_price_per_hour / _MICROSECONDS_PER_HOUR


def monthly_saving(prices: Prices, student_per_1k: Decimal) -> Decimal:
    """Return what the student saves a month; negative where it costs more than the teacher.

    S = V·(c_T − c_S − φ·c_T − s·c_T) − F − ρ·C_R: calls, cost of teacher and student a call, the shares that are handed
    back to the teacher and still sampled by it, the fixed cost of serving, and the refreshes.
    """
    teacher = prices.teacher_cost_per_1k
    each = (teacher * _replaced(prices) - student_per_1k) / _THOUSAND
    return prices.calls_per_month * each - _upkeep(prices)


def monthly_bill(prices: Prices) -> Decimal:
    """Return what the teacher costs a month when it answers every call."""
    return prices.calls_per_month * prices.teacher_cost_per_1k / _THOUSAND


def _replaced(prices: Prices) -> Decimal:
    return 1 - prices.fallback_share - prices.sample_share


def _upkeep(prices: Prices) -> Decimal:
    return prices.serving_cost_per_month + prices.retrains_per_month * prices.retrain_cost


def payback_months(prices: Prices, student_per_1k: Decimal) -> Decimal | None:
    """Return after how many months the savings have paid the build, B/S; None where they never do."""
    saving = monthly_saving(prices, student_per_1k)
    return prices.build_cost / saving if saving > 0 else None


def net_present_value(prices: Prices, student_per_1k: Decimal, months: int, discount_per_year: Decimal) -> Decimal:
    """Return what the build is worth today over so many months: −B + Σ S/(1 + r/12)^t."""
    saving, monthly = monthly_saving(prices, student_per_1k), 1 + discount_per_year / 12
    with localcontext(_EXACT):
        return sum((saving / monthly**month for month in range(1, months + 1)), -prices.build_cost)


def break_even_calls(prices: Prices, student_per_1k: Decimal, months: Decimal) -> Decimal | None:
    """Return from how many calls a month on the build is paid back in so many months; None where no number would do."""
    each = (prices.teacher_cost_per_1k * _replaced(prices) - student_per_1k) / _THOUSAND
    return (_upkeep(prices) + prices.build_cost / months) / each if each > 0 else None


def break_even_price(prices: Prices, student_per_1k: Decimal, months: Decimal) -> Decimal | None:
    """Return the lowest teacher's price for 1,000 calls at which the build pays back in so many months."""
    if prices.calls_per_month <= 0 or _replaced(prices) <= 0:
        return None
    owed = (_upkeep(prices) + prices.build_cost / months) * _THOUSAND / prices.calls_per_month
    return (owed + student_per_1k) / _replaced(prices)


# --- what is not known exactly ---------------------------------------------------------------------------------------

DRAWS = 10_000
SWUNG = (  # the five inputs of the tornado
    "calls_per_month",
    "teacher_cost_per_1k",
    "machine_price_per_hour",
    "serving_cost_per_month",
    "build_cost",
)
_SWING = Decimal("0.2")  # either way, where no range is locked
_EXACT = Context(prec=28)
_UNIT = 2**53


@dataclass(frozen=True)
class Range:
    """How far a price may be off: the worksheet's number is the likeliest, these are the ends. Sourced and dated."""

    name: str
    low: Decimal
    high: Decimal
    source: str = ""
    dated: str = ""  # ISO date


@dataclass(frozen=True)
class Swing:
    """What one input alone does to the net after the window: savings less the build."""

    name: str
    low: Decimal
    high: Decimal
    net_at_low: Decimal
    net_at_high: Decimal

    @property
    def width(self) -> Decimal:
        return abs(self.net_at_high - self.net_at_low)


def tornado(prices: Prices, latency_us_mean: Decimal, months: Decimal, ranges: Sequence[Range] = ()) -> list[Swing]:
    """Move each of the five inputs over its locked range (a fifth either way without one); what matters most first."""
    known = {each.name: (each.low, each.high) for each in ranges}
    swings = []
    for name in SWUNG:
        value: Decimal = getattr(prices, name)
        low, high = known.get(name, (value * (1 - _SWING), value * (1 + _SWING)))
        nets = [_net(replace(prices, **{name: end}), latency_us_mean, months) for end in (low, high)]
        swings.append(Swing(name, low, high, *nets))
    return sorted(swings, key=lambda swing: -swing.width)


def _net(prices: Prices, latency_us_mean: Decimal, months: Decimal) -> Decimal:
    return monthly_saving(prices, student_cost_per_1k(latency_us_mean, prices.machine_price_per_hour)) * months - (
        prices.build_cost
    )


def chance_of_payback(
    prices: Prices, latency_us_mean: Decimal, months: Decimal, ranges: Sequence[Range], seed: int, draws: int = DRAWS
) -> Decimal:
    """Return how often the build is paid back in so many months where the ranged prices are drawn from triangles.

    The same seed gives the same share on any machine: whole random numbers, decimal arithmetic of 28 digits.
    """
    chance, paid = random.Random(seed), 0
    with localcontext(_EXACT):
        for _ in range(draws):
            drawn = {each.name: _triangular(chance, each, getattr(prices, each.name)) for each in ranges}
            paid += _net(replace(prices, **drawn), latency_us_mean, months) >= 0
        return Decimal(paid) / draws


def _triangular(chance: random.Random, ends: Range, likeliest: Decimal) -> Decimal:
    share, width = Decimal(chance.getrandbits(53)) / _UNIT, ends.high - ends.low
    likeliest = min(max(likeliest, ends.low), ends.high)
    if width <= 0:
        return likeliest
    below = likeliest - ends.low
    if share * width < below:
        return ends.low + (share * width * below).sqrt()
    return ends.high - ((1 - share) * width * (ends.high - likeliest)).sqrt()


# --- the trigger worksheets ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """One number that a trigger asks for."""

    name: str
    sentence: str
    unit: str  # “money”: in the project's currency
    example: str

    def unit_in(self, currency: str) -> str:
        return currency if self.unit == "money" else self.unit


_CALLS = Question(
    "calls_per_month", "How many calls of this one task does the teacher answer a month?", "calls", "900000"
)

WORKSHEET: dict[PlayKind, tuple[Question, ...]] = {
    PlayKind.COST: (
        _CALLS,
        Question("teacher_cost_per_1k", "What do 1,000 calls of the teacher cost?", "money", "2.40"),
        Question("threshold_per_month", "From which monthly cost on is a student worth building?", "money", "1000"),
        Question("window_days", "How many days of production traffic is there, 30 to 90?", "days", "60"),
        Question(
            "machine_price_per_hour", "What does the machine that serves the student cost an hour?", "money", "0.08"
        ),
        Question(
            "serving_cost_per_month",
            "What does serving cost a month whatever the load, upkeep included?",
            "money",
            "60",
        ),
        Question("build_cost", "What does the build cost once: people, labelling, compute?", "money", "4000"),
        Question(
            "sample_share", "Which share of the calls still goes to the teacher, to watch the student?", "share", "0.01"
        ),
    ),
    PlayKind.LATENCY: (
        _CALLS,
        Question("teacher_p95_ms", "How long does the teacher take at the 95th percentile?", "ms", "820"),
        Question("target_p95_ms", "How long may it take at the 95th percentile?", "ms", "50"),
        Question("abandoned_share", "Which share of requests do users abandon while they wait?", "share", "0.06"),
        Question(
            "share_of_top_patterns", "Which share of requests do the top interaction patterns make up?", "share", "0.8"
        ),
    ),
    PlayKind.STABILITY: (
        _CALLS,
        Question("days_of_traffic", "How many days of today's use of the API does the sample cover?", "days", "30"),
        Question(
            "terms_permit_training",
            "Do the provider's terms permit training on outputs: confirmed 1, else 0?",
            "1 or 0",
            "1",
        ),
        Question("price_change", "Is the price changing, or out of our control: 1 or 0?", "1 or 0", "1"),
        Question("terms_change", "Are the terms changing, or out of our control: 1 or 0?", "1 or 0", "0"),
        Question("availability", "Is the availability changing, or out of our control: 1 or 0?", "1 or 0", "0"),
    ),
    PlayKind.SPECIALIZATION: (
        Question("domain_examples", "How many curated examples of the domain are there?", "examples", "2500"),
        Question("edge_cases", "How many of them were chosen to cover edge cases?", "examples", "300"),
        Question("generalist_accuracy", "On which share of domain examples is the generalist right?", "share", "0.62"),
        Question("wanted_accuracy", "On which share does the domain need it to be right?", "share", "0.75"),
    ),
}

# What a worksheet may hold in addition; all of it is optional.
BESIDES: dict[PlayKind, tuple[Question, ...]] = dict.fromkeys(PlayKind, ()) | {
    PlayKind.COST: (
        Question("retrains_per_month", "How many refreshes are there a month?", "refreshes", "0.33"),
        Question("retrain_cost", "What does one refresh cost: labelling, compute, review?", "money", "300"),
        Question("fallback_share", "Which share of the calls does the student hand back to the teacher?", "share", "0"),
        Question("horizon_months", "Over how many months is the build's worth counted?", "months", "24"),
        Question("discount_per_year", "At which yearly rate are later savings discounted?", "share", "0.08"),
        Question(
            "decision_price_per_million",
            "What would a typed-decision API charge for a million input tokens (USD 0.042 to 0.10 in November 2026)?",
            "money",
            "0.10",
        ),
        Question(
            "decision_tokens_per_call",
            "How many input tokens has one call of it, with the instructions and every label?",
            "tokens",
            "400",
        ),
        Question(
            "smaller_model_cost_per_1k",
            "What would 1,000 calls of a smaller hosted model cost (500 tokens at 0.60 a million, November 2026)?",
            "money",
            "0.30",
        ),
    )
}
HORIZON_MONTHS, DISCOUNT_PER_YEAR = Decimal(24), Decimal("0.08")  # where the worksheet has none

LEAST_DAYS, MOST_DAYS = 30, 90  # of production traffic for a cost play
LEAST_DAYS_OF_USE = 14  # for a stability play: each weekday twice
LEAST_DOMAIN_EXAMPLES = 100  # for a specialization play: fewer are too few to measure experts by

_SHARES = frozenset(
    question.name for each in (*WORKSHEET.values(), *BESIDES.values()) for question in each if question.unit == "share"
)
_FLAGS = frozenset(question.name for each in WORKSHEET.values() for question in each if question.unit == "1 or 0")


def trigger_holds(kind: PlayKind, values: Mapping[str, Decimal], currency: str = USUAL) -> list[str]:
    """Return why the trigger of this kind does not hold, in full sentences; nothing means that it does.

    Numbers that are missing or out of range come first, by name; the trigger itself is judged once they are sound.
    """
    unsound = []
    for question in WORKSHEET[kind]:
        if question.name not in values:
            unsound.append(f"{question.name} is missing: {question.sentence} (for example {question.example}).")
        else:
            unsound.append(out_of_range(question.name, values[question.name]))
    unsound += [
        out_of_range(question.name, values[question.name]) for question in BESIDES[kind] if question.name in values
    ]
    reasons = [sentence for sentence in unsound if sentence]
    return reasons or list(_cost(values, currency) if kind is PlayKind.COST else _TRIGGERS[kind](values))


def _cost(values: Mapping[str, Decimal], currency: str) -> Iterator[str]:
    calls, price = values["calls_per_month"], values["teacher_cost_per_1k"]
    spend, threshold, days = calls * price / _THOUSAND, values["threshold_per_month"], values["window_days"]
    if spend <= threshold:
        yield (
            f"The task costs {money(spend, currency)} a month ({calls:,f} calls at {money(price, currency)} a "
            f"thousand), which does not pass the threshold of {money(threshold, currency)}: correct the numbers or "
            "kill the play."
        )
    best = monthly_saving(Prices.from_values(values), Decimal(0))
    if spend > threshold and best <= 0:
        yield (
            f"No student can save anything: the teacher's bill is {money(spend, currency)} a month, and even a student "
            f"whose answers cost nothing leaves {money(spend - best, currency)} a month for serving, refreshes and the "
            "teacher's remaining calls: correct the numbers or kill the play."
        )
    if not LEAST_DAYS <= days <= MOST_DAYS:
        yield f"window_days is {days:f}; a cost play takes the last {LEAST_DAYS} to {MOST_DAYS} days of traffic."


def _latency(values: Mapping[str, Decimal]) -> Iterator[str]:
    teacher, target = values["teacher_p95_ms"], values["target_p95_ms"]
    if target == 0:
        yield "target_p95_ms is 0; no answer takes no time: give a target above 0."
    elif teacher <= target:
        yield (
            f"The teacher's p95 is {teacher:,f} ms, which is within the target of {target:,f} ms: "
            "there is nothing to gain: correct the numbers or kill the play."
        )
    if values["calls_per_month"] == 0:
        yield "calls_per_month is 0; a feature without calls has no latency problem."
    if values["abandoned_share"] == 0:
        yield "abandoned_share is 0; the trigger is that users give up waiting: measure how many do, or kill the play."
    if values["share_of_top_patterns"] == 0:
        yield "share_of_top_patterns is 0; the data is weighted to the top patterns: fill in their share."


def _stability(values: Mapping[str, Decimal]) -> Iterator[str]:
    if values["terms_permit_training"] == 0:
        yield (
            "terms_permit_training is 0; confirm that the provider's terms permit training on its outputs "
            "before anything is built, or kill the play."
        )
    if values["price_change"] == values["terms_change"] == values["availability"] == 0:
        yield "None of price_change, terms_change and availability is 1; declare at least one that we do not control."
    if values["days_of_traffic"] < LEAST_DAYS_OF_USE:
        yield (
            f"days_of_traffic is {values['days_of_traffic']:f}; a broad sample of today's use needs "
            f"{LEAST_DAYS_OF_USE} days or more, so that each weekday is in it twice."
        )
    if values["calls_per_month"] == 0:
        yield "calls_per_month is 0; an API that is not used needs no student."


def _specialization(values: Mapping[str, Decimal]) -> Iterator[str]:
    examples, edge = values["domain_examples"], values["edge_cases"]
    has, wants = values["generalist_accuracy"], values["wanted_accuracy"]
    if examples < LEAST_DOMAIN_EXAMPLES:
        yield f"domain_examples is {examples:f}; curate {LEAST_DOMAIN_EXAMPLES} or more before a student is trained."
    if edge == 0:
        yield "edge_cases is 0; choose some examples to cover the edge cases of the domain deliberately."
    if edge > examples:
        yield f"edge_cases is {edge:f}, but they are part of the {examples:f} domain examples; correct one of the two."
    if has >= wants:
        yield (
            f"The generalist is right on {_percent(has)}%, which is not below the {_percent(wants)}% wanted: "
            "correct the numbers or kill the play."
        )


_TRIGGERS: dict[PlayKind, Callable[[Mapping[str, Decimal]], Iterator[str]]] = {
    PlayKind.LATENCY: _latency,
    PlayKind.STABILITY: _stability,
    PlayKind.SPECIALIZATION: _specialization,
}


def out_of_range(name: str, value: Decimal) -> str:
    """Return why a number of a worksheet cannot be what it is called, or nothing."""
    if not value.is_finite():
        return f"{name} is {value}; give a finite number."
    if value != 0 and not -_DIGITS <= value.adjusted() < _DIGITS:
        return f"{name} has more than {_DIGITS} digits before the point, or zeros after it; give it in its own unit."
    if value < 0:
        return f"{name} is {value:f}; it cannot be below 0."
    if name in _SHARES and value > 1:
        return f"{name} is {value:f}; it is a share from 0 to 1, so write 5% as 0.05."
    if name in _FLAGS and value not in (0, 1):
        return f"{name} is {value:f}; answer 1 for yes or 0 for no."
    return ""


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _percent(share: Decimal) -> str:
    return f"{share * 100:.4f}".rstrip("0").rstrip(".")
