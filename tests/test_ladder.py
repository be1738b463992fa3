"""The ladder of students: what a spec may ask for, what each rung is made of, and the form in which it ships."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distill_tui.digests import folder_digest
from distill_tui.spec import Spec
from distill_tui.tasks import loaders
from distill_tui.terms import Control, Export, StudentKind
from distill_tui.training import (
    classification,
    export,
    folders,
    ladder,
    loop,
    measure,
    models,
    objective,
    predict,
    students,
)
from distill_tui.training.classification import LabelRows
from distill_tui.training.students import ngram, static
from support.training import LABELS, SPEC, examples, run, soft_from, spoilt, teacher, texts_and_labels

__all__ = ["teacher"]  # the fixture of a tiny teacher

QUICK = replace(SPEC, student=StudentKind.NGRAM, learning_rate=3e-2, epochs=3)

# --- what a spec may ask for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"ladder": "ngram, forest"}, "'forest' is not a rung"),
        ({"ladder": "layers zero"}, "'layers zero' is not a rung"),
        ({"ladder": "ngram 3"}, "only layers, tagger, causal take numbers"),
        ({"ladder": "folder"}, "The rung 'folder' cannot be trained: A student of kind folder starts from"),
        ({"student": "folder"}, "name its folder"),
        ({"student": "static", "hidden_cosine": "1"}, "no layer of a static student corresponds"),
        ({"logit_mse": "-1"}, "logit_mse is -1"),
        ({"enough": "0"}, "enough is 0"),
        ({"controls": "hard,soft"}, "give hard, gold"),
        ({"export": "pickle"}, "give safetensors, onnx-int8"),
        ({"seeds": "21"}, "further trainings from 0 to 20"),
        ({"probe": "perhaps"}, "probe cannot be 'perhaps'"),
    ],
)
def test_a_spec_that_cannot_be_trained_is_refused_in_one_sentence(asked: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=r"\.$") as refusal:
        Spec.from_mapping(asked)
    assert says in str(refusal.value)


def test_a_ladder_is_climbed_cheapest_first_each_rung_by_its_own_recipe() -> None:
    spec = Spec.from_mapping({"ladder": "layers 0 2 5, static, layers 5, ngram", "hidden_cosine": "0.5", "seed": "3"})
    rungs = spec.rungs()
    assert [rung.rung for rung in rungs] == ["ngram", "static", "layers 5", "layers 0 2 5"]
    assert all(rung.ladder == () and rung.seed == 3 and rung.problem() is None for rung in rungs)
    assert rungs[0].learning_rate != rungs[1].learning_rate != rungs[3].learning_rate
    assert [rung.hidden_cosine for rung in rungs] == [0, 0, 0.5, 0.5]
    assert replace(spec, ladder=()).rungs() == (replace(spec, ladder=()),)


def test_a_climb_that_is_resumed_counts_the_time_before_it(tmp_path: Path) -> None:
    rows = examples(480)
    known = LabelRows(LABELS, rows, dict.fromkeys(Control, rows), examples(60, seed=1),
                      examples(60, seed=1).labels, examples(60, seed=1).labels)  # fmt: skip
    spec = replace(QUICK, student=StudentKind.STATIC, alpha=0.0, epochs=3, controls=())
    first = ladder.Climb(spec, known, teacher=None, start=None, folder=tmp_path)
    steps = first.steps()
    for _ in range(20):
        next(steps)
    time.sleep(1.1)  # as a slow step would take
    next(steps)
    steps.close()
    again = ladder.Climb(spec, known, teacher=None, start=None, folder=tmp_path)
    assert [*again.steps()] and again.kept.seconds > 1.1
    third = ladder.Climb(spec, known, teacher=None, start=None, folder=tmp_path)
    assert not [*third.steps()] and third.kept.seconds == pytest.approx(again.kept.seconds, abs=0.5), "it was trained"


def test_a_spec_survives_being_written_down() -> None:
    words = {"ladder": "ngram, layers 1", "controls": "hard,gold", "probe": "true", "export": "onnx-int8"}
    spec = Spec.from_mapping(words)
    assert Spec.from_json(spec.to_json()) == spec
    assert spec.controls == (Control.HARD, Control.GOLD) and spec.probe and spec.export is Export.ONNX_INT8
    assert Spec.from_mapping({"controls": ""}).controls == ()
    assert Spec.from_mapping({"student": "ngram"}).learning_rate != Spec().learning_rate
    assert Spec.from_mapping({"student": "ngram", "learning_rate": "0.5"}).learning_rate == 0.5


def test_a_control_learns_from_labels_alone() -> None:
    control = Spec(logit_mse=1.0, hidden_cosine=0.3, probe=True).control(Control.HARD)
    assert not control.distils and not control.controls and not control.probe


# --- a term of the teacher's that would teach nothing -----------------------------------------------------------------


def refusal(spec: Spec, folder: Path, teacher: Path | None = None, **changes: object) -> str:
    with pytest.raises(ValueError, match=r"\.$") as caught:
        run(spec, folder, teacher, replace(examples(64), **changes))  # type: ignore[arg-type]
    assert not (folder / "student").exists()
    return str(caught.value)


def test_a_soft_term_without_soft_labels_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    assert "alpha is 0.7, and no training row has the teacher's prob" in refusal(QUICK, tmp_path, soft=None)
    said = refusal(replace(QUICK, alpha=0.0, logit_mse=1.0), tmp_path, soft=None)
    assert "logit_mse is 1" in said and "logit_mse=0" in said


@pytest.mark.parametrize(("weights", "term"), [({"alpha": 0.5}, "soft"), ({"alpha": 0.0, "logit_mse": 1.0}, "logit")])
def test_a_teacher_that_says_nothing_is_refused_at_the_first_batch(
    weights: dict[str, float], term: str, tmp_path: Path
) -> None:
    """A third for each label is what a student of zeros says too: there is no gradient, and there never will be."""
    blank = np.full((64, 3), 1 / 3, dtype=np.float32)
    assert f"The {term} term has no gradient" in refusal(replace(QUICK, **weights), tmp_path, soft=blank)  # type: ignore[arg-type]


def test_a_teacher_of_other_labels_is_refused(teacher: Path, tmp_path: Path) -> None:
    stranger = spoilt(teacher, tmp_path / "stranger", id2label={"0": "spam", "1": "ham", "2": "eggs"})
    assert "The teacher's labels are spam, ham, eggs, and the data set's are bad" in refusal(QUICK, tmp_path, stranger)
    assert run(replace(QUICK, alpha=0.0), tmp_path, stranger)  # nothing is learnt from it, so its labels do not matter


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    spec = replace(SPEC, student=StudentKind.FOLDER, folder="its digest")
    with pytest.raises(ValueError, match="none was given"):
        run(spec, tmp_path, None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"has no config\.json"):
        run(spec, tmp_path, None, start=tmp_path / "empty")


# --- the terms --------------------------------------------------------------------------------------------------------


def test_the_logit_term_is_the_one_worked_out_by_hand() -> None:
    """Teacher (.8, .2): ln .8 = -.2231436, ln .2 = -1.6094379, centred ±.6931472; student (1, -1): (.3068528)^2."""
    loss = objective.logit_loss(torch.tensor([[1.0, -1.0]]), torch.tensor([[0.8, 0.2]]), torch.ones(1))
    assert float(loss) == pytest.approx(0.3068528**2, rel=1e-5)


def test_the_logit_term_sees_no_constant_and_no_row_that_the_teacher_did_not_answer() -> None:
    torch.manual_seed(0)
    theirs = torch.randn(3, 4, dtype=torch.float64)
    soft = theirs.softmax(1)
    weights = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    assert float(objective.logit_loss(theirs + 5, soft, weights)) == pytest.approx(0, abs=1e-12)
    soft[2] = torch.nan
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    objective.logit_loss(logits, soft, weights).backward()
    assert torch.isfinite(logits.grad).all() and (logits.grad[2] == 0).all() and (logits.grad[0] != 0).any()
    assert torch.autograd.gradcheck(lambda z: objective.logit_loss(z, soft, weights), (logits,))


def test_the_hidden_term_is_nothing_between_equals_and_two_between_opposites() -> None:
    ours, even = torch.randn(2, 3, 5), torch.ones(2)
    assert float(objective.hidden_loss(ours, 4 * ours, even)) == pytest.approx(0, abs=1e-6)
    assert float(objective.hidden_loss(ours, -ours, even)) == pytest.approx(2, abs=1e-6)


def test_the_size_of_each_term_is_told_and_they_add_up(teacher: Path, tmp_path: Path) -> None:
    spec = replace(SPEC, logit_mse=0.2, hidden_cosine=0.5, epochs=1)
    for step in run(spec, tmp_path, teacher):
        terms = step.terms
        whole = 0.7 * terms.soft + 0.3 * terms.hard + 0.2 * terms.logit + 0.5 * terms.hidden
        assert step.loss == pytest.approx(whole, rel=1e-4)
    assert terms.hidden > 0 and terms.logit > 0


def test_the_teachers_hidden_states_are_asked_for_once(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(SPEC, hidden_cosine=0.5, epochs=1)
    places = loop.Places(teacher, tmp_path / "checkpoints", tmp_path / "student")
    steps = classification.train(spec, LABELS, examples(), examples(60, seed=1), places)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    loaded: list[Path] = []
    usual = models.load
    monkeypatch.setattr(models, "load", lambda folder: loaded.append(folder) or usual(folder))
    assert run(spec, tmp_path, teacher)[0].number == 2
    assert loaded == [teacher]  # to take its layers; its states were kept


# --- n-grams ----------------------------------------------------------------------------------------------------------


def test_n_grams_are_words_pairs_and_pieces() -> None:
    found = set(ngram.pieces("Not GOOD!", 10))
    assert {"not", "good", "!", "not good", "good !", "#<n", "#<not>", "#ood>"} <= found
    assert "#<good>" not in found  # six letters with its ends, and pieces have five at most
    assert "good" not in set(ngram.pieces("Not GOOD!", 1))


def test_n_grams_need_something_that_repeats(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No n-gram occurs in two training rows"):
        ngram.build(Spec(max_tokens=10), LABELS, ["abc", "xyz"])


def test_a_text_without_a_known_n_gram_gets_an_answer(tmp_path: Path) -> None:
    run(QUICK, tmp_path, None)
    said = predict.probabilities(tmp_path / "student", ["", "\ud800", "\x00 漢字"], threads=1)
    assert said.shape == (3, 3) and np.isfinite(said).all()
    np.testing.assert_allclose(said[0], said[1], atol=1e-6)


def test_numpy_gives_what_torch_trained(tmp_path: Path) -> None:
    texts = list(texts_and_labels(40, seed=5)[0])
    student = ngram.build(Spec(max_tokens=24), LABELS, texts)
    torch.nn.init.normal_(student.model.weight)
    student.save(tmp_path)
    with torch.inference_mode():
        ours = student.logits(student.tokenise(texts, 24)).softmax(1).numpy()
    np.testing.assert_allclose(ours, predict.probabilities(tmp_path, texts, threads=1), atol=1e-5)


# --- static embeddings ------------------------------------------------------------------------------------------------


def test_a_static_student_starts_from_what_the_encoder_makes_of_each_token(teacher: Path) -> None:
    """PCA keeps distances where nothing is dropped, so two tokens stand as far apart as they do in the encoder."""
    texts = examples(60, seed=2).inputs
    spec = replace(SPEC, student=StudentKind.STATIC, hidden=64, vocabulary=10_000)
    student = students.build(spec, LABELS, texts, teacher)
    model, tokenizer = models.load(teacher)
    ours = student.model.get_input_embeddings().weight
    words = ["superb", "awful", "lovely"]
    with torch.inference_mode():
        theirs = torch.cat(
            [model.base_model(**tokenizer(w, return_tensors="pt")).last_hidden_state.mean(1) for w in words]
        )
        counts = torch.bincount(torch.tensor([i for row in student.tokenise(texts, 512) for i in row]))
        rows = [student.tokenise([word], 24)[0][1] for word in words]
        mine = ours[rows] / (static.RARE / (static.RARE + counts[rows] / counts.sum()))[:, None]
        ratio = torch.cdist(mine, mine)[0, 1:] / torch.cdist(theirs, theirs)[0, 1:]
    assert float(ratio.std() / ratio.mean()) < 1e-3


def test_the_arms_of_a_run_encode_the_words_of_a_static_student_once(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(SPEC, student=StudentKind.STATIC, epochs=1)
    encoded: list[object] = []
    usual = static._encode_alone
    monkeypatch.setattr(static, "_encode_alone", lambda *given: encoded.append(given) or usual(*given))
    digests = set()
    for name, shared in (("one", tmp_path / "shared"), ("other", tmp_path / "shared"), ("alone", None)):
        places = loop.Places(teacher, tmp_path / name / "checkpoints", tmp_path / name / "student", shared=shared)
        assert [*classification.train(spec, LABELS, examples(), examples(60, seed=1), places)]
        digests.add(folder_digest(places.out))
    assert len(encoded) == 2 and len(digests) == 1


def test_frequent_tokens_count_less_in_a_static_student(teacher: Path) -> None:
    texts = ["the awful thing"] + ["the the the the"] * 50
    spec = replace(SPEC, student=StudentKind.STATIC, hidden=64, vocabulary=10_000)
    student = students.build(spec, LABELS, texts, teacher)
    often, seldom = (student.tokenise([word], 24)[0][1] for word in ("the", "awful"))
    lengths = student.model.get_input_embeddings().weight.norm(dim=1)
    assert lengths[often] < 0.1 * lengths[seldom]


# --- the form that ships ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forms(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A student in each form: floats, 8-bit ONNX of a transformer and of static embeddings, n-grams."""
    folder = tmp_path_factory.mktemp("forms")
    made = {}
    for name, spec in (
        ("transformers", replace(SPEC, epochs=2)),
        ("static", replace(SPEC, student=StudentKind.STATIC, learning_rate=3e-2)),
        ("ngram", QUICK),
    ):
        run(spec, folder / name, teacher)
        made[name] = folder / name / "student"
    for name, source in (("onnx", "transformers"), ("static onnx", "static")):
        made[name] = folder / name
        export.onnx_int8(made[source], made[name])
    return made


def test_every_form_runs_by_the_program_in_its_card_and_answers_as_we_do(forms: dict[str, Path]) -> None:
    texts = [*texts_and_labels(5, seed=6)[0], "", "long " * 100]
    code = "import json, sys\nsys.modules['distill_tui'] = None  # any import of it would fail\nsaid = []\n"
    for folder in forms.values():
        program = loaders.FORMS[folders.form(folder)].program.replace('"model"', repr(str(folder)))
        code += f"{program}\nsaid.append([predict(text) for text in {texts!r}])\n"
    command = [sys.executable, "-I", "-c", f"{code}print(json.dumps(said))"]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for (name, folder), theirs in zip(forms.items(), said, strict=True):
        assert list(theirs[0]) == list(LABELS) == list(folders.teacher_labels(folder))
        ours = predict.probabilities(folder, texts, threads=1)
        np.testing.assert_allclose([list(each.values()) for each in theirs], ours, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("exported", "source"), [("onnx", "transformers"), ("static onnx", "static")])
def test_eight_bits_answer_nearly_as_floats_do_and_take_less_room(
    exported: str, source: str, forms: dict[str, Path]
) -> None:
    texts = texts_and_labels(200, seed=8)[0]
    floats, eights = (predict.probabilities(forms[name], texts, threads=1) for name in (source, exported))
    assert (floats.argmax(1) == eights.argmax(1)).mean() > 0.95
    assert not np.array_equal(floats, eights)  # it is the 8-bit model that answers
    assert measure.size(forms[exported])[0] == measure.size(forms[source])[0]
    assert (forms[exported] / "model.onnx").stat().st_size < 0.7 * (forms[source] / "model.safetensors").stat().st_size
    assert not (forms[exported] / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("asked", "ships"),
    [
        ({"student": "static"}, Export.ONNX_INT8),
        ({"student": "static", "windows": "true"}, Export.ONNX_INT8),
        ({"student": "static", "export": "safetensors"}, Export.SAFETENSORS),
        ({"student": "ngram"}, Export.SAFETENSORS),
        ({"student": "ngram", "export": "onnx-int8"}, Export.SAFETENSORS),
        ({"student": "scratch"}, Export.SAFETENSORS),
        ({"student": "scratch", "export": "onnx-int8"}, Export.ONNX_INT8),
    ],
)
def test_a_kind_ships_by_default_in_its_fastest_form(asked: dict[str, object], ships: Export) -> None:
    assert Spec.from_mapping(asked).ships is ships
    ladder_ = Spec.from_mapping(
        {"ladder": "ngram, static"} | {name: own for name, own in asked.items() if name == "export"}
    )
    assert ladder_.rungs()[0].ships is Export.SAFETENSORS
    assert (ladder_.rungs()[1].ships is Export.SAFETENSORS) is (asked.get("export") == "safetensors")


def test_what_ships_by_default_is_what_is_judged(forms: dict[str, Path], tmp_path: Path) -> None:
    spec = Spec.from_mapping({"student": "static"})
    shipped = ladder.ship(forms["static"], spec, tmp_path / "shipped")
    assert folders.form(shipped) == "onnx" and not (shipped / "model.safetensors").exists()
    assert ladder.ship(forms["ngram"], Spec.from_mapping({"student": "ngram"}), tmp_path / "none") == forms["ngram"]


def test_the_same_student_gives_the_same_export(forms: dict[str, Path], tmp_path: Path) -> None:
    export.onnx_int8(forms["static"], tmp_path / "again")
    for path in sorted((tmp_path / "again").iterdir()):
        assert path.read_bytes() == (forms["static onnx"] / path.name).read_bytes(), path.name


def test_every_form_is_timed_one_request_at_a_time(forms: dict[str, Path]) -> None:
    for folder in forms.values():
        times = measure.latencies(folder, ["one", "two words"], runs=2, per_run=3, warm_up=1)
        assert [len(each) for each in times] == [3, 3] and all(t > 0 for each in times for t in each)
    assert students.open_folder(forms["onnx"], threads=1).ask("\ud800 superb").shape == (3,)


def test_soft_labels_are_what_these_tests_say() -> None:
    np.testing.assert_allclose(soft_from(np.array([1])), [[0.05, 0.9, 0.05]])


def test_cold_start_memory_and_throughput_are_measured_on_the_artifact(forms: dict[str, Path]) -> None:
    found = {name: measure.running(forms[name], ["one text", "\ud800"]) for name in ("ngram", "onnx")}
    for numbers in found.values():
        assert set(numbers) == {"cold_start_us", "peak_kb", "batch_1", "batch_8", "batch_32"}
        assert all(type(each) is int and each > 0 for each in numbers.values())
    assert found["ngram"]["peak_kb"] < 0.7 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "not the worker's own"
    broken = forms["ngram"].with_name("broken")
    shutil.copytree(forms["ngram"], broken)
    (broken / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="The program in the model card fails on broken"):
        measure.running(broken, ["text"])
