"""Documents of thousands of tokens: every student and every local teacher reads them whole, in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from distill_tui import actions
from distill_tui.bundles import predict as bundled_answers
from distill_tui.bundles import student as bundled
from distill_tui.cli.app import main
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.people.identity import Actor
from distill_tui.review import review
from distill_tui.rules.results import LabelResult
from distill_tui.spec import Spec
from distill_tui.store.json_columns import result_of
from distill_tui.store.project import Project
from distill_tui.tasks import loaders
from distill_tui.tasks.answer_text import spelled
from distill_tui.teachers.description import TEMPLATES, Described
from distill_tui.terms import Export, Metric, PlayKind, StudentKind, TeacherSource
from distill_tui.training import arrays, export, generation, heads, local_teachers, loop, models, students
from distill_tui.training.classification import ClassificationObjective
from distill_tui.training.folders import READING, SEVERAL, set_settings
from distill_tui.training.generation import Pairs
from distill_tui.training.loop import Places
from support import card_program, gateway
from support.live_play import DANA, NUMBERS, OLGA, ROLES, SAM, VERA, shipped_with_keys, workers_here
from support.sequences import TAGGER, addresses, tiny_causal
from support.training import FILLERS, LABELS, SPEC, WORDS, Examples, run, teacher  # noqa: F401

WORDS_OF_A_DOCUMENT = 1_600  # some 2,000 tokens


MADE_UP = [f"{a}{b}{c}" for a in ("ba", "do", "ki", "lu", "me") for b in ("ra", "se", "ti", "vo") for c in "bdf"]


def documents(count: int, seed: int, words: int = WORDS_OF_A_DOCUMENT, fillers: Sequence[str] = FILLERS) -> Examples:
    """Texts of fillers, in which words near the end decide."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    texts = []
    for label in labels:
        told = [*random.choice(fillers, words), *[str(each) for each in random.choice(WORDS[int(label)], words // 5)]]
        texts.append(" ".join([*told, *random.choice(FILLERS, 20)]))
    return Examples(tuple(texts), labels.astype(np.int64), None, np.ones(count, dtype=np.float32))


WINDOWS = replace(SPEC, max_tokens=48, windows=True, alpha=0.0, hidden=32, layers=(0,), epochs=1, batch_size=4)


# --- memory ----------------------------------------------------------------------------------------------------------


def test_a_batch_of_long_rows_is_run_in_pieces_with_the_same_gradient(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = documents(8, 1, 60)
    spec = replace(SPEC, student=StudentKind.STATIC, hidden=16, alpha=0.0, batch_size=8, max_tokens=0)
    gradients, sizes = [], []
    for most in (arrays.TOKENS, 200):
        monkeypatch.setattr(loop, "TOKENS", most)
        objective = ClassificationObjective(spec, LABELS, rows, rows, Places(None, tmp_path, tmp_path))
        made = loop._Run(spec, objective, tmp_path)
        batch = [*range(8)]
        loss, terms = made.backward(batch)
        gradients.append([weight.grad.clone() for weight in made.weights if weight.grad is not None])
        sizes.append((len(made.pieces(batch)), round(loss, 5), round(terms.hard, 5)))
    assert sizes[0][0] == 1 and sizes[1][0] == 4 and sizes[0][1:] == sizes[1][1:]
    for whole, added in zip(*gradients, strict=True):
        torch.testing.assert_close(whole, added, atol=1e-6, rtol=1e-4)


def test_a_row_of_very_many_windows_is_run_in_pieces_with_the_same_gradient(
    teacher: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    student = students.build(replace(WINDOWS, student=StudentKind.SCRATCH), LABELS, documents(4, 2, 200).inputs, None)
    rows = student.tokenise(documents(2, 3, 300).inputs)
    found = []
    for most in (arrays.TOKENS, 100):
        monkeypatch.setattr(models, "TOKENS", most)
        student.model.train()
        student.model.zero_grad()
        torch.manual_seed(5)
        for dropout in (each for each in student.model.modules() if isinstance(each, torch.nn.Dropout)):
            dropout.p = 0.0
        student.model.config.attention_probs_dropout_prob = 0.0
        logits = student.logits(rows)
        logits.square().sum().backward()
        found.append([logits.detach(), *(each.grad for each in student.model.parameters() if each.grad is not None)])
        with torch.inference_mode():
            torch.testing.assert_close(student.logits(rows), found[0][0], atol=1e-5, rtol=1e-4)
    for whole, pieces in zip(*found, strict=True):
        torch.testing.assert_close(whole, pieces, atol=1e-4, rtol=1e-3)


def test_a_static_student_answers_as_its_own_forward_does() -> None:
    texts = documents(6, 4, 30).inputs
    student = students.build(replace(SPEC, student=StudentKind.STATIC, max_tokens=0), LABELS, texts, None)
    ids, mask = models.pad(student.tokenise([*texts, "the product"]), 0)
    with torch.inference_mode():
        expected = student.model(input_ids=ids, attention_mask=mask).logits  # type: ignore[operator]
        torch.testing.assert_close(student.logits(student.tokenise([*texts, "the product"])), expected)


# --- students --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [StudentKind.NGRAM, StudentKind.STATIC])
def test_students_that_add_up_words_read_a_document_whole_without_windows(kind: StudentKind, tmp_path: Path) -> None:
    rows = documents(100, 5)
    spec = replace(SPEC, student=kind, hidden=16, alpha=0.0, learning_rate=0.05, epochs=15, patience=15, max_tokens=0)
    run(spec, tmp_path, None,
        rows)  # fmt: skip
    opened, fresh = students.open_folder(tmp_path / "student", threads=1), documents(30, 6)
    assert opened.cut(fresh.inputs).texts_cut == 0
    assert float((np.array(opened.ask_all(fresh.inputs)).argmax(axis=1) == fresh.labels).mean()) > 0.9


def logits_by_stock_transformers(folder: Path, text: str) -> torch.Tensor:
    """Average the logits of a text's windows with plain transformers alone."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    most = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    room = most - len(tokenizer("")["input_ids"])
    how = {"truncation": True, "max_length": most, "stride": room // 4, "return_overflowing_tokens": True}
    parts = tokenizer(text, padding=True, return_tensors="pt", **how)
    parts.pop("overflow_to_sample_mapping")
    with torch.inference_mode():
        found: torch.Tensor = model(**parts).logits.mean(0)
    return found


@pytest.fixture(
    scope="module", params=[StudentKind.STATIC, StudentKind.SCRATCH, StudentKind.LAYERS, StudentKind.FOLDER]
)
def in_windows(
    request: pytest.FixtureRequest,
    teacher: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A student of each kind of encoder, trained for a moment on documents in windows of 48 tokens."""
    folder = tmp_path_factory.mktemp(str(request.param))
    start = teacher if request.param is StudentKind.FOLDER else None
    learns = request.param is StudentKind.LAYERS
    rows = documents(12, 7, 300)
    spec = replace(WINDOWS, student=request.param, folder="here" if start else "", alpha=0.5 if learns else 0.0)
    soft = np.full((12, 3), 1 / 3, dtype=np.float32) if learns else None
    run(spec, folder, teacher if learns else None, replace(rows, soft=soft), start)
    return folder / "student"


@pytest.mark.parametrize("form", list(Export)[:2])
def test_every_kind_of_encoder_reads_a_document_in_windows_in_every_form(
    in_windows: Path, form: Export, tmp_path: Path
) -> None:
    folder = in_windows
    if form is Export.ONNX_INT8:
        export.onnx_int8(in_windows, tmp_path / "onnx")
        folder = tmp_path / "onnx"
    text, short = documents(1, 8, 400).inputs[0], "the product"
    opened = students.open_folder(folder, threads=1)
    assert opened.cut([text, short]).texts_cut == 0 and json.loads((folder / READING).read_text())["windows"]
    shares = np.array(opened.ask_all([text, short]))
    shipped = loaders.FORMS["onnx" if form is Export.ONNX_INT8 else "transformers"].program
    names = card_program.run(shipped, folder)
    for each, row in zip((text, short), shares, strict=True):
        np.testing.assert_allclose([*names["predict"](each).values()], row, atol=1e-4)
        expected = logits_by_stock_transformers(in_windows, each).softmax(0).numpy()
        np.testing.assert_allclose(row, expected, atol=1e-5 if form is Export.SAFETENSORS else 0.03)


# --- students that stay as they are, and language models -------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("form", list(Export)[:2])
def test_a_frozen_student_reads_a_document_in_windows_in_every_form(
    teacher: Path, tmp_path: Path, form: Export, depth: int
) -> None:
    rows = documents(40, 20, 120)
    spec = replace(WINDOWS, student=StudentKind.FROZEN, folder="here", depth=depth, epochs=8, learning_rate=1e-2)
    run(spec, tmp_path, None, rows, teacher)
    folder = plain = tmp_path / "student"
    if form is Export.ONNX_INT8:
        export.onnx_int8(plain, tmp_path / "onnx")
        folder = tmp_path / "onnx"
    text, short = documents(1, 21, 400).inputs[0], "the product"
    opened = students.open_folder(folder, threads=1)
    assert opened.cut([text, short]).texts_cut == 0 and json.loads((folder / READING).read_text())["windows"]
    shares = np.array(opened.ask_all([text, short]))
    program = loaders.FORMS["onnx" if form is Export.ONNX_INT8 else "frozen"].program
    names = card_program.run(program, folder)
    headed = heads.load(plain)
    for each, row in zip((text, short), shares, strict=True):
        np.testing.assert_allclose([*names["predict"](each).values()], row, atol=1e-4)
        how = {"truncation": True, "stride": (48 - 2) // 4, "return_overflowing_tokens": True}
        parts = headed.tokenizer(each, max_length=48, **how)["input_ids"]
        with torch.inference_mode():
            expected = torch.stack([headed.head(headed.vectors_of([part]))[0] for part in parts]).mean(0).softmax(0)
        np.testing.assert_allclose(row, expected.numpy(), atol=1e-5 if form is Export.SAFETENSORS else 0.05)
    if form is Export.SAFETENSORS:
        one, other = opened.embed([text, text + " lovely superb adore lovely superb adore"])
        assert np.abs(one - other).max() > 1e-6


def test_a_frozen_student_learns_what_stands_at_the_end_of_a_document(teacher: Path, tmp_path: Path) -> None:
    """The same recipe without windows reads only the beginning, where nothing decides."""
    rows, fresh = documents(150, 22, 60), documents(60, 23, 60)
    right = {}
    for windows in (True, False):
        spec = replace(WINDOWS, student=StudentKind.FROZEN, folder="here", windows=windows, epochs=60, patience=60)
        place = tmp_path / str(windows)
        run(replace(spec, learning_rate=1e-2, depth=1, max_tokens=32), place, None, rows, teacher)
        said = np.array(students.open_folder(place / "student", threads=1).ask_all(fresh.inputs)).argmax(axis=1)
        right[windows] = float((said == fresh.labels).mean())
    assert right[True] > right[False] + 0.2, right


def test_a_language_model_averages_the_log_probabilities_of_labels_over_windows(tmp_path: Path) -> None:
    rows = documents(12, 24, 60)
    start = tiny_causal(tmp_path / "start", rows.inputs)
    spec = replace(WINDOWS, student=StudentKind.CAUSAL_LABELS, folder="here", export=Export.SAFETENSORS)
    run(spec, tmp_path, None, rows, start)
    text, short = documents(1, 25, 100).inputs[0], "the product"
    opened = students.open_folder(tmp_path / "student", threads=1)
    assert opened.cut([text, short]).texts_cut == 0
    shares = np.array(opened.ask_all([text, short]))
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    names = card_program.run(loaders.FORMS["causal_labels"].program, tmp_path / "student")
    for each, row in zip((text, short), shares, strict=True):
        np.testing.assert_allclose([*names["predict"](each).values()], row, atol=1e-4)
    changed = np.array(opened.ask_all([text + " lovely" * 10]))
    assert np.abs(changed[0] - shares[0]).max() > 1e-6, "the end counts"
    settings = json.loads((tmp_path / "student" / "labels.json").read_text())
    (tmp_path / "student" / "labels.json").write_text(json.dumps({**settings, "windows": False}))
    cut = students.open_folder(tmp_path / "student", threads=1)
    assert cut.cut([text, short]).texts_cut == 1
    np.testing.assert_allclose(np.array(cut.ask_all([short]))[0], shares[1], atol=1e-6)


def long_addresses(count: int, seed: int) -> Pairs:
    """Addresses that stand after, or between, some dozens of words."""
    rows, random = addresses(count, seed), np.random.default_rng(seed)
    sides = [random.choice(FILLERS, 40) for _ in range(count)]
    texts = (" ".join([*words[: (cut := int(random.integers(20, 41)))], text, *words[cut:]])
             for words, text in zip(sides, rows.inputs, strict=True))  # fmt: skip
    return replace(rows, inputs=tuple(texts))


def test_a_tagger_reads_a_document_in_windows_and_finds_what_stands_late(tmp_path: Path) -> None:
    rows, fresh = long_addresses(240, 26), long_addresses(40, 27)
    right = {}
    for windows in (True, False):
        spec = replace(TAGGER, max_tokens=32, windows=windows)
        place = tmp_path / str(windows)
        places = Places(None, place / "checkpoints", place / "student")
        list(generation.train(spec, rows, rows.of(range(30)), places))
        opened = students.open_folder(place / "student", threads=1)
        assert (opened.cut(fresh.inputs).texts_cut == 0) is windows
        said = opened.ask_all(fresh.inputs)
        right[windows] = sum(
            spelled(one.text) == spelled(str(wanted)) for one, wanted in zip(said, fresh.outputs, strict=True)
        ) / len(said)
        names = card_program.run(loaders.FORMS["tagger"].program, place / "student")
        for text, one in zip(fresh.inputs[:8], said, strict=False):
            assert names["predict"](text) == one.text
    assert right[True] > right[False] + 0.3, right


@given(st.integers(4, 30), st.integers(0, 2), st.integers(0, 2), st.integers(0, 200))
def test_the_places_of_windows_are_those_of_their_parts(tokens: int, head: int, tail: int, length: int) -> None:
    window, row = models.Window(tokens + head + tail, head, tail), list(range(length + head + tail))
    assert [[row[place] for place in where] for where in window.places(len(row))] == window.parts(row)
    assert {place for where in window.places(len(row)) for place in where} == {*row}


def test_a_token_in_several_windows_has_the_mean_of_its_logits() -> None:
    window, rows = models.Window(8, 1, 1), [[0, *range(2, 22), 1], [0, 5, 6, 1]]

    def run(parts: Sequence[Sequence[int]]) -> torch.Tensor:
        """A model whose logits are the token, and where in its window it stands."""
        longest = max(map(len, parts))
        found = [[[float(token), float(at)] for at, token in enumerate(part)] for part in parts]
        return torch.tensor([each + [[-1.0, -1.0]] * (longest - len(each)) for each in found])

    found = models.by_token(run, rows, window)
    assert found.shape == (2, 22, 2)
    assert found[0, :, 0].tolist() == rows[0] and found[1, :4, 0].tolist() == rows[1]
    stands: dict[int, list[int]] = {}
    for where in window.places(22):
        for at, place in enumerate(where):
            stands.setdefault(place, []).append(at)
    assert found[0, :, 1].tolist() == pytest.approx([sum(stands[at]) / len(stands[at]) for at in range(22)])


def test_where_a_document_lies_depends_on_its_last_window_too(in_windows: Path) -> None:
    text = documents(1, 9, 400).inputs[0]
    opened = students.open_folder(in_windows, threads=1)
    one, other = opened.embed([text, text + " lovely superb adore lovely superb adore"])
    assert np.abs(one - other).max() > 1e-6


def test_the_rungs_of_a_ladder_without_windows_read_whole_texts_not_the_length_of_a_window() -> None:
    spec = Spec.from_mapping({"ladder": "ngram,static,scratch", "windows": True, "max_tokens": 64})
    assert [(rung.windows, rung.max_tokens) for rung in spec.rungs()] == [(False, 0), (True, 64), (True, 64)]
    spec = Spec.from_mapping({"ladder": "ngram,scratch", "max_tokens": 64})
    assert [rung.max_tokens for rung in spec.rungs()] == [64, 64], "a length that is asked for counts"


# --- teachers of several labels --------------------------------------------------------------------------------------


def shares_of(found: Iterator[tuple[list[int], np.ndarray]], count: int) -> np.ndarray:
    rows = {at: row for places, shares in found for at, row in zip(places, shares, strict=True)}
    return np.array([rows[at] for at in range(count)])


def test_a_classifier_of_several_labels_reads_a_document_in_windows(teacher: Path, tmp_path: Path) -> None:
    for path in teacher.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    set_settings(tmp_path, {"problem_type": SEVERAL})
    (tmp_path / READING).write_text(json.dumps({"windows": True}))
    texts = [*documents(3, 10, 500).inputs, "the product"]
    found = shares_of(local_teachers.label(tmp_path, texts, threads=1), 4)
    for text, row in zip(texts, found, strict=True):
        np.testing.assert_allclose(row, logits_by_stock_transformers(tmp_path, text).sigmoid().numpy(), atol=1e-5)
    assert local_teachers.cut(tmp_path, texts, None).texts_cut == 0


def test_an_nli_teacher_of_several_labels_reads_a_document_in_windows(teacher: Path, tmp_path: Path) -> None:
    for path in teacher.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    names = {0: "contradiction", 1: "neutral", 2: "entailment"}
    set_settings(tmp_path, {"id2label": {str(at): name for at, name in names.items()},
                            "label2id": {name: at for at, name in names.items()}})  # fmt: skip
    template = TEMPLATES[TeacherSource.ZERO_SHOT]
    asked = Described(TeacherSource.ZERO_SHOT, "", LABELS, template, windows=True, several=True)
    texts = [*documents(2, 11, 300).inputs, "the product"]
    found = shares_of(local_teachers.zero_shot(tmp_path, texts, asked, threads=1), 3)
    assert local_teachers.cut(tmp_path, texts, asked).texts_cut == 0
    model, tokenizer = models.load(tmp_path)
    room = 64 - max(len(tokenizer("", template.replace("{label}", label))["input_ids"]) for label in LABELS)
    for text, row in zip(texts, found, strict=True):
        for label, share in zip(LABELS, row, strict=True):
            claim = template.replace("{label}", label)
            parts = tokenizer(text, claim, truncation="only_first", max_length=64, stride=room // 4,
                              return_overflowing_tokens=True, padding=True, return_tensors="pt")  # fmt: skip
            parts.pop("overflow_to_sample_mapping")
            with torch.inference_mode():
                logits = model(**parts).logits
            expected = (logits[:, 2] - logits[:, 0]).mean().sigmoid()
            assert share == pytest.approx(float(expected), abs=1e-5)


# --- a play ----------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    with workers_here():
        yield


def command(project: Path, *words: str) -> None:
    assert main(["--project", str(project), *words]) == 0, words


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    """A local teacher that reads 64 tokens at once, and is right about documents when it reads them in windows."""
    spec = replace(SPEC, student=StudentKind.STATIC, hidden=16, alpha=0.0, learning_rate=0.03, max_tokens=64,
                   windows=True, epochs=12, patience=12)  # fmt: skip
    run(spec, tmp_path / "taught", None, documents(200, 12, 120, MADE_UP))
    for path in (tmp_path / "taught" / "student").iterdir():
        if path.name == READING:
            path.unlink()
    return tmp_path / "taught" / "student"


def test_a_play_of_documents_from_a_teacher_in_windows_to_a_served_student(judge: Path, tmp_path: Path) -> None:
    project = Project.create(tmp_path / "play.distill", "documents", "dana", "Dana", Actor(None, DANA.proof))
    for person in (SAM, VERA, OLGA):
        actions.enrol_person(project, DANA, person.person or "", "", uid=int(person.proof.split()[-1]))
    play = actions.open_play(project, DANA, "mood", PlayKind.STABILITY)
    for role, actor in ROLES.items():
        actions.assign_role(project, play, DANA, role, actor.person or "")
    actions.fill_worksheet(project, play, DANA, NUMBERS, "made up")
    actions.confirm_terms(project, play, DANA, "Acme", "3.1", "2026-01-01", True)
    actions.qualify(project, play, DANA)
    floor = Criterion(Metric.AGREEMENT, threshold=Decimal("0.5"), binding=True)
    actions.edit_gate(project, play, DANA, Gate((floor,), rounds=1, held_out_rows=40, baseline="majority"))
    actions.lock_gate(project, play, SAM)
    rows = documents(300, 13, 120, MADE_UP)
    lines = [json.dumps({"input": text, "gold": LABELS[at]}) for text, at in zip(rows.inputs, rows.labels, strict=True)]
    (tmp_path / "calls.jsonl").write_text("\n".join(lines))
    at = project.path
    command(at, "import", "P-001", str(tmp_path / "calls.jsonl"))
    command(at, "teacher", "P-001", str(judge), "--windows")
    command(at, "label", "P-001")
    command(at, "data", "build", "P-001")
    command(at, "data", "accept", "P-001", "--all", "-m", "made up")
    command(at, "data", "freeze", "P-001")
    small = ("windows=true", "max_tokens=48", "epochs=12", "patience=12", "learning_rate=0.03", "controls=")
    command(at, "train", "P-001", "student=static", "hidden=16", "export=onnx-int8", *small)
    command(at, "eval", "P-001")
    dossier = project.dossier(play)
    labelled = next(each for each in dossier.runs if each.kind.value == "label")
    cut = result_of(LabelResult, labelled).cut
    assert cut is not None and (cut.texts, cut.texts_cut) == (300, 0)
    found = review.of(dossier)
    assert found is not None and {name: each.texts_cut for name, each in found.cut} == {"student": 0, "teacher": 0}
    record = dossier.record
    assert record is not None
    agreed = [one == other for one, other in zip(record.student, record.teacher, strict=True)]
    assert sum(agreed) / len(agreed) > 0.8
    actions.set_maintenance(project, play, OLGA, 600, 60)
    there, signer = shipped_with_keys(project, play, tmp_path / "keys")
    text = documents(1, 14, 120, MADE_UP).inputs[0]
    (own,) = bundled_answers.answers(bundled.read(there), [text])
    words = (str(there), "--signer", signer, "--mode", "cascade", "--served-log", str(tmp_path / "log"))
    with gateway.process(*words, folder=tmp_path / "log") as (served, _):
        served.until(lambda: served.health()["status"] == "ok", 60)
        said = served.chat(text)
        assert said.headers["x-distill-route"] == "student"
        assert said.json()["choices"][0]["message"]["content"] == own["answer"]
    project.close()
