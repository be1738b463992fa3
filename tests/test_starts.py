"""What a student cannot start from, or learn from, is refused before its run is queued: not by the worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"

import pytest
import torch
import transformers

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.rules.requests import StartRun
from distill_tui.rules.training import start_run
from distill_tui.spec import STUDENTS, Spec
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import StudentKind, Task
from distill_tui.training import classification, export, generation, starts
from distill_tui.training.loop import Places
from support import latency_play
from support.sequences import addresses, tiny_causal
from support.training import LABELS, examples, made_teacher, spoilt

KINDS = [kind for kind, traits in STUDENTS.items() if traits.takes_folder]
TEXTS = examples(400, seed=2).inputs


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny models of every sort that a folder can hold: they share one BERT's tokenizer, or have a writer's own."""
    home = tmp_path_factory.mktemp("models")
    encoder = made_teacher(home / "encoder")
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder)
    torch.manual_seed(1)
    sizes = {"vocab_size": len(tokenizer), "d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    both = transformers.T5ForConditionalGeneration(transformers.T5Config(**sizes))
    export.write(both.eval(), tokenizer, home / "encoder-decoder")
    return {
        "encoder": encoder,
        "encoder-decoder": home / "encoder-decoder",
        "causal": tiny_causal(home / "causal", TEXTS),
    }


def worker_says(spec: Spec, folder: Path, start: Path | None, teacher: Path | None = None) -> str | None:
    """Train as the worker does; return what it rejects, or None."""
    places = Places(teacher, folder / "checkpoints", folder / "student", start)
    try:
        if spec.writes:
            rows = addresses(40, 0)
            next(generation.train(spec, rows, rows.of(range(10)), places))
        else:
            next(classification.train(spec, LABELS, examples(40), examples(10, 1), places))
    except (ValueError, IndexError) as error:  # of an encoder-decoder also what transformers raises
        return str(error)
    return None


SPECS = [
    {},
    {"max_tokens": "900"},
    {"layers": "0,9"},
    {"lora": "4"},
    {"alpha": "0.5"},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "given", SPECS, ids=lambda given: " ".join("=".join(each) for each in given.items()) or "plain"
)
@pytest.mark.parametrize("name", ["encoder", "encoder-decoder", "causal"])
def test_what_the_worker_rejects_in_a_folder_is_found_in_its_files(
    models: dict[str, Path], tmp_path: Path, kind: StudentKind, given: dict[str, str], name: str
) -> None:
    try:
        asked = {"student": kind, "folder": "f", "epochs": 1, "max_tokens": 24, "answer_tokens": 100, **given}
        spec = Spec.from_mapping(asked)
    except ValueError:
        pytest.skip("the spec itself is refused")
    ahead = starts.problem(spec, models[name], None, LABELS)
    behind = worker_says(spec, tmp_path, models[name])
    assert (ahead is None) == (behind is None), (ahead, behind)
    assert ahead is None or any(word in ahead for word in ("name ", "give ", "asks for layer", "is not the teacher's"))


@pytest.mark.parametrize(
    ("changes", "given", "says"),
    [
        ({"model_type": "modernbert"}, {}, "layers can be taken from bert"),
        ({}, {"layers": "0,7"}, "has layers 0 to 2, and the spec asks for layer 7"),
        ({}, {"layers": "0", "max_tokens": "900"}, "reads at most 64 tokens; give at most 64"),
        ({"id2label": {"0": "cat", "1": "dog"}}, {"layers": "0"}, "The teacher's labels are cat, dog"),
    ],
)
def test_what_the_worker_rejects_in_a_teacher_is_found_in_its_files(
    models: dict[str, Path], tmp_path: Path, changes: dict[str, object], given: dict[str, str], says: str
) -> None:
    teacher = spoilt(models["encoder"], tmp_path / "teacher", **changes)
    found = starts.problem(Spec.from_mapping({"student": "layers", **given}), None, teacher, LABELS)
    assert found is not None and says in found


def test_a_rung_of_a_ladder_is_looked_at_like_a_student(models: dict[str, Path]) -> None:
    spec = Spec.from_mapping({"ladder": "ngram, causal_labels", "folder": "f"})
    assert "a causal_labels student starts from one" in str(starts.problem(spec, models["encoder"], None, LABELS))
    assert starts.problem(spec, models["causal"], None, LABELS) is None


def test_without_peft_adapters_are_refused(models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "find_spec", lambda name: None)
    spec = Spec.from_mapping({"student": "causal_labels", "folder": "f", "lora": "4"})
    assert starts.problem(spec, models["causal"], None, LABELS) == starts.NO_PEFT


def test_a_writer_learns_the_probabilities_of_a_teacher_with_its_own_vocabulary_only(
    models: dict[str, Path], tmp_path: Path
) -> None:
    spec = Spec.from_mapping({"student": "causal", "folder": "f", "alpha": "0.5"})
    other = tiny_causal(tmp_path / "other", tuple(f"words of {at} quite another kind" for at in range(300)))
    assert "is not the teacher's of" in str(starts.problem(spec, models["causal"], other, ()))
    assert starts.problem(spec, models["causal"], models["causal"], ()) is None
    assert "there is no local teacher" in str(starts.problem(spec, models["causal"], None, ()))


# --- through the door -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project, _ = latency_play.frozen(tmp_path_factory.mktemp("play"), 300)
    yield project
    project.close()


def test_an_encoder_for_a_causal_student_queues_no_run_and_copies_nothing(
    play: Project, models: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(play.artifacts.folder.iterdir())
    spec = Spec.from_mapping({"student": "causal_labels", "folder": str(models["encoder"])})
    with pytest.raises(ProjectError, match=r"BertForSequenceClassification, not a causal .*; name the folder of such"):
        actions.start_run(play, 1, latency_play.DAN, spec)  # as the form does
    words = ["train", "P-001", "student=causal_labels", f"folder={models['encoder']}"]
    assert main(["--project", str(play.path), *words]) != 0
    assert "not a causal language model, and a causal_labels student starts from one" in capsys.readouterr().err
    assert not play.dossier(1).runs or all(run.kind.value != "train" for run in play.dossier(1).runs)
    assert sorted(play.artifacts.folder.iterdir()) == before


def test_every_rung_is_of_the_plays_task(play: Project) -> None:
    dossier = play.dossier(1)
    scores = replace(dossier, play=replace(dossier.play, task=Task.SCORE))
    asked = StartRun(Spec.from_mapping({"ladder": "ngram, causal_labels", "folder": "f"}))
    found = {each.rule: each.sentence for each in start_run(scores, latency_play.DAN, asked)}
    assert "a student of kind causal_labels chooses one label by its text" in found["spec.task"]
    assert "spec.task" not in {each.rule for each in start_run(dossier, latency_play.DAN, asked)}
