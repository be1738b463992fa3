"""What training promises: the paper's loss, students that learn and load anywhere, runs that no kill changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from support.training import (
    LABELS,
    SPEC,
    digests,
    examples,
    run,
    spoilt,
    teacher,  # noqa: F401
    texts_and_labels,
)

os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"

import numpy as np
import pytest
import torch
import transformers

from distill_tui.spec import Spec
from distill_tui.terms import StudentKind
from distill_tui.training import (
    baseline,
    checkpoints,
    classification,
    folders,
    local_teachers,
    loop,
    measure,
    models,
    objective,
    predict,
    students,
    vocabulary,
)
from distill_tui.training.examples import Examples

# those that read labels off an encoder; a language model that chooses them has `test_causal_labels`
LABELLING = [kind for kind in StudentKind if kind.reads]


@pytest.fixture(scope="module")
def trained(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[StudentKind, Path]:
    """One student of each kind, trained on the toy problem."""
    made = {}
    for kind in LABELLING:
        quick = (StudentKind.STATIC, StudentKind.NGRAM, StudentKind.FROZEN)
        rate = 3e-2 if kind in quick else SPEC.learning_rate
        folder = tmp_path_factory.mktemp(kind.value)
        spec = replace(SPEC, student=kind, folder="its digest", learning_rate=rate, epochs=7)
        run(spec, folder, teacher, examples(400), start=teacher)
        made[kind] = folder / "student"
    return made


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "training", "says"),
    [
        (SPEC, examples(8, soft=False, gold=False), "No training row has a label that counts"),
        (replace(SPEC, alpha=1.0), examples(8, soft=False), "alpha is 1"),
        (replace(SPEC, alpha=0.0), examples(8, gold=False), "No training row has a label that counts"),
        (SPEC, examples(0), "There are no training rows."),
        (SPEC, replace(examples(8), weights=np.zeros(8, dtype=np.float32)), "No training row has a label"),
        (SPEC, replace(examples(8), soft=np.full((8, 3), np.nan, dtype=np.float32), labels=np.full(8, -1)), "No train"),
        (SPEC, replace(examples(8), soft=np.ones((8, 2), dtype=np.float32)), "must be (8, 3)"),
        (SPEC, replace(examples(8), labels=np.full(8, 3, dtype=np.int64)), "label number 3"),
        (SPEC, replace(examples(8), labels=np.zeros(7, dtype=np.int64)), "7 labels"),
        (SPEC, replace(examples(8), weights=np.full(8, -1, dtype=np.float32)), "negative"),
        (replace(SPEC, temperature=0.0), examples(8), "temperature"),
    ],
)
def test_a_run_that_could_learn_nothing_is_refused(spec: Spec, training: Examples, says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        classification.train(spec, LABELS, training, examples(8), loop.Places(None, tmp_path, tmp_path / "out"))
    assert says in str(refusal.value)
    assert str(refusal.value).endswith(".") and "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_layers_need_a_teacher_that_has_them(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs the teacher's folder"):
        run(SPEC, tmp_path, None)
    with pytest.raises(ValueError, match="layers 0 to 2, and the spec asks for layer 5"):
        run(replace(SPEC, layers=(0, 5)), tmp_path, teacher)
    with pytest.raises(ValueError, match="the teacher reads at most 64 tokens"):
        run(replace(SPEC, max_tokens=65), tmp_path, teacher)


def test_layers_of_an_unknown_family_are_refused(trained: dict[StudentKind, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="The teacher is a eurobert; layers can be taken from bert, "):
        run(replace(SPEC, layers=(0,)), tmp_path, trained[StudentKind.STATIC])


def test_pickled_weights_are_refused_by_name(teacher: Path, tmp_path: Path) -> None:
    folder = spoilt(teacher, tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "pytorch_model.bin is a pickle" in str(folders.check_model_folder(folder))
    with pytest.raises(ValueError, match="is a pickle"):
        next(local_teachers.label(folder, ["text"], threads=1))


def test_a_pickle_that_calls_itself_safetensors_is_refused(teacher: Path, tmp_path: Path) -> None:
    folder = spoilt(teacher, tmp_path / "disguised")
    torch.save({"x": torch.zeros(3)}, folder / "model.safetensors")
    assert "is not a safetensors file" in str(folders.check_model_folder(folder))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"auto_map": {"AutoModel": "code.Model"}}, "custom code"),
        ({"id2label": None}, "names no labels"),
        ({"id2label": {"0": "only"}}, "names no labels"),
        ({"architectures": ["BertModel"]}, "not a sequence classifier"),
        ({"problem_type": "regression"}, "only one label"),
    ],
)
def test_a_config_that_is_no_plain_classifier_is_refused(
    teacher: Path, tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    assert says in str(folders.check_model_folder(spoilt(teacher, tmp_path / "folder", **changes)))


@pytest.mark.parametrize(
    ("missing", "says"),
    [("config.json", "no config.json"), ("model.safetensors", "no model.safetensors"), ("tokenizer.json", "tokenizer")],
)
def test_a_folder_with_a_file_missing_is_refused(teacher: Path, tmp_path: Path, missing: str, says: str) -> None:
    folder = spoilt(teacher, tmp_path / "folder")
    (folder / missing).unlink()
    assert says in str(folders.check_model_folder(folder))


@pytest.mark.parametrize("content", ["", "[]", "[" * 100_000, "\x00", '{"id2label": '])
def test_an_unreadable_config_is_refused(teacher: Path, tmp_path: Path, content: str) -> None:
    folder = spoilt(teacher, tmp_path / "folder")
    (folder / "config.json").write_text(content)
    assert "config.json" in str(folders.check_model_folder(folder))


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    assert "is not a folder" in str(folders.check_model_folder(tmp_path / "nothing"))


def test_checking_a_folder_does_not_wait_for_torch() -> None:
    code = "import sys, distill_tui.training.folders; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- the loss -------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_one_worked_out_by_hand() -> None:
    """Two labels, T = 2: student logits (2, 0), teacher (.5, .5), gold 0.

    q_T = softmax(1, 0) = (.7310586, .2689414); KL = ln .5 - (ln .7310586 + ln .2689414) / 2 = .1201145
    soft = 4 * .1201145 = .4804579; hard = -ln softmax(2, 0)[0] = .1269280; .75 * soft + .25 * hard = .3920754
    """
    loss, soft, hard = objective.distillation_loss(
        torch.tensor([[2.0, 0.0]]), torch.tensor([0]), torch.tensor([[0.5, 0.5]]), torch.ones(1), 2.0, 0.75
    )
    assert [round(float(value), 5) for value in (loss, soft, hard)] == [0.39208, 0.48046, 0.12693]


def test_the_soft_gradient_is_t_times_the_difference_of_softened_probabilities() -> None:
    """Hinton et al. 2015, section 2.1: d/dz of T^2 KL is T (q_T - p_T), here against torch's autograd."""
    torch.manual_seed(0)
    temperature, theirs = 3.0, torch.randn(4, 3, dtype=torch.float64)
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    loss, _, _ = objective.distillation_loss(
        logits, torch.full((4,), -1), theirs.softmax(1), torch.ones(4, dtype=torch.float64), temperature, 1.0
    )
    loss.backward()
    expected = temperature * ((logits / temperature).softmax(1) - (theirs / temperature).softmax(1)) / 4
    torch.testing.assert_close(logits.grad, expected.detach())
    assert torch.autograd.gradcheck(
        lambda z: objective.distillation_loss(
            z, torch.tensor([0, -1, 2, 1]), theirs.softmax(1), torch.tensor([1.0, 2, 0.5, 1]).double(), 2.0, 0.4
        )[0],
        (logits,),
    )


def test_a_row_counts_only_by_the_labels_that_it_has() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 3, requires_grad=True)
    soft = torch.tensor([[0.2, 0.3, 0.5], [torch.nan] * 3, [torch.nan] * 3])
    loss, soft_term, hard_term = objective.distillation_loss(
        logits, torch.tensor([-1, 1, -1]), soft, torch.tensor([1.0, 2.0, 3.0]), 2.0, 0.5
    )
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()
    assert (logits.grad[2] == 0).all() and (logits.grad[0] != 0).any()
    torch.testing.assert_close(hard_term, 2 / 6 * torch.nn.functional.cross_entropy(logits[1:2], torch.tensor([1])))
    torch.testing.assert_close(loss, 0.5 * soft_term + 0.5 * hard_term)


def test_a_certain_teacher_gives_no_infinite_loss() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    loss, _, _ = objective.distillation_loss(
        logits, torch.tensor([-1]), torch.tensor([[1.0, 0.0, 0.0]]), torch.ones(1), 2.0, 1.0
    )
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


# --- students -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LABELLING)
def test_every_student_learns(trained: dict[StudentKind, Path], kind: StudentKind) -> None:
    texts, labels = texts_and_labels(150, seed=9)
    answers = predict.probabilities(trained[kind], texts, threads=1, max_tokens=24).argmax(axis=1)
    majority = (labels == baseline.majority(labels)).mean()
    assert (answers == labels).mean() > majority + 0.4


@pytest.mark.parametrize("kind", [StudentKind.SCRATCH, StudentKind.STATIC])
def test_recorded_outputs_are_enough_where_no_layer_is_inherited(kind: StudentKind, tmp_path: Path) -> None:
    rate = 3e-2 if kind is StudentKind.STATIC else SPEC.learning_rate
    steps = run(replace(SPEC, student=kind, learning_rate=rate, epochs=8), tmp_path, None, examples(400, gold=False))
    assert max(step.validation for step in steps if step.validation is not None) > 0.8
    assert steps[-1].number <= steps[-1].total == 8 * 25  # it may have stopped early


def test_a_folder_loads_with_plain_transformers_and_gives_the_same_logits(trained: dict[StudentKind, Path]) -> None:
    texts = list(texts_and_labels(8, seed=5)[0])
    code = """
import json, sys
sys.modules["distill_tui"] = None  # any import of it would fail
from transformers import AutoModelForSequenceClassification, AutoTokenizer
found = []
for folder in sys.argv[2:]:
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    logits = model(**tokenizer(json.loads(sys.argv[1]), padding=True, return_tensors="pt")).logits
    found.append([list(model.config.id2label.values()), model.config.label2id, logits.tolist()])
print(json.dumps(found))
"""
    own = (StudentKind.NGRAM, StudentKind.FROZEN)  # a frozen student's head is a file of its own: see test_frozen
    stock = [folder for kind, folder in trained.items() if kind not in own]
    command = [sys.executable, "-I", "-c", code, json.dumps(texts), *map(str, stock)]
    answers = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for folder, (names, numbers, theirs) in zip(stock, answers, strict=True):
        assert tuple(names) == LABELS and numbers == {label: number for number, label in enumerate(LABELS)}
        model, tokenizer = models.load(folder)
        with torch.inference_mode():
            ours = models.logits(model, models.tokenise(tokenizer, texts, 64))
        torch.testing.assert_close(torch.tensor(theirs), ours, rtol=1e-5, atol=1e-5)
        assert sorted(path.name for path in folder.iterdir()) == [
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        ]


def test_an_untrained_student_of_all_layers_answers_as_its_teacher_does(teacher: Path) -> None:
    """Layers, embeddings and head come over, and the head's rows in the play's order of labels."""
    from distill_tui.training import (
        models,
        predict,
        students,
    )

    texts = examples(20, seed=2).inputs
    student = students.build(replace(SPEC, layers=(0, 1, 2), vocabulary=10_000), LABELS, texts, teacher)
    with torch.inference_mode():
        ours = models.logits(student.model.eval(), models.tokenise(student.tokenizer, texts, 24)).softmax(1).numpy()
    theirs = predict.probabilities(teacher, texts, threads=1, max_tokens=24)
    np.testing.assert_allclose(ours[:, ::-1], theirs, atol=1e-5)


def test_static_means_that_word_order_does_not_matter(trained: dict[StudentKind, Path]) -> None:
    one, other = predict.probabilities(
        trained[StudentKind.STATIC], ["the table was superb", "superb was table the"], threads=1
    )
    np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_pruned_tokenizer_cuts_words_as_before(teacher: Path) -> None:
    _, tokenizer = models.load(teacher)
    texts = ["The product was lovely, and it weighs something!", "awful awful awful"]
    pruned, kept = vocabulary.prune(tokenizer, texts, 10_000)
    assert len(kept) == len(pruned) < len(tokenizer)
    for text in texts:
        assert pruned.convert_ids_to_tokens(pruned(text)["input_ids"]) == tokenizer.convert_ids_to_tokens(
            tokenizer(text)["input_ids"]
        )
        assert [kept[number] for number in pruned(text)["input_ids"]] == tokenizer(text)["input_ids"]


def test_a_pruned_tokenizer_spells_the_words_that_it_lost(teacher: Path) -> None:
    _, tokenizer = models.load(teacher)
    pruned, kept = vocabulary.prune(tokenizer, ["awful"], 1)
    ids = pruned("lovely table")["input_ids"]
    assert pruned.unk_token_id not in ids and pruned.decode(ids, skip_special_tokens=True) == "lovely table"
    assert set(tokenizer.convert_tokens_to_ids(list(vocabulary.SPECIAL))) <= set(kept)


@pytest.mark.parametrize("family", ["roberta", "distilbert", "electra"])
def test_other_families_give_their_layers_too(family: str, teacher: Path, tmp_path: Path) -> None:
    """Their names for things differ; what has to come over is the chosen layer and the words."""
    from distill_tui.training import (
        export,
        models,
        predict,
        students,
    )

    _, tokenizer = models.load(teacher)
    sizes = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    more = {"dim": 32, "n_layers": 3, "n_heads": 2} if family == "distilbert" else {"embedding_size": 32}
    config = transformers.AutoConfig.for_model(
        family,
        **({"vocab_size": len(tokenizer)} if family == "distilbert" else sizes),
        **more,
        max_position_embeddings=66,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    export.write(model.eval(), tokenizer, tmp_path / family)
    spec = replace(SPEC, layers=(0, 1, 2), vocabulary=10_000)
    texts = examples(10, seed=2).inputs
    student = students.build(spec, LABELS, texts, tmp_path / family)
    with torch.inference_mode():
        ours = models.logits(student.model.eval(), models.tokenise(student.tokenizer, texts, 24)).softmax(1).numpy()
    np.testing.assert_allclose(ours, predict.probabilities(tmp_path / family, texts, threads=1), atol=1e-5)


def test_the_same_texts_give_the_same_new_tokenizer() -> None:
    made = {vocabulary.train(examples().inputs, 150).backend_tokenizer.to_str() for _ in range(5)}
    assert len(made) == 1
    assert "##a" not in json.loads(made.pop())["added_tokens"]


# --- runs -----------------------------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from dataclasses import replace
from support.training import LABELS, SPEC, examples
from distill_tui.terms import StudentKind, Task
from distill_tui.training import classification, loop
loop.CHECKPOINT_SECONDS = 0.0
spec = replace(SPEC, student=StudentKind.SCRATCH, epochs=200, patience=200)
folder = Path(sys.argv[2])
for step in classification.train(spec, LABELS, examples(), examples(60, seed=1),
                                 loop.Places(None, folder / "checkpoints", folder / "student")):
    print(step.number, flush=True)
"""


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    run(replace(SPEC, student=StudentKind.SCRATCH), folder, None)
    return folder


def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path, uninterrupted: Path) -> None:
    """SIGKILL twice, at random moments, while every step writes a checkpoint."""
    code = CHILD.replace("epochs=200, patience=200", "epochs=4")
    killed_at = []
    for steps in (9, 13):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        killed_at.append([int(child.stdout.readline()) for _ in range(steps)][-1])
        child.kill()
        child.communicate()
    assert 9 == killed_at[0] < killed_at[1] < 60 and not (tmp_path / "student").exists()
    rest = run(replace(SPEC, student=StudentKind.SCRATCH), tmp_path, None)
    assert killed_at[1] <= rest[0].number < 60  # it did not start again
    assert digests(tmp_path / "student") == digests(uninterrupted / "student")


def test_a_closed_run_keeps_its_work(tmp_path: Path, uninterrupted: Path, teacher: Path) -> None:
    spec = replace(SPEC, student=StudentKind.SCRATCH)
    arguments = (spec, LABELS, examples(), examples(60, seed=1))
    steps = classification.train(*arguments, loop.Places(None, tmp_path / "checkpoints", tmp_path / "student"))
    assert isinstance(steps, Iterator)
    for _ in range(20):
        next(steps)
    steps.close()  # type: ignore[attr-defined]
    rest = run(spec, tmp_path, None)
    assert rest[0].number == 21
    assert digests(tmp_path / "student") == digests(uninterrupted / "student")


def test_a_damaged_checkpoint_is_skipped(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    for step in (1, 2, 3):
        checkpoints.save(folder, step, "mine", {"x": torch.full((4,), float(step))}, {"cursor": step})
    assert sorted(path.name for path in folder.iterdir()) == ["step-000000002", "step-000000003"]
    state = folder / "step-000000003" / "state.safetensors"
    content = bytearray(state.read_bytes())
    content[-1] ^= 1
    state.write_bytes(content)
    found = checkpoints.newest(folder, "mine")
    assert found is not None and found[1]["cursor"] == 2 and found[0]["x"].tolist() == [2.0] * 4
    (folder / "step-000000002" / "manifest.json").write_text("{")
    assert checkpoints.newest(folder, "mine") is None


def test_a_checkpoint_that_goes_loses_its_name_before_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(checkpoints.shutil, "rmtree", lambda path, **_: None)
        for step in (1, 2, 8, 9):
            checkpoints.save(tmp_path, step, "mine", {"x": torch.zeros(1)}, {})
        assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-000000008", "step-000000009"]
    checkpoints.save(tmp_path, 10, "mine", {"x": torch.zeros(1)}, {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000009", "step-000000010"]


def test_a_checkpoint_of_another_run_is_not_picked_up(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, 5, "theirs", {"x": torch.zeros(1)}, {})
    assert checkpoints.newest(tmp_path, "mine") is None
    spec = replace(SPEC, student=StudentKind.SCRATCH, epochs=1)
    run(spec, tmp_path, None)
    assert run(replace(spec, seed=8), tmp_path, None)[0].number == 1


def test_a_finished_run_that_is_run_again_only_writes_its_student(tmp_path: Path, uninterrupted: Path) -> None:
    before = digests(uninterrupted / "student")
    assert run(replace(SPEC, student=StudentKind.SCRATCH), uninterrupted, None) == []
    assert digests(uninterrupted / "student") == before


def test_nothing_that_a_run_leaves_is_a_pickle_or_half_written(uninterrupted: Path) -> None:
    files = [path for path in uninterrupted.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    assert not list(uninterrupted.rglob(".*"))


def test_a_run_stops_when_validation_stops_improving(tmp_path: Path) -> None:
    spec = replace(SPEC, student=StudentKind.STATIC, learning_rate=3e-2, epochs=30, patience=1)
    steps = run(spec, tmp_path, None)
    scores = [step.validation for step in steps if step.validation is not None]
    assert len(scores) < 30 and scores[-1] <= max(scores[:-1])


def test_every_epoch_sees_every_row_once_and_in_another_order() -> None:
    lengths = [length % 17 + 1 for length in range(1000)]
    first, second = (loop.epoch_batches(lengths, 32, 7, epoch) for epoch in (0, 1))
    assert sorted(row for batch in first for row in batch) == list(range(1000))
    assert first != second and first == loop.epoch_batches(lengths, 32, 7, 0)


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    rates = [loop.learning_rate_factor(step, 100) for step in range(101)]
    assert rates[0] == 0.1 and max(rates) == rates[9] == rates[10] == 1.0 and rates[100] == 0.0


# --- what is measured -----------------------------------------------------------------------------------------------


def test_labels_come_in_batches_that_cover_every_text_once(teacher: Path) -> None:
    texts = examples(50).inputs
    batches = list(local_teachers.label(teacher, texts, threads=1, batch_size=16))
    assert sorted(position for positions, _ in batches for position in positions) == list(range(50))
    assert all(rows.dtype == np.float32 and rows.shape == (len(positions), 3) for positions, rows in batches)
    np.testing.assert_allclose(np.concatenate([rows for _, rows in batches]).sum(axis=1), 1, atol=1e-5)
    assert folders.teacher_labels(teacher) == tuple(reversed(LABELS))
    one, _ = batches[0]
    assert predict.probabilities(teacher, ["", "\ud800", "word " * 5000, "\x00"], threads=1).shape == (4, 3)
    again = predict.probabilities(teacher, [texts[one[0]]], threads=1)
    np.testing.assert_allclose(again[0], batches[0][1][0], atol=1e-5)  # padding changes nothing


def test_the_baseline_learns_words_and_needs_labels() -> None:
    texts, labels = texts_and_labels(300, seed=3)
    unknown = np.full(300, -1, dtype=np.int64)
    with pytest.raises(ValueError, match="No training row has a label"):
        baseline.fit_baseline(texts, unknown, 0)
    answers = baseline.fit_baseline(texts, np.where(np.arange(300) < 250, labels, -1), 0)
    assert (answers(texts[250:]) == labels[250:]).mean() > 0.9
    assert answers([]).shape == (0,)
    assert baseline.fit_baseline(["", ""], np.array([2, 2]), 0)(["a"]).tolist() == [2]
    assert baseline.fit_baseline(["", ""], np.array([1, 2]), 0)(["a"]).tolist() == [1]


def test_latency_is_whole_microseconds_of_separate_passes(teacher: Path) -> None:
    texts = examples(7).inputs
    with pytest.raises(ValueError, match="there are none"):
        measure.latencies(teacher, [], runs=1, per_run=1)
    runs = measure.latencies(teacher, texts, runs=2, per_run=10, warm_up=2)
    assert [len(times) for times in runs] == [10, 10] and all(type(t) is int and t > 0 for times in runs for t in times)
    assert len(measure.baseline_latencies(lambda rows: np.zeros(len(rows)), texts, runs=3, per_run=5)[2]) == 5


def test_what_a_student_is_unsure_of_is_answered_and_timed_by_its_teacher_too(
    trained: dict[StudentKind, Path], teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, student = "the product was superb", trained[StudentKind.STATIC]
    ask, back = (students.open_folder(folder, threads=1).ask for folder in (student, teacher))
    assert not np.array_equal(ask(text), back(text))
    assert np.array_equal(measure._cascade(ask, back, 0.0, text), ask(text))  # type: ignore[arg-type]
    assert np.array_equal(measure._cascade(ask, back, 1.1, text), back(text))  # type: ignore[arg-type]
    monkeypatch.setattr(measure, "PER_RUN", 3)
    timed = measure.combined_latencies(student, teacher, 1.1, [text], warm_up=1, threads=1, max_tokens=24)
    assert [len(run) for run in timed] == [3] * measure.RUNS


def test_size_counts_parameters_and_bytes(teacher: Path) -> None:
    model, _ = models.load(teacher)
    parameters, size = measure.size(teacher)
    assert parameters == sum(weight.numel() for weight in model.parameters())
    assert size == sum(path.stat().st_size for path in teacher.iterdir())


def test_a_machine_is_described_by_whole_numbers_and_words() -> None:
    assert {type(value) for value in measure.machine(1).values()} == {int, str} and measure.machine(1)["cpu"]
