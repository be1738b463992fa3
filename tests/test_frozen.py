"""A student that is a local encoder, left as it is, and a small head: refusals, what it learns, how it ships."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from distill_tui import actions
from distill_tui.bundles import predict as bundle_predict
from distill_tui.bundles import retrain
from distill_tui.bundles import student as bundled
from distill_tui.rules.actor import Actor
from distill_tui.spec import Spec
from distill_tui.tasks import loaders
from distill_tui.terms import Control, Export, Metric, Opinion, RunStatus, StudentKind
from distill_tui.text import PAIR
from distill_tui.training import (
    calibration,
    classification,
    export,
    folders,
    ladder,
    measure,
    models,
    predict,
    students,
)
from distill_tui.training.classification import LabelRows
from distill_tui.training.examples import Examples
from distill_tui.training.heads import Head, Headed
from distill_tui.training.loop import Places
from support import card_program, latency_play
from support.latency_play import DAN, VERA
from support.live_play import workers_here
from support.training import LABELS, digests, examples, run, spoilt, teacher, texts_and_labels

__all__ = ["teacher"]  # the fixture of a tiny teacher

FROZEN = Spec(
    student=StudentKind.FROZEN, folder="its digest", hidden=32, temperature=1.0, learning_rate=1e-2, batch_size=32,
    epochs=12, patience=12,
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A student with each head, and the first of them in 8 bits."""
    folder = tmp_path_factory.mktemp("frozen")
    made = {}
    for name, depth in (("dense", 2), ("linear", 1)):
        run(replace(FROZEN, depth=depth), folder / name, None, start=teacher)
        made[name] = folder / name / "student"
    made["onnx"] = folder / "onnx"
    export.onnx_int8(made["dense"], made["onnx"])
    return made


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"student": "frozen"}, "A student of kind frozen starts from a local model; name its folder"),
        ({"ladder": "ngram, frozen"}, "The rung 'frozen' cannot be trained: A student of kind frozen"),
        ({"ladder": "frozen 3", "folder": "mini"}, "only layers, tagger, causal take numbers"),
        ({"student": "frozen", "folder": "mini", "hidden_cosine": "1"}, "no layer of a frozen student corresponds"),
    ],
)
def test_a_spec_that_cannot_be_trained_is_refused(asked: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=r"\.$") as refusal:
        Spec.from_mapping(asked)
    assert says in str(refusal.value)


def test_a_folder_that_gives_no_encoder_is_refused(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none was given"):
        run(FROZEN, tmp_path, None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"has no config\.json"):
        run(FROZEN, tmp_path, None, start=tmp_path / "empty")
    with pytest.raises(ValueError, match="max_tokens is 65, and teacher reads at most 64 tokens"):
        run(replace(FROZEN, max_tokens=65), tmp_path, None, start=teacher)
    assert not (tmp_path / "student").exists()


# --- what it learns ---------------------------------------------------------------------------------------------------


def test_the_encoder_stays_to_the_bit_and_only_the_head_learns(trained: dict[str, Path], teacher: Path) -> None:
    theirs, _ = models.load(teacher)
    kept = load_file(trained["dense"] / "model.safetensors")
    for name, weight in theirs.base_model.state_dict().items():
        assert torch.equal(kept[name], weight), name
    rows = examples(300, seed=9)
    for name, folder in trained.items():
        said = predict.probabilities(folder, rows.inputs, threads=1).argmax(axis=1)
        assert (said == rows.labels).mean() > 0.9, name
    head = {name: load_file(trained[name] / "head.safetensors") for name in ("dense", "linear")}
    assert head["dense"]["dense.weight"].shape == (32, 64) and head["dense"]["classifier.weight"].shape == (3, 32)
    assert head["linear"].keys() == {"classifier.weight", "classifier.bias"}


def test_a_head_with_its_scale_folded_in_answers_as_before() -> None:
    torch.manual_seed(1)
    for hidden in (0, 5):
        head, vectors = Head(7, hidden, 3), torch.randn(20, 7) * 4 + 2
        head.fit_scale(vectors)
        plain = Head(7, hidden, 3)
        plain.load_state_dict(head.tensors())
        torch.testing.assert_close(plain(vectors), head(vectors), atol=1e-5, rtol=1e-5)


def test_a_column_that_hardly_varies_is_not_blown_up() -> None:
    """MiniLM has three dead ones: eight bits move them by more than they vary, and every text then got one label."""
    torch.manual_seed(1)
    head, vectors = Head(7, 5, 3), torch.randn(50, 7)
    vectors[:, 3] = 0.5 + 1e-7 * torch.randn(50)
    head.fit_scale(vectors)
    moved = vectors.clone()
    moved[:, 3] += 0.01
    assert float((head(moved) - head(vectors)).detach().abs().max()) < 0.05


def test_each_text_is_read_once_for_all_arms_of_a_run(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, ahead = examples(200), examples(60, seed=1)
    hard = Examples(rows.inputs, rows.labels, None, rows.weights)
    known = LabelRows(LABELS, rows, dict.fromkeys(Control, hard), ahead, ahead.labels, ahead.labels)
    read: list[tuple[int, ...]] = []
    usual = Headed.vectors_of

    def counted(self: Headed, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        read.extend(map(tuple, rows))
        return usual(self, rows)

    spec = replace(FROZEN, epochs=2, controls=(Control.HARD,), seeds=1)
    climb = ladder.Climb(spec, known, teacher=None, start=teacher, folder=tmp_path)
    monkeypatch.setattr(Headed, "vectors_of", counted)
    monkeypatch.setattr(predict, "predictions", lambda *_: np.full((60, 3), 1 / 3, dtype=np.float32))
    list(climb.steps())
    assert set(climb.controls) == {Control.HARD} and set(climb.seeds) == {spec.seed + 1}
    assert len(read) == len(set(read)) > 200


def test_a_killed_run_resumes_to_the_same_bits(teacher: Path, tmp_path: Path) -> None:
    run(FROZEN, tmp_path / "whole", None, start=teacher)
    places = Places(None, tmp_path / "cut" / "checkpoints", tmp_path / "cut" / "student", teacher)
    steps = classification.train(FROZEN, LABELS, examples(), examples(60, seed=1), places)
    for _ in range(13):
        next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert run(FROZEN, tmp_path / "cut", None, start=teacher)[0].number == 14
    assert digests(tmp_path / "cut" / "student") == digests(tmp_path / "whole" / "student")


def test_a_sentence_encoder_is_read_as_its_pooling_says(teacher: Path, tmp_path: Path) -> None:
    first = spoilt(teacher, tmp_path / "first")
    (first / "1_Pooling").mkdir()
    (first / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    vectors = {}
    for name, start in (("mean", teacher), ("first", first)):
        run(replace(FROZEN, epochs=1), tmp_path / name, None, start=start)
        vectors[name] = students.open_folder(tmp_path / name / "student", threads=1).embed(["awful table"])
    model, tokenizer = models.load(teacher)
    with torch.inference_mode():
        states = model.base_model(**tokenizer("awful table", return_tensors="pt")).last_hidden_state
    np.testing.assert_allclose(vectors["first"][0], states[0, 0].numpy(), atol=1e-5)
    np.testing.assert_allclose(vectors["mean"][0], states[0].mean(0).numpy(), atol=1e-5)


def test_it_is_calibrated_in_its_head(trained: dict[str, Path], tmp_path: Path) -> None:
    rows = examples(400, seed=11)
    wrong = np.where(np.arange(400) % 3 == 0, (rows.labels + 1) % 3, rows.labels)
    divisor = calibration.calibrated(trained["dense"], tmp_path / "out", rows.inputs, wrong, 0)
    before, after = (predict.probabilities(at, rows.inputs, threads=1) for at in (trained["dense"], tmp_path / "out"))
    assert divisor > 1.1 and after.max(axis=1).mean() < before.max(axis=1).mean()
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))


def test_sets_of_labels_and_pairs_are_learnt_too(teacher: Path, tmp_path: Path) -> None:
    texts, labels = texts_and_labels(240, seed=4)
    other = np.roll(labels, 1)
    pairs = tuple(f"{one}{PAIR}{two}" for one, two in zip(texts, np.roll(texts, 1), strict=True))
    marks = ((np.eye(3)[labels] + np.eye(3)[other]) > 0).astype(np.int64)
    rows = Examples(pairs, marks, None, np.ones(240, dtype=np.float32))
    places = Places(None, tmp_path / "checkpoints", tmp_path / "student", teacher)
    for _ in classification.train(replace(FROZEN, alpha=0.0, epochs=30), LABELS, rows, rows, places):
        pass
    said = predict.probabilities(places.out, pairs, threads=1)
    assert folders.several(places.out) and classification.agreed(said >= 0.5, marks) > 0.9
    names = card_program.run(loaders.FORMS["frozen"].program_for(several=True), places.out)
    for at in range(5):
        shares = names["predict"](*pairs[at].split(PAIR))
        np.testing.assert_allclose([*shares.values()], said[at], atol=1e-5)


def test_levels_of_a_scale_are_learnt_too(teacher: Path, tmp_path: Path) -> None:
    levels, ahead = (0.0, 0.5, 1.0), examples(100, seed=1)
    places = Places(None, tmp_path / "checkpoints", tmp_path / "student", teacher)
    for _ in classification.train(FROZEN, ("1", "2", "3"), examples(), ahead, places, levels):
        pass
    said = (predict.probabilities(places.out, ahead.inputs, threads=1).cumsum(axis=1) < 0.5).sum(axis=1)
    assert folders.scale_form(places.out) == "levels" and classification.agreed(said, ahead.labels, levels) > 0.9


# --- how it ships -----------------------------------------------------------------------------------------------------


def test_it_ships_in_eight_bits_by_default() -> None:
    spec = Spec.from_mapping({"ladder": "ngram, folder, frozen, layers 0", "folder": "mini"})
    assert [rung.rung for rung in spec.rungs()] == ["ngram", "layers 0", "frozen", "folder"]
    assert spec.rungs()[2].ships is Export.ONNX_INT8
    assert spec.kept("frozen").folder == "mini" and spec.kept("ngram").folder == ""


def test_every_form_runs_by_the_program_in_its_card_and_answers_as_we_do(trained: dict[str, Path]) -> None:
    texts = [*texts_and_labels(5, seed=6)[0], "", "long " * 100]
    code = "import json, sys\nsys.modules['distill_tui'] = None  # any import of it would fail\nsaid = []\n"
    for folder in trained.values():
        program = loaders.FORMS[folders.form(folder)].program.replace('"model"', repr(str(folder)))
        code += f"{program}\nsaid.append([predict(text) for text in {texts!r}])\n"
    command = [sys.executable, "-I", "-c", f"{code}print(json.dumps(said))"]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for (name, folder), theirs in zip(trained.items(), said, strict=True):
        ours = predict.probabilities(folder, texts, threads=1)
        np.testing.assert_allclose([list(each.values()) for each in theirs], ours, atol=1e-4, err_msg=name)
        assert list(theirs[0]) == list(LABELS)


def test_eight_bits_answer_nearly_as_floats_do(trained: dict[str, Path]) -> None:
    texts = texts_and_labels(200, seed=8)[0]
    floats, eights = (predict.probabilities(trained[name], texts, threads=1) for name in ("dense", "onnx"))
    assert (floats.argmax(1) == eights.argmax(1)).mean() > 0.95 and not np.array_equal(floats, eights)
    assert measure.size(trained["onnx"])[0] == measure.size(trained["dense"])[0]


def test_a_play_is_judged_ships_answers_and_is_trained_again_to_the_same_bits(teacher: Path, tmp_path: Path) -> None:
    """The teacher is recorded: its probabilities are learnt by a head on another, local encoder."""
    (tmp_path / "play").mkdir()
    encoder = tmp_path / "mini"
    shutil.copytree(teacher, encoder)
    with workers_here():
        project, play = latency_play.frozen(tmp_path / "play", 900)
        actions.start_run(project, play, DAN, replace(FROZEN, folder=str(encoder), export=Export.FASTEST))
        actions.evaluate(project, play, DAN)
        dossier = project.dossier(play)
        assert dossier.evaluation is not None, dossier.runs[-1].error
        result = json.loads(next(each for each in dossier.runs if each.kind.value == "train").result)
        assert (result["rung"], result["form"]) == ("frozen", "onnx") and result["validation_score"] > 0.9
        assert {judged.criterion.metric for judged in dossier.judgements} >= {Metric.P95_LATENCY, Metric.ACCURACY}
        olga = Actor("olga", "account uid 4003")
        actions.set_maintenance(project, play, olga, 600, 60)
        actions.rehearse(project, play, olga)
        assert project.dossier(play).runs[-1].status is RunStatus.FINISHED, project.dossier(play).runs[-1].error
        actions.sign_off(project, play, VERA, Opinion.APPROVE, "Looked.")
        there = actions.ship(project, play, DAN)
    (answer,) = bundle_predict.answers(bundled.read(there), ["the lovely box arrived"])
    assert answer["answer"] == "good"
    data = project.artifacts.path(dossier.data_sets[-1].artifact)
    with pytest.raises(ValueError, match=r"The student starts from the model .* give it with --start"):
        retrain.make(there, data, tmp_path / "none", None, None, None)
    made = retrain.make(there, data, tmp_path / "again", None, encoder, None)
    assert made["same_student"] and made["same_data"]
    project.close()


# --- static students that start from a named encoder ------------------------------------------------------------------


def test_a_static_student_starts_from_a_named_encoder_without_a_local_teacher(teacher: Path, tmp_path: Path) -> None:
    spec = replace(FROZEN, student=StudentKind.STATIC, hidden=64, vocabulary=10_000)
    texts = examples(60, seed=2).inputs
    named, of_teacher = (
        students.build(spec, LABELS, texts, *folders_) for folders_ in ((None, teacher), (teacher, None))
    )
    plain = students.build(spec, LABELS, texts, None)
    ours = named.model.get_input_embeddings().weight
    assert torch.equal(ours, of_teacher.model.get_input_embeddings().weight)
    assert ours.shape != plain.model.get_input_embeddings().weight.shape, "it has the encoder's vocabulary"
    run(replace(spec, learning_rate=3e-2, batch_size=16, epochs=6), tmp_path, None, start=teacher)
    rows = examples(100, seed=5)
    said = predict.probabilities(tmp_path / "student", rows.inputs, threads=1).argmax(axis=1)
    assert (said == rows.labels).mean() > 0.9


def test_a_static_student_refuses_an_encoder_whose_tokens_it_cannot_take(tmp_path: Path) -> None:
    from distill_tui.training import vocabulary

    tokenizer = vocabulary.train_writing(["a few words", "some more words"], 300)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64,
    )  # fmt: skip
    export.write(transformers.BertModel(config).eval(), tokenizer, tmp_path / "bpe")
    spec = replace(FROZEN, student=StudentKind.STATIC)
    with pytest.raises(ValueError, match="bpe has no WordPiece vocabulary, so a static student cannot take its tokens"):
        students.build(spec, LABELS, ["a few words"], None, tmp_path / "bpe")
