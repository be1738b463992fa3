"""A play whose answers are texts, from the first traffic to a watched student: what is refused, then what works."""

from __future__ import annotations

import html
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from distill_tui import actions, tasks
from distill_tui.actions import failures
from distill_tui.bundles import retrain
from distill_tui.bundles.verify import verify_bundle
from distill_tui.cli.app import main
from distill_tui.dataset import browse, frozen
from distill_tui.gates.deferred import chosen, sent_back, together
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.gates.judging import judge
from distill_tui.monitor import history, refresh
from distill_tui.reports import html as sponsor_page
from distill_tui.reports import model_card
from distill_tui.reports import text as report
from distill_tui.review import controls, errors, rates, review
from distill_tui.rules.data import findings
from distill_tui.rules.objection import Refused
from distill_tui.spec import Spec
from distill_tui.store.project import Project
from distill_tui.tasks import answer_text
from distill_tui.teachers import cache
from distill_tui.teachers.description import Described
from distill_tui.terms import (
    Control,
    Metric,
    Opinion,
    PlayKind,
    Reference,
    RunStatus,
    Split,
    Standing,
    Task,
    TeacherSource,
    Verdict,
)
from distill_tui.ui.play import evidence, gate_tab
from distill_tui.ui.play.view import load
from support import data_runs, live_play
from support.live_play import DANA, OLGA, SAM, VERA, replay, workers_here, write
from support.sequences import CITIES, STATES, STREETS, colours, tiny_causal

GATE = Gate(
    (
        Criterion(Metric.ACCURACY, Reference.BASELINE, margin=Decimal("-0.2")),
        Criterion(Metric.FIELD_F1, threshold=Decimal("0.7"), binding=True),
        Criterion(Metric.CHRF, Reference.TEACHER, margin=Decimal("0.3")),
        Criterion(Metric.AGREEMENT, threshold=Decimal("0.6")),
    ),
    rounds=2,
    held_out_rows=120,
)
SPEC = Spec.from_mapping(  # a vocabulary of whole words, so that the student has something wrong to look at
    {"student": "tagger", "hidden": 48, "depth": 1, "epochs": 12, "learning_rate": 4e-3, "vocabulary": 1024}
)


def calls(count: int, seed: int, start: str = "2026-01-01", wrong: float = 0.1) -> list[dict[str, str]]:
    """Make addresses of all kinds; the teacher leaves the zip out now and then, and one in three has gold."""
    random, made = Random(seed), []
    for number in range(count):
        name = f"{random.choice(STREETS)} {''.join(random.choices('bcdfgklmnprst', k=4))}"
        number_of, zip_code = random.randint(1, 9999), random.randint(10000, 99999)
        parts = {"number": str(number_of), "city": random.choice(CITIES), "zip": str(zip_code)}
        text = f"{parts['number']} {name}, {parts['city']} {random.choice(STATES)} {parts['zip']}"
        said = parts if random.random() > wrong else {name: parts[name] for name in ("number", "city")}
        row = {"input": text, "teacher_output": json.dumps(said), "segment": random.choice(("app", "web"))}
        row["time"] = f"{start[:8]}{1 + number * 28 // count:02}T12:00:00Z"
        made.append(row | ({"gold": json.dumps(parts, indent=1)} if number % 3 == 0 else {}))
    return made


def opened(folder: Path, gate: Gate = GATE) -> tuple[Project, int]:
    """Open a generation play and lock its gate."""
    return live_play.opened(folder, "parts", Task.GENERATION, gate)


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    with workers_here():
        yield


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made, _ = opened(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generation play at `decide`, whose teacher is recorded."""
    folder = tmp_path_factory.mktemp("generation") / "made"
    folder.mkdir()
    project, play = opened(folder)
    actions.lock_gate(project, play, SAM)
    data_runs.import_traffic(project, play, DANA, write(folder / "first.jsonl", calls(700, 1)))
    actions.set_teacher(project, play, DANA, None)
    data_runs.build_data(project, play, DANA)
    data_runs.freeze_data(project, play, DANA)
    with workers_here():
        actions.start_run(project, play, DANA, SPEC)
        actions.evaluate(project, play, DANA)
    actions.set_maintenance(project, play, OLGA, 600, 60)
    project.close()
    return folder


@pytest.fixture
def decided(judged: Path, tmp_path: Path) -> Iterator[Project]:
    shutil.copytree(judged, tmp_path / "copy")
    made = Project.open(tmp_path / "copy" / "play.distill")
    yield made
    made.close()


# --- what does not fit is refused -----------------------------------------------------------------------------------


def test_a_metric_of_the_other_task_cannot_be_locked(project: Project) -> None:
    brier = Criterion(Metric.BRIER, threshold=Decimal("0.1"))
    actions.edit_gate(project, 1, DANA, replace(GATE, criteria=(*GATE.criteria, brier)))
    with pytest.raises(Refused, match="needs probabilities of labels, but this play's answers are texts"):
        actions.lock_gate(project, 1, SAM)
    found = tasks.gate_problems(GATE, PlayKind.STABILITY, Task.CLASSIFICATION)
    assert "field_f1 compares texts, but this play's answers are labels; use accuracy." in found


def test_latency_cannot_be_bounded_where_requests_go_back_to_a_teacher_that_writes(project: Project) -> None:
    latency = Criterion(Metric.P95_LATENCY, threshold=Decimal(20))
    most = Criterion(Metric.DEFERRED, threshold=Decimal("0.5"))
    asks = replace(GATE, criteria=(*GATE.criteria, latency, most), deferral=Decimal("0.1"))
    told = [
        each
        for each in tasks.gate_problems(asks, PlayKind.STABILITY, Task.GENERATION)
        if each.startswith("p95_latency")
    ]
    assert len(told) == 1 and told[0].endswith("remove one of the two, or only watch the latency.")
    watched = replace(latency, watch_only="Nobody times both.")
    watching = replace(asks, criteria=(*GATE.criteria, watched, most))
    assert not tasks.gate_problems(watching, PlayKind.STABILITY, Task.GENERATION)


@pytest.fixture(scope="module")
def weighed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generation play at `decide`, whose student learnt the probabilities of a model that writes."""
    folder = tmp_path_factory.mktemp("weighed")
    ahead = Criterion(Metric.ACCURACY, Reference.BASELINE, margin=Decimal("0.5"), binding=True)
    project, play = opened(folder, Gate((ahead,), rounds=1, held_out_rows=80))
    actions.lock_gate(project, play, SAM)
    rows = [row | {"teacher_output": None} for row in calls(300, 4)]
    data_runs.import_traffic(project, play, DANA, write(folder / "first.jsonl", rows))
    model = tiny_causal(folder / "model", tuple(row["input"] for row in rows))
    asked = Described(
        TeacherSource.PROMPTED, "", (), "Give the parts of the line.\n{input}:", max_tokens=6, completes=True
    )
    data_runs.try_teacher(project, play, DANA, model, asked)
    spec = Spec.from_mapping(
        {"student": "causal", "hidden": 32, "depth": 1, "epochs": 2, "learning_rate": 6e-3}
        | {"alpha": 0.5, "temperature": 1, "answer_tokens": 12, "max_tokens": 48, "controls": ""}
    )
    with workers_here():
        actions.label(project, play, DANA)
        data_runs.build_data(project, play, DANA)
        data_runs.freeze_data(project, play, DANA)
        actions.start_run(project, play, DANA, spec)
        actions.evaluate(project, play, DANA)
    actions.set_maintenance(project, play, OLGA, 600, 60)
    project.close()
    return folder


def test_a_gate_that_sends_answers_back_is_judged_on_what_the_two_say_together(decided: Project) -> None:
    dossier = decided.dossier(1)
    record, most = dossier.record, Criterion(Metric.DEFERRED, threshold=Decimal("0.9"))
    gate = replace(GATE, criteria=(*GATE.criteria, most), deferral=Decimal("0.3"))
    validation = dossier.validation(dossier.evaluation.run_id)  # type: ignore[union-attr]
    assert record is not None and validation is not None
    assert "evaluate it again, or a better student" in judge(gate, record)[0].sentence
    record = replace(record, deferred_below=chosen(gate, validation))
    back, both = sent_back(record), together(gate, record)
    assert 0 < len(back) < len(record.rows)
    assert all(both.student[row] == record.teacher[row] for row in back if record.teacher[row] >= 0)
    judged = {each.criterion.metric: each for each in judge(gate, record)}
    assert judged[Metric.DEFERRED].estimate == pytest.approx(len(back) / len(record.rows))
    alone = {each.criterion.metric: each for each in judge(GATE, record)}
    assert judged[Metric.AGREEMENT].estimate > alone[Metric.AGREEMENT].estimate


def test_a_student_of_probabilities_of_tokens_is_trained_anew_from_its_bundle(weighed: Path, tmp_path: Path) -> None:
    shutil.copytree(weighed, tmp_path / "copy")
    project = Project.open(tmp_path / "copy" / "play.distill")
    actions.rehearse(project, 1, OLGA)
    assert json.loads(project.dossier(1).runs[-1].result)["same"] is True
    actions.sign_off(project, 1, VERA, Opinion.APPROVE, "Looked.")
    there = actions.ship(project, 1, DANA)
    data = project.artifacts.path(project.dossier(1).data_sets[-1].artifact)
    with pytest.raises(ValueError, match="give the folder with --teacher"):
        retrain.make(there, data, tmp_path / "again", None, None, None)
    made = retrain.make(there, data, tmp_path / "again", weighed / "model", None, None)
    assert made["same_student"] and made["same_data"]
    fresh = write(tmp_path / "fresh.jsonl", [row | {"teacher_output": None} for row in calls(60, 9)])
    assert not retrain.make(there, fresh, tmp_path / "other", weighed / "model", None, None)["same_student"]
    recipe = json.loads((there / "recipe.json").read_text())
    old = tmp_path / "old"
    shutil.copytree(there, old)
    (old / "recipe.json").unlink()
    (old / "recipe.json").write_text(json.dumps({name: value for name, value in recipe.items() if name != "asked"}))
    with pytest.raises(ValueError, match="of an earlier release, does not say how the teacher was asked"):
        retrain.make(old, data, tmp_path / "third", weighed / "model", None, None)
    project.close()


def test_a_teacher_that_chooses_among_labels_cannot_teach_it(project: Project, tmp_path: Path) -> None:
    actions.lock_gate(project, 1, SAM)
    with pytest.raises(Refused, match="P-001 is a generation play, and this teacher chooses among labels"):
        actions.try_teacher(project, 1, DANA, tmp_path, Described(TeacherSource.PROMPTED, "", ("a", "b"), "{input}"))
    with pytest.raises(Refused, match="chooses among labels"):
        actions.try_teacher(project, 1, DANA, tmp_path)
    assert "A zero-shot teacher chooses among labels" in str(
        Described(TeacherSource.ZERO_SHOT, "", (), "{label}").problem()
    )
    other = actions.open_play(project, DANA, "labels", PlayKind.STABILITY)
    assert project.dossier(other).play.task is Task.CLASSIFICATION


def test_a_student_that_chooses_labels_cannot_be_trained_for_it(decided: Project) -> None:
    actions.iterate(decided, 1, DANA)
    data_runs.build_data(decided, 1, DANA)
    data_runs.freeze_data(decided, 1, DANA)
    with pytest.raises(Refused, match="P-001 is a generation play, and a student of kind static chooses among labels"):
        actions.start_run(decided, 1, DANA, Spec.from_mapping({"student": "static"}))


def test_the_command_trains_the_control_too_and_no_answer_is_taken_for_a_label(
    decided: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    actions.iterate(decided, 1, DANA)
    data_runs.build_data(decided, 1, DANA)
    data_runs.freeze_data(decided, 1, DANA)
    small = ["hidden=8", "depth=1", "epochs=1", "vocabulary=64"]
    assert main(["--project", str(decided.path), "train", "P-001", "student=tagger", *small]) == 0
    assert "labels alone" not in capsys.readouterr().err
    assert Spec.from_json(decided.dossier(1).runs[-1].spec).controls == (Control.GOLD,)


# --- the whole way --------------------------------------------------------------------------------------------------


def test_a_student_is_judged_by_exact_match_and_by_its_row_scores(decided: Project) -> None:
    dossier = decided.dossier(1, thorough=True)
    record = dossier.record
    assert record is not None and record.task is Task.GENERATION
    data = decided.dossier(1).data_set
    assert data is not None and "The teacher is right on" in json.loads(data.counts)["audit"]["teacher_says"]
    assert not any(finding.id.startswith("teacher") for finding in findings(decided.dossier(1)))
    verdicts = [each.verdict for each in dossier.judgements]
    assert verdicts == [Verdict.HOLDS] * 4, [each.sentence for each in dossier.judgements]
    assert "Field F1 is" in dossier.judgements[1].sentence and "ChrF" in dossier.judgements[2].sentence
    assert len(record.latency_us["student"]) == 5 and record.bytes["student"] > 0
    assert record.controls.keys() == {"gold"}, "what people marked, without the teacher"
    assert any("gold" in sentence for sentence in controls.findings(record))
    assert errors.confusions(record) == []
    view = load(decided, 1, VERA)
    pages = ["\n".join(line.plain for line in draw(view, 400)) for draw in (gate_tab.gate, evidence.evaluation)]
    pages += ["\n".join(report.evaluation(review.of(dossier))), "\n".join(report.gate(dossier))]
    assert all(
        tasks.of(Task.GENERATION).metrics_note in page
        for page in (*pages, html.unescape(sponsor_page.report(review.of(dossier), ())))
    )
    told = [each.sentence for each in rates.score_means(record)]
    assert told[0].startswith("Field F1: student ") and told[1].startswith("ChrF: student ")


def test_where_it_fails_can_be_paged_through(decided: Project) -> None:
    found = failures.failures(decided, decided.dossier(1), DANA)
    assert found is not None and found.split is Split.VALIDATION
    if found.order:
        one = failures.look(decided, DANA, found, 1)
        right = one.gold or one.teacher
        assert generated_parts(right) and one.student
        assert one.apart == answer_text.differing_fields(one.student, right) and set(one.apart) <= {
            "number",
            "city",
            "zip",
        }


def generated_parts(text: str) -> bool:
    return set(json.loads(text)) <= {"number", "city", "zip"}


def test_it_ships_is_verified_and_is_trained_anew_from_its_bundle(decided: Project, tmp_path: Path) -> None:
    actions.rehearse(decided, 1, OLGA)
    assert json.loads(decided.dossier(1).runs[-1].result)["same"] is True
    actions.sign_off(decided, 1, VERA, Opinion.APPROVE, "Looked.")
    there = actions.ship(decided, 1, DANA)
    found = [each.rule for each in verify_bundle(there).problems]
    assert found == ["sign_off.unsigned", "bundle.unsigned"], "by accounts"
    card = (there / "MODEL_CARD.md").read_text()
    assert (
        "AutoModelForTokenClassification" in card
        and "Labels:" not in card
        and model_card.plain(tasks.of(Task.GENERATION).metrics_note) in card
    )
    assert model_card.form(decided.dossier(1)) == "tagger"
    data = decided.artifacts.path(decided.dossier(1).data_sets[-1].artifact)
    made = retrain.make(there, data, tmp_path / "again", None, None, None)
    assert made["same_student"] and made["same_data"] and made["score_name"] == "accuracy" and made["score"] > 0.5
    fresh = write(tmp_path / "fresh.jsonl", calls(200, 9))
    assert retrain.make(there, fresh, tmp_path / "other", None, None, None)["same_student"] is False


def test_the_live_student_is_watched_by_what_it_answers(decided: Project, tmp_path: Path) -> None:
    actions.rehearse(decided, 1, OLGA)
    actions.sign_off(decided, 1, VERA, Opinion.APPROVE, "Looked.")
    actions.ship(decided, 1, DANA)
    replay(decided, 1, OLGA, write(tmp_path / "feb.jsonl", calls(300, 3, "2026-02-01")))
    run = decided.dossier(1).runs[-1]
    assert run.status is RunStatus.FINISHED, run.error
    view = history.life(decided, decided.dossier(1))
    assert view is not None and decided.dossier(1).standing is Standing.STEADY
    assert 0 < view.within(0)[0].differ < 150
    replay(decided, 1, OLGA, write(tmp_path / "mar.jsonl", calls(400, 4, "2026-03-01", wrong=1.0)))
    assert decided.dossier(1).standing is not Standing.STEADY, "the teacher leaves out what the student gives"
    assert set(refresh.failures(decided, decided.dossier(1))) <= {"app / ?", "web / ?"}


# --- teachers that write --------------------------------------------------------------------------------------------


def test_a_causal_model_on_this_machine_writes_the_answers_once(project: Project, tmp_path: Path) -> None:
    actions.lock_gate(project, 1, SAM)
    folder = tiny_causal(tmp_path / "model", colours(60, 5).inputs)
    teacher = Described(TeacherSource.PROMPTED, "", (), "Say it: {input}", max_tokens=4)
    data_runs.try_teacher(project, 1, DANA, folder, teacher)
    asked = [{"input": text} for text in dict.fromkeys(colours(24, 6).inputs)]
    data_runs.import_traffic(project, 1, DANA, write(tmp_path / "asked.jsonl", asked))
    actions.label(project, 1, DANA)
    run = project.dossier(1).runs[-1]
    result = json.loads(run.result)
    assert run.status is RunStatus.FINISHED and result["new"] == len(asked)
    play = project.dossier(1).play
    assert play is not None
    said = cache.said(project.artifacts.folder, play.teacher_digest)
    assert len(said) == len(asked)
    actions.label(project, 1, DANA)
    assert json.loads(project.dossier(1).runs[-1].result)["new"] == 0, "what was answered is asked no more"


def test_a_described_teacher_needs_no_labels_and_asks_in_its_own_words(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    actions.lock_gate(project, 1, SAM)
    folder = tiny_causal(tmp_path / "model", colours(60, 5).inputs)
    longer = json.loads((folder / "config.json").read_text()) | {"max_position_embeddings": 512}
    (folder / "config.json").write_text(json.dumps(longer))
    words = tmp_path / "words.txt"
    words.write_text("Give the parts of {input} as JSON.")
    command = ["--project", str(project.path), "teacher", "P-001", str(folder), "--prompted", "--template", str(words)]
    assert main(command) == 0, capsys.readouterr().err
    play = project.dossier(1).play
    assert play is not None
    described = Described.from_json(project.artifacts.path(play.teacher_digest).read_text())
    assert (described.labels, described.max_tokens) == ((), 256)
    assert described.prompt("Elm") == "Give the parts of Elm as JSON." and not described.completes
    assert "completes" not in described.to_json(), "a teacher of an earlier release keeps its name in the cache"
    assert main([*command, "--completes"]) == 0, capsys.readouterr().err
    play = project.dossier(1).play
    assert play is not None and Described.from_json(project.artifacts.text(play.teacher_digest)).completes
    assert main([*command, "--completes", "--labels", "a,b"]) != 0
    assert "leave out --completes" in replace(described, completes=True, labels=("a", "b")).problem()  # type: ignore[operator]
    assert described.read('```json\n{"a": 1}\n```') == '{"a": 1}'


def test_what_is_only_written_otherwise_is_no_conflict(decided: Project) -> None:
    rows = browse.OpenRows(decided.artifacts.path(decided.dossier(1).data_sets[-1].artifact))
    found = [rows.at(int(place)) for place in rows.find(browse.Filter(conflicts="teacher"))]
    assert found and all("zip" in row["gold"] and "zip" not in row["teacher_output"] for row in found)
    other = [rows.at(place) for place in range(len(rows)) if rows.at(place)["gold"] and not rows.at(place)["conflict"]]
    assert other and all(row["gold"] != row["teacher_output"] for row in other), "in another spelling"
    assert not any(finding.id.startswith("conflict") for finding in findings(decided.dossier(1)))


def test_an_answer_in_the_traffic_stays_as_it_was_written(decided: Project) -> None:
    data = decided.artifacts.path(decided.dossier(1).data_sets[-1].artifact)
    rows = frozen.load(data, Split.TRAIN)
    assert rows.labels == () and any(text and "\n" in text for text in rows.gold_texts)


# --- the sample of addresses ----------------------------------------------------------------------------------------


def test_the_sample_reads_a_marked_line_and_drops_one_whose_part_is_in_two_places() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "sample_projects" / "address_extraction"))
    import addresses

    marked = (
        "<AddressNumber>12</AddressNumber> <StreetNamePreDirectional>N</StreetNamePreDirectional>\n"
        "<StreetName>M &amp; M</StreetName> <StreetNamePostType>Rd,</StreetNamePostType> "
        "<PlaceName>Troy</PlaceName>, <StateName>NY</StateName> <ZipCode>12180</ZipCode>"
    )
    text, parts = addresses.line(marked)
    assert text == "12 N M & M Rd, Troy, NY 12180"
    assert parts == {"number": "12", "street": "N M & M Rd", "city": "Troy", "state": "NY", "zip": "12180"}
    twice = "<PlaceName>Troy</PlaceName> <ZipCode>1</ZipCode> <PlaceName>Rome</PlaceName>"
    assert addresses.line(twice) == ("Troy 1 Rome", {}), "one value in two places is no example"
    assert addresses.street({"city": "Troy"}) is None
