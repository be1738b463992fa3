"""What distillation is worth is said only as far as the rows show it: controls, the probe, and a whole climb."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distill_tui.bundles.verify import verify_bundle
from distill_tui.dataset import frozen
from distill_tui.digests import folder_digest
from distill_tui.gates.record import Record
from distill_tui.reports import html as sponsor_page
from distill_tui.reports import model_card, text
from distill_tui.review import controls, review, sections, serving_costs
from distill_tui.rules.requests import StartRun
from distill_tui.rules.training import start_run
from distill_tui.spec import Spec
from distill_tui.terms import Control, Export, RunKind, StudentKind
from distill_tui.training import folders
from distill_tui.training.classification import LabelRows
from distill_tui.training.ladder import Climb, nested_sample
from distill_tui.ui.play import evidence
from distill_tui.ui.play.view import load
from support import real_play
from support.records import record
from support.training import LABELS, SPEC, examples, texts_and_labels

# --- what a record says of its arms -----------------------------------------------------------------------------------


def test_without_controls_nothing_is_claimed() -> None:
    assert controls.comparisons(record(0.9)) == ()
    assert controls.findings(record(0.9)) == (controls.NONE,)


def test_a_lead_within_noise_is_no_lead() -> None:
    (found,) = controls.comparisons(record(0.80, hard=0.79))
    assert not found.beats and found.lower < 0 < found.upper
    assert found.sentence.startswith("Distillation does not beat the same student trained on hard labels only")


def test_a_control_that_is_better_is_said_to_be() -> None:
    (found,) = controls.comparisons(record(0.70, hard=0.80))
    assert found.upper < 0 and found.sentence.startswith("Distillation does harm: the same student trained on hard")


def test_a_lead_beyond_noise_is_told_with_its_interval() -> None:
    hard, gold = controls.comparisons(record(0.85, gold=False, hard=0.75, quarter=0.1))[0], None
    assert hard.beats and gold is None
    assert hard.lower < hard.lead < hard.upper and 0.05 < hard.lead < 0.15
    assert (
        "points of agreement with the teacher over the same student trained on hard labels only (95% CI"
        in hard.sentence
    )
    assert "1,000 rows" in hard.sentence


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ({"quarter": 0.6, "half": 0.7}, "so more rows of this kind would help"),
        ({"quarter": 0.78, "half": 0.8}, "within noise: more rows of this kind would hardly help"),
        ({"quarter": 0.7, "half": 0.9}, "so it did harm"),
        ({"half": 0.7}, ""),
    ],
)
def test_the_probe_judges_what_the_second_half_brought(shares: dict[str, float], says: str) -> None:
    told = controls.probe(record(0.8, **shares))
    assert says in told and bool(told) == bool(says)


def test_a_difference_below_that_of_the_seed_is_named_and_nothing_is_said_without_other_seeds() -> None:
    assert controls.seeds(record(0.8, hard=0.7)) == ""
    told = controls.seeds(record(0.8, **{"seed 8": 0.78, "seed 9": 0.83}))
    numbers = [float(each) for each in re.findall(r"\d+\.\d", told)]
    low, high, changed, spread = numbers
    assert told.startswith("Of the same student with 3 seeds") and 75 < low < 80 < high < 86
    assert spread == pytest.approx(high - low, abs=0.11) and changed >= spread / 2


@pytest.mark.parametrize("wrong", [(0, 1), (0,) * 999 + (2,), "no list"])
def test_an_arm_that_does_not_answer_every_row_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"controls .* evaluation record"):
        replace(record(0.8), controls={"hard": wrong})  # type: ignore[dict-item]


def test_a_record_without_controls_is_still_read() -> None:
    values = json.loads(record(0.8, hard=0.7).to_json())
    assert Record.from_json(json.dumps(values)) == record(0.8, hard=0.7)
    del values["controls"]
    assert Record.from_json(json.dumps(values)).controls == {}


# --- the climb --------------------------------------------------------------------------------------------------------

QUICK = replace(SPEC, ladder=("ngram", "static", "scratch"), controls=(), threads=1, seed=3)


def rows(teacher_errs: int = 0, *, odd: int = 0) -> LabelRows:
    """The toy problem; `odd` validation rows have a truth that only the teacher knows; no student gets there."""
    _, gold = texts_and_labels(60, seed=1)
    gold[:odd] = (gold[:odd] + 1) % 3
    hard = replace(examples(), soft=None)
    said = gold.copy()
    said[:teacher_errs] = (said[:teacher_errs] + 1) % 3
    both = {Control.HARD: hard, Control.GOLD: hard}
    return LabelRows(LABELS, examples(), both, examples(60, seed=1), truth=gold, teacher=said)


def climbed(spec: Spec, folder: Path, found: LabelRows) -> tuple[Climb, list[str]]:
    climb = Climb(spec, found, teacher=None, start=None, folder=folder)
    return climb, list(dict.fromkeys(name for name, _ in climb.steps()))


def test_a_climb_without_a_rung_that_can_learn_is_refused_before_it_starts(tmp_path: Path) -> None:
    mute = replace(rows(), training=replace(examples(), soft=None))
    with pytest.raises(ValueError, match=r"alpha is 0\.7, and no training row has the teacher's probabilities"):
        Climb(QUICK, mute, teacher=None, start=None, folder=tmp_path)


def test_a_climb_stops_at_the_first_rung_that_is_good_enough_on_validation(tmp_path: Path) -> None:
    climb, names = climbed(replace(QUICK, enough=0.5), tmp_path, rows())
    assert names == ["ngram"] and climb.kept.spec.student is StudentKind.NGRAM
    assert climb.good_enough(climb.kept) and climb.target == 0.5


def test_a_climb_that_nothing_ends_keeps_the_best_rung(tmp_path: Path) -> None:
    climb, names = climbed(replace(QUICK, ladder=("ngram", "static"), enough=1.0), tmp_path, rows(odd=10))
    scores = [arm.score for arm in climb.rungs]
    assert names == ["ngram", "static"] and climb.kept.score == max(scores) < 1  # type: ignore[type-var]
    assert climb.total() == 8 * 4 + 6 * 15 == climb.before + 6 * 15  # rows are 240: 8 epochs by 64, then 6 by 16


def test_good_enough_is_a_share_of_what_the_teacher_reaches(tmp_path: Path) -> None:
    climb = Climb(replace(QUICK, enough=0.9), rows(teacher_errs=15), teacher=None, start=None, folder=tmp_path)
    assert climb.target == pytest.approx(0.9 * 0.75)
    silent = replace(rows(), teacher=np.full(60, -1))
    assert Climb(QUICK, silent, teacher=None, start=None, folder=tmp_path).target is None


def test_a_climb_that_was_killed_does_not_train_again_what_was_trained(tmp_path: Path) -> None:
    spec = replace(QUICK, ladder=("ngram", "static"), enough=1.0, controls=(Control.HARD,), probe=True)
    whole, _ = climbed(spec, tmp_path / "whole", rows(odd=10))
    cut = Climb(spec, rows(odd=10), teacher=None, start=None, folder=tmp_path / "cut")
    steps = cut.steps()
    for name, _ in steps:
        if name != "ngram":
            break
    steps.close()  # type: ignore[attr-defined]
    again = Climb(spec, rows(odd=10), teacher=None, start=None, folder=tmp_path / "cut")
    places = {(name, again.before) for name, _ in again.steps()}
    assert {name for name, _ in places} == {"static", "control hard", "probe quarter", "probe half"}
    assert ("static", 32) in places  # 8 epochs of 4 batches were planned for the n-grams, which are done
    for one, other in zip(whole.rungs, again.rungs, strict=True):
        assert folder_digest(one.folder) == folder_digest(other.folder)
    assert folder_digest(whole.controls[Control.HARD].folder) == folder_digest(again.controls[Control.HARD].folder)


def test_two_controls_that_learn_the_same_are_trained_once(tmp_path: Path) -> None:
    spec = replace(QUICK, ladder=("ngram",), controls=(Control.HARD, Control.GOLD))
    climb, names = climbed(spec, tmp_path, rows())
    assert names == ["ngram", "control hard"] and list(climb.controls) == [Control.HARD]
    apart = replace(rows(), controls={**rows().controls, Control.GOLD: replace(examples(gold=False), soft=None)})
    assert climbed(spec, tmp_path / "none", apart)[1] == ["ngram", "control hard"]  # no gold, so no such arm


def test_another_seed_trains_the_kept_student_on_the_same_rows(tmp_path: Path) -> None:
    spec = replace(QUICK, ladder=("ngram",), seeds=2)
    climb, names = climbed(spec, tmp_path, rows())
    assert names == ["ngram", f"seed {spec.seed + 1}", f"seed {spec.seed + 2}"]
    one, other = climb.seeds.values()
    assert {one.spec.rung, other.spec.rung} == {climb.kept.spec.rung}
    assert len({folder_digest(arm.folder) for arm in (climb.kept, one, other)}) == 3


def test_the_probe_trains_on_nested_parts_for_as_many_steps(tmp_path: Path) -> None:
    spec = replace(QUICK, ladder=("ngram",), probe=True)
    climb, names = climbed(spec, tmp_path, rows())
    assert names == ["ngram", "probe quarter", "probe half"]
    quarter, half = (nested_sample(rows().training, one_in, 3) for one_in in (4, 2))
    assert (len(quarter.inputs), len(half.inputs)) == (60, 120) and set(quarter.inputs) <= set(half.inputs)
    assert climb.probe["quarter"].spec.epochs == 4 * climb.kept.spec.epochs


# --- a whole play -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real_play.Play]:
    """A student of soft labels with controls, two more seeds and the probe, which ships in 8 bits."""
    spec = replace(
        real_play.SPEC,
        alpha=0.5,
        epochs=8,  # it errs on some rows, so that there are confusions to print
        controls=(Control.HARD, Control.GOLD),
        seeds=2,
        probe=True,
        export=Export.ONNX_INT8,
    )
    made = real_play.copy_to(tmp_path_factory.mktemp("climbed"), spec, soft=True)
    yield made
    made.project.close()


def test_a_run_tells_every_rung_its_terms_its_controls_and_the_probe(play: real_play.Play) -> None:
    dossier = play.project.dossier(play.id)
    run = dossier.run(dossier.evaluation.run_id)
    result = json.loads(run.result)
    assert [rung["rung"] for rung in result["rungs"]] == [result["rung"]] == ["static"] and result["form"] == "onnx"
    assert set(result["controls"]) == {"hard", "gold"} and 0 < result["enough"] <= 1
    assert all(set(terms) == {"soft", "hard", "logit", "hidden"} and terms["soft"] > 0 for terms in result["terms"])
    seen = Record.from_json(play.project.artifacts.path(result["validation"]).read_text())
    assert set(seen.controls) == {"hard", "gold", "seed 8", "seed 9", "quarter", "half"}
    assert result["findings"] == list(controls.findings(seen)) and "25, 50 and 100%" in result["findings"][-1]


def test_the_controls_stand_in_the_verdict_the_card_and_the_report(play: real_play.Play) -> None:
    dossier = play.project.dossier(play.id)
    found = controls.comparisons(dossier.record)
    assert [each.arm for each in found] == ["hard", "gold"] and found[0].rows == found[1].rows > 0
    told = "\n".join(text.evaluation(review.of(dossier)))
    assert all(each.sentence in told for each in found)


def test_every_verdict_says_what_distillation_and_more_rows_are_worth_and_where_it_was_timed(
    play: real_play.Play,
) -> None:
    dossier, view = play.project.dossier(play.id), load(play.project, play.id, play.by("vera"))
    probed = controls.probed(dossier)
    assert probed.startswith("Run 4, on the validation rows: With 25, 50 and 100%")
    seeds = controls.reseeded(dossier)
    assert seeds.startswith("Run 4, on the validation rows: Of the same student with 3 seeds")
    pages = [
        "\n".join(line.plain for line in evidence.evaluation(view, 400)),
        "\n".join(text.evaluation(review.of(dossier))),
        html.unescape(sponsor_page.report(review.of(dossier), ())),
    ]
    for page in pages:
        assert all(each.sentence in page for each in controls.comparisons(dossier.record)) and probed in page
        assert "Measured one request at a time on: " in page and "threads 1" in page
        assert seeds in page
    decide = "\n".join(line.plain for line in evidence.decide(view, 400))
    assert all(each.sentence in decide for each in controls.comparisons(dossier.record))
    assert controls.before_paying(dossier) == (probed,)


def test_who_never_tried_fewer_rows_is_told_so_before_paying_for_more(play: real_play.Play) -> None:
    dossier = play.project.dossier(play.id)
    without = replace(dossier, runs=tuple(r for r in dossier.runs if r.kind is not RunKind.TRAIN))
    assert controls.probed(without) == controls.NOT_PROBED == review.of(without).more_rows
    assert controls.before_paying(without) == (), "nobody has trained yet, so there is nothing to say"


def test_what_was_judged_is_what_ships_in_its_form_with_its_program(play: real_play.Play) -> None:
    dossier = play.project.dossier(play.id)
    folder = play.project.artifacts.path(dossier.evaluation.model)
    assert folders.form(folder) == model_card.form(dossier)
    assert serving_costs.costs(dossier.record)[0].parameters
    play.sign()
    there = play.ship()
    assert not verify_bundle(there).problems
    card = (there / "MODEL_CARD.md").read_text()
    assert "def predict(text, second=None):" in card and "## What distillation is worth" in card


def test_every_figure_and_sentence_reads_the_same_in_terminal_text_page_and_card(play: real_play.Play) -> None:
    if not play.project.dossier(play.id).sign_offs:
        play.sign()
    dossier, view = play.project.dossier(play.id), load(play.project, play.id, play.by("vera"))
    found = review.of(dossier)
    assert found is not None
    printed = {
        "terminal": "\n".join(line.plain for line in evidence.evaluation(view, 1000)),
        "text": "\n".join(text.evaluation(found)),
        "page": html.unescape(sponsor_page.report(found, ())).replace("<wbr>", ""),
        "card": model_card.model_card(dossier, dossier.sign_offs[-1]).replace("\\", ""),
    }
    parts = list(sections.of(found))
    assert {"segments", "costs", "calibration", "confusions"} <= {part.name for part in parts if part.rows}
    for name, page in printed.items():
        page = " ".join(page.split())
        shown = [part for part in parts if name != "card" or f"## {part.title}" in page or part.name == "segments"]
        assert len(shown) > 3
        for part in shown:
            for figure in (*(line.text for line in part.lines), *(cell for row in part.rows for cell in row)):
                assert " ".join(figure.split()) in page, f"{figure} is not in the {name}"


def test_a_run_that_would_learn_nothing_of_the_teacher_is_not_even_queued(play: real_play.Play, tmp_path: Path) -> None:
    dossier = play.project.dossier(play.id)
    path = play.project.artifacts.path(dossier.data_set.artifact)
    table = pq.read_table(path)
    at = table.schema.get_field_index("teacher_probabilities")
    mute = table.set_column(at, table.schema.field(at), pa.nulls(table.num_rows, table.schema.field(at).type))
    pq.write_table(mute, tmp_path / "mute.parquet")
    assert frozen.soft_rows(path) == json.loads(dossier.data_set.counts)["splits"]["train"]
    request = StartRun(Spec(student=StudentKind.NGRAM), frozen.soft_rows(tmp_path / "mute.parquet"))
    found = {each.rule: each.sentence for each in start_run(dossier, play.by("dan"), request)}
    assert "Set alpha=0 to train on labels only" in found["spec.silent"]
