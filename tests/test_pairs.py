"""Pairs: two fields of a row are one input of two parts, from the file to the tokenizer and to the request served."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from distill_tui import actions
from distill_tui.bundles import predict
from distill_tui.bundles import student as bundled
from distill_tui.cli.app import main
from distill_tui.dataset import frozen, traffic
from distill_tui.dataset.duplicates import input_digest
from distill_tui.dataset.readers import ColumnMapping, TrafficRow, guess_mapping, read_rows
from distill_tui.dataset.split import Candidate, SplitRule, assign, components
from distill_tui.dataset.traces import call_mapping
from distill_tui.dataset.traces.call_mapping import CallMapping, NotMapped, Take, input_of_request, plain_input
from distill_tui.dataset.traces.proposal import propose
from distill_tui.dataset.traces.stream import recognise, sample_calls
from distill_tui.rounds import variations
from distill_tui.rules.actor import Actor
from distill_tui.rules.objection import Refused
from distill_tui.rules.results import Reject
from distill_tui.serving import wire
from distill_tui.spec import Spec
from distill_tui.store.project import Project, ProjectError
from distill_tui.tasks import loaders
from distill_tui.teachers.description import Described
from distill_tui.terms import PlayKind, Role, RunStatus, StudentKind, TeacherSource
from distill_tui.text import PAIR, in_a_row, pair_of
from distill_tui.training import classification, export, folders, local_teachers, models, students
from distill_tui.training.examples import Examples
from distill_tui.training.loop import Places
from support import card_program, data_runs, live_play
from support.intake import MIA, MINE
from support.training import teacher  # noqa: F401

TEMPLATE = "{query}{|}{document}"
ROWS = [("lost parcel", "Where is it?"), ("refund", "Money back"), ("late", "It came late")]


@pytest.fixture
def play(tmp_path: Path) -> tuple[Project, int]:
    project = Project.create(tmp_path / "team.distill", "Team", "mia", "Mia", Actor(None, MINE))
    number = actions.open_play(project, MIA, "relevance", PlayKind.COST)
    actions.assign_role(project, number, MIA, Role.DRIVER, "mia")
    return project, number


def table(path: Path, rows: list[tuple[str, str]], names: tuple[str, str] = ("query", "document")) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "label"])
        writer.writerows([first, second, "ab"[at % 2]] for at, (first, second) in enumerate(rows))
    return path


# the input


@given(st.text(), st.text())
def test_a_pair_is_two_parts_with_text_or_it_is_no_pair(first: str, second: str) -> None:
    parts = pair_of(first + PAIR + second)
    whole = bool(first.strip() and second.strip()) and PAIR not in first + second
    assert parts == ((first, second) if whole else None)


def test_where_a_pair_parts_is_part_of_its_identity() -> None:
    assert input_digest(f"a b{PAIR}c") != input_digest(f"a{PAIR}b c") != input_digest("a b c")
    assert input_digest(f" A  b {PAIR}\nc") == input_digest(f"a b{PAIR}c")


def test_columns_of_the_usual_names_are_proposed_as_a_pair(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", ROWS)
    assert guess_mapping(path).input == TEMPLATE
    assert guess_mapping(table(tmp_path / "b.csv", ROWS, ("Premise", "hypothesis"))).input == "{Premise}{|}{hypothesis}"
    assert guess_mapping(table(tmp_path / "c.csv", ROWS, ("text", "document"))).input == "text"
    rows = list(read_rows(path, guess_mapping(path)))
    assert [row.input for row in rows if isinstance(row, TrafficRow)] == [PAIR.join(each) for each in ROWS]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("", "x"), "a part of the pair is empty"),
        (("x", "  "), "a part of the pair is empty"),
        (("x", f"y{PAIR}z"), "holds the character U+001F"),
    ],
)
def test_a_row_without_two_parts_is_rejected_with_the_reason(tmp_path: Path, row: tuple[str, str], reason: str) -> None:
    (found,) = read_rows(table(tmp_path / "a.csv", [row]), ColumnMapping(input=TEMPLATE))
    assert isinstance(found, Reject) and reason in found.reason


@pytest.mark.parametrize("text", [f"a{PAIR}b{PAIR}c", f"{PAIR}b", f"a{PAIR}"])
def test_the_separator_in_a_text_that_is_no_pair_is_rejected(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": text}) + "\n" + json.dumps({"text": f"a{PAIR}b"}) + "\n")
    bad, good = read_rows(path, guess_mapping(path))
    assert isinstance(bad, Reject) and "U+001F" in bad.reason
    assert isinstance(good, TrafficRow) and pair_of(good.input) == ("a", "b")
    with pytest.raises(NotMapped, match="U\\+001F"):
        input_of_request({"messages": [{"role": "user", "content": text}]})


@pytest.mark.parametrize("template", ["{|}", "{a}{|}", "{|}{b}", "{a}{|}{b}{|}{c}", "a{|}{b}"])
def test_a_template_without_a_field_in_each_part_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"A pair has two parts|has no \{field\}"):
        CallMapping.read(json.dumps({"template": template}))


# the same mapping everywhere


def logged(path: Path, count: int = 20) -> Path:
    def record(n: int) -> dict[str, object]:
        asked = json.dumps({"query": f"query {n}", "document": f"text {n}", "locale": "de"})
        said = {"role": "assistant", "content": "ab"[n % 2]}
        return {
            "messages": [{"role": "system", "content": "Is it relevant?"}, {"role": "user", "content": asked}, said]
        }

    path.write_text("".join(json.dumps(record(n)) + "\n" for n in range(count)))
    return path


def test_fields_of_a_logged_request_are_proposed_as_a_pair_and_served_as_one(tmp_path: Path) -> None:
    mapping = propose(sample_calls(recognise(logged(tmp_path / "a.jsonl")), 50), chooses=True)
    assert (mapping.take, mapping.template, mapping.pairs) == (Take.LAST_USER, TEMPLATE, True)
    fields = {"query": "q", "document": "d", "locale": "de"}
    chat = {"messages": [{"role": "user", "content": json.dumps(fields)}]}
    question = {"q": {"type": "choice", "criteria": {"a": "a", "b": "b"}}}
    made = f"q{PAIR}d"
    assert wire.read(wire.CHAT, chat, mapping=mapping).text == made
    assert wire.read(wire.PREDICT, {"inputs": ["q", "d"]}, mapping=mapping).text == made
    assert wire.read(wire.PREDICT, {"inputs": made}, mapping=mapping).text == made
    assert wire.read(wire.SYSTEM_ONE, {"state": fields, "questions": question}, mapping=mapping).text == made
    assert input_of_request(chat, mapping) == plain_input(fields, mapping) == made
    for body in ({"inputs": "q d"}, {"inputs": ["q"]}, {"inputs": ["q", ""]}, {"inputs": {"query": "q"}}):
        assert wire.read(wire.PREDICT, body, mapping=mapping).text is None
    plain = {"messages": [{"role": "user", "content": "q d"}]}
    refused = wire.read(wire.CHAT, plain, mapping=mapping)
    assert (refused.text, refused.why) == (None, "messages")


def test_the_template_of_a_table_serves_requests_and_stays_for_the_play(
    play: tuple[Project, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, number = play
    words = ["--project", str(project.path), "import", "P-001", str(table(tmp_path / "a.csv", ROWS)), "--preview"]
    assert main(words) == 0 and "refund ␟ Money back" in capsys.readouterr().out
    assert main([*words, "--input", "{query}{|}"]) == 2 and "two parts" in capsys.readouterr().err
    data_runs.import_traffic(project, number, MIA, table(tmp_path / "a.csv", ROWS))
    mapping = call_mapping.of_traffic(each.mapping for each in project.dossier(number).traffic)
    assert mapping is not None and mapping.template == TEMPLATE
    asked = {"messages": [{"role": "user", "content": '{"query": "q", "document": "d"}'}]}
    assert input_of_request(asked, mapping) == f"q{PAIR}d"
    with pytest.raises(Refused, match="by the same template"):
        data_runs.import_traffic(
            project, number, MIA, table(tmp_path / "b.csv", [("x", "y")]), ColumnMapping(input="{query}: {document}")
        )
    # another table with these columns, and a log of calls with these fields, make the same inputs
    data_runs.import_traffic(project, number, MIA, table(tmp_path / "b.csv", [("x", "y")]))
    data_runs.import_traffic(project, number, MIA, logged(tmp_path / "c.jsonl", 2))
    files = [project.artifacts.path(each.artifact) for each in project.dossier(number).traffic]
    inputs = [str(row["input"]) for row in traffic.rows(files)]
    assert len(inputs) == 6 and all(map(pair_of, inputs)) and inputs[-1] == f"query 1{PAIR}text 1"


def test_a_teacher_reads_both_parts_in_its_own_words() -> None:
    pair = f"q {{document}}{PAIR}d {{input}}"
    teacher = Described(TeacherSource.ENDPOINT, "m", ("a", "b"), "Query: {first}\nText: {second}\nOne of {labels}.")
    assert not Described(teacher.source, "m", ("a", "b"), teacher.template, "https://x.example/v1").problem()
    assert teacher.prompt(pair) == "Query: q {document}\nText: d {input}\nOne of a, b."
    plain = replace(teacher, template="{input}\n{labels}")
    assert plain.prompt(pair) == "q {document}\n\nd {input}\na, b" and in_a_row(pair) in plain.prompt(pair)
    assert "has no {input}" in (replace(teacher, template="{first}", base_url="https://x.example/v1").problem() or "")


# splits


def test_pairs_that_share_a_part_stay_in_one_split() -> None:
    words = _words(0)
    # every question comes with three passages, and every third passage of a question again with the next one
    texts = [
        f"{words[at // 3]} {words[-at // 3 - 1]} about{PAIR}{words[at - at % 9 // 8]} {words[at - at % 9 // 8 + 100]}"
        for at in range(180)
    ]
    rule = SplitRule(seed=1, held_out_rows=30, validation_share=0.2)
    places = assign([Candidate(input_digest(text), text, "all") for text in texts], rule, {})
    assert len(set(places)) == 3
    for side in (0, 1):
        homes: dict[str, set[object]] = {}
        for text, place in zip(texts, places, strict=True):
            homes.setdefault(text.split(PAIR)[side], set()).add(place)
        assert len(homes) < len(texts) and all(len(each) == 1 for each in homes.values())


def test_a_part_of_most_pairs_joins_nothing() -> None:
    words = _words(1)
    texts = [f"{words[at]} {words[-at - 1]}{PAIR}Is it spam?" for at in range(100)]
    assert len(set(components(texts, [()] * 100))) > 50


def _words(seed: int) -> list[str]:
    made = [f"{a}{b}{c}{d}{e}" for a in "bdfg" for b in "aeiou" for c in "lmnr" for d in "aeo" for e in "xyz"]
    return list(np.random.default_rng(seed).permutation(made))


# models


def pairs(count: int, seed: int) -> Examples:
    """Rows whose label is whether the word of the question is in the text: neither part alone says so."""
    random = np.random.default_rng(seed)
    names = ("harbour", "garden", "engine", "violin", "ladder", "pepper", "window", "candle", "rocket", "meadow")
    labels = random.integers(0, 2, count).astype(np.int64)
    texts = []
    for label in labels:
        wanted, *others = random.permutation(names)[:4]
        inside = [*others[:2], wanted if label else others[2]]
        texts.append(f"about {wanted}{PAIR}we saw {' and '.join(random.permutation(inside))}")
    soft = np.where(np.eye(2)[labels] > 0, 0.9, 0.1).astype(np.float32)
    return Examples(tuple(texts), labels, soft, np.ones(count, dtype=np.float32))


SPEC = Spec(hidden=32, depth=1, vocabulary=120, max_tokens=32, batch_size=32, epochs=2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for kind, rate, epochs in (
        (StudentKind.NGRAM, 0.3, 12),
        (StudentKind.STATIC, 1e-2, 1),
        (StudentKind.SCRATCH, 1e-3, 1),
    ):
        spec = replace(SPEC, student=kind, learning_rate=rate, epochs=epochs)
        folder = tmp_path_factory.mktemp(kind.value)
        places = Places(None, folder / "checkpoints", folder / "student", None)
        list(classification.train(spec, ("no", "yes"), pairs(400, 0), pairs(60, 1), places))
        made[kind.value] = folder / "student"
    export.onnx_int8(made["scratch"], tmp_path_factory.mktemp("onnx") / "student")
    made["onnx"] = sorted(tmp_path_factory.getbasetemp().glob("onnx*/student"))[-1]
    return made


def test_an_ngram_student_sees_what_the_parts_have_in_common(trained: dict[str, Path]) -> None:
    rows = pairs(200, 2)
    found = np.array(students.open_folder(trained["ngram"], threads=1).ask_all(rows.inputs)).argmax(axis=1)
    assert (found == rows.labels).mean() > 0.95
    flat = [in_a_row(text) for text in rows.inputs]
    blind = np.array(students.open_folder(trained["ngram"], threads=1).ask_all(flat)).argmax(axis=1)
    assert (blind == rows.labels).mean() < 0.7


@pytest.mark.parametrize("form", ["ngram", "static", "scratch", "onnx"])
def test_what_ships_answers_to_both_parts_as_the_printed_program_does(trained: dict[str, Path], form: str) -> None:
    names = card_program.run(loaders.FORMS[folders.form(trained[form])].program, trained[form])
    opened = students.open_folder(trained[form], threads=1)
    for text in (*pairs(5, 3).inputs, f"{'garden ' * 40}{PAIR}a garden", f"garden{PAIR}{'a garden ' * 40}"):
        said = names["predict"](*text.split(PAIR))
        assert list(said.values()) == pytest.approx(list(opened.ask(text)), abs=1e-5)
    first, second = pairs(1, 4).inputs[0].split(PAIR)
    other = opened.ask(f"{first}{PAIR}{second} garden pepper")
    assert not np.array_equal(opened.ask(f"{first}{PAIR}{second}"), other)


def test_an_encoder_gets_the_form_of_its_tokenizer_for_pairs(trained: dict[str, Path]) -> None:
    _, tokenizer = models.load(trained["scratch"])
    (row,) = models.tokenise(tokenizer, [f"about garden{PAIR}we saw garden"])
    assert tokenizer.decode(row) == "[CLS] about garden [SEP] we saw garden [SEP]"
    mixed = models.tokenise(tokenizer, ["about garden", f"garden{PAIR}pepper", "we saw"])
    assert [tokenizer.decode(each).count("[SEP]") for each in mixed] == [1, 2, 1]


def test_a_teacher_with_token_types_labels_pairs_as_plain_transformers_does(teacher: Path, tmp_path: Path) -> None:
    model, tokenizer = models.load(teacher)
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names
    with torch.no_grad():
        model.bert.embeddings.token_type_embeddings.weight[1] += 1.0
    export.write(model, tokenizer, tmp_path / "cross")
    texts = [f"awful table{PAIR}lovely", "broken and awful", f"hate{PAIR}superb it was"]
    found = {at: row for where, shares in local_teachers.label(tmp_path / "cross", texts, threads=1)
             for at, row in zip(where, shares, strict=True)}  # fmt: skip
    loaded, cutter = models.load(tmp_path / "cross")
    for at, text in enumerate(texts):
        with torch.inference_mode():
            plain = loaded(**cutter(*text.split(PAIR), return_tensors="pt")).logits.softmax(-1)[0].numpy()
        assert found[at] == pytest.approx(plain, abs=1e-5)
    batch = cutter(*texts[0].split(PAIR), return_tensors="pt")
    assert int(batch["token_type_ids"].sum()) == 2


def test_a_play_of_pairs_is_judged_ships_is_observed_and_answers_pairs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = live_play.rows

    def rows(count: int, seed: int, **more: Any) -> list[dict[str, str]]:
        cut = [(row.pop("input").split(), row) for row in whole(count, seed, **more)]
        return [{"query": " ".join(words[:4]), "document": " ".join(words[4:]), **row} for words, row in cut]

    monkeypatch.setattr(live_play, "rows", rows)
    with live_play.workers_here():
        project, play = live_play.shipped(tmp_path)
        dossier = project.dossier(play)
        now = [{name: own for name, own in row.items() if name != "time"} for row in rows(150, 5)]
        feed = live_play.write(tmp_path / "feed.jsonl", now)
        number = actions.observe(project, play, live_play.OLGA, feed)
        run = project.dossier(play).run(number)
    assert run is not None and run.status is RunStatus.FINISHED
    (data,) = [each for each in dossier.data_sets if each.frozen_at]
    assert (calls := frozen.calls_of(project.artifacts.path(data.artifact))) is not None and calls.template == TEMPLATE
    with pytest.raises(ProjectError, match="a teacher writes single texts"):
        open_row = next(row for row in frozen.stored(project.artifacts.path(data.artifact)) if row["split"] == "train")
        variations.sources(project, dossier, 1, [open_row["row"]])
    assert dossier.live is not None
    bundle = project.artifacts.path(dossier.live.digest)
    recipe = bundled.read(bundle)
    mapping = CallMapping.read(recipe.calls)
    assert mapping.template == TEMPLATE
    made = list(predict.inputs(table(tmp_path / "p.csv", [("a refund", "please"), ("", "x")]), mapping))
    assert made == [f"a refund{PAIR}please"]
    (answer,) = predict.answers(recipe, made)
    assert answer["answer"] in recipe.labels and predict.main([str(bundle), "--text", "one text"]) == 4
