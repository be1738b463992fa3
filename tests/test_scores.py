"""Plays of scores, of levels and of a range, from the first traffic to a watched student: refusals, then what works."""

from __future__ import annotations

import html
import json
import math
import shutil
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from distill_tui import actions
from distill_tui.bundles import predict, retrain
from distill_tui.bundles import student as bundled
from distill_tui.bundles.student import BundledStudent
from distill_tui.bundles.verify import verify_bundle
from distill_tui.cli.app import main
from distill_tui.dataset.audit import scores as audit
from distill_tui.dataset.build import Row
from distill_tui.gates import wording
from distill_tui.gates.gate import ROW_SCORES, Criterion, Gate
from distill_tui.gates.headline import metric_in, metric_of
from distill_tui.gates.scale import Scale
from distill_tui.gates.written import from_json, to_json
from distill_tui.reports import html as sponsor_page
from distill_tui.review import headline, review
from distill_tui.rules.actor import Actor
from distill_tui.rules.card import LOWER_IS_BETTER
from distill_tui.rules.data import open_findings
from distill_tui.rules.labels import scale_text
from distill_tui.rules.objection import Refused
from distill_tui.rules.results import Finding, train_result
from distill_tui.serving import recorder
from distill_tui.serving.stand import Stand
from distill_tui.spec import Spec
from distill_tui.store import glance
from distill_tui.store.project import Project
from distill_tui.tasks import loaders
from distill_tui.terms import (
    Control,
    FindingLevel,
    Metric,
    Opinion,
    PlayKind,
    Reference,
    RunStatus,
    ServingMode,
    Split,
    Standing,
    Task,
    Verdict,
)
from distill_tui.training import classification
from distill_tui.training.classification import Examples
from distill_tui.training.loop import Places
from distill_tui.ui.app import DistillApp
from distill_tui.ui.play import data_tab, evidence, gate_tab, overview_tab
from distill_tui.ui.play.view import load
from support import card_program, gateway, live_play, scores
from support.at_the_screen import settled, text_of
from support.live_play import DANA, OLGA, SAM, VERA, shipped_with_keys, workers_here

GATE = Gate(
    (
        Criterion(Metric.MAE, Reference.TEACHER, margin=Decimal("0.1"), binding=True),
        Criterion(Metric.KAPPA, threshold=Decimal("0.6")),
        Criterion(Metric.SPEARMAN, Reference.TEACHER, margin=Decimal("0.2")),
        Criterion(Metric.WITHIN_ONE, threshold=Decimal("0.7")),
        Criterion(Metric.MAE, Reference.BASELINE, margin=Decimal("0.1")),
    ),
    rounds=2,
    held_out_rows=250,
    validation_share=Decimal("0.3"),
)
SPEC = ("student=ngram", "epochs=12", "learning_rate=0.05")
BEST, WORST = "clear correct baran complete polite", "rude wrong baran vague padded"
PAGES = (overview_tab.numbers, gate_tab.gate)
FORMS = {"levels": "1,2,3,4,5", "range": "0..1"}


def opened(folder: Path, scale: str, gate: Gate = GATE) -> tuple[Project, int]:
    """Open a play of scores and write its gate."""
    return live_play.opened(folder, "judge", Task.SCORE, gate, scale)


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    with workers_here():
        yield


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def command(project: Path, *words: str) -> None:
    assert main(["--project", str(project), *words]) == 0, words


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A play of each form at `decide`: what the driver does is done by command."""
    made = {}
    for form, scale in FORMS.items():
        made[form] = folder = tmp_path_factory.mktemp(form) / "made"
        folder.mkdir()
        project, play = opened(folder, scale)
        actions.lock_gate(project, play, SAM)
        project.close()
        rows = scores.rows(1000, 1, ranged=form == "range", noise=0.25, twice=80)
        file, at = scores.write(folder / "first.jsonl", rows), folder / "play.distill"
        with workers_here():
            for words in (
                ("import", "P-001", str(file)),
                ("teacher", "P-001", "--recorded"),
                ("data", "build", "P-001"),
                ("data", "freeze", "P-001"),
                ("train", "P-001", *SPEC),
                ("eval", "P-001"),
            ):
                command(at, *words)
        project = Project.open(at)
        actions.set_maintenance(project, play, OLGA, 600, 60)
        project.close()
    return made


@pytest.fixture
def decided(judged: dict[str, Path], form: str, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(judged[form], tmp_path / "copy")
    made = Project.open(tmp_path / "copy" / "play.distill")
    yield made
    made.close()


# --- a play and its scale --------------------------------------------------------------------------------------------


def test_a_play_of_scores_needs_a_scale_and_no_other_play_has_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, _ = opened(tmp_path, "1,2,3,4,5")
    for task, scale, why in ((Task.SCORE, "", "needs its scale"), (Task.SCORE, "1,2", "two levels are labels of a"),
                             (Task.CLASSIFICATION, "1,2,3", "has no levels")):  # fmt: skip
        with pytest.raises(Refused, match=why):
            actions.open_play(project, DANA, "other", PlayKind.COST, task=task, scale=scale)
    project.close()
    at = ["--project", str(tmp_path / "play.distill")]
    assert main([*at, "new", "third", "--kind", "cost", "--task", "score"]) == 3
    assert "--levels" in capsys.readouterr().err
    assert main([*at, "new", "third", "--kind", "cost", "--task", "score", "--levels", "0..1"]) == 0


def test_levels_are_fixed_and_names_may_stand_for_them(tmp_path: Path) -> None:
    project, play = opened(tmp_path, "1,2,3,4,5")
    rows = [{"input": f"text {at}", "gold": 1 + at % 2} for at in range(6)]
    actions.import_traffic(project, play, DANA, scores.write(tmp_path / "a.jsonl", rows))
    with pytest.raises(Refused, match="are 1,2,3,4,5 for good"):
        actions.map_labels(project, play, DANA, {"1": "low"})
    with pytest.raises(Refused, match="for good"):
        actions.map_labels(project, play, DANA, {"2": None})
    ranged, number = opened(tmp_path / "range", "0..1") if (tmp_path / "range").mkdir() is None else (project, play)
    with pytest.raises(Refused, match="need no map"):
        actions.map_labels(ranged, number, DANA, {"0.5": "~0.5"})
    with pytest.raises(Refused, match="take --recorded"):
        actions.try_teacher(ranged, number, DANA, tmp_path)
    ranged.close()
    project.close()


# --- the verdict -----------------------------------------------------------------------------------------------------


def test_a_student_is_judged_by_how_far_off_it_is(decided: Project, form: str) -> None:
    dossier = decided.dossier(1)
    record = dossier.record
    assert record is not None and record.task is Task.SCORE
    verdicts = {each.sentence: each.verdict for each in dossier.judgements}
    assert len(verdicts) == 5 and set(verdicts.values()) == {Verdict.HOLDS}, verdicts
    assert record.controls.keys() == {Control.HARD}
    assert {"mae", "within_one"} <= record.scores.keys()
    assert ("brier_score" in record.scores) is (form == "levels")
    found = review.of(dossier)
    assert found is not None and sum(each.rows for each in found.by_level) == 250
    assert (
        [float(each.level) for each in found.by_level] == [1, 2, 3, 4, 5]
        if form == "levels"
        else [0, 0.25, 0.5, 0.75, 1]
    )
    lowest, highest = found.by_level[0], found.by_level[-1]
    assert lowest.student < highest.student and lowest.student_off >= 0
    words = " ".join(found.of_scale)
    assert "Quadratic weighted kappa with gold: student" in words and "of 80 repeated inputs" in words
    off = {name: sum(column) / len(column) for name, column in record.scores["mae"].items()}
    assert off["student"] < 1500 and off["teacher"] < 1000, off


def test_the_headline_is_what_the_gate_judges_on_every_surface(
    decided: Project, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exact accuracy says little of a score: card, board, tabs, commands and report show the binding metric."""
    dossier = decided.dossier(1)
    record = dossier.record
    assert record is not None
    means = {name: sum(column) / len(column) / 10_000 for name, column in record.scores["mae"].items()}
    words = [wording.trim(f"{means[name]:.3f}") for name in ("student", "teacher", "baseline")]
    line = f"held-out mae  student {words[0]}  teacher {words[1]}  baseline {words[2]}"
    found = headline.of(dossier, interval=True)
    assert (found.quality, found.metric) == (line, "mae")
    assert found.interval is not None and found.interval[0] == 250
    assert found.interval[1] < means["student"] < found.interval[2]
    view = load(decided, 1, VERA)
    drawn = {draw: " ".join(" ".join(each.plain for each in draw(view, 200)).split()) for draw in PAGES}
    assert line in " ".join(each.plain for each in overview_tab.overview(view, 78))
    assert "held-out mae" in drawn[overview_tab.numbers]
    whole = review.of(dossier)
    assert whole is not None and f"held-out mae {words[0]} (" in html.unescape(sponsor_page.report(whole, ()))
    card = next(iter(glance.cards(decided.path)))
    result = train_result(dossier.runs[-2])
    assert result is not None and (result.judged, card.measure) == ("mae", "mae")
    assert card.quality == result.judged_score and card.score == f"mae {result.judged_score:.3f}"
    assert card.best == 1 - card.quality == result.score
    command(decided.path, "list")
    assert card.score in capsys.readouterr().out
    command(decided.path, "show", "P-001")
    assert line in capsys.readouterr().out
    baselines = [each.sentence for each in dossier.judgements if each.criterion.reference is Reference.BASELINE]
    assert baselines and all("the ridge regression baseline" in each for each in baselines), baselines
    assert "baseline ridge regression" in drawn[gate_tab.gate]
    assert from_json(to_json(GATE)).baseline == "tfidf", "a gate stores the name that older gates have"


@pytest.mark.parametrize(
    ("criteria", "metric"),
    [
        ((Criterion(Metric.KAPPA, binding=True), Criterion(Metric.MAE)), Metric.KAPPA),
        ((Criterion(Metric.SPEARMAN), Criterion(Metric.P95_LATENCY, binding=True)), Metric.SPEARMAN),
        ((Criterion(Metric.ACCURACY, binding=True), Criterion(Metric.MAE)), Metric.ACCURACY),
        ((Criterion(Metric.WITHIN_ONE, watch_only="to see"), Criterion(Metric.P95_LATENCY, binding=True)), Metric.MAE),
    ],
)
def test_the_binding_metric_is_the_headline_else_the_first_that_counts(
    criteria: tuple[Criterion, ...], metric: Metric
) -> None:
    gate = Gate(criteria)
    assert metric_of(gate, Task.SCORE) is metric
    assert metric_in(json.loads(to_json(gate))["criteria"], Task.SCORE) is metric, "as the board reads it"
    usual = Metric.ACCURACY if metric is Metric.MAE else metric
    assert metric_of(gate, Task.CLASSIFICATION) is usual


def test_the_card_knows_which_metrics_are_better_when_lower() -> None:
    assert {metric for metric, score in ROW_SCORES.items() if score.lower_is_better} == {*LOWER_IS_BETTER}


def test_the_rest_of_the_way_ship_predict_and_retrain(decided: Project, form: str, tmp_path: Path) -> None:
    actions.rehearse(decided, 1, OLGA)
    assert json.loads(decided.dossier(1).runs[-1].result)["same"] is True
    actions.sign_off(decided, 1, VERA, Opinion.APPROVE, "Looked.")
    there = actions.ship(decided, 1, DANA)
    assert [each.rule for each in verify_bundle(there).problems] == ["sign_off.unsigned", "bundle.unsigned"]
    student = bundled.read(there)
    best, worst = predict.answers(student, [BEST, WORST])
    high, low = float(best["answer"]), float(worst["answer"])
    assert (high, low) == (5, 1) if form == "levels" else (high > 0.8 and low < 0.2)
    program = loaders.FORMS[student.form].program_for(several=False, scale="levels" if form == "levels" else "range")
    names = card_program.run(program, student.folder)
    assert names["predict"](BEST) == pytest.approx(best["probabilities"], abs=1e-5)
    for said in predict.answers(student, [BEST, WORST, "baran clear rude"]):
        answer = names["answer"](said["input"])
        assert float(answer) == pytest.approx(float(str(said["answer"])), abs=1e-3)
    card = (there / "MODEL_CARD.md").read_text()
    assert FORMS[form] in card
    data = decided.artifacts.path(decided.dossier(1).data_sets[-1].artifact)
    made = retrain.make(there, data, tmp_path / "again", None, None, None)
    assert made["same_student"] and made["same_data"]
    feed = scores.rows(300, 3, ranged=form == "range", noise=0.25, start="2026-02")
    actions.observe(decided, 1, OLGA, scores.write(tmp_path / "feb.jsonl", feed), any_time=True)
    run = decided.dossier(1).runs[-1]
    assert run.status is RunStatus.FINISHED, run.error
    assert decided.dossier(1).standing is Standing.STEADY
    assert not json.loads(run.result).get("outside")


def test_what_the_judge_says_twice_is_shown_before_the_lock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project, play = opened(tmp_path, "1,2,3,4,5")
    file = scores.write(tmp_path / "a.jsonl", scores.rows(200, 4, twice=60))
    command(project.path, "import", "P-001", str(file))
    command(project.path, "teacher", "P-001", "--recorded")
    capsys.readouterr()
    command(project.path, "gate", "power", "P-001")
    shown = capsys.readouterr().out
    assert "Asked twice, the teacher is 0." in shown and "60 repeated inputs" in shown
    assert "Spearman's correlation" in shown and "Quadratic weighted kappa" in shown
    lines = [line.plain for line in gate_tab.gate(load(project, play, SAM), 78)]
    assert any("Asked twice" in line for line in lines) and max(map(cell_len, lines)) <= 78
    project.close()


def rows_of(pairs: list[tuple[str | None, str]]) -> list[Row]:
    return [
        Row(at, f"d{at}", f"text {at}", gold, "all", None, Split.TRAIN, 1.0, said, None)
        for at, (gold, said) in enumerate(pairs)
    ]


def kind_of(finding: Finding) -> str:
    return finding.id.partition("-")[0]


def test_the_audit_finds_unused_levels_constant_scores_and_a_judge_that_is_off() -> None:
    labels = Scale.read("1,2,3,4,5").labels
    same = [*audit.findings(rows_of([(None, "5")] * 99 + [(None, "4")]), labels)]
    assert [(kind_of(each), each.level) for each in same] == [
        ("unused", FindingLevel.NOTE),
        ("constant", FindingLevel.MUST),
    ]
    assert "never gives 1, 2, 3" in same[0].says and "gives 5 to 99 of 100" in same[1].says
    higher = [*audit.findings(rows_of([(str(1 + at % 4), str(2 + at % 4)) for at in range(60)]), labels)]
    assert "scores 1.00 higher than gold" in higher[-1].says
    fine = [*audit.findings(rows_of([(str(1 + at % 5), str(1 + at % 5)) for at in range(60)]), labels)]
    assert fine == []
    points = Scale.read("0..1").labels
    assert [kind_of(each) for each in audit.findings(rows_of([(None, "0.5"), (None, "0.56")] * 30), points)] == [
        "unused"
    ]


def test_both_sizes_of_screen_show_an_evaluation_of_scores(decided: Project) -> None:
    view = load(decided, 1, VERA)
    for width in (78, 118):
        for draw in (data_tab.data, gate_tab.gate, evidence.evaluation, evidence.decide):
            assert [line.plain for line in draw(view, width) if cell_len(line.plain) > width] == [], draw
    assert any("By level" in line.plain or "BY LEVEL" in line.plain for line in evidence.evaluation(view, 118))
    trained = view.dossier.runs[-2]
    words = " ".join(line.plain for line in evidence.climb_of(trained, 118, Task.SCORE))
    (rung,) = json.loads(trained.result)["rungs"]
    mae = "mae " + wording.trim(f"{1 - rung['score']:.3f}")
    assert "mae (less is better) on" in words and f"Kept ngram ({mae})" in words and words.count(mae) == 2
    assert f"score {scale_text(view.play)}" in overview_tab.what(view, 78)[0].plain


# --- teachers that are asked, and encoders ---------------------------------------------------------------------------


def unscored(folder: Path, count: int, seed: int, gold: float = 0.8) -> Path:
    """Write calls without the judge's scores; most have gold."""
    rows = [row | {"teacher_output": None, "teacher_probabilities": None}
            for row in scores.rows(count, seed, gold=gold)]  # fmt: skip
    return scores.write(folder / "calls.jsonl", rows)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with the levels as its labels, as `save_pretrained` leaves it."""
    folder = tmp_path_factory.mktemp("judge")
    taught = scores.rows(700, 9)
    texts = tuple(row["input"] for row in taught)
    gold = np.array([row["gold"] - 1 for row in taught], dtype=np.int64)
    part, rest = (Examples(texts[at], gold[at], None, np.ones(len(gold[at]), dtype=np.float32))
                  for at in (slice(600), slice(600, None)))  # fmt: skip
    spec = Spec.from_mapping(
        {"student": "static", "hidden": 48, "epochs": 15, "learning_rate": 1e-2, "alpha": 0}
        | {"vocabulary": 400, "patience": 15, "batch_size": 8}
    )
    list(classification.train(spec, scores.LEVELS, part, rest, Places(None, folder / "checkpoints", folder / "model")))
    return folder / "model"


def off(project: Project) -> dict[str, float]:
    """Return the mean distance from gold of student and teacher, as a share of the scale."""
    record = project.dossier(1).record
    assert record is not None
    return {name: sum(column) / len(column) / 10_000 for name, column in record.scores["mae"].items()}


def test_encoders_learn_scores_from_a_local_model(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, play = opened(tmp_path, FORMS["levels"])
    actions.lock_gate(project, play, SAM)
    command(project.path, "import", "P-001", str(unscored(tmp_path, 700, 2)))
    command(project.path, "teacher", "P-001", str(model))
    command(project.path, "label", "P-001")
    command(project.path, "data", "build", "P-001")
    command(project.path, "data", "accept", "P-001", "--all", "-m", "small")
    command(project.path, "data", "freeze", "P-001")
    small = ("epochs=10", "learning_rate=5e-3", "controls=", "hidden=32", "depth=1", "batch_size=8")
    for kind in ("scratch", "static"):
        command(project.path, "train", "P-001", f"student={kind}", *small)
        score = json.loads(project.dossier(1).runs[-1].result)["validation_score"]
        assert score > 0.75, "0.7 is what the median of all gets"
    command(project.path, "eval", "P-001")
    found = off(project)
    assert found["student"] < 0.15 and found["teacher"] < 0.1, found
    record = project.dossier(1).record
    assert record is not None and record.task is Task.SCORE and set(record.labels) == set(scores.LEVELS)
    project.close()


class Judge(ThreadingHTTPServer):
    """An endpoint that counts the good words of a text, and gives the log-probability of each level."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Judging)
        self.asked = 0


class Judging(BaseHTTPRequestHandler):
    server: Judge

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked += 1
        words = body["messages"][0]["content"].rsplit("\n\n", 1)[-1].split()
        good = sum(word in scores.GOOD for word in words)
        weights = [math.exp(-((at - good) ** 2)) for at in range(5)]
        top = [{"token": level, "logprob": math.log(weight / sum(weights)), "bytes": None}
               for level, weight in zip(scores.LEVELS, weights, strict=True)]  # fmt: skip
        message = {"role": "assistant", "content": f"{good + 1}"}
        choice = {"index": 0, "finish_reason": "stop", "message": message,
                  "logprobs": {"content": [top[good] | {"top_logprobs": top}]}}  # fmt: skip
        usage = {"prompt_tokens": 40, "completion_tokens": 1, "total_tokens": 41}
        whole = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"]}
        content = json.dumps(whole | {"choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def judge() -> Iterator[Judge]:
    pytest.importorskip("openai")
    made = Judge()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_an_endpoint_scores_with_a_distribution_over_the_levels(judge: Judge, tmp_path: Path) -> None:
    project, play = opened(tmp_path, FORMS["levels"])
    actions.lock_gate(project, play, SAM)
    command(project.path, "import", "P-001", str(unscored(tmp_path, 600, 3)))
    asked = ("--endpoint", f"http://127.0.0.1:{judge.server_port}/v1", "--model", "large")
    command(project.path, "teacher", "P-001", *asked, "--labels", FORMS["levels"])
    paid = ("--budget", "5", "--price-in", "1", "--price-out", "2")
    command(project.path, "label", "P-001", "--estimate", *paid)
    command(project.path, "label", "P-001", *paid)
    assert judge.asked >= 590
    command(project.path, "data", "build", "P-001")
    command(project.path, "data", "accept", "P-001", "--all", "-m", "small")
    command(project.path, "data", "freeze", "P-001")
    command(project.path, "train", "P-001", *SPEC)
    command(project.path, "eval", "P-001")
    found = off(project)
    assert found["teacher"] == 0 and found["student"] < 0.15, found
    record = project.dossier(1).record
    assert record is not None
    assert max(record.scores["brier_score"]["teacher"]) > 0, "the distribution was kept, not the level alone"
    project.close()


# --- keys, a trial, a refresh ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("typed", "scale"), [("score 1,2,3,4,5", "1,2,3,4,5"), ("score 0..1", "0..1")])
async def test_a_play_of_scores_is_opened_by_keys(tmp_path: Path, typed: str, scale: str) -> None:
    project = Project.create(tmp_path / "play.distill", "judge", "dana", "Dana", Actor(None, DANA.proof))
    app = DistillApp(project.path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("n", *"judge", "enter", "enter", "ctrl+u", *"score", "enter", "enter")
        await settled(pilot)
        assert "Write the scale after the word" in text_of(app), "the form stays, the cursor is on its field"
        assert glance.cards(project.path) == []
        await pilot.press("ctrl+u", *typed, "enter", "enter")
        await settled(pilot)
        assert "P-001 judge" in text_of(app)
    play = project.dossier(1).play
    assert play.task is Task.SCORE and scale_text(play) == scale
    project.close()


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_scores_is_tried_and_its_plan_makes_a_play_of_scores(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    scores.write(tmp_path / "calls.jsonl", scores.rows(400, 6, ranged=form == "range", noise=0.25))
    assert main(["try", "calls.jsonl", "--levels", "1,2"]) == 4
    assert "two levels are labels" in capsys.readouterr().err
    assert main(["try", "calls.jsonl", "--levels", FORMS[form]]) == 0
    shown = capsys.readouterr().out
    assert "mean absolute error" in shown and "By level" in shown and "Answerable at" in shown
    assert main(["init", "calls.distill", "--from", "calls.plan.toml"]) == 0
    project = Project.open(tmp_path / "calls.distill")
    play = project.dossier(1).play
    assert play.task is Task.SCORE and scale_text(play) == FORMS[form]
    project.close()


def test_numbers_of_a_range_without_gold_cannot_be_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    scores.write(tmp_path / "calls.jsonl", scores.rows(200, 6, ranged=True, gold=0))
    assert main(["try", "calls.jsonl", "--levels", "0..1"]) == 4
    assert "name the column of gold" in capsys.readouterr().err


def test_a_refresh_learns_what_the_judge_says_of_new_words(decided: Project, form: str, tmp_path: Path) -> None:
    actions.rehearse(decided, 1, OLGA)
    actions.sign_off(decided, 1, VERA, Opinion.APPROVE, "Looked.")
    actions.ship(decided, 1, DANA)
    swapped = {word: f"new{word[::-1]}" for word in (*scores.GOOD, *scores.BAD)}  # words that the student never saw

    def later(count: int, seed: int, start: str) -> list[dict]:
        rows = scores.rows(count, seed, ranged=form == "range", noise=0.25, start=start)
        return [row | {"input": " ".join(swapped.get(word, word) for word in row["input"].split())} for row in rows]

    actions.observe(decided, 1, OLGA, scores.write(tmp_path / "feb.jsonl", later(1500, 7, "2026-02")), any_time=True)
    assert decided.dossier(1).standing is Standing.ALARM
    actions.refresh(decided, 1, OLGA, "The judge's words changed.")
    command(decided.path, "data", "build", "P-001")
    if open_findings(decided.dossier(1)):
        command(decided.path, "data", "accept", "P-001", "--all", "-m", "new words")
    command(decided.path, "data", "freeze", "P-001")
    command(decided.path, "train", "P-001", *SPEC)
    command(decided.path, "eval", "P-001")
    assert off(decided)["student"] < 0.15, "the student that is live is near 0.3 on these words"
    actions.rehearse(decided, 1, OLGA)
    actions.sign_off(decided, 1, VERA, Opinion.APPROVE, "Looked.")
    actions.ship(decided, 1, DANA)
    actions.observe(decided, 1, OLGA, scores.write(tmp_path / "mar.jsonl", later(400, 8, "2026-03")), any_time=True)
    assert decided.dossier(1).standing is not Standing.ALARM


# --- the gateway -----------------------------------------------------------------------------------------------------


def test_a_bundle_that_is_served_answers_with_scores_over_http(decided: Project, form: str, tmp_path: Path) -> None:
    there, signer = shipped_with_keys(decided, 1, tmp_path / "keys")
    words = (str(there), "--signer", signer, "--mode", "cascade", "--served-log", str(tmp_path / "log"))
    with gateway.process(*words, folder=tmp_path / "log") as (found, _):
        found.until(lambda: found.health()["status"] == "ok", 60)
        said = found.chat(BEST)
        assert said.headers["x-distill-route"] == "student"
        answer = said.json()["choices"][0]["message"]["content"]
        assert answer == "5" if form == "levels" else float(answer) > 0.8
        first = found.http.post("/predict", json={"inputs": WORST}).json()[0]
        assert first["label"] == "1" if form == "levels" else float(first["label"]) < 0.2


@pytest.mark.parametrize(
    ("scale", "teacher", "student", "agrees"),
    [("1,2,3,4,5", "4.0", "4", True), ("1,2,3,4,5", "4", "5", True), ("1,2,3,4,5", "3", "5", False),
     ("1,2,3,4,5", "none", "5", False), ("0..1", "0.4", "0.49", True), ("0..1", "0.4", "0.51", False)],
)  # fmt: skip
def test_student_and_teacher_agree_within_one_level(scale: str, teacher: str, student: str, agrees: bool) -> None:
    scorer = BundledStudent(Path(), "", Task.SCORE, "ngram", Scale.read(scale).labels, 1, 64, 0.0)
    stand = Stand("judge", ServingMode.SHADOW, student=scorer)
    assert recorder.agree(stand, recorder.stands_for(stand, teacher), student) is agrees
