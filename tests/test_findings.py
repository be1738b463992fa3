"""Findings that a person can use: true, by what they cost the verdict, one kind in one line, nothing uncounted."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill_tui import actions
from distill_tui.dataset import build, frozen
from distill_tui.dataset.audit import coverage
from distill_tui.dataset.build import Row
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.split import SplitRule
from distill_tui.gates.gate import Gate, default_gate
from distill_tui.reports import text
from distill_tui.rules.data import findings, open_findings
from distill_tui.rules.findings import by_cost, folded, kind_of
from distill_tui.rules.objection import Refused
from distill_tui.rules.results import Finding
from distill_tui.store.project import Project
from distill_tui.teachers.description import Described
from distill_tui.teachers.label_list import label_list
from distill_tui.terms import FindingLevel, PlayKind, Split
from distill_tui.ui.play.data_tab import data
from distill_tui.ui.play.view import View
from support import data_runs, data_stage
from support.datasets import imported
from support.findings import sentence
from support.intake import MIA

INTENTS = [f"intent {number:03}" for number in range(150)]


def rows(labels: list[str], each: int) -> list[Row]:
    splits = (Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.HELD_OUT)
    wanted = [label for label in labels for _ in range(each)]
    return [
        Row(n, sentence(n), sentence(n), label, "web", None, splits[n % 4], 1.0, label, None)
        for n, label in enumerate(wanted)
    ]


def audited(found: list[Row], labels: list[str]) -> coverage.Audit:
    return coverage.audit(found, [None] * len(found), Gate((), held_out_rows=10), labels)


# every label counts


@pytest.mark.parametrize("count", [41, 77, 151])
def test_a_label_that_has_rows_is_never_called_missing(count: int) -> None:
    labels = [f"label {number:03}" for number in range(count)]
    found = audited(rows(labels, 4), labels)
    assert not [each.says for each in found.findings if "no row in any split" in each.says]
    assert len(found.axes["label"]) == count and "label" not in found.more


def test_a_label_that_has_no_row_is_named_however_many_there_are() -> None:
    labels = [f"label {number:03}" for number in range(151)]
    found = audited(rows(labels[:-1], 4), labels)
    assert [each.says for each in found.findings if "no row in any split" in each.says] == [
        "Label label 150 has no row in any split."
    ]


def test_values_that_are_not_listed_or_judged_are_counted() -> None:
    made = [replace(each, segment=f"customer {n % 300:03}") for n, each in enumerate(rows(["a", "b"], 300))]
    found = audited(made, ["a", "b"])
    assert len(found.axes["segment"]) == 40 and found.more["segment"] == 260
    assert any(each.says.startswith("100 more segments (33.3% of the traffic)") for each in found.findings)


# the order and the folds


def note(kind: str, about: str, level: FindingLevel = FindingLevel.NOTE) -> Finding:
    return Finding.of(kind, level, about, f"{about} is {kind}.")


def test_what_costs_the_verdict_most_comes_first() -> None:
    found = [
        note("thin", "a"),
        note("private", "card", FindingLevel.MUST),
        note("ungraded", "held out"),
        note("x", "y"),
    ]
    assert [kind_of(each) for each in by_cost(found)] == ["private", "x", "ungraded", "thin"]
    accepted = replace(note("ungraded", "held out"), accepted="known")
    assert kind_of(by_cost([accepted, note("thin", "a")])[0]) == "thin"


def test_notes_of_one_kind_are_one_line_and_what_must_be_accepted_is_never_folded() -> None:
    thin = [note("thin", f"label {n}") for n in range(60)]
    must = [note("private", f"kind {n}", FindingLevel.MUST) for n in range(3)]
    folds = folded([*thin, *must, note("ungraded", "1,356 held-out rows")])
    assert [(fold.name, len(fold.findings)) for fold in folds[3:]] == [(folds[3].findings[0].id, 1), ("thin", 60)]
    assert [len(fold.findings) for fold in folds[:3]] == [1, 1, 1]
    assert folds[-1].says == "60 values with few training rows. The first: label 0 is thin."


@given(st.lists(st.tuples(st.sampled_from(["thin", "gate", "new kind", "private"]), st.booleans(), st.booleans())))
def test_folding_loses_no_finding(kinds: list[tuple[str, bool, bool]]) -> None:
    found = [
        replace(
            note(kind, str(n), FindingLevel.MUST if must else FindingLevel.NOTE), accepted="fine" if accepted else ""
        )
        for n, (kind, must, accepted) in enumerate(kinds)
    ]
    folds = folded(found)
    assert sorted(each.id for fold in folds for each in fold.findings) == sorted(each.id for each in found)
    assert all(len({each.accepted for each in fold.findings}) == 1 for fold in folds)


# labels as a person names them


@pytest.mark.parametrize(
    ("named", "labels"),
    [
        ('"billing, refunds",post', ("billing, refunds", "post")),
        ("bad, fine ,good", ("bad", "fine", "good")),
        ('"a ""quoted"" one", b', ('a "quoted" one', "b")),
        ("", ()),
    ],
)
def test_labels_are_read_with_csv_quoting(named: str, labels: tuple[str, ...]) -> None:
    assert label_list(named) == labels


def test_labels_are_read_from_a_file_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text('billing, refunds\n"post, sent"\n\n  oos \n')
    assert label_list(str(file)) == ("billing, refunds", "post, sent", "oos")
    file.write_bytes("caf\xe9\n".encode("latin-1"))
    with pytest.raises(ValueError, match="is not UTF-8"):
        label_list(str(file))


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("labels.txt", "There is no file labels.txt"),
        ("intents/all.csv", "There is no file intents/all.csv"),
        ("'billing, refunds',post", "'billing, refunds'. Quote a label that has a comma by"),
        ("post,‘a, b’", "‘a, b’. Quote a label that has a comma by"),
    ],
)
def test_a_file_that_is_missing_and_other_quotes_are_refused(named: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        label_list(named)
    assert label_list("'tis,don't") == ("'tis", "don't") and label_list("'a','b'") == ("'a'", "'b'")


@pytest.mark.parametrize("named", ['"open,b', '"a"x,b'])
def test_broken_quoting_is_refused_with_the_cure(named: str) -> None:
    with pytest.raises(ValueError, match="quote a label with a comma"):
        label_list(named)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip), min_size=2))
def test_any_labels_survive_csv_quoting(labels: list[str]) -> None:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="").writerow(labels)
    assert label_list(out.getvalue()) == tuple(labels)


@pytest.mark.parametrize("named", ["one", "a,a", "a,,b"])
def test_recorded_outputs_need_labels_that_differ(named: str) -> None:
    assert "two labels or more" in str(Described.recorded(named).problem())
    assert Described.recorded("C,C++").problem() is None


# many labels from logged answers


def clinc(each: int) -> list[dict[str, object]]:
    labels = [*INTENTS, "oos"]
    return [
        {"input": sentence(n), "teacher_output": labels[n % 151], "gold": labels[n % 151]} for n in range(151 * each)
    ]


def test_a_hundred_and_fifty_intents_and_out_of_scope_are_built_from_recorded_outputs(tmp_path: Path) -> None:
    made = build.build([imported(tmp_path, clinc(4))], {}, SplitRule(1, 60, 0.1))
    assert len(made.labels) == 151


@pytest.mark.parametrize("count", [120, 1_200])
def test_answers_that_are_as_many_as_rows_are_taken_for_text_with_a_cure_that_exists(
    tmp_path: Path, count: int
) -> None:
    lines: list[dict[str, object]] = [{"input": sentence(n), "teacher_output": f"answer {n}"} for n in range(count)]
    path = imported(tmp_path, lines)
    with pytest.raises(BadInput, match=r"like free text.*--recorded --labels FILE"):
        build.build([path], {}, SplitRule(1, 10, 0.1))
    named = build.build([path], {}, SplitRule(1, 10, 0.1), labels=[f"answer {n}" for n in range(count)])
    assert len(named.labels) == count


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A play at `data` with 151 labels on two rows each: too few to be guessed."""
    lines = [line if n % 3 else line | {"gold": None} for n, line in enumerate(clinc(2))]
    lines[0] = {"input": "my card is 4111 1111 1111 1111"} | {"teacher_output": "oos", "gold": "oos"}
    gate = replace(default_gate(PlayKind.COST), held_out_rows=60)
    made = data_stage.with_traffic(tmp_path, lines, name="intents", gate=gate)
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join([*reversed(INTENTS), "oos"]))
    actions.set_teacher(made, 1, MIA, Described.recorded(str(labels)))
    yield made
    made.close()


def test_the_labels_of_recorded_outputs_are_kept_in_their_order(project: Project) -> None:
    data_runs.build_data(project, 1, MIA)
    stored = project.dossier(1).data_set
    assert stored is not None
    assert frozen.labels_of(project.artifacts.path(stored.artifact)) == (*reversed(INTENTS), "oos")


def test_a_screen_and_a_command_show_what_matters_first_and_open_the_rest(project: Project) -> None:
    data_runs.build_data(project, 1, MIA)
    dossier = project.dossier(1)
    found = open_findings(dossier)
    assert len(found) > 60
    shown = [line.plain for line in data(View(dossier, MIA), 118)]
    head = next(n for n, line in enumerate(shown) if "FINDINGS" in line)
    assert f"{len(found):,} in " in shown[head] and "z opens" in shown[head]
    assert "card number" in shown[head + 1] and "a margin of" in shown[head + 2]
    opened = [line.plain for line in data(replace(View(dossier, MIA), opened=True), 118)]
    assert sum("no training row" in line or "training rows." in line for line in opened) > 60
    said = list(text.data(dossier))
    assert any(line.startswith(f"{len(found)} findings in ") for line in said)
    assert len([line for line in text.data(dossier, every=True) if line.startswith("! ")]) >= len(found)


def test_a_kind_is_accepted_at_once_but_never_what_must_be_accepted_by_name(project: Project) -> None:
    data_runs.build_data(project, 1, MIA)
    with pytest.raises(Refused, match="Unknown finding “private”"):
        actions.accept_findings(project, 1, MIA, ["private"], "test data")
    thin = [each.id for each in open_findings(project.dossier(1)) if kind_of(each) == "thin"]
    assert thin and actions.accept_findings(project, 1, MIA, ["thin"], "few rows an intent") == thin
    kept = findings(project.dossier(1))
    assert {each.id for each in kept if each.accepted} == set(thin)
    assert len([fold for fold in folded(kept) if fold.accepted]) == 1
    actions.accept_findings(project, 1, MIA, [], "all notes")
    must = [each.id for each in open_findings(project.dossier(1))]
    assert must and {each.level for each in open_findings(project.dossier(1))} == {FindingLevel.MUST}
    with pytest.raises(Refused, match=f"must be accepted by its ID: `distill-tui data accept P-001 {must[0]}"):
        actions.accept_findings(project, 1, MIA, [], "all of it")
    assert actions.accept_findings(project, 1, MIA, must, "a test card") == must
