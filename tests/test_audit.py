"""What a data set covers and what is wrong with it: named, counted, quoted masked, accepted with a reason or mended."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.dataset.audit import coverage, language, privacy, topics
from distill_tui.dataset.build import Row
from distill_tui.gates.gate import Criterion, Gate, default_gate
from distill_tui.gates.written import from_toml, to_toml
from distill_tui.rules.data import findings
from distill_tui.rules.objection import Refused
from distill_tui.runs import headroom
from distill_tui.store.project import Project
from distill_tui.terms import FindingLevel, Metric, PlayKind, Reference, Split, Task
from support import data_runs, data_stage
from support.by_hand import by_hand
from support.findings import sentence
from support.intake import MIA

FLOOR = Criterion(Metric.ACCURACY, threshold=Decimal("0.9"), binding=True)
GATE = Gate((FLOOR,), held_out_rows=100)


def row(text: str, split: Split = Split.TRAIN, segment: str = "web", **more: str | None) -> Row:
    labels = {"gold": "good", "teacher_output": "good"} | more
    return Row(0, text, text, labels["gold"], segment, None, split, 1.0, labels["teacher_output"], None)


def rows(count: int = 300, **changes: object) -> list[Row]:
    """Every fourth row is held out; a tenth of the traffic comes by mail."""
    splits = (Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.HELD_OUT)
    made = [row(sentence(n), splits[n % 4], "mail" if n % 10 == 3 else "web") for n in range(count)]
    return [replace(each, **changes) for each in made]  # type: ignore[arg-type]


def audited(found: list[Row], gate: Gate = GATE, labels: tuple[str, ...] = ("bad", "good")) -> coverage.Audit:
    return coverage.audit(found, ["2026-10-05T00:00:00"] * len(found), gate, labels)


def says(found: coverage.Audit, kind: str) -> list[str]:
    return [finding.says for finding in found.findings if finding.id.startswith(kind)]


# coverage


def test_a_label_and_a_segment_that_are_missing_or_thin_are_named_and_counted() -> None:
    found = audited([*rows(), row("alone", Split.HELD_OUT, "fax")])
    assert says(found, "missing") == [
        "Label bad has no row in any split.",
        "Segment fax (0.3% of the traffic) has no training row.",
    ]
    assert any("Segment mail" in said and "has only" in said for said in says(found, "thin"))
    assert any("Segment mail" in said and "too uncertain to use" in said for said in says(found, "unproven"))
    assert not any("Segment web" in said for said in says(found, "thin"))


def test_the_traffic_counts_a_row_as_often_as_it_came() -> None:
    found = audited([replace(row, weight=9.0) if row.segment == "mail" else row for row in rows()])
    shares = {value.value: value.traffic for value in found.axes["segment"]}
    assert shares["mail"] == pytest.approx(30 * 9 / (30 * 9 + 270))


def test_every_axis_adds_up_to_all_rows() -> None:
    found = audited(rows())
    assert set(found.axes) == {"label", "segment", "length", "language", "month", "topic"}
    for values in found.axes.values():
        assert sum(value.train + value.validation + value.held_out for value in values) == 300
        assert sum(value.traffic for value in values) == pytest.approx(1)


def test_held_out_rows_are_counted_and_never_quoted_or_judged() -> None:
    secret = row("my card is 4111 1111 1111 1111", Split.HELD_OUT, gold="bad", teacher_output="good")
    found = audited([*rows(), secret])
    assert not found.pii and not says(found, "private")
    assert sum(value.differ for value in found.axes["segment"]) == 0


def test_what_a_criterion_of_one_segment_needs_is_set_against_what_is_there() -> None:
    own = Criterion(Metric.ACCURACY, Reference.TEACHER, "segment: fax", margin=Decimal("0.05"))
    found = audited(rows(), replace(GATE, criteria=(FLOOR, own)))
    (finding,) = [finding for finding in found.findings if finding.id.startswith("gate")]
    assert finding.level == FindingLevel.MUST and "fax" in finding.says
    mail = audited(rows(), replace(GATE, criteria=(FLOOR, replace(own, scope="segment: mail"))))
    assert [each.level for each in mail.findings if each.id.startswith("gate")] == [FindingLevel.NOTE]


def test_cells_where_the_teacher_is_wrong_beyond_chance_are_hot_spots() -> None:
    found = [replace(row, teacher_output="bad") if row.segment == "mail" else row for n, row in enumerate(rows(600))]
    assert len(says(audited(found), "hot")) == 1 and "mail / good" in says(audited(found), "hot")[0]
    assert not says(audited(rows(600)), "hot")


def test_near_duplicates_with_two_gold_labels_are_a_conflict() -> None:
    text = sentence(1)
    pair = [row(text + " indeed", gold="good"), row(text + " indeed!", gold="bad")]
    assert says(audited([*rows(), *pair]), "conflict") == [
        "1 sets of near duplicates have more than one gold label. `rows --conflicts near` shows them."
    ]


def test_the_same_finding_has_the_same_name_in_every_build() -> None:
    first, again = audited(rows()), audited([*rows(), *rows(40)])
    assert {f.id for f in first.findings if f.id.startswith("missing")} <= {f.id for f in again.findings}


# personal data


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("write to ana.b+x@mail.example.org please", "mail address"),
        ("card 4111 1111 1111 1111 declined", "card number"),
        ("account DE89 3704 0044 0532 0130 00 is mine", "bank account"),
        ("my number is 078-05-1120", "social security number"),
        ("it comes from 8.8.8.8 again", "machine address"),
        ("call +49 30 1234 5678 today", "telephone number"),
        ("call (212) 555-0142-77 today", "telephone number"),
    ],
)
def test_personal_data_is_found_and_masked(text: str, kind: str) -> None:
    (found,) = privacy.screen([text, "nothing here"])
    assert (found.kind, found.rows) == (kind, 1)
    digits = [c for c in text if c.isdigit()]
    assert sum(c.isdigit() for c in found.examples[0]) <= 1 < len(digits) or kind == "mail address"
    assert "ana.b" not in found.examples[0] and len(set(found.examples[0])) > 1


@pytest.mark.parametrize(
    "text",
    [
        "order 4111 1111 1111 1112 is late",  # no card: its last digit is wrong
        "version 10.0.0.1 and 192.168.1.1 and 1.2.3",
        "on 2026-11-24 10:15 I paid 1,234.56",
        "DE00 3704 0044 0532 0130 00",  # no account: its check digits are wrong
        "call 12345 in room 101, 20 x 30 cm",
        "me@home",
        "0000 0000 0000 0000",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert not privacy.screen([text])


def test_a_card_is_grave_and_a_telephone_is_a_note() -> None:
    texts = ("card 4111 1111 1111 1111", "call +49 30 1234 5678")
    found = audited([*rows(), *(row(text) for text in texts)])
    levels = {finding.level for finding in found.findings if finding.id.startswith("private")}
    assert levels == {FindingLevel.MUST, FindingLevel.NOTE}


# languages and topics


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("the parcel is not here and it was late", "en"),
        ("das Paket ist nicht da und ich warte auf eine Antwort", "de"),
        ("le colis est en retard et je ne suis pas content avec vous", "fr"),
        ("el paquete no está y los clientes esperan por una respuesta", "es"),
        ("посылка не пришла", "cyrillic"),
        ("荷物がまだ届きません", "ja"),
        ("包裹还没有到", "zh"),
        ("12345 !!", "unknown"),
        ("zzkq", "unknown"),
    ],
)
def test_a_language_is_guessed_or_left_unknown(text: str, code: str) -> None:
    assert language.guess(text) == code


def test_topics_gather_texts_by_their_words_whatever_their_order() -> None:
    parcel = [f"the parcel of order {n} never arrived at my door" for n in range(60)]
    money = [f"please refund the invoice {n} to my credit account" for n in range(60)]
    mixed = [text for pair in zip(parcel, money, strict=True) for text in pair]
    own, names = topics.clusters(mixed, 2)
    assert len(set(own[::2])) == len(set(own[1::2])) == 1 and own[0] != own[1]
    assert any("parcel" in name or "door" in name or "arrived" in name for name in names)
    order = random.Random(1).sample(range(120), 120)
    again, names_again = topics.clusters([mixed[at] for at in order], 2)
    assert names_again == names and [again[order.index(at)] for at in range(120)] == list(own)
    own, names = topics.clusters(["one", "two"])
    assert (list(own), names) == ([0, 0], ["all"])


# the teacher first


def taught(right: float, count: int = 400, words: bool = False) -> list[Row]:
    """Rows whose gold is random, or follows from a word, and a teacher who is right on so many of them."""
    rng = random.Random(5)
    made = []
    for n in range(count):
        gold = rng.choice(("bad", "good"))
        said = gold if rng.random() < right else ("bad" if gold == "good" else "good")
        text = sentence(n) + (f" {gold}ish" if words else "")
        made.append(row(text, Split.HELD_OUT if n % 4 == 3 else Split.TRAIN, gold=gold, teacher_output=said))
    return made


def test_too_few_rows_with_gold_say_that_the_teachers_quality_is_unknown() -> None:
    assert headroom.measure(rows(20), ("bad", "good"), 1) is None
    (finding,) = headroom.findings(None, GATE)
    assert finding.level == FindingLevel.NOTE and "its quality is unknown" in finding.says


def test_a_teacher_below_the_gate_must_be_acknowledged_and_one_above_need_not() -> None:
    weak = headroom.measure(taught(0.7), ("bad", "good"), 1)
    assert weak is not None and weak["rows"] == 300
    below = [f for f in headroom.findings(weak, GATE) if f.level == FindingLevel.MUST]
    assert len(below) == 1 and "The gate asks the student for 90.0%" in below[0].says
    assert not list(headroom.findings(weak, replace(GATE, criteria=(replace(FLOOR, threshold=Decimal("0.5")),))))


def test_a_teacher_that_words_can_replace_has_no_headroom() -> None:
    counts = headroom.measure(taught(0.9, words=True), ("bad", "good"), 1)
    assert counts is not None and counts["baseline"] == 300
    (finding,) = [f for f in headroom.findings(counts, replace(GATE, criteria=())) if f.id.startswith("teacher")]
    assert finding.says.startswith("No headroom: the teacher is behind TF-IDF")


def test_a_teacher_that_writes_is_set_against_gold_and_the_nearest_row() -> None:
    def written(right: float, alike: bool) -> list[Row]:
        rng, made = random.Random(7), []
        for n in range(120):
            number = n % 4 if alike else n
            gold = json.dumps({"number": str(number), "street": f"street{number}"})
            said = gold.replace(", ", ",  ") if rng.random() < right else json.dumps({"number": str(number)})
            made.append(row(f"word{number} here {n if alike else ''}", gold=gold, teacher_output=said))
        return made

    assert headroom.measure(written(1, alike=False)[:49], (), 1, Task.GENERATION) is None
    good = headroom.measure(written(0.9, alike=False), (), 1, Task.GENERATION)
    assert good is not None and good["rows"] == 120 and 95 < good["teacher"] < 120, "in another spelling it is the same"
    assert good["baseline"] == 0 and not list(headroom.findings(good, replace(GATE, criteria=())))
    assert "the nearest other row, learning on the same gold, on 0.0%" in headroom.summary(good)
    weak = headroom.measure(written(0.5, alike=True), (), 1, Task.GENERATION)
    assert weak is not None and weak["baseline"] == 120
    (finding,) = headroom.findings(weak, replace(GATE, criteria=()))
    assert finding.says.startswith("No headroom: the teacher is behind the nearest other row")


# through the door


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    lines = [{"input": sentence(n), "gold": "ab"[n % 2], "teacher_output": "ab"[n % 2]} for n in range(200)]
    for n in range(8):
        lines[n]["input"] = f"card 4111 1111 1111 1111 please, {sentence(500 + n)}"
    gate = replace(default_gate(PlayKind.COST), held_out_rows=40)
    made = data_stage.with_traffic(tmp_path, lines, gate=gate)
    actions.set_teacher(made, 1, MIA, None)
    yield made
    made.close()


def test_a_grave_finding_stops_the_freeze_until_it_is_accepted_with_a_reason(project: Project) -> None:
    counts = data_runs.build_data(project, 1, MIA)
    grave = [each for each in counts["findings"] if each["level"] == FindingLevel.MUST]
    assert [row["kind"] for row in counts["audit"]["pii"]] == ["card number"] and len(grave) == 1
    with pytest.raises(Refused) as refusal:
        data_runs.freeze_data(project, 1, MIA)
    assert {o.rule for o in refusal.value.objections} == {"data.finding"}
    with pytest.raises(Refused):
        actions.accept_findings(project, 1, MIA, [grave[0]["id"]], "  ")
    assert actions.accept_findings(project, 1, MIA, [grave[0]["id"]], "a test card") == [grave[0]["id"]]
    data_runs.freeze_data(project, 1, MIA)
    kept = {each.id: each.accepted for each in findings(project.dossier(1))}
    assert kept[grave[0]["id"]] == "a test card"


@pytest.fixture
def dated(tmp_path: Path) -> Iterator[Project]:
    """A play whose gate goes by time, with five months of traffic."""
    written = to_toml(replace(default_gate(PlayKind.COST), held_out_rows=40))
    lines = [
        {"input": sentence(n), "gold": "ab"[n % 2], "teacher_output": "ab"[n % 2], "time": f"2026-{1 + n // 40:02}-10"}
        for n in range(200)
    ]
    made = data_stage.with_traffic(tmp_path, lines, gate=from_toml(f"by_time = true\n{written}"))
    actions.set_teacher(made, 1, MIA, None)
    yield made
    made.close()


def test_a_set_that_trains_on_the_held_out_period_is_not_frozen(dated: Project) -> None:
    from distill_tui.dataset import build, split
    from distill_tui.store import tables

    data_runs.build_data(dated, 1, MIA)
    traffic = [dated.artifacts.path(each.artifact) for each in dated.dossier(1).traffic]
    with dated.artifacts.scratch() as scratch:  # the same rows, split by seed against the gate's word
        drawn = build.build(traffic, {}, split.SplitRule(1, 40, 0.1))
        digest = build.write(drawn, scratch / "data.parquet")
        stored = dated.artifacts.store(scratch / "data.parquet")
    with by_hand(dated) as session:
        data = session.get(tables.DataSet, 1)
        assert data is not None
        data.artifact, data.digest = stored, f"sha256:{digest}"
        session.add(data)
    with pytest.raises(Refused, match="fall in the held-out period, which begins on 2026-01-10") as refusal:
        data_runs.freeze_data(dated, 1, MIA)
    assert [o.rule for o in refusal.value.objections] == ["data.leak"]


def test_by_time_the_last_month_is_held_out_from_gate_to_freeze(dated: Project) -> None:
    counts = data_runs.build_data(dated, 1, MIA)
    months = {each["value"]: each for each in counts["audit"]["axes"]["month"]}
    assert sorted(months) == ["2026-01", "2026-02", "2026-03", "2026-04", "2026-05"]
    assert months["2026-05"]["held_out"] == 40 and months["2026-05"]["train"] == 0
    assert all(months[f"2026-0{n}"]["held_out"] == 0 and months[f"2026-0{n}"]["train"] > 20 for n in range(1, 5))
    assert any("Month 2026-05" in each["says"] and "no training row" in each["says"] for each in counts["findings"])
    data_runs.freeze_data(dated, 1, MIA)
    assert dated.dossier(1).data_set.frozen_at  # type: ignore[union-attr]


def test_the_terms_are_recorded_with_who_read_them(project: Project) -> None:
    actions.confirm_terms(project, 1, MIA, "Acme", "3.1", "2026-11-01", True)
    actions.confirm_terms(project, 1, MIA, "Acme", "3.2", "2026-11-20", False)
    terms = project.dossier(1).terms
    assert terms is not None
    assert (terms.provider, terms.version, terms.permits, terms.checked_by) == ("Acme", "3.2", 0, "mia")
