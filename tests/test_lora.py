"""Language models as students with low-rank adapters: what is refused, what is trained, what ships."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from support import live_play
from support.sequences import ADAPTED, CAUSAL, QUICK, colours

os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"

import numpy as np
import peft
import pytest
import torch
import transformers

from distill_tui.bundles import retrain
from distill_tui.bundles.verify import verify_bundle
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.spec import LORA, Spec
from distill_tui.tasks.answer_text import spelled
from distill_tui.terms import Metric, Task
from distill_tui.training import checkpoints, folders, generation, predict
from distill_tui.training.generation import Pairs
from distill_tui.training.loop import Places, Step
from distill_tui.training.lora import ADAPTER
from support.training import digests


def run(
    spec: Spec,
    folder: Path,
    start: Path,
    rows: tuple[Pairs, Pairs] = (colours(200, 0), colours(40, 1)),
    teacher: Path | None = None,
) -> list[Step]:
    return list(generation.train(spec, *rows, Places(teacher, folder / "checkpoints", folder / "student", start)))


def exact(folder: Path, rows: Pairs) -> float:
    said = predict.answers(folder, rows.inputs, threads=1)
    pairs = zip(said, rows.outputs, strict=True)
    return sum(spelled(one.text) == spelled(str(told)) for one, told in pairs) / len(rows.inputs)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny causal model that is trained already, to give other answers."""
    folder = tmp_path_factory.mktemp("start")
    places = Places(None, folder / "checkpoints", folder / "student")
    list(generation.train(CAUSAL, colours(200, 0, turn=1), colours(40, 1, turn=1), places))
    return folder / "student"


@pytest.fixture(scope="module")
def adapted(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapted")
    run(ADAPTED, folder, start)
    return folder / "student"


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"student": "causal", "lora": "8"}, "a causal without a folder starts from random weights; name its folder"),
        ({"student": "causal", "folder": "f", "lora": "-1"}, "lora is -1; it is the rank of adapters from 1 to 256"),
        ({"student": "causal", "folder": "f", "lora": "300"}, "lora is 300"),
        ({"student": "static", "lora": "8"}, "students of kind static have no adapters; give lora=0"),
        ({"ladder": "ngram, static", "lora": "8"}, "no rung of this ladder has adapters; give lora=0"),
        ({"ladder": "causal", "folder": "f", "lora": "8"}, "no rung of this ladder has adapters; give lora=0"),
        (
            {"student": "tagger", "folder": "f", "lora": "8"},
            "students of kind tagger have no adapters; give lora=0, or student=",
        ),
    ],
)
def test_a_student_that_can_have_no_adapters_is_refused(asked: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=r"\.$") as refusal:
        Spec.from_mapping(asked)
    assert says in str(refusal.value)


def test_without_peft_the_refusal_names_the_extra(start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"LoRA needs peft; install it: `pip install 'distill-tui\[lora\]'`\.$"):
        run(ADAPTED, tmp_path, start)


def test_a_spec_without_adapters_is_written_as_before_and_one_with_them_has_a_recipe_of_its_own() -> None:
    assert "lora" not in Spec().to_json()
    spec = Spec.from_mapping({"student": "causal", "folder": "f", "lora": "8"})
    assert Spec.from_json(spec.to_json()) == spec and spec.lora == 8
    assert {name: getattr(spec, name) for name in LORA} == LORA
    assert Spec.from_mapping({"student": "causal", "folder": "f", "lora": "8", "epochs": "9"}).epochs == 9


def test_of_a_ladder_the_rungs_that_start_from_the_folder_have_adapters() -> None:
    spec = Spec.from_mapping({"ladder": "tagger, causal, causal 0 1, causal folder", "folder": "f", "lora": "8"})
    assert [(rung.rung, rung.lora) for rung in spec.rungs()] == [
        ("tagger", 0),
        ("causal", 0),
        ("causal 0 1", 8),
        ("causal folder", 8),
    ]
    assert all(rung.problem() is None for rung in spec.rungs())


# --- what is trained, and what ships --------------------------------------------------------------------------------


def test_it_learns_and_ships_a_plain_model_whose_adapters_are_kept_next_to_it(adapted: Path, start: Path) -> None:
    assert exact(adapted, colours(60, 9)) > 0.9 > exact_of_start(start)
    plain = transformers.AutoModelForCausalLM.from_pretrained(adapted)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(start)
    ours, before = plain.state_dict(), theirs.state_dict()
    assert ours.keys() == before.keys()
    changed = {name for name in ours if not torch.equal(ours[name], before[name])}
    assert changed and all("_proj" in name for name in changed), "embeddings, norms and the last layer are untouched"
    merged = peft.PeftModel.from_pretrained(theirs, adapted / ADAPTER).merge_and_unload()
    assert all(torch.equal(tensor, ours[name]) for name, tensor in merged.state_dict().items())
    settings = json.loads((adapted / ADAPTER / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] is None and settings["r"] == 8
    assert folders.check_causal_folder(adapted) is None


def exact_of_start(start: Path) -> float:
    """What the model says that was not trained: answer.json says how it is asked."""
    from distill_tui.training.students import causal

    said = causal.build(ADAPTED, (), start, None).predictor.ask_all(colours(60, 9).inputs)
    return sum(one.text == told for one, told in zip(said, colours(60, 9).outputs, strict=True)) / 60


def test_only_adapters_are_in_a_checkpoint(start: Path, tmp_path: Path) -> None:
    places = Places(None, tmp_path / "checkpoints", tmp_path / "student", start)
    steps = generation.train(ADAPTED, colours(40, 0), colours(10, 1), places)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    (path,) = (tmp_path / "checkpoints").glob("step-*")
    tensors = checkpoints.load_file(path / "state.safetensors")
    weights = [name for name in tensors if name.startswith("model.")]
    assert weights and all("lora_" in name for name in weights)


def test_adapters_learn_the_probabilities_of_a_teacher_too(adapted: Path, start: Path, tmp_path: Path) -> None:
    steps = run(replace(ADAPTED, alpha=1.0, epochs=4), tmp_path, start, teacher=adapted)
    assert steps[0].terms.soft > 2 * steps[-1].terms.soft > 0
    assert steps[0].loss == pytest.approx(steps[0].terms.soft)


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.sequences import QUICK
from distill_tui.training import generation, loop
loop.CHECKPOINT_SECONDS = 0.0
folder = Path(sys.argv[2])
places = loop.Places(None, folder / "checkpoints", folder / "student", Path(sys.argv[3]))
for step in generation.train(*QUICK["adapted"], places):
    print(step.number, flush=True)
"""


def test_a_killed_run_resumes_to_the_same_bits(start: Path, tmp_path: Path) -> None:
    spec, *rows = QUICK["adapted"]
    run(spec, tmp_path / "whole", start, (rows[0], rows[1]))
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(tmp_path / "killed"), str(start)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert [int(child.stdout.readline()) for _ in range(6)][-1] == 6
    child.kill()
    child.communicate()
    assert not (tmp_path / "killed" / "student").exists()
    rest = run(spec, tmp_path / "killed", start, (rows[0], rows[1]))
    assert 6 <= rest[0].number < rest[-1].total == 21
    ours, whole = (digests(tmp_path / name / "student") for name in ("killed", "whole"))
    assert ours == whole and f"{ADAPTER}/adapter_model.safetensors" in ours


# --- through a play -------------------------------------------------------------------------------------------------


def lines(count: int) -> list[dict[str, str]]:
    """Questions with a word of its own after each, and their answers."""
    rows, random = colours(count, 5), np.random.default_rng(6)
    words = ["".join(random.choice(list("bcdfgklmnprst"), 9)) for _ in range(count)]
    pairs = zip(words, rows.inputs, map(str, rows.outputs), strict=True)
    return [{"input": f"{text} {word}", "teacher_output": said, "gold": said} for word, text, said in pairs]


def test_it_ships_from_a_play_answers_from_its_bundle_and_is_made_again_to_the_same_bits(
    start: Path, tmp_path: Path
) -> None:
    words = {"student": "causal", "folder": str(start), "lora": "8", "epochs": "2", "max_tokens": "48"}
    spec = Spec.from_mapping({**words, "answer_tokens": "12", "controls": "", "learning_rate": "5e-3"})
    alike = Criterion(Metric.CHRF, threshold=Decimal("0.1"), binding=True)
    gate = Gate((alike,), rounds=1, held_out_rows=60)
    with live_play.workers_here():
        project, play = live_play.shipped(tmp_path, gate, calls=lines(300), spec=spec, task=Task.GENERATION)
    dossier = project.dossier(play, thorough=True)
    assert dossier.record is not None and dossier.record.task is Task.GENERATION
    assert json.loads(dossier.runs[-1].result)["same"] is True, "the rehearsal made the same weights"
    bundle = project.artifacts.path(dossier.live.digest)  # type: ignore[union-attr]
    data = project.artifacts.path(dossier.data_sets[-1].artifact)
    assert all(each.rule.endswith(".unsigned") for each in verify_bundle(bundle).problems)
    assert (bundle / "model" / ADAPTER / "adapter_model.safetensors").is_file()
    told = "say what snow is like 4 bcdfgbcdf"
    command = [sys.executable, "-m", "distill_tui", "predict", str(bundle), told, "--json"]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert said["answer"] == predict.answers(bundle / "model", [told], threads=1)[0].text
    with pytest.raises(ValueError, match="give it with --start"):
        retrain.make(bundle, data, tmp_path / "again", None, None, None)
    assert retrain.make(bundle, data, tmp_path / "again", None, start, None)["same_student"]
    project.close()
