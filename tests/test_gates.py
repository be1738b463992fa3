"""Gates and verdicts: what cannot be locked, what cannot be read, and when a criterion holds."""

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill_tui.gates import economics, wording
from distill_tui.gates.compare import compare
from distill_tui.gates.gate import ANY_ORDER, LISTS, Criterion, Gate, Interim, default_gate
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.judging import judge, methods, passed
from distill_tui.gates.power import power
from distill_tui.gates.problems import problems
from distill_tui.gates.progress import progress
from distill_tui.gates.record import SUBJECTS, Record
from distill_tui.gates.written import digest, from_json, from_toml, to_json, to_toml
from distill_tui.review.rates import segment_rates
from distill_tui.terms import Assurance, Metric, PlayKind, Reference, Task, Verdict

ACCURACY, AGREEMENT, P95 = Metric.ACCURACY, Metric.AGREEMENT, Metric.P95_LATENCY
TEACHER, BASELINE = Reference.TEACHER, Reference.BASELINE
ORDER = (Verdict.MISSES, Verdict.UNPROVEN, Verdict.HOLDS)


def close_to_teacher(margin: str = "0.05", scope: str = "all", **more: object) -> Criterion:
    return Criterion(ACCURACY, TEACHER, scope, margin=Decimal(margin), **more)  # type: ignore[arg-type]


def at_least(threshold: str, metric: Metric = ACCURACY, scope: str = "all", **more: object) -> Criterion:
    return Criterion(metric, scope=scope, threshold=Decimal(threshold), **more)  # type: ignore[arg-type]


def one_look(*criteria: Criterion, **more: object) -> Gate:
    return Gate(criteria, rounds=1, **more)  # type: ignore[arg-type]


def record(
    student: Sequence[int],
    teacher: Sequence[int] | None = None,
    gold: Sequence[int] | None = None,
    **more: object,
) -> Record:
    """Make a record of two labels; by default teacher and gold are 1 everywhere, so a 1 is right."""
    count = len(student)
    values: dict[str, object] = {
        "labels": ("no", "yes"),
        "rows": tuple(range(count)),
        "gold": tuple(gold if gold is not None else [1] * count),
        "teacher": tuple(teacher if teacher is not None else [1] * count),
        "student": tuple(student),
        "baseline": (0,) * count,
        "majority": 0 if count else -1,
        "segment": (-1,) * count,
        "segments": (),
        "group": tuple(range(count)),
    }
    if not count:
        values["majority"] = 0
    return Record(**values | more)  # type: ignore[arg-type]


def only(judgements: tuple[Judgement, ...]) -> Judgement:
    (judgement,) = judgements
    return judgement


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Draw any valid record: empty, of one class, of one group, without gold, all wrong."""
    count = draw(st.integers(0, 25))
    labels = draw(st.integers(1, 3))
    segments = draw(st.integers(0, 3))
    groups = draw(st.sampled_from([1, 4, 1000]))

    def column(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(low, high), min_size=count, max_size=count)))

    runs = st.lists(st.lists(st.integers(0, 10**6), max_size=5).map(tuple), max_size=3).map(tuple)
    return Record(
        labels=tuple("abc"[:labels]),
        rows=tuple(range(count)),
        gold=column(-1, labels - 1),
        teacher=column(-1, labels - 1),
        student=column(0, labels - 1),
        baseline=column(-1, labels - 1),
        majority=draw(st.integers(-1, labels - 1)),
        segment=column(-1, segments - 1),
        segments=tuple(f"s{each}" for each in range(segments)),
        group=column(0, groups - 1),
        latency_us=draw(st.dictionaries(st.sampled_from(SUBJECTS), runs)),
        parameters=draw(st.dictionaries(st.sampled_from(SUBJECTS), st.integers(0, 10**9))),
        bytes=draw(st.dictionaries(st.sampled_from(SUBJECTS), st.integers(0, 10**9))),
        machine=draw(st.dictionaries(st.text(max_size=5), st.integers(-9, 9) | st.text(max_size=5), max_size=2)),
        data_set=draw(st.text(max_size=5)),
        payback_inputs=draw(st.sampled_from([{}, {"build_cost": "1"}, PRICES])),
    )


TO_SIX_THOUSAND = economics.Range("build_cost", Decimal(4000), Decimal(6000), "quotes", "2026-01-31")
PRICES = {
    "calls_per_month": "1000000",
    "teacher_cost_per_1k": "2.00",
    "machine_price_per_hour": "0.36",
    "serving_cost_per_month": "100",
    "build_cost": "5000",
    "sample_share": "0.01",
}

EVERYTHING = Gate(
    (
        close_to_teacher(binding=True),
        close_to_teacher("0.3", "every segment"),
        close_to_teacher("0.5", "segment: s1"),
        Criterion(ACCURACY, BASELINE, margin=Decimal(0)),
        at_least("0.3"),
        at_least("0.4", AGREEMENT, "every segment"),
        at_least("0.5", AGREEMENT),
        at_least("0.5", P95),
        at_least("6", Metric.PAYBACK),
        at_least("50", Metric.SIZE, watch_only="optional"),
        at_least("0.2", ACCURACY, "segment: nowhere"),
    )
)

numbers = st.decimals(min_value=-2, max_value=2, places=3)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
criteria = st.builds(
    Criterion,
    metric=st.sampled_from(Metric),
    reference=st.sampled_from(Reference),
    scope=st.sampled_from(["all", "every segment", "segment: s0", "top 3 patterns", "beyond the top 3 patterns"])
    | words,
    margin=st.none() | numbers,
    threshold=st.none() | numbers,
    binding=st.booleans(),
    watch_only=words,
    agreed_with=words,
)
ranges = st.builds(
    economics.Range,
    name=st.sampled_from(["build_cost", "calls_per_month", "rent"]),
    low=numbers,
    high=numbers,
    source=words,
    dated=st.sampled_from(["", "2026-01-31"]),
)
any_gate = st.builds(
    Gate,
    criteria=st.lists(criteria, max_size=4).map(tuple),
    confidence=numbers,
    rounds=st.integers(-1, 9),
    held_out_rows=st.integers(-1, 9999),
    validation_share=numbers,
    seed=st.integers(-1, 99),
    baseline=st.sampled_from(["tfidf", "majority"]) | words,
    minimum_assurance=st.sampled_from(Assurance),
    window_from=st.sampled_from(["", "2026-01-01"]) | words,
    window_to=words,
    statement=words,
    predecessor=words,
    by_time=st.booleans(),
    teacher_agreement=st.none() | numbers,
    ranges=st.lists(ranges, max_size=2).map(tuple),
    payback_chance=numbers,
    interim=st.none() | st.builds(Interim, lead=numbers, days=st.integers(-1, 400)),
    lists=st.sampled_from(LISTS) | words,
    methods=st.integers(-1, 3),
)


# --- what cannot be locked -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PlayKind)
def test_a_gate_without_criteria_cannot_be_locked(kind: PlayKind) -> None:
    assert problems(Gate(()), kind) == ["The gate has no criteria; add at least one."]


def test_a_gate_names_exactly_one_binding_criterion() -> None:
    none = Gate((close_to_teacher(),))
    assert problems(none, PlayKind.STABILITY) == [
        "No criterion is binding; mark exactly one, the win metric of a stability play: accuracy, agreement or "
        "another score."
    ]
    two = Gate((close_to_teacher(binding=True), at_least("0.9", AGREEMENT, binding=True)))
    assert problems(two, PlayKind.STABILITY)[0].startswith("2 criteria are binding; mark exactly one")


@pytest.mark.parametrize(
    ("kind", "criterion"),
    [
        (PlayKind.COST, at_least("50", P95, binding=True)),
        (PlayKind.COST, at_least("6", Metric.PAYBACK, binding=True)),
        (PlayKind.LATENCY, close_to_teacher(binding=True)),
        (PlayKind.STABILITY, at_least("50", Metric.SIZE, binding=True)),
        (PlayKind.SPECIALIZATION, close_to_teacher(binding=True)),
        (PlayKind.SPECIALIZATION, Criterion(ACCURACY, BASELINE, margin=Decimal("0.02"), binding=True)),
    ],
)
def test_the_binding_metric_is_what_the_kind_wins(kind: PlayKind, criterion: Criterion) -> None:
    assert any("is binding, but a" in problem for problem in problems(Gate((criterion,)), kind))


@pytest.mark.parametrize(
    ("criterion", "sentence"),
    [
        (close_to_teacher("1"), "which cannot fail; 5 points are written 0.05."),
        (close_to_teacher("0"), "allow it to trail by something above 0, like 0.02."),
        (close_to_teacher("-0.01"), "allow it to trail by something above 0, like 0.02."),
        (Criterion(ACCURACY, BASELINE, margin=Decimal(-1)), "which cannot pass; a lead of 5 points is written -0.05."),
        (at_least("0"), "which cannot fail; give a share above 0, like 0.9."),
        (at_least("1"), "which no sample proves; give a share below 1, like 0.9."),
        (at_least("1.2", AGREEMENT), "which no sample proves; give a share below 1, like 0.9."),
        (at_least("0", P95), "which cannot pass; give a number above 0."),
        (at_least("-1", Metric.PAYBACK), "which cannot pass; give a number above 0."),
        (at_least("NaN"), "give a number of at most 18 digits."),
        (at_least("1E+99", P95), "give a number of at most 18 digits."),
        (close_to_teacher("Infinity"), "give a number of at most 18 digits."),
        (Criterion(ACCURACY), "has no threshold; give one, or a reference and a margin."),
        (Criterion(ACCURACY, TEACHER), "write how far the student may trail the teacher, like 0.05."),
        (Criterion(ACCURACY, margin=Decimal("0.1")), "has a margin but no reference; name the teacher or the baseline"),
        (Criterion(ACCURACY, TEACHER, threshold=Decimal("0.9")), "has a reference and a threshold; give a margin"),
        (Criterion(AGREEMENT, TEACHER, margin=Decimal("0.1")), "agreement already compares with the teacher"),
        (Criterion(P95, TEACHER, margin=Decimal("0.1")), "has no reference to trail; give"),
        (at_least("50", P95, "every segment"), "is measured over all requests; give it the scope 'all'."),
        (at_least("6", Metric.PAYBACK, "segment: a"), "is measured over all requests; give it the scope 'all'."),
        (at_least("0.9", scope="sometimes"), "is none of 'all', 'every segment' and 'segment: NAME'"),
        (at_least("0.9", scope="segment: "), "names no segment; write 'segment: NAME'."),
        (at_least("0.9", binding=True, watch_only="small"), "is binding and only watched; choose one."),
        (at_least("0.9", watch_only=" "), "is only watched, without a reason; write why it does not count."),
    ],
)
def test_a_criterion_that_cannot_be_judged_cannot_be_locked(criterion: Criterion, sentence: str) -> None:
    good = default_gate(PlayKind.STABILITY)
    found = problems(
        replace(good, criteria=(close_to_teacher("0.07", binding=True, scope="all"), criterion)), PlayKind.COST
    )
    assert any(sentence in problem for problem in found), found


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"rounds": 0}, "rounds is 0; at least one round is needed."),
        ({"held_out_rows": 0}, "held_out_rows is 0; at least one held-out row is needed."),
        ({"confidence": Decimal(1)}, "confidence is 1; it must be above 0.5 and below 1, like 0.95."),
        ({"confidence": Decimal("NaN")}, "confidence is NaN; it must be above 0.5 and below 1, like 0.95."),
        ({"confidence": Decimal(95)}, "confidence is 95; it must be above 0.5 and below 1, like 0.95."),
        ({"validation_share": Decimal(0)}, "validation_share is 0; it must be above 0 and below 1, like 0.1."),
        (
            {"ranges": (replace(TO_SIX_THOUSAND, name="rent"),)},
            "Unknown price 'rent' in a range; the prices are calls_per_month, teacher_cost_per_1k, "
            "machine_price_per_hour, serving_cost_per_month, build_cost, sample_share, retrains_per_month, "
            "retrain_cost, fallback_share.",
        ),
        (
            {"ranges": (replace(TO_SIX_THOUSAND, low=Decimal(7000)),)},
            "The range of build_cost goes from 7000 to 6000; begin at 0 or more and end no lower.",
        ),
        (
            {"ranges": (replace(TO_SIX_THOUSAND, dated="soon"),)},
            "The range of build_cost has no source or no date; write both, the date as 2026-01-31.",
        ),
        ({"ranges": (TO_SIX_THOUSAND, TO_SIX_THOUSAND)}, "A price has two ranges; keep one."),
        ({"payback_chance": Decimal(80)}, "payback_chance is 80; it must be above 0 and below 1, like 0.8."),
        (
            {"teacher_agreement": Decimal(97)},
            "teacher_agreement is 97; it is a share above 0 and at most 1, like 0.97.",
        ),
        ({"seed": -1}, "seed is -1; it must be 0 or more."),
        ({"baseline": "gpt"}, "baseline is 'gpt'; it is tfidf or majority."),
        ({"window_from": "2026-13-01"}, "window_from is '2026-13-01'; write a date like 2026-01-31."),
        ({"window_to": "20260101"}, "window_to is '20260101'; write a date like 2026-01-31."),
        (
            {"window_from": "2026-02-01", "window_to": "2026-01-31"},
            "window_from 2026-02-01 is after window_to 2026-01-31; swap them.",
        ),
    ],
)
def test_a_gate_with_a_number_out_of_range_cannot_be_locked(changed: dict[str, object], sentence: str) -> None:
    assert problems(replace(default_gate(PlayKind.COST), **changed), PlayKind.COST) == [sentence]


def test_a_criterion_that_stands_twice_is_named() -> None:
    gate = Gate((close_to_teacher(binding=True), close_to_teacher("0.02")))
    assert problems(gate, PlayKind.STABILITY) == ["accuracy against the teacher is in the gate twice; keep one."]


def test_a_cost_gate_says_when_the_student_pays_back() -> None:
    gate = Gate((close_to_teacher(binding=True), at_least("6", Metric.PAYBACK, watch_only="unsure")))
    assert problems(gate, PlayKind.COST) == [
        "A cost play must pay back within a window; add a payback_months criterion that counts."
    ]


def test_a_latency_gate_does_not_buy_speed_with_quality() -> None:
    gate = Gate((at_least("50", P95, binding=True), at_least("0.9", watch_only="for interest")))
    (problem,) = problems(gate, PlayKind.LATENCY)
    assert problem.startswith("A latency play must not buy speed with quality")


def test_a_looser_margin_on_rare_inputs_names_who_agreed_to_it() -> None:
    fast = at_least("50", P95, binding=True)
    common, rare = close_to_teacher("0.03", "top 50 patterns"), close_to_teacher("0.1", "beyond the top 50 patterns")
    assert problems(Gate((fast, common, rare)), PlayKind.LATENCY) == [
        "accuracy against the teacher (beyond the top 50 patterns) allows more on rare inputs than on common ones; "
        "name the product owner who agreed to that: agreed_with."
    ]
    assert problems(Gate((fast, common, replace(rare, agreed_with="Pat Product"))), PlayKind.LATENCY) == []
    assert problems(Gate((fast, common, replace(rare, margin=Decimal("0.03")))), PlayKind.LATENCY) == []


def test_no_student_is_asked_to_agree_more_than_the_teacher_does_with_itself() -> None:
    gate = Gate((at_least("0.97", AGREEMENT, binding=True),), teacher_agreement=Decimal("0.96"))
    assert problems(gate, PlayKind.STABILITY) == [
        "agreement asks for more than 0.97, and the teacher agrees with itself on 0.96 only: no student can pass that; "
        "ask for less, or judge by accuracy."
    ]


@pytest.mark.parametrize("kind", PlayKind)
def test_the_suggested_gate_can_be_locked(kind: PlayKind) -> None:
    assert problems(default_gate(kind), kind) == []


@given(any_gate, st.sampled_from(PlayKind))
@settings(max_examples=40, deadline=None)
def test_problems_answer_for_any_gate_in_full_sentences(gate: Gate, kind: PlayKind) -> None:
    assert all(problem.endswith(".") for problem in problems(gate, kind))


# --- the gate as text ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rounds = ", "The gate is not TOML: Invalid value (at end of document)."),
        ("rounds = 1\nrounds = 2", "The gate is not TOML: Cannot overwrite a value (at "),
        ("a = 1\nround = 3", "A gate has no 'a' (line 1); it has "),
        ("rounds = true", "rounds (line 1) is True; give a whole number."),
        ("\nrounds = 1.5", "rounds (line 2) is 1.5; give a whole number."),
        ("confidence = nan", "confidence (line 1) is NaN; give a number of at most 18 digits"),
        ("confidence = true", "confidence (line 1) is True; give a number of at most 18 digits"),
        ("confidence = 1e-999", "confidence (line 1) is 1E-999; give a number of at most 18 digits"),
        ('minimum_assurance = "oath"', "minimum_assurance (line 1) is 'oath'; it is one of account, session"),
        ("statement = 3", "statement (line 1) is 3; write it as text in quotes."),
        ("criteria = 3", "criteria (line 1) is not a list; write each one under [[criteria]]."),
        ("criteria = [3]", "Criterion 1 is not a table; write it under [[criteria]]."),
        ("[[criteria]]\nmargin = 0.1", "Criterion 1 lacks metric; name one of accuracy"),
        ('[[criteria]]\nmetric = "speed"', "metric of criterion 1 is 'speed'; it is one of accuracy"),
        ('[[criteria]]\nmetric = "accuracy"\nmargn = 1', "Criterion 1 has an unknown 'margn' (line 3); it may have"),
        ('[[criteria]]\nmetric = "accuracy"\nbinding = 1', "binding of criterion 1 is 1; write true or false."),
        ("a = " + "[" * 5000, "The gate is not TOML: "),
        ("rounds = " + "9" * 5000, "The gate is not TOML: "),
        ("by_time = 1", "by_time (line 1) is 1; write true or false."),
        ("ranges = 3", "ranges (line 1) is not a list; write each one under [[ranges]]."),
        ('[[ranges]]\nname = "build_cost"', "Range 1 lacks low, high; write the name of a price, low and high."),
        ("[[ranges]]\nnam = 3", "Range 1 has an unknown 'nam' (line 2); it may have name, low, high, source, dated."),
        ('[[ranges]]\nname = "x"\nlow = "a"\nhigh = 1', "low of range 1 is 'a'; give a number"),
    ],
)
def test_a_gate_that_cannot_be_read_says_where(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        from_toml(text)
    assert str(refused.value).startswith(sentence)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"rounds": 1.5}', '{"rounds": NaN}', '{"seed": 1, "seed": 2}', "[" * 99999]
)
def test_a_gate_in_json_is_read_strictly(text: str) -> None:
    with pytest.raises(ValueError, match=r"^The gate "):
        from_json(text)


@given(any_gate)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_gate_survives_toml_and_json(gate: Gate) -> None:
    assert from_toml(to_toml(gate)) == gate
    assert from_json(to_json(gate)) == gate
    assert digest(from_toml(to_toml(gate))) == digest(gate)


def test_canonical_json_has_sorted_keys_no_spaces_and_no_floats() -> None:
    text = to_json(Gate((close_to_teacher("0.050"),), confidence=Decimal("9.5E-1"), statement="ü"))
    assert text == (
        '{"baseline":"tfidf","confidence":"0.95","criteria":[{"binding":false,"margin":"0.05","metric":"accuracy",'
        '"reference":"teacher","scope":"all","threshold":null,"watch_only":""}],"held_out_rows":1000,'
        '"methods":2,"minimum_assurance":"account","predecessor":"","rounds":3,"seed":1,"statement":"ü",'
        '"validation_share":"0.1","window_from":"","window_to":""}'
    )


def test_what_a_gate_does_not_say_leaves_no_trace_in_its_digest() -> None:
    plain = Gate((close_to_teacher(),))
    assert not any(word in to_json(plain) for word in ("agreed_with", "ranges", "teacher_agreement", "chance"))
    assert "ranges" in to_toml(replace(plain, ranges=(TO_SIX_THOUSAND,)))


def test_the_digest_does_not_depend_on_how_a_number_is_written() -> None:
    one, two = close_to_teacher("0.05"), close_to_teacher("0.0500")
    assert digest(Gate((one,))) == digest(Gate((two,)))
    assert digest(Gate((one,))).startswith("sha256:") and len(digest(Gate((one,)))) == 71


def test_the_digest_changes_with_every_field_of_a_gate() -> None:
    gate = default_gate(PlayKind.COST)
    other = Gate(
        gate.criteria[:1], Decimal("0.9"), 2, 999, Decimal("0.2"), 2, "majority", Assurance.SIGNED, "2026-01-01",
        "2026-02-01", "good", "p1", 20, True, Decimal("0.97"), (TO_SIX_THOUSAND,), Decimal("0.9"), Decimal("0.2"),
        Interim(Decimal("0.1"), 30), ANY_ORDER, 1,
    )  # fmt: skip
    changed = [replace(gate, **{each.name: getattr(other, each.name)}) for each in fields(Gate)]
    criterion = Criterion(AGREEMENT, Reference.NONE, "every segment", Decimal(1), Decimal(2), False, "why", "pat")
    for each in fields(Criterion):
        first = replace(gate.criteria[0], **{each.name: getattr(criterion, each.name)})
        changed.append(replace(gate, criteria=(first, *gate.criteria[1:])))
    assert len({digest(each) for each in [gate, *changed]}) == len(changed) + 1


def test_a_gate_of_other_methods_cannot_be_locked() -> None:
    gate = one_look(close_to_teacher("0.3"))
    assert all(version.startswith("1: ") for version in methods(replace(gate, methods=1)).values())
    assert "methods is 3; this release supports 1 and 2." in list(problems(replace(gate, methods=3), PlayKind.COST))


def test_a_new_gate_counts_groups_that_are_lost_whole_and_an_older_one_is_judged_as_it_was() -> None:
    """One of 79 groups is lost: the first methods call 5 points proven, and would 9.0% of the time at the margin."""
    second = one_look(close_to_teacher("0.05"))
    first = replace(second, methods=1)
    assert second.methods == 2 and from_json(to_json(first)) == first
    group = tuple(row // 5 for row in range(395))
    student = tuple(int(number > 0) for number in group)
    verdicts = [only(judge(gate, record(student, group=group))).verdict for gate in (first, second)]
    assert verdicts == [Verdict.HOLDS, Verdict.UNPROVEN]
    assert list(problems(second, PlayKind.COST)) == list(problems(first, PlayKind.COST))
    assert methods(second)[Metric.ACCURACY].startswith("2: ") and methods(second) != methods(first)
    assert digest(second) != digest(first) and from_toml(to_toml(second)) == second


# --- the record ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"gold": (1,)}, "gold of the evaluation record has 1 values for 2 rows."),
        ({"student": (1, 2)}, "student of the evaluation record holds 2, which is out of range."),
        ({"student": (1, -1)}, "student of the evaluation record holds -1, which is out of range."),
        ({"teacher": (1, -2)}, "teacher of the evaluation record holds -2, which is out of range."),
        ({"student": (1, True)}, "student of the evaluation record holds True; it takes whole numbers only."),
        ({"gold": (1, 1.0)}, "gold of the evaluation record holds 1.0; it takes whole numbers only."),
        ({"gold": [1, 1]}, "gold of the evaluation record is not a list."),
        ({"rows": (4, 4)}, "rows of the evaluation record names one row twice."),
        ({"segment": (0, 0)}, "segment of the evaluation record holds 0, which is out of range."),
        ({"labels": ("yes", "yes")}, "labels of the evaluation record names one thing twice."),
        ({"majority": 2}, "majority of the evaluation record is 2, which is out of range."),
        ({"majority": True}, "majority of the evaluation record is True, which is out of range."),
        (
            {"group": (0, 2**63)},
            "group of the evaluation record holds 9223372036854775808; it takes whole numbers only.",
        ),
        (
            {"latency_us": {"student": ((1.5,),)}},
            "latency_us of the student holds something else than whole microseconds.",
        ),
        (
            {"latency_us": {"student": ((-1,),)}},
            "latency_us of the student holds something else than whole microseconds.",
        ),
        ({"latency_us": {"student": (1,)}}, "latency_us of the student is not a list of runs."),
        ({"latency_us": {"pupil": ()}}, "latency_us of the evaluation record has 'pupil'; it has student"),
        ({"bytes": {"student": -1}}, "bytes of the student is -1; it takes whole numbers from 0."),
        ({"machine": {"load": 0.5}}, "machine 'load' is 0.5; it takes text and whole numbers."),
        ({"payback_inputs": {"build_cost": "NaN"}}, "payback_inputs 'build_cost' is 'NaN'; it takes a number as text."),
        ({"payback_inputs": {"build_cost": 5}}, "payback_inputs 'build_cost' is 5; it takes a number as text."),
        ({"confidence": (1,)}, "confidence of the evaluation record has 1 values for 2 rows."),
        ({"confidence": (1, 10_001)}, "confidence of the evaluation record holds 10001, which is out of range."),
        ({"pattern": (0, -1)}, "pattern of the evaluation record holds -1, which is out of range."),
        ({"key": (4, 4)}, "key of the evaluation record names one row twice."),
        ({"key": (4, 0.5)}, "key of the evaluation record holds 0.5; it takes whole numbers only."),
        ({"model": None}, "model of the evaluation record is None; it takes text."),
    ],
)
def test_a_record_that_cannot_be_is_refused(changed: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError) as refused:
        replace(record([1, 0]), **changed)
    assert str(refused.value).startswith(words)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda text: text.replace('"majority":0', '"majority":0.0'), "The evaluation record holds '0.0'"),
        (lambda text: text.replace('"majority":0', '"majority":NaN'), "The evaluation record holds 'NaN'"),
        (lambda text: text.replace('"majority":0', '"majority":0,"majority":1'), "has 'majority' twice; keep one."),
        (lambda text: text.replace('"majority":0,', ""), "The evaluation record lacks majority."),
        (lambda text: text.replace('"majority"', '"minority"'), "An evaluation record has no 'minority'"),
        (lambda text: text.replace('"majority":0', f'"majority":{"9" * 5000}'), "holds a number that is too long."),
        (lambda text: text[:-1], "The evaluation record is not JSON: "),
        (lambda text: "3", "The evaluation record is not a JSON object."),
        (lambda text: '{"rows":' * 99999, "The evaluation record is not JSON: it is nested too deeply."),
        (lambda text: text.replace("[0,1]", "3"), "is not a list."),
        (lambda text: text.replace('"machine":{}', '"machine":[]'), "machine of the evaluation record is not a table"),
    ],
)
def test_a_record_is_read_strictly(edit, words: str) -> None:
    with pytest.raises(ValueError) as refused:
        Record.from_json(edit(record([1, 0]).to_json()))
    assert words in str(refused.value)


@given(records())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_record_survives_json(measured: Record) -> None:
    text = measured.to_json()
    assert Record.from_json(text) == measured
    assert Record.from_json(text).to_json() == text
    assert json.loads(text)["rows"] == list(measured.rows)


def test_the_digest_changes_with_every_field_of_a_record() -> None:
    one = record([1, 0], segments=("a", "b"), segment=(0, 0))
    other = Record(
        ("yes", "no"), (5, 6), (0, 1), (0, 0), (0, 0), (1, 1), 1, (1, 1), ("a", "c"), (7, 7), {"student": ((1,),)},
        {"student": 1}, {"student": 1}, {"cpu": "x"}, "d", "m", "t", {"build_cost": "1"}, (9_000, 1), (0, 1), (7, 8),
        {"hard": (0, 1)}, {"student": {"peak_kb": 1}}, {"student": (9, 1, 90, 5)},
        {"brier_score": {"student": (1, 2)}}, 7, (0, 1), "l", Task.GENERATION,
    )  # fmt: skip
    one = replace(one, confidence=(9_000, 2))
    changed = [replace(one, **{each.name: getattr(other, each.name)}) for each in fields(Record)]
    assert len({each.digest() for each in [one, *changed]}) == len(changed) + 1


# --- the verdict: what does not hold ---------------------------------------------------------------------------------


def test_a_tie_on_few_rows_is_unproven_and_says_how_many_rows_would_decide() -> None:
    judgement = only(judge(one_look(close_to_teacher("0.02")), record([1] * 80)))
    assert judgement.verdict is Verdict.UNPROVEN
    assert judgement.rows_needed == 133
    assert judgement.sentence == (
        "Accuracy equals that of the teacher (95% bounds: trails by 3.3 to leads by 3.3); the gate allows 2: "
        "unproven, and about 53 more held-out rows with gold would decide."
    )


def test_a_point_estimate_never_decides() -> None:
    student = [1] * 98 + [0] * 2
    judgement = only(judge(one_look(close_to_teacher("0.03")), record(student)))
    assert judgement.estimate == pytest.approx(-0.02)
    assert judgement.verdict is Verdict.UNPROVEN


def test_a_student_that_is_far_behind_misses() -> None:
    judgement = only(judge(one_look(close_to_teacher()), record([1] * 80 + [0] * 20)))
    assert judgement.verdict is Verdict.MISSES
    assert judgement.rows_needed is None
    assert judgement.sentence.startswith("Accuracy trails the teacher by 20 points (95% bound: trails by 14.")


def test_a_gate_on_which_nothing_counts_is_not_passed() -> None:
    watched = at_least("0.5", watch_only="for interest")
    judgements = judge(one_look(watched), record([1] * 100))
    assert judgements[0].verdict is Verdict.HOLDS
    assert judgements[0].sentence.endswith(": holds (watched only: for interest).")
    assert not passed(judgements)
    assert not passed(())


def test_one_criterion_that_does_not_hold_fails_the_gate_and_a_watched_one_does_not() -> None:
    measured = record([1] * 300)
    miss, watched = at_least("0.9999"), at_least("0.9999", AGREEMENT, watch_only="too few rows")
    assert passed(judge(one_look(at_least("0.9"), watched), measured))
    assert not passed(judge(one_look(at_least("0.9"), miss), measured))


def test_what_was_not_measured_does_not_count_as_held() -> None:
    empty = record([])
    judgements = judge(EVERYTHING, empty)
    assert {each.verdict for each in judgements} == {Verdict.UNMEASURED}
    assert not passed(judgements)


def test_accuracy_against_the_baseline_without_gold_is_unmeasured() -> None:
    judgement = only(judge(one_look(Criterion(ACCURACY, BASELINE, margin=Decimal(0))), record([1, 1], gold=[-1, -1])))
    assert judgement.verdict is Verdict.UNMEASURED
    assert judgement.sentence == "Accuracy is unmeasured: no row has gold and an output of the tfidf baseline."


def test_a_segment_that_no_row_is_in_is_unmeasured() -> None:
    measured = record([1] * 10, segments=("a", "b"), segment=(0,) * 10)
    verdicts = {each.scope: each.verdict for each in judge(one_look(at_least("0.5", scope="every segment")), measured)}
    assert verdicts == {"segment: a": Verdict.HOLDS, "segment: b": Verdict.UNMEASURED}
    unknown = only(judge(one_look(at_least("0.5", scope="segment: c")), measured))
    assert unknown.verdict is Verdict.UNMEASURED


def test_one_group_never_holds_however_many_rows_it_has() -> None:
    measured = record([1] * 500, group=(3,) * 500)
    for criterion in (close_to_teacher("0.5"), at_least("0.5")):
        judgement = only(judge(one_look(criterion), measured))
        assert judgement.verdict is Verdict.UNPROVEN
        assert "from a single group, so the bound is rough: rows of other groups would help most" in judgement.sentence


def test_of_rows_in_groups_it_is_told_how_many_more_groups_would_decide() -> None:
    """Four rows a group, and one row in ten is lost to the teacher."""
    student, groups = [0 if row % 40 == 0 else 1 for row in range(200)], tuple(row // 4 for row in range(200))
    judgement = only(judge(one_look(close_to_teacher("0.05")), record(student, group=groups)))
    assert judgement.verdict is Verdict.UNPROVEN and judgement.rows_needed is not None
    more = judgement.rows_needed - 200
    assert (
        f"about {more} more held-out rows with gold, of {-(-more // 4)} more groups, would decide" in judgement.sentence
    )


def test_fewer_than_twenty_groups_are_warned_of() -> None:
    judgement = only(
        judge(one_look(close_to_teacher("0.5")), record([1] * 100, group=tuple(i % 12 for i in range(100))))
    )
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.groups == 12
    assert judgement.sentence.endswith("(its rows come from only 12 groups, so the bound is rough).")


def test_dependent_rows_prove_less() -> None:
    alone = record([1] * 100)
    together = record([1] * 100, group=tuple(i // 5 for i in range(100)))
    assert only(judge(one_look(close_to_teacher()), alone)).verdict is Verdict.HOLDS
    assert only(judge(one_look(close_to_teacher()), together)).verdict is Verdict.UNPROVEN


def test_each_round_spends_its_part_of_the_error_budget() -> None:
    gate = Gate((at_least("0.95"),))
    assert only(judge(gate, record([1] * 60))).level == pytest.approx(0.05 / 3)
    assert only(judge(gate, record([1] * 60))).verdict is Verdict.UNPROVEN
    assert only(judge(gate, record([1] * 60), looks_split=1)).verdict is Verdict.HOLDS
    assert only(judge(gate, record([1] * 80))).verdict is Verdict.HOLDS


# --- the verdict: what holds -----------------------------------------------------------------------------------------


def test_a_close_student_holds_and_the_sentence_says_by_how_much() -> None:
    ahead = only(judge(Gate((close_to_teacher(),)), record([1] * 925 + [0] * 75, [1] * 900 + [0] * 100)))
    assert (ahead.verdict, ahead.student, ahead.reference) == (Verdict.HOLDS, 0.925, 0.9)
    assert ahead.sentence.startswith("Accuracy leads the teacher by 2.5 points (98.3% bound: leads by 1.")
    behind = only(judge(Gate((close_to_teacher(),)), record([0] * 44 + [1] * 937 + [0] * 19, [1] * 956 + [0] * 44)))
    assert behind.sentence == (
        "Accuracy trails the teacher by 1.9 points (98.3% bound: trails by 3.8); the gate allows 5: holds."
    )


def test_without_gold_a_small_disagreement_proves_accuracy_and_a_large_one_refutes_nothing() -> None:
    gate = one_look(close_to_teacher())
    close = only(judge(gate, record([1] * 392 + [0] * 8, gold=[-1] * 400)))
    assert close.verdict is Verdict.HOLDS
    assert "as no row has gold: on 2% of rows (95% bound: 3.6%); the gate allows 5%: holds." in close.sentence
    assert close.student is None and close.upper is None
    far = only(judge(gate, record([0] * 400, gold=[-1] * 400)))
    assert far.verdict is Verdict.UNPROVEN
    assert far.rows_needed is None


@pytest.mark.parametrize(("rows", "errors"), [(59, 0), (200, 4), (400, 12), (1000, 38)])
def test_the_most_disagreements_that_still_prove_five_points(rows: int, errors: int) -> None:
    gate = one_look(close_to_teacher())
    for wrong, verdict in ((errors, Verdict.HOLDS), (errors + 1, Verdict.UNPROVEN)):
        measured = record([0] * wrong + [1] * (rows - wrong), gold=[-1] * rows)
        assert only(judge(gate, measured)).verdict is verdict


def test_agreement_counts_rows_with_teacher_output_only() -> None:
    judgement = only(judge(one_look(at_least("0.8", AGREEMENT)), record([1] * 50, [1] * 30 + [-1] * 20)))
    assert judgement.n == 30
    assert judgement.sentence.startswith("Agreement with the teacher is 100%")


def test_a_specialist_must_lead_the_baseline() -> None:
    gate = one_look(Criterion(ACCURACY, BASELINE, margin=Decimal(0), binding=True))
    half = tuple([1] * 50 + [0] * 50)
    ahead, level = (record(student, baseline=half) for student in ([1] * 70 + [0] * 30, list(half)))
    assert only(judge(gate, ahead)).verdict is Verdict.HOLDS
    assert only(judge(gate, level)).verdict is Verdict.UNPROVEN
    assert "the gate asks for a lead: holds" in only(judge(gate, ahead)).sentence
    against_majority = only(judge(replace(gate, baseline="majority"), ahead))
    assert against_majority.reference == 0
    assert "leads the majority baseline by 70 points" in against_majority.sentence


def test_every_segment_must_hold_and_the_failed_ones_are_named_by_holm() -> None:
    """13 of 20 right against a floor of 0.85 is refuted alone (p = 0.022), and not as one of six segments."""
    sizes, hits = 20, (13, 20, 20, 20, 20, 20)
    student = [int(row < hit) for hit in hits for row in range(sizes)]
    segment = tuple(index for index in range(6) for _ in range(sizes))
    six = record(student, segment=segment, segments=tuple("abcdef"))
    gate = one_look(at_least("0.85", scope="every segment"))
    first, *rest = judge(gate, six)
    assert first.scope == "segment: a"
    assert first.verdict is Verdict.UNPROVEN
    assert "as one of 6 segments (alone it would miss)" in first.sentence
    assert {each.verdict for each in rest} == {Verdict.HOLDS}
    alone = only(judge(one_look(at_least("0.85", scope="segment: a")), six))
    assert alone.verdict is Verdict.MISSES


def test_a_segment_with_a_criterion_of_its_own_is_not_among_every_segment() -> None:
    measured = record([1] * 60 + [0] * 60, segment=(0,) * 60 + (1,) * 60, segments=("top", "rare"))
    strict, loose = at_least("0.9", scope="every segment"), at_least("0.05", scope="segment: rare")
    scopes = [(each.criterion, each.scope) for each in judge(one_look(strict, loose), measured)]
    assert scopes == [(strict, "segment: top"), (loose, "segment: rare")]


def test_the_top_patterns_are_the_rows_that_are_asked_most_often() -> None:
    measured = record([1] * 60 + [0] * 60, pattern=tuple(row // 6 for row in range(120)))
    gate = one_look(at_least("0.9", scope="top 10 patterns"), at_least("0.9", scope="beyond the top 10 patterns"))
    common, rare = judge(gate, measured)
    assert (common.n, common.verdict, rare.n, rare.verdict) == (60, Verdict.HOLDS, 60, Verdict.MISSES)
    assert common.sentence.startswith("Accuracy on the top 10 patterns is 100%")
    assert rare.sentence.startswith("Accuracy beyond the top 10 patterns is 0%")


def test_a_record_without_patterns_leaves_their_criterion_unmeasured() -> None:
    assert (
        only(judge(one_look(at_least("0.5", scope="top 3 patterns")), record([1] * 99))).verdict is Verdict.UNMEASURED
    )


# --- latency, payback, size ------------------------------------------------------------------------------------------


def timed(*runs: Sequence[int], **more: object) -> Record:
    return record([1], latency_us={"student": tuple(tuple(run) for run in runs)}, **more)


def test_fewer_than_59_requests_leave_a_p95_unproven() -> None:
    judgement = only(judge(one_look(at_least("50", P95)), timed([1000] * 58)))
    assert judgement.verdict is Verdict.UNPROVEN
    assert judgement.rows_needed == 59
    assert judgement.sentence.endswith("unproven, and about 59 requests in each run would decide.")


def test_every_run_must_have_its_bound_below_the_target() -> None:
    fast, slow = [1000] * 200, [1000] * 180 + [60_000] * 20
    gate = one_look(at_least("50", P95))
    assert only(judge(gate, timed(fast, fast))).verdict is Verdict.HOLDS
    assert only(judge(gate, timed(fast, slow))).verdict is Verdict.MISSES
    assert only(judge(gate, timed(fast, [1000] * 195 + [60_000] * 5))).verdict is Verdict.UNPROVEN
    assert only(judge(gate, timed(fast, []))).verdict is Verdict.UNMEASURED


def test_a_latency_at_the_target_is_not_below_it() -> None:
    assert only(judge(one_look(at_least("50", P95)), timed([50_000] * 100))).verdict is Verdict.MISSES
    assert only(judge(one_look(at_least("50", P95)), timed([49_999] * 100))).verdict is Verdict.HOLDS
    assert "bound: 50 ms at best)" in only(judge(one_look(at_least("50", P95)), timed([50_000] * 100))).sentence


def test_a_p95_is_shown_with_the_teachers() -> None:
    measured = record([1], latency_us={"student": ((8200,) * 100,), "teacher": ((30_500,) * 9,)})
    judgement = only(judge(one_look(at_least("50", P95)), measured))
    assert (judgement.student, judgement.reference) == (8.2, 30.5)
    assert judgement.sentence == (
        "The student's p95 latency is 8.2 ms in its only run (95% bound: 8.2 ms); "
        "the gate asks for less than 50 ms: holds."
    )


def test_payback_without_prices_or_latency_is_unmeasured() -> None:
    gate = one_look(at_least("6", Metric.PAYBACK))
    assert "was not timed twice" in only(judge(gate, record([1], payback_inputs=PRICES))).sentence
    lacking = only(judge(gate, timed([1000] * 9, payback_inputs={})))
    assert lacking.verdict is Verdict.UNMEASURED
    assert "payback needs calls_per_month, teacher_cost_per_1k" in lacking.sentence


def test_payback_carries_the_interval_of_the_latency() -> None:
    runs = [[10_000] * 50, [12_000] * 50, [11_000] * 50]
    judgement = only(judge(one_look(at_least("6", Metric.PAYBACK)), timed(*runs, payback_inputs=PRICES)))
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.lower is not None and judgement.upper is not None and judgement.estimate is not None
    assert judgement.lower < judgement.estimate < judgement.upper
    assert judgement.sentence.startswith("The student pays the build back in 2.7 months (95% bound: 2.7)")
    missed = only(judge(one_look(at_least("1", Metric.PAYBACK)), timed(*runs, payback_inputs=PRICES)))
    assert "in 2.7 months (95% bound: 2.7 at best)" in missed.sentence


def test_payback_over_locked_ranges_is_judged_by_its_chance() -> None:
    runs = [[10_000] * 50, [12_000] * 50, [11_000] * 50]
    measured = timed(*runs, payback_inputs=PRICES)
    wide = economics.Range("build_cost", Decimal(1000), Decimal(20_000), "quotes", "2026-01-31")
    strict = replace(one_look(at_least("6", Metric.PAYBACK)), ranges=(wide,), payback_chance=Decimal("0.95"))
    judgement = only(judge(strict, measured))
    assert judgement.verdict is Verdict.MISSES
    assert (
        "the gate allows 6 with a chance of at least 95%, and over 10,000 draws of the locked ranges it is "
        in judgement.sentence
    )
    assert only(judge(replace(strict, payback_chance=Decimal("0.5")), measured)).verdict is Verdict.HOLDS
    assert judge(strict, measured) == judge(strict, measured)


def test_payback_that_never_comes_misses_and_an_uncertain_one_is_unproven() -> None:
    gate = one_look(at_least("6", Metric.PAYBACK))
    never = only(judge(gate, timed([10**9] * 5, [10**9] * 5, payback_inputs=PRICES)))
    assert never.verdict is Verdict.MISSES
    assert "never pays the build back" in never.sentence
    unsure = only(judge(gate, timed([10**6] * 5, [2 * 10**7] * 5, payback_inputs=PRICES)))
    assert unsure.verdict is Verdict.UNPROVEN
    assert unsure.upper is None


def test_size_is_counted_not_sampled() -> None:
    gate = one_look(at_least("27.5", Metric.SIZE))
    assert only(judge(gate, record([1], bytes={"student": 27_500_000}))).verdict is Verdict.HOLDS
    over = only(judge(gate, record([1], bytes={"student": 27_500_001})))
    assert over.verdict is Verdict.MISSES
    assert over.sentence == "The student takes 27.500001 MB; the gate allows 27.5 MB: misses."


# --- rules that hold for any record ----------------------------------------------------------------------------------


@given(any_gate, records())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_judging_answers_for_any_gate_and_record(gate: Gate, measured: Record) -> None:
    for judgement in judge(gate, measured) + judge(EVERYTHING, measured):
        assert judgement.sentence.endswith(".")
        assert judgement.groups <= max(judgement.n, 1)
        if judgement.estimate is not None and judgement.upper is not None and judgement.lower is not None:
            assert judgement.lower - 1e-9 <= judgement.estimate <= judgement.upper + 1e-9
        if judgement.rows_needed is not None:
            assert judgement.verdict is Verdict.UNPROVEN
    power(gate)


@given(records(), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_verdict_never_improves_when_a_right_answer_turns_wrong(measured: Record, data: st.DataObject) -> None:
    if len(measured.labels) < 2:
        return
    right = [row for row, label in enumerate(measured.student) if label in (measured.gold[row], measured.teacher[row])]
    if not right:
        return
    row = data.draw(st.sampled_from(right))
    wrong = [label for label in range(len(measured.labels)) if label not in (measured.gold[row], measured.teacher[row])]
    if not wrong:
        return
    student = (*measured.student[:row], wrong[0], *measured.student[row + 1 :])
    for before, after in zip(
        judge(EVERYTHING, measured), judge(EVERYTHING, replace(measured, student=student)), strict=True
    ):
        if before.verdict is Verdict.UNMEASURED:
            assert after.verdict is Verdict.UNMEASURED
        else:
            assert ORDER.index(after.verdict) <= ORDER.index(before.verdict)


@given(records(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_order_of_rows_never_matters(measured: Record, random) -> None:
    order = list(range(len(measured.rows)))
    random.shuffle(order)
    columns = ("rows", "gold", "teacher", "student", "baseline", "segment", "group")
    shuffled = {name: tuple(getattr(measured, name)[row] for row in order) for name in columns}
    assert judge(EVERYTHING, replace(measured, **shuffled)) == judge(EVERYTHING, measured)
    assert segment_rates(replace(measured, **shuffled)) == segment_rates(measured)


def test_a_student_at_its_bar_is_not_advised_to_wait_for_millions_of_rows() -> None:
    """It trails by 2 points, as the gate allows to within a thousandth of a point."""
    student = [0] * 20 + [1] * 980
    judgement = only(judge(one_look(close_to_teacher("0.02001")), record(student)))
    assert judgement.verdict is Verdict.UNPROVEN
    assert judgement.rows_needed is not None and judgement.rows_needed > 10**6
    assert judgement.sentence.endswith(
        "so near the bar that it would take over 100,000 more held-out rows with gold to decide."
    )


def test_a_segment_that_would_miss_alone_is_told_how_many_of_its_own_rows_would_decide() -> None:
    """Five segments are accused at once; one is just bad enough to miss were it alone."""
    names = tuple("abcde")
    student = [0] * 23 + [1] * 77 + ([0] * 8 + [1] * 92) * 4
    where = {"segments": names, "segment": tuple(row // 100 for row in range(500))}
    gate = one_look(close_to_teacher("0.15", "every segment"))
    first, *_ = judge(gate, record(student, **where))
    assert first.verdict is Verdict.UNPROVEN and "alone it would miss" in first.sentence
    assert first.rows_needed is not None and first.rows_needed > 150
    more = first.rows_needed - 100
    assert f"about {more} more held-out rows of this segment with gold would decide" in first.sentence
    longer = [0] * round(0.23 * first.rows_needed)
    longer += [1] * (first.rows_needed - len(longer)) + student[100:]
    at = [0] * first.rows_needed + [1 + row // 100 for row in range(400)]
    again, *_ = judge(gate, record(longer, segments=names, segment=tuple(at)))
    assert again.verdict is Verdict.MISSES


# --- power -----------------------------------------------------------------------------------------------------------


def test_too_few_rows_are_told_before_the_lock() -> None:
    (note,) = power(one_look(close_to_teacher("0.02"), held_out_rows=80), discordance=0.1)
    assert note.enough is False
    assert note.sentence == (
        "Accuracy: with 80 rows a true tie is recognised only with a margin of 9.8 points; you asked for 2: add 1,498 "
        "held-out rows with gold and an answer of the teacher, accept 9.8, or lock knowing that the answer will be "
        "unproven: even a student without a single difference needs at least 133 rows to hold."
    )
    (note,) = power(one_look(close_to_teacher("0.02"), held_out_rows=150), discordance=0.1)
    assert note.possible and note.sentence.endswith("lock knowing that the answer will most likely be unproven.")


def test_a_floor_that_no_result_could_prove_is_told() -> None:
    (note,) = power(one_look(at_least("0.95"), held_out_rows=58))
    assert note.enough is False
    assert note.sentence == (
        "Accuracy: with 58 rows a floor of 95% can never be proven, even with 0 errors: it takes 59, so add 1 "
        "held-out row with gold, lower the floor, or only watch it."
    )
    (note,) = power(one_look(at_least("0.95"), held_out_rows=93))
    assert note.enough and "is proven by 1 error at most" in note.sentence


def test_a_p95_on_too_few_requests_is_told() -> None:
    (note,) = power(one_look(at_least("50", P95), held_out_rows=50))
    assert note.enough is False
    assert (
        "no p95 can be bounded from above: that takes 59 requests in each run, so add 9 held-out rows." in note.sentence
    )


def test_segments_are_told_one_by_one_once_their_shares_are_known() -> None:
    gate = one_look(close_to_teacher("0.1", "every segment"))
    (unknown,) = power(gate)
    assert unknown.rows is None and unknown.rows_needed == 130
    assert "a margin of 10 needs 130 rows in each segment" in unknown.sentence
    large, small = power(gate, segment_shares={"large": 0.9, "small": 0.1})
    assert (large.rows, large.enough) == (900, True)
    assert (small.rows, small.enough) == (100, False)
    assert "in segment 'small': with 100 rows" in small.sentence


def test_what_no_result_could_prove_is_said_to_be_impossible() -> None:
    gate = one_look(close_to_teacher("0.05", "every segment"), at_least("0.9", AGREEMENT), held_out_rows=500)
    large, small, floor = power(gate, segment_shares={"large": 0.9, "small": 0.1})
    assert (large.possible, small.possible, floor.possible) == (True, False, True)
    assert small.sentence.endswith("even a student without a single difference needs at least 52 rows to hold.")


def test_each_pattern_counts_as_one_row_and_the_teachers_own_disagreement_is_used() -> None:
    gate = one_look(
        close_to_teacher("0.05", "top 400 patterns"), close_to_teacher("0.05", "beyond the top 400 patterns")
    )
    assert [note.rows for note in power(gate)] == [400, 600]
    sure = power(replace(gate, teacher_agreement=Decimal("0.99")))
    assert (sure[0].rows_needed or 0) < (power(gate)[0].rows_needed or 0)


def test_two_gates_stand_side_by_side() -> None:
    before = one_look(close_to_teacher("0.02", binding=True), at_least("50", P95))
    now = replace(before, criteria=(close_to_teacher("0.05", binding=True),), rounds=4, ranges=(TO_SIX_THOUSAND,))
    moved = {line.what: (line.before, line.now) for line in compare(before, now) if line.moved}
    assert moved == {
        "accuracy against the teacher": ("margin 0.02, binding", "margin 0.05, binding"),
        "p95_latency_ms": ("50", ""),
        "rounds": ("1", "4"),
        "ranges": ("", "build_cost 4000 to 6000"),
    }
    assert not any(line.moved for line in compare(now, now))


def test_dependent_rows_are_worth_fewer() -> None:
    gate = one_look(close_to_teacher("0.05"))
    (alone,), (together,) = power(gate), power(gate, design_effect=3)
    assert alone.enough and not together.enough
    assert together.rows_needed == 1521


def test_a_lead_over_the_baseline_hangs_on_how_large_it_is() -> None:
    (note,) = power(one_look(Criterion(ACCURACY, BASELINE, margin=Decimal("-0.02"))))
    assert note.enough is None
    assert note.sentence == (
        "Accuracy: with 1,000 rows a lead over the tfidf baseline is recognised from 5.6 points; you asked for 2."
    )


def test_a_criterion_without_a_number_has_no_power() -> None:
    (note,) = power(one_look(Criterion(ACCURACY)))
    assert note.enough is False


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_rates_are_counted_for_all_and_for_each_segment() -> None:
    measured = record([1, 1, 0, 1], [1, 0, 1, -1], [1, 1, 1, -1], segment=(0, 0, 1, 1), segments=("a", "b"))
    everything, first, second = segment_rates(measured)
    assert [each.scope for each in (everything, first, second)] == ["all", "segment: a", "segment: b"]
    assert everything.student is not None and (everything.student.hits, everything.student.n) == (2, 3)
    assert everything.teacher is not None and (everything.teacher.hits, everything.teacher.n) == (2, 3)
    assert everything.agreement is not None and (everything.agreement.hits, everything.agreement.n) == (1, 3)
    assert first.difference is not None and first.difference[0] == 0.5
    assert second.n == 2 and second.student is not None and second.student.share == 0


def test_what_is_not_there_has_no_rate() -> None:
    (rates,) = segment_rates(record([], gold=[]))
    assert (rates.student, rates.agreement, rates.difference) == (None, None, None)


# --- what later rounds brought ---------------------------------------------------------------------------------------


def on_validation(student: Sequence[int], keys: Sequence[int], **more: object) -> Record:
    return record(student, key=tuple(keys), **more)


def test_rounds_are_compared_on_the_rows_that_both_students_answered_whatever_their_order() -> None:
    gate = Gate((close_to_teacher("0.01", binding=True),), rounds=6)
    before = on_validation([0] * 40 + [1] * 460, range(500))
    after = on_validation([1] * 470 + [0] * 30, [*reversed(range(20, 500)), *range(1000, 1020)])
    seen = progress(gate, before, after, rounds_left=3)
    assert seen is not None
    assert seen.outlook.gain.rows == 480
    assert seen.outlook.gain.mean == pytest.approx((470 - 460) / 480)
    assert seen.outlook.gap == pytest.approx(0.06 - 0.01)


def test_flat_rounds_far_from_the_bar_are_hopeless_and_the_sentence_has_the_figures() -> None:
    gate = Gate((close_to_teacher("0.01", binding=True),), rounds=5)
    before = on_validation([0] * 60 + [1] * 440, range(500))
    after = on_validation([1] * 20 + [0] * 40 + [1] * 420 + [0] * 20, range(500))
    seen = progress(gate, before, after, rounds_left=2)
    assert seen is not None
    assert seen.sentence == (
        "Two rounds moved accuracy against the teacher on the validation split by 0 points (at most 1.5, on 500 rows); "
        "it is 11 short of the bar, and with 2 rounds left two rounds must bring 11: even the upper bound of the "
        "gain is not enough."
    )


def test_nothing_is_said_of_progress_without_common_rows_or_rounds_left() -> None:
    gate = Gate((close_to_teacher(binding=True),), rounds=5)
    one, other = on_validation([1, 0], (1, 2)), on_validation([1, 0], (3, 4))
    assert progress(gate, one, other, rounds_left=2) is None
    assert progress(gate, one, one, rounds_left=0) is None
    assert progress(gate, record([1, 0]), one, rounds_left=2) is None
    assert progress(one_look(at_least("50", P95, binding=True)), one, one, rounds_left=2) is None


def test_a_difference_that_rounds_to_nothing_is_not_called_a_lag() -> None:
    assert wording.distance(0.0, "the teacher") == "equals that of the teacher"
    assert wording.distance(-0.0004, "the teacher") == "is within 0.05 points of the teacher"
    assert wording.distance(-0.001, "the teacher") == "trails the teacher by 0.1 points"
