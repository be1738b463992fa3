"""Texts that are cut: a teacher reads what it can, a student what its rows need; what is cut is counted and shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.gates.cut import Cut
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.people.identity import Actor
from distill_tui.review import review, sections
from distill_tui.rules.data import open_findings
from distill_tui.rules.objection import Refused
from distill_tui.rules.results import LabelResult, TrainResult
from distill_tui.spec import Spec
from distill_tui.store import tables
from distill_tui.store.json_columns import result_of
from distill_tui.store.project import Project
from distill_tui.tasks import loaders
from distill_tui.teachers.description import TEMPLATES, Described
from distill_tui.terms import (
    Export,
    FindingLevel,
    Metric,
    PlayKind,
    Reference,
    Role,
    Stage,
    StudentKind,
    TeacherSource,
)
from distill_tui.training import export, lengths, local_teachers, models, students, vocabulary
from distill_tui.training.folders import READING, tokens_read
from support import card_program, data_runs
from support.by_hand import by_hand
from support.live_play import DANA, NUMBERS, OLGA, SAM, VERA, workers_here
from support.sequences import colours, tiny_causal
from support.training import FILLERS, LABELS, SPEC, WORDS, Examples, run, teacher  # noqa: F401

LONG = 150  # words; what decides stands at the end


def long_rows(count: int, seed: int, words: int = LONG) -> tuple[tuple[str, ...], np.ndarray]:
    """Texts whose last ten words decide."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    texts = [" ".join([*random.choice(FILLERS, words), *[str(random.choice(WORDS[int(at)]))] * 10]) for at in labels]
    return tuple(texts), labels.astype(np.int64)


def rows(count: int, seed: int, words: int = LONG) -> Examples:
    texts, labels = long_rows(count, seed, words)
    return Examples(texts, labels, None, np.ones(count, dtype=np.float32))


LEARNS = replace(SPEC, student=StudentKind.STATIC, hidden=32, alpha=0.0, learning_rate=0.03, epochs=12, max_tokens=0)


@pytest.fixture(scope="module")
def reads_all(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher that reads 168 tokens at once, and is right."""
    folder = tmp_path_factory.mktemp("teachers")
    run(LEARNS, folder, None, rows(240, 0))
    return folder / "student"


def right(folder: Path, texts: tuple[str, ...], labels: np.ndarray) -> float:
    """The share of texts that a folder labels right."""
    names = json.loads((folder / "config.json").read_text())["id2label"]
    found = {at: names[str(int(row.argmax()))] for places, shares in local_teachers.label(folder, texts, threads=1)
             for at, row in zip(places, shares, strict=True)}  # fmt: skip
    return float(np.mean([found[at] == LABELS[label] for at, label in enumerate(labels)]))


def reading(folder: Path, copy: Path, most: object) -> Path:
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / READING).write_text(json.dumps({"max_tokens": most}))
    return copy


# --- teachers --------------------------------------------------------------------------------------------------------


def test_a_teacher_is_asked_at_its_own_length(reads_all: Path, tmp_path: Path) -> None:
    """At 96 tokens, the length of earlier versions, it would be at chance."""
    texts, labels = long_rows(90, 7)
    assert right(reading(reads_all, tmp_path / "short", 96), texts, labels) < 0.6
    assert right(reads_all, texts, labels) > 0.95
    cut = local_teachers.cut(reads_all, texts, None)
    assert (cut.texts, cut.texts_cut) == (90, 0) and cut.tokens > 90 * LONG
    cut = local_teachers.cut(tmp_path / "short", texts, None)
    assert (cut.texts_cut, cut.tokens_cut) == (90, cut.tokens - 90 * 96)


@pytest.mark.parametrize("most", [0, -3, "many", 1.5])
def test_a_length_that_is_none_is_rejected(reads_all: Path, tmp_path: Path, most: object) -> None:
    with pytest.raises(ValueError, match="it is a whole number of 1 or more"):
        models.load(reading(reads_all, tmp_path / "copy", most))


def test_batches_are_bounded_by_their_tokens() -> None:
    sizes = [500, 10, 300, 7, 7, 900, 1]
    found = models.by_length(sizes, 3, 1_000)
    assert sorted(at for batch in found for at in batch) == list(range(7))
    assert all(len(batch) == 1 or len(batch) * sizes[batch[0]] <= 1_000 for batch in found)
    assert [len(batch) for batch in models.by_length(sizes, 3)] == [3, 3, 1]


@pytest.mark.parametrize("labels", [LABELS, ()], ids=["it chooses", "it writes"])
@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
@pytest.mark.parametrize("reads", [0, 40])
def test_a_prompt_never_loses_the_head_or_the_tail_of_its_template(
    tmp_path: Path, labels: tuple[str, ...], chat: bool, reads: int
) -> None:
    folder = tiny_causal(tmp_path / "model", colours(60, 5).inputs)
    model, tokenizer = models.load_for(transformers.AutoModelForCausalLM, folder)
    if chat:
        tokenizer.chat_template = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"
    asked = Described(TeacherSource.PROMPTED, "", labels, "Say: {input} is what?", max_tokens=8, reads=reads)
    long = "the coal is black and the snow is white " * 80
    for row in local_teachers.prompts(model, tokenizer, [long, "coal", long + "é漢字 🙂" * 30, "\ud800" * 400], asked):
        said = tokenizer.decode(row, skip_special_tokens=True)
        assert said.strip("[]").startswith("Say:") and said.strip("[]").endswith("is what?")
        assert len(row) <= (reads or 256 - 2)


def test_what_a_prompted_or_zero_shot_teacher_does_not_read_is_counted(causal: Path, nli: Path) -> None:
    asked = Described(TeacherSource.PROMPTED, "", (), "{input} is", max_tokens=8)
    long = ("coal " * 700).strip()
    cut = local_teachers.cut(causal, ["coal", long], asked)
    assert (cut.texts, cut.texts_cut) == (2, 1) and 0 < cut.tokens_cut < cut.tokens
    assert local_teachers.cut(causal, ["coal", "snow"], asked).texts_cut == 0
    asked = Described(TeacherSource.ZERO_SHOT, "", LABELS, TEMPLATES[TeacherSource.ZERO_SHOT])
    texts = [*rows(3, 2).inputs, "the product"]
    assert local_teachers.cut(nli, texts, asked).texts_cut == 3
    places = [at for batch, _ in local_teachers.zero_shot(nli, texts, asked, threads=1) for at in batch]
    assert sorted(places) == [0, 1, 2, 3], "the long pairs are answered"


# --- students --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 3_000), min_size=1, max_size=300), st.integers(8, 4_096))
def test_a_student_reads_what_99_of_100_rows_need_or_what_it_can(found: list[int], most: int) -> None:
    settled = lengths.settled(Spec(), lambda: found, most).max_tokens
    assert 1 <= settled <= most
    assert settled == most or sum(length > settled for length in found) * 100 <= len(found)
    shorter = settled - lengths.STEP
    assert shorter < lengths.LEAST or sum(length > shorter for length in found) * 100 > len(found) or settled == most
    assert lengths.settled(Spec(max_tokens=9), lambda: found, most).max_tokens == 9, "what is asked for counts"


def built(kind: StudentKind, texts: tuple[str, ...], teacher: Path | None = None) -> students.LabelStudent:
    spec = replace(SPEC, student=kind, max_tokens=0, layers=(0,), depth=1)
    return students.build(spec, LABELS, texts, teacher)


@pytest.mark.parametrize(
    ("kind", "words", "reads"),
    [
        (StudentKind.NGRAM, 150, 160), (StudentKind.NGRAM, 9_000, lengths.MOST_AVERAGED),
        (StudentKind.STATIC, 150, 168), (StudentKind.STATIC, 5_000, lengths.MOST_AVERAGED),
        (StudentKind.SCRATCH, 8, 24), (StudentKind.SCRATCH, 2_000, 512),
    ],
)  # fmt: skip
def test_each_kind_reads_what_its_rows_need_as_far_as_it_can(kind: StudentKind, words: int, reads: int) -> None:
    texts = rows(12, 3, words).inputs
    assert built(kind, texts).max_tokens == reads
    rare = [*rows(198, 3, 2).inputs, *rows(2, 4, 90).inputs]
    assert built(kind, tuple(rare)).max_tokens == lengths.LEAST, "one row in 100 may be cut"


def test_a_student_of_the_teachers_layers_reads_no_more_than_the_teacher(teacher: Path) -> None:
    assert built(StudentKind.LAYERS, rows(12, 3, 200).inputs, teacher).max_tokens == 64


@pytest.mark.parametrize("form", list(Export))
def test_the_folder_of_a_student_reads_and_counts_as_training_did(tmp_path: Path, form: Export) -> None:
    training = rows(60, 5, 40)
    run(replace(LEARNS, epochs=1), tmp_path, None, training)
    folder = tmp_path / "student"
    if form is Export.ONNX_INT8:
        export.onnx_int8(folder, tmp_path / "onnx")
        folder = tmp_path / "onnx"
    assert tokens_read(folder) == 56
    cut = students.open_folder(folder, threads=1).cut([*training.inputs, "the " * 100])
    assert (cut.texts, cut.texts_cut, cut.tokens_cut) == (61, 1, 102 - 56)


def test_an_ngram_student_counts_the_words_that_it_does_not_read(tmp_path: Path) -> None:
    run(replace(LEARNS, student=StudentKind.NGRAM, epochs=1), tmp_path, None, rows(60, 5, 40))
    cut = students.open_folder(tmp_path / "student", threads=1).cut(["the " * 100, "the product"])
    assert (cut.texts, cut.texts_cut, cut.tokens, cut.tokens_cut) == (2, 1, 102, 44)


# --- windows ---------------------------------------------------------------------------------------------------------


@given(st.integers(0, 400), st.integers(6, 60), st.integers(0, 1), st.integers(0, 1))
def test_windows_hold_every_token_and_overlap_by_a_quarter(length: int, tokens: int, head: int, tail: int) -> None:
    body = [10 + at for at in range(length)]
    row, window = [1] * head + body + [2] * tail, models.Window(tokens, head, tail)
    parts = window.parts(row)
    assert all(len(part) <= tokens and part[:head] == [1] * head for part in parts)
    assert all(part[len(part) - tail :] == [2] * tail for part in parts)
    inside = [part[head : len(part) - tail] for part in parts]
    assert [*dict.fromkeys(token for part in inside for token in part)] == body, "in order, and none is left out"
    size = tokens - head - tail
    shared = size // 4
    pairs = pairwise(inside)
    assert shared == 0 or all(part[-shared:] == after[:shared] for part, after in pairs)
    assert len(row) > tokens or parts == [row]


@pytest.fixture(scope="module")
def in_windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student that reads 64 tokens at once, of rows three times as long, and the rest in windows."""
    folder = tmp_path_factory.mktemp("windows")
    spec = replace(LEARNS, max_tokens=64, windows=True, epochs=14)
    run(spec, folder, None, rows(240, 0))
    return folder / "student"


def test_a_student_that_reads_in_windows_knows_what_stands_at_the_end(in_windows: Path, tmp_path: Path) -> None:
    texts, labels = long_rows(60, 21)
    shares = np.array(students.open_folder(in_windows, threads=1).ask_all(texts))
    assert float((shares.argmax(axis=1) == labels).mean()) > 0.9
    assert students.open_folder(in_windows, threads=1).cut(texts).texts_cut == 0
    (tmp_path / "cut").mkdir()
    for path in in_windows.iterdir():
        if path.name != READING:
            (tmp_path / "cut" / path.name).write_bytes(path.read_bytes())
    cut = students.open_folder(tmp_path / "cut", threads=1)
    assert (
        cut.cut(texts).texts_cut == 60 and float((np.array(cut.ask_all(texts)).argmax(axis=1) == labels).mean()) < 0.6
    )


def test_the_program_of_the_card_reads_in_windows_as_we_do(in_windows: Path) -> None:
    texts = [*long_rows(4, 22)[0], "the product", ""]
    ours = students.open_folder(in_windows, threads=1).ask_all(texts)
    names = card_program.run(loaders.FORMS["transformers"].program, in_windows)
    for text, expected in zip(texts, ours, strict=True):
        np.testing.assert_allclose([*names["predict"](text).values()], expected, atol=1e-5)


def test_a_teacher_can_read_in_windows_too(in_windows: Path, tmp_path: Path) -> None:
    texts, labels = long_rows(60, 23)
    assert right(in_windows, texts, labels) > 0.9 and local_teachers.cut(in_windows, texts, None).texts_cut == 0
    assert right(reading(in_windows, tmp_path / "short", 64), texts, labels) < 0.6, (
        "its reading.json says nothing of them"
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"student": "ngram"}, "cannot read in windows"),
        ({"student": "causal"}, "cannot read in windows"),
        ({"student": "layers", "hidden_cosine": 0.5}, "give hidden_cosine=0"),
    ],
)
def test_windows_that_a_student_cannot_have_are_rejected(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Spec.from_mapping(changes | {"windows": True})
    assert '"windows"' not in Spec().to_json(), "a recipe without them is as it was"


@pytest.fixture(scope="module")
def onnx_in_windows(in_windows: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx") / "student"
    export.onnx_int8(in_windows, folder)
    return folder


def test_an_onnx_student_reads_in_windows_as_it_was_trained(onnx_in_windows: Path, tmp_path: Path) -> None:
    texts, labels = long_rows(60, 21)
    opened = students.open_folder(onnx_in_windows, threads=1)
    assert float((np.array(opened.ask_all(texts)).argmax(axis=1) == labels).mean()) > 0.9
    assert opened.cut(texts).texts_cut == 0
    cut = students.open_folder(reading(onnx_in_windows, tmp_path / "cut", 64), threads=1)
    assert (
        float((np.array(cut.ask_all(texts)).argmax(axis=1) == labels).mean()) < 0.6 and cut.cut(texts).texts_cut == 60
    )


def test_the_program_of_an_onnx_card_reads_in_windows_as_we_do(onnx_in_windows: Path) -> None:
    texts = [*long_rows(4, 22)[0], "the product", ""]
    ours = students.open_folder(onnx_in_windows, threads=1).ask_all(texts)
    names = card_program.run(loaders.FORMS["onnx"].program, onnx_in_windows)
    for text, expected in zip(texts, ours, strict=True):
        np.testing.assert_allclose([*names["predict"](text).values()], expected, atol=1e-5)


def test_a_recipe_of_windows_may_ship_as_onnx() -> None:
    assert Spec.from_mapping({"student": "static", "windows": True, "export": "onnx-int8"}).problem() is None


# --- windows of teachers that are asked with a template --------------------------------------------------------------


@pytest.fixture(scope="module")
def nli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An NLI classifier with random weights that reads 64 tokens at once."""
    tokenizer = vocabulary.train(rows(60, 1).inputs, 300)
    names = {"id2label": {0: "contradiction", 1: "entailment"}, "label2id": {"contradiction": 0, "entailment": 1}}
    config = transformers.BertConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1,
                                     num_attention_heads=2, intermediate_size=32, initializer_range=0.5,
                                     max_position_embeddings=64, **names)  # fmt: skip
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("nli") / "model"
    export.write(transformers.BertForSequenceClassification(config).eval(), tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_causal(tmp_path_factory.mktemp("causal") / "model", colours(60, 5).inputs)


Ask = Callable[..., Iterator[tuple[list[int], np.ndarray]]]


def shares_of(ask: Ask, folder: Path, texts: Sequence[str], asked: Described) -> np.ndarray:
    found = {at: row for places, shares in ask(folder, texts, asked, threads=1)
             for at, row in zip(places, shares, strict=True)}  # fmt: skip
    return np.array([found[at] for at in range(len(texts))])


TEMPLATED = [
    (local_teachers.zero_shot, TeacherSource.ZERO_SHOT, "nli", "the product arrived ", (WORDS[0][0], WORDS[1][0])),
    (local_teachers.prompted, TeacherSource.PROMPTED, "causal", "say what snow is like ", ("coal", "grass")),
]


@pytest.mark.parametrize(("ask", "source", "model", "filler", "decides"), TEMPLATED)
def test_a_teacher_with_a_template_reads_every_part_of_a_long_text_in_windows(
    ask: Ask, source: TeacherSource, model: str, filler: str, decides: tuple[str, str], request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(model)
    alone = Described(source, "", LABELS, TEMPLATES[source])
    windows = replace(alone, windows=True)
    around = filler * 90
    texts = [f"{around}{f'{word} ' * 30}{around}" for word in decides]
    cut = shares_of(ask, folder, texts, alone)
    np.testing.assert_allclose(cut[0], cut[1], atol=1e-6, err_msg="what differs is in the middle, and is not read")
    assert local_teachers.cut(folder, texts, alone).texts_cut == 2
    read = shares_of(ask, folder, texts, windows)
    assert np.abs(read[0] - read[1]).max() > 1e-4 and local_teachers.cut(folder, texts, windows).texts_cut == 0
    np.testing.assert_allclose(read.sum(axis=1), 1, atol=1e-5)
    short = [decides[0], filler]
    np.testing.assert_allclose(
        shares_of(ask, folder, short, windows), shares_of(ask, folder, short, alone), atol=1e-6, err_msg="one window"
    )


def test_the_windows_of_an_nli_teacher_are_averaged_before_labels_are_compared(nli: Path) -> None:
    asked = Described(TeacherSource.ZERO_SHOT, "", LABELS, "This text is {label}.", windows=True)
    text = " ".join(rows(1, 9, 200).inputs)
    model, tokenizer = models.load(nli)
    room = 64 - max(len(tokenizer("", f"This text is {label}.")["input_ids"]) for label in LABELS)
    scores = []
    for label in LABELS:
        parts = tokenizer(text, f"This text is {label}.", truncation="only_first", max_length=64, stride=room // 4,
                          return_overflowing_tokens=True, padding=True, return_tensors="pt")  # fmt: skip
        assert len(parts.pop("overflow_to_sample_mapping")) > 3
        with torch.inference_mode():
            scores.append(model(**parts).logits[:, 1].mean())
    expected = torch.stack(scores).softmax(0).numpy()
    np.testing.assert_allclose(shares_of(local_teachers.zero_shot, nli, [text], asked)[0], expected, atol=1e-5)


def test_a_template_that_leaves_no_room_next_to_a_label_is_rejected(nli: Path) -> None:
    asked = Described(TeacherSource.ZERO_SHOT, "", LABELS, "the product " * 60 + "{label}")
    with pytest.raises(ValueError, match="shorten the template, or raise --max-tokens"):
        local_teachers.cut(nli, ["the product"], asked)


def test_windows_make_another_teacher_and_are_only_for_one_that_chooses() -> None:
    asked = Described(TeacherSource.PROMPTED, "m", LABELS, TEMPLATES[TeacherSource.PROMPTED])
    assert asked.to_json() != replace(asked, windows=True).to_json() and '"windows"' not in asked.to_json()
    assert Described.from_json(replace(asked, windows=True).to_json()).windows
    for wrong in (replace(asked, labels=()), replace(asked, source=TeacherSource.ENDPOINT)):
        assert "chooses among labels" in str(replace(wrong, windows=True).problem())


@pytest.mark.parametrize("windows", [False, True])
def test_a_prompted_teacher_is_asked_in_windows_by_the_command(
    causal: Path, tmp_path: Path, windows: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    project = Project.create(tmp_path / "play.distill", "lengths", "dana", "Dana", Actor(None, DANA.proof))
    play = actions.open_play(project, DANA, "mood", PlayKind.STABILITY)
    actions.assign_role(project, play, DANA, Role.DRIVER, "dana")
    texts = [f"say what snow is like {n} " * (40 if n % 2 else 1) for n in range(20)]
    (tmp_path / "calls.jsonl").write_text("\n".join(json.dumps({"input": text}) for text in texts))
    data_runs.import_traffic(project, play, DANA, tmp_path / "calls.jsonl")
    words = ["teacher", "P-001", str(causal), "--prompted", "--labels", "white,black", *["--windows"] * windows]
    with workers_here():
        assert main(["--project", str(project.path), *words]) == 0
        assert "Its 2 labels: white · black." in capsys.readouterr().err
        with by_hand(project) as session:
            row = session.get(tables.Play, 1)
            assert row is not None
            row.stage = Stage.DATA
            session.add(row)
        assert main(["--project", str(project.path), "label", "P-001", "--wait"]) == 0
    labelled = next(run for run in reversed(project.dossier(1).runs) if run.kind.value == "label")
    cut = result_of(LabelResult, labelled).cut
    assert cut is not None and (cut.texts, cut.texts_cut) == (20, 0 if windows else 10)
    project.close()


@pytest.mark.parametrize("labels", [LABELS, ()], ids=["it chooses", "it writes"])
def test_of_a_long_text_a_prompt_keeps_both_ends_and_marks_what_is_left_out(
    causal: Path, labels: tuple[str, ...]
) -> None:
    asked = Described(TeacherSource.PROMPTED, "", labels, "Say: {input} is what?", max_tokens=8)
    model, tokenizer = models.load_for(transformers.AutoModelForCausalLM, causal)
    long = f"grass first {'snow ' * 700}coal last"
    (row,) = local_teachers.prompts(model, tokenizer, [long], asked)
    said = tokenizer.decode(row, skip_special_tokens=True)
    assert said.startswith("Say: grass first") and said.endswith("coal last is what?")
    assert local_teachers.cut(causal, [long], asked).tokens_cut > 400


# --- shown -----------------------------------------------------------------------------------------------------------


def test_a_share_above_one_in_a_hundred_is_a_finding() -> None:
    assert not Cut(100, 1, 1_000, 50).is_finding and Cut(100, 2, 1_000, 50).is_finding
    assert Cut(0, 0, 0, 0).sentence == "none of 0 texts is cut"
    assert Cut(200, 5, 1_000, 50).sentence == "5 of 200 texts are cut (2.5%), and with them 5.0% of all tokens"


ROLES = {Role.SPONSOR: SAM, Role.DRIVER: DANA, Role.VALIDATOR: VERA, Role.OPERATOR: OLGA}


@pytest.fixture(scope="module")
def judged(reads_all: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A play whose teacher was made to read 96 tokens of rows of 150, and whose student reads 64."""
    folder = tmp_path_factory.mktemp("judged")
    project = Project.create(folder / "play.distill", "lengths", "dana", "Dana", Actor(None, DANA.proof))
    for person in (SAM, VERA, OLGA):
        actions.enrol_person(project, DANA, person.person or "", "", uid=int(person.proof.split()[-1]))
    play = actions.open_play(project, DANA, "mood", PlayKind.STABILITY)
    for role, actor in ROLES.items():
        actions.assign_role(project, play, DANA, role, actor.person or "")
    actions.fill_worksheet(project, play, DANA, NUMBERS, "made up")
    actions.confirm_terms(project, play, DANA, "Acme", "3.1", "2026-01-01", True)
    actions.qualify(project, play, DANA)
    floor = Criterion(Metric.ACCURACY, Reference.NONE, threshold=Decimal("0.2"), binding=True)
    actions.edit_gate(project, play, DANA, Gate((floor,), rounds=1, held_out_rows=60))
    actions.lock_gate(project, play, SAM)
    texts, labels = long_rows(240, 11)
    lines = [json.dumps({"input": each, "gold": LABELS[label]}) for each, label in zip(texts, labels, strict=True)]
    (folder / "calls.jsonl").write_text("\n".join(lines))
    data_runs.try_teacher(project, play, DANA, reads_all, max_tokens=120)
    data_runs.import_traffic(project, play, DANA, folder / "calls.jsonl")
    with workers_here():
        actions.label(project, play, DANA)
    data_runs.build_data(project, play, DANA)
    yield project
    project.close()


def test_the_choice_of_a_shorter_length_is_another_teacher(judged: Project, reads_all: Path) -> None:
    play = judged.dossier(1).play
    folder = judged.artifacts.path(play.teacher_digest)
    assert json.loads((folder / READING).read_text()) == {"max_tokens": 120}
    assert not (reads_all / READING).exists(), "the folder that was named is as it was"


def test_what_is_cut_is_shown_at_each_step_and_must_be_seen_before_the_freeze(judged: Project) -> None:
    dossier = judged.dossier(1)
    labelled = next(run for run in dossier.runs if run.kind.value == "label")
    cut = result_of(LabelResult, labelled).cut
    assert cut is not None and cut.texts_cut == cut.texts == 240
    assert "240 of 240 texts are cut (100.0%)" in labelled.message
    (finding,) = [each for each in open_findings(dossier) if each.id.startswith("cut-")]
    assert finding.level is FindingLevel.MUST and "The teacher does not read every text whole" in finding.says
    with pytest.raises(Refused, match="does not read every text whole"):
        data_runs.freeze_data(judged, 1, DANA)
    actions.accept_findings(judged, 1, DANA, [each.id for each in open_findings(dossier)], "It is known.")
    data_runs.freeze_data(judged, 1, DANA)
    spec = replace(LEARNS, epochs=1, max_tokens=64, controls=(), alpha=0.5)
    with workers_here():
        actions.start_run(judged, 1, DANA, spec)
        actions.evaluate(judged, 1, DANA)
    dossier = judged.dossier(1)
    trained = next(run for run in dossier.runs if run.kind.value == "train")
    result = result_of(TrainResult, trained)
    assert result.cut is not None and result.cut.is_finding and "texts are cut" in trained.message
    assert result.findings[0].startswith("The student does not read every text whole: 180 of 180")
    found = review.of(dossier)
    assert found is not None, dossier.runs[-1].message
    assert dict(found.cut)["student"].texts_cut == dict(found.cut)["teacher"].texts_cut == 60
    lines = next(each for each in sections.of(found) if each.name == "segments").lines
    assert [line.word for line in lines] == ["look", "look"]
    assert "The teacher does not read every text whole: 60 of 60 texts" in " ".join(line.text for line in lines)
