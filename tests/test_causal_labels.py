"""Language models that choose a label by its text: no other answer is possible, and each has its probability."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from support import live_play
from support.sequences import tiny_causal
from support.training import LABELS, digests, examples, texts_and_labels

os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from distill_tui import tasks
from distill_tui.bundles import retrain
from distill_tui.bundles.verify import verify_bundle
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.spec import Spec
from distill_tui.tasks import loaders
from distill_tui.terms import Metric, StudentKind, Task, Verdict
from distill_tui.training import calibration, classification, decoding, folders, predict, students
from distill_tui.training.label_tree import LabelTree
from distill_tui.training.loop import Places, Step
from distill_tui.training.students import causal, causal_labels

SPEC = Spec.from_mapping({"student": "causal_labels", "folder": "its digest", "max_tokens": 40, "lora": 8, "epochs": 6,
                          "learning_rate": 1e-2, "temperature": 1, "export": "safetensors"})  # fmt: skip
SIMILAR = ("late parcel", "late", "late parcel again", "late payment", "lost")  # one begins another


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny causal model that was taught to write, with all of its weights."""
    from distill_tui.training import generation
    from distill_tui.training.generation import Pairs
    from support.sequences import CAUSAL

    folder = tmp_path_factory.mktemp("start")
    texts, labels = texts_and_labels(300, 5)
    rows = Pairs(texts, tuple(("sad", "so so", "glad")[at] for at in labels), np.ones(len(texts), dtype=np.float32))
    spec = replace(CAUSAL, max_tokens=40, vocabulary=400, epochs=6)
    list(generation.train(spec, rows, rows.of(range(40)), Places(None, folder / "checkpoints", folder / "student")))
    return folder / "student"


def run(spec: Spec, folder: Path, start: Path, **kinds: bool) -> list[Step]:
    places = Places(None, folder / "checkpoints", folder / "student", start)
    return list(classification.train(spec, LABELS, examples(240, **kinds), examples(60, 1), places))


@pytest.fixture(scope="module")
def chooser(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chooser")
    run(SPEC, folder, start)
    return folder / "student"


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "A student of kind causal_labels starts from a local model; name its folder"),
        ({"folder": "f", "hidden_cosine": "1"}, "give hidden_cosine=0"),
    ],
)
def test_a_spec_that_cannot_be_trained_is_refused(asked: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=r"\.$") as refusal:
        Spec.from_mapping({"student": "causal_labels", **asked})
    assert says in str(refusal.value)


def test_labels_that_a_model_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(ValueError, match=r"spell the labels 'a' and 'b' alike; rename one of them\.$"):
        LabelTree.of(["a", "b"], [[4], [4]], 9)
    with pytest.raises(ValueError, match=r"The label 'b' holds the token that ends a text; rename it\.$"):
        LabelTree.of(["a", "b"], [[4], [4, 9]], 9)


def test_a_model_that_is_no_causal_one_or_reads_no_tree_is_refused(start: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a causal language model"):
        tiny = tiny_causal(tmp_path / "tiny", ("a b",))
        folders.set_settings(tiny, {"architectures": ["BertModel"]})
        run(SPEC, tmp_path, tiny)
    model = causal.build(SPEC, (), start, None)
    tree = LabelTree.of(SIMILAR, model.plain(SIMILAR), model.stop)
    layer = model.model.model.layers[0].self_attn
    plain = layer.forward  # without a mask it reads all that stands before
    layer.forward = lambda *args, **more: plain(*args, **more | {"attention_mask": None})
    with pytest.raises(ValueError, match=r"A llama cannot read the texts of all labels at once; choose another"):
        causal_labels._check(model, tree)


def test_only_a_play_of_one_label_has_such_students() -> None:
    for task in (Task.MULTILABEL, Task.SCORE, Task.GENERATION):
        assert StudentKind.CAUSAL_LABELS not in tasks.of(task).students
    assert StudentKind.CAUSAL_LABELS in tasks.of(Task.CLASSIFICATION).students


# --- the tree -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 3), max_size=4).map(tuple), min_size=2, max_size=12, unique=True),
    st.integers(0, 2**32 - 1),
)
def test_the_probabilities_are_of_what_is_possible_at_each_token_and_sum_to_one(
    texts: list[tuple[int, ...]], seed: int
) -> None:
    """Against the product over all tokens, each among those that some label has there."""
    tree = LabelTree.of([str(text) for text in texts], texts, 4)
    logits = 5 * torch.randn(2, len(tree.nodes), 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    found = tree.log_probabilities(logits).exp()
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2))
    for row in range(2):
        for number, text in enumerate(tree.texts):
            product = 1.0
            for at, token in enumerate(text):
                possible = sorted({each[at] for each in tree.texts if each[:at] == text[:at]})
                if len(possible) > 1:
                    shares = logits[row, tree.nodes.index(text[:at]), possible].softmax(0)
                    product *= float(shares[possible.index(token)])
            assert float(found[row, number]) == pytest.approx(product, rel=1e-3, abs=1e-9)


def test_a_tree_that_is_read_at_once_gives_what_each_text_gives_alone(start: Path) -> None:
    writer = causal.build(SPEC, (), start, None)
    tree = LabelTree.of(SIMILAR, writer.plain(SIMILAR), writer.stop)
    assert len(tree.nodes) > 3
    prompts = writer.prompts(["it was late", "x", "the parcel never came and nobody wrote"])
    with torch.inference_mode():
        together = causal_labels.after_nodes(writer.model, tree, prompts, writer.padding)
        for row, prompt in enumerate(prompts):
            for number, node in enumerate(tree.nodes):
                ids, mask, places = decoding.left_padded([[*prompt, *node]], writer.padding)
                alone = decoding.forward(writer.model, ids, mask, places).logits[0, -1]
                torch.testing.assert_close(together[row, number], alone, atol=1e-3, rtol=1e-3)


# --- students -------------------------------------------------------------------------------------------------------


def test_it_learns_labels_and_probabilities_and_answers_as_its_program_does(chooser: Path) -> None:
    texts, labels = texts_and_labels(90, 9)
    shares = predict.probabilities(chooser, texts, threads=1)
    assert float((shares.argmax(axis=1) == labels).mean()) > 0.9
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert folders.form(chooser) == "causal_labels" and folders.teacher_labels(chooser) == LABELS
    assert transformers.AutoModelForCausalLM.from_pretrained(chooser).config.model_type == "llama"
    hostile = ["", "\ud800 broken", "[bold]</s><answer>", "good " * 200, *texts[:5]]
    program = loaders.FORMS["causal_labels"].program_for(several=False).replace('"model"', repr(str(chooser)))
    code = f"import sys, json\nsys.modules['distill_tui'] = None\n{program}\n"
    code += "print(json.dumps([predict(text) for text in json.loads(sys.argv[1])]))"
    command = [sys.executable, "-I", "-c", code, json.dumps(hostile)]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert [*theirs[0]] == [*LABELS]
    ours = predict.probabilities(chooser, hostile, threads=1)
    np.testing.assert_allclose([[*each.values()] for each in theirs], ours, atol=1e-4)


def test_gold_alone_and_probabilities_alone_both_teach(start: Path, tmp_path: Path) -> None:
    for name, spec, kinds in (
        ("gold", replace(SPEC, alpha=0.0, epochs=3), {"soft": False}),
        ("soft", replace(SPEC, alpha=1.0, epochs=3), {"gold": False}),
    ):
        steps = run(spec, tmp_path / name, start, **kinds)
        assert steps[-1].loss < steps[0].loss / 2


def test_its_temperature_is_in_labels_json_and_changes_no_answer(chooser: Path, tmp_path: Path) -> None:
    texts, labels = texts_and_labels(120, 4)
    wrong = np.where(np.arange(120) % 4 == 0, (labels + 1) % 3, labels)
    divisor = calibration.calibrated(chooser, tmp_path / "out", texts, wrong, 0)
    before, after = (predict.probabilities(folder, texts, threads=1) for folder in (chooser, tmp_path / "out"))
    assert divisor != 1 and folders.label_settings(tmp_path / "out")["temperature"] == divisor
    softened = before ** (1 / divisor)
    np.testing.assert_allclose(after, softened / softened.sum(axis=1, keepdims=True), atol=1e-5)


def test_a_folder_whose_labels_json_says_nothing_is_refused(chooser: Path, tmp_path: Path) -> None:
    import shutil

    for content in ("{}", '{"tokens": [[1]], "max_tokens": 3, "temperature": 1}', '{"tokens": 1, "max_tokens": 3}'):
        copy = shutil.copytree(chooser, tmp_path / "copy", dirs_exist_ok=True)
        (copy / folders.LABELS).write_text(content)
        with pytest.raises(ValueError, match="does not say how the labels of"):
            students.open_folder(copy, threads=1)


def test_a_stopped_run_resumes_to_the_same_bits(start: Path, tmp_path: Path) -> None:
    spec, rows = replace(SPEC, epochs=2), examples(64)
    for name, stops in (("whole", 0), ("stopped", 3)):
        places = Places(None, tmp_path / name / "checkpoints", tmp_path / name / "student", start)
        steps = classification.train(spec, LABELS, rows, examples(20, 1), places)
        for _ in range(stops):
            next(steps)
        steps.close()  # type: ignore[attr-defined]
        rest = list(classification.train(spec, LABELS, rows, examples(20, 1), places))
        assert rest[0].number == stops + 1
    assert digests(tmp_path / "whole" / "student") == digests(tmp_path / "stopped" / "student")


# --- through a play -------------------------------------------------------------------------------------------------


def test_it_ships_from_a_play_answers_from_its_bundle_and_is_made_again_to_the_same_bits(
    start: Path, tmp_path: Path
) -> None:
    words = {"student": "causal_labels", "folder": str(start), "lora": "4", "epochs": "1", "max_tokens": "24"}
    spec = Spec.from_mapping({**words, "alpha": "0", "controls": "", "batch_size": "32", "learning_rate": "5e-3"})
    agrees = Criterion(Metric.AGREEMENT, threshold=Decimal("0.01"), binding=True)
    gate = Gate((agrees,), rounds=1, held_out_rows=60, baseline="majority")
    with live_play.workers_here():
        project, play = live_play.shipped(tmp_path, gate, calls=live_play.rows(300, 1), spec=spec)
    dossier = project.dossier(play, thorough=True)
    assert dossier.record is not None and [each.verdict for each in dossier.judgements] == [Verdict.HOLDS]
    assert set(dossier.record.labels) == set(live_play.SAID) and min(dossier.record.student) >= 0
    assert json.loads(dossier.runs[-1].result)["same"] is True, "the rehearsal made the same weights"
    bundle = project.artifacts.path(dossier.live.digest)  # type: ignore[union-attr]
    data = project.artifacts.path(dossier.data_sets[-1].artifact)
    assert all(each.rule.endswith(".unsigned") for each in verify_bundle(bundle).problems)
    card = (bundle / "MODEL_CARD.md").read_text()
    assert "labels.json" in card and (bundle / "model" / "adapter" / "adapter_model.safetensors").is_file()
    command = [sys.executable, "-m", "distill_tui", "predict", str(bundle), "where is my parcel", "--json"]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert said["answer"] in live_play.SAID and sum(said["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    with pytest.raises(ValueError, match="give it with --start"):
        retrain.make(bundle, data, tmp_path / "again", None, None, None)
    assert retrain.make(bundle, data, tmp_path / "again", None, start, None)["same_student"]
    project.close()
