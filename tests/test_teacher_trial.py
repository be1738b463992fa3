"""A model is tried before it becomes the teacher, and every output is checked while it labels."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.dataset import build, previews, readers, traffic
from distill_tui.dataset.contradictions import contradicts
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.row_identity import input_digest
from distill_tui.dataset.split import SplitRule
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.rules.actor import Actor
from distill_tui.rules.next_step import next_step
from distill_tui.rules.objection import Objection, Refused
from distill_tui.runs import headroom, teacher_trial
from distill_tui.runs.teacher_trial import Candidate, Row
from distill_tui.runs.try_teacher import in_turn
from distill_tui.store.project import Project, ProjectError
from distill_tui.teachers import cache, endpoint
from distill_tui.teachers.description import Described
from distill_tui.terms import (
    Action,
    FindingLevel,
    Metric,
    Reference,
    RunStatus,
    StudentKind,
    TeacherSource,
)
from distill_tui.training import export, vocabulary
from support import data_runs, data_stage
from support.live_play import workers_here
from support.training import LABELS, SPEC, examples, run, spoilt, teacher, texts_and_labels  # noqa: F401

MIA = Actor("mia", f"account uid {os.getuid()}")
Spoil = Callable[[dict[str, torch.Tensor]], None]
WORDS_OF_BERT = "bert.embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT that was trained for the task, as `save_pretrained` leaves it."""
    folder = tmp_path_factory.mktemp("good")
    run(replace(SPEC, student=StudentKind.SCRATCH, depth=1, epochs=6), folder, None, examples(480))
    return folder / "student"


def rows(count: int = 300, seed: int = 5, gold: bool = True) -> list[Row]:
    texts, labels = texts_and_labels(count, seed)
    return in_turn(
        [(text, LABELS[label] if gold else None) for text, label in zip(texts, labels, strict=True)], by_gold=True
    )


def tried(folder: Path, asked: list[Row] | None = None, described: Described | None = None) -> list[Objection]:
    faults, _ = teacher_trial.attempt(Candidate(folder, described, "my-model"), rows() if asked is None else asked)
    for fault in faults:
        assert fault.sentence.endswith(".") and "\n" not in fault.sentence and str(folder) not in fault.sentence
    return faults


def rule_of(folder: Path, asked: list[Row] | None = None, described: Described | None = None) -> str:
    return ", ".join(fault.rule for fault in tried(folder, asked, described))


def changed(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the weights of a folder."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def copy_of(good: Path, folder: Path) -> Path:
    return Path(shutil.copytree(good, folder))


# --- weights ---------------------------------------------------------------------------------------------------------


def without_head(weights: dict[str, torch.Tensor]) -> None:
    del weights["classifier.weight"], weights["classifier.bias"]


def renamed_head(weights: dict[str, torch.Tensor]) -> None:
    weights["score.weight"] = weights.pop("classifier.weight")


def without_a_layer(weights: dict[str, torch.Tensor]) -> None:
    for name in [name for name in weights if "encoder.layer.0.attention" in name]:
        del weights[name]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without_head, "lacks classifier.bias, classifier.weight: these weights would be random"),
        (renamed_head, "The file has score.weight instead, which nothing reads"),
        (without_a_layer, "lacks bert.encoder.layer.0.attention"),
    ],
)
def test_weights_that_the_library_would_make_up_are_named(good: Path, tmp_path: Path, change: Spoil, says: str) -> None:
    folder = copy_of(good, tmp_path / "copy")
    changed(folder, change)
    (fault,) = tried(folder)
    assert fault.rule == "teacher.loads" and says in fault.sentence and "my-model" in fault.sentence


def test_an_encoder_without_a_head_is_no_teacher(good: Path, tmp_path: Path) -> None:
    model = transformers.AutoModel.from_pretrained(good)
    tokenizer = transformers.AutoTokenizer.from_pretrained(good)
    model.config.id2label = dict(enumerate(LABELS))
    export.write(model, tokenizer, tmp_path / "encoder")
    folder = spoilt(tmp_path / "encoder", tmp_path / "claims", architectures=["BertForSequenceClassification"])
    assert "lacks classifier.bias, classifier.weight" in tried(folder)[0].sentence


def test_a_head_of_another_size_is_named_with_both_shapes(good: Path, tmp_path: Path) -> None:
    labels = {"0": "a", "1": "b"}
    folder = spoilt(good, tmp_path / "two", id2label=labels, label2id={"a": 0, "b": 1})
    (fault,) = tried(folder)
    assert (
        fault.rule == "teacher.loads"
        and "classifier.weight is (3, 64) in the file and must be (2, 64)" in (fault.sentence)
    ) or "classifier.bias is (3,) in the file and must be (2,)" in fault.sentence


def nan_head(weights: dict[str, torch.Tensor]) -> None:
    weights["classifier.weight"][0, 0] = torch.nan


def infinite_bias(weights: dict[str, torch.Tensor]) -> None:
    weights["classifier.bias"][2] = torch.inf


def nan_embedding(weights: dict[str, torch.Tensor]) -> None:
    weights["bert.embeddings.word_embeddings.weight"][7:9] = torch.nan


@pytest.mark.parametrize(
    ("change", "named"),
    [(nan_head, "classifier.weight"), (infinite_bias, "classifier.bias"), (nan_embedding, "word_embeddings.weight")],
)
def test_a_weight_that_is_not_finite_is_named(good: Path, tmp_path: Path, change: Spoil, named: str) -> None:
    folder = copy_of(good, tmp_path / "copy")
    changed(folder, change)
    (fault,) = tried(folder, rows(gold=False))
    assert fault.rule == "teacher.finite" and f"{named} in my-model are NaN or infinite" in fault.sentence


def too_large(weights: dict[str, torch.Tensor]) -> None:
    weights["classifier.weight"] = weights["classifier.weight"].sign() * 3e38  # each is finite, and their sums are not


def test_outputs_that_overflow_are_rejected_though_each_weight_is_finite(good: Path, tmp_path: Path) -> None:
    folder = copy_of(good, tmp_path / "copy")
    changed(folder, too_large)
    assert rule_of(folder, rows(gold=False)) == "teacher.finite"


# --- tokenizers and batches ------------------------------------------------------------------------------------------


def test_a_folder_without_a_tokenizer_is_rejected_before_it_is_copied(
    project: Project, good: Path, tmp_path: Path
) -> None:
    folder = copy_of(good, tmp_path / "copy")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(ProjectError, match=r"has no tokenizer; put tokenizer\.json there"):
        actions.try_teacher(project, 1, MIA, folder)
    assert not project.dossier(1).play.teacher_source


def test_a_tokenizer_file_that_cannot_be_read_is_rejected(good: Path, tmp_path: Path) -> None:
    folder = copy_of(good, tmp_path / "copy")
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    assert rule_of(folder) == "teacher.loads"


def test_a_tokenizer_of_another_model_is_rejected(good: Path, tmp_path: Path) -> None:
    folder = copy_of(good, tmp_path / "copy")
    other = [f"{text} {number} foreign words" for number, text in enumerate(examples(400, seed=8).inputs)]
    vocabulary.train(other, 900).save_pretrained(folder)
    (fault,) = tried(folder, [(text, None) for text in other[:16]])
    assert fault.rule == "teacher.loads" and "the two do not belong together" in fault.sentence


def test_a_length_that_leaves_no_room_for_a_text_is_named_as_that(good: Path, tmp_path: Path) -> None:
    folder = copy_of(good, tmp_path / "short")
    (folder / "reading.json").write_text('{"max_tokens": 2}')
    (fault,) = tried(folder)
    assert "is to read 2 tokens at once, and its own marks take them all. Raise --max-tokens" in fault.sentence


def test_traffic_in_a_script_that_the_tokenizer_does_not_know_is_rejected(good: Path) -> None:
    words = ("верните", "деньги", "посылка", "пришла", "вчера", "спасибо")
    asked: list[Row] = [(" ".join(np.random.default_rng(n).permutation(words)), None) for n in range(16)]
    (fault,) = tried(good, asked)
    assert fault.rule == "teacher.reads" and "cannot read this traffic" in fault.sentence


def gpt2(folder: Path, **changes: object) -> Path:
    """A GPT-2 with a classification head, as its class saves it; it has no padding token."""
    torch.manual_seed(0)
    tokenizer = vocabulary.train(examples(400, seed=2).inputs, 300)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_embd=32, n_layer=1, n_head=2, n_positions=64, bos_token_id=None,
        eos_token_id=tokenizer.sep_token_id, id2label=dict(enumerate(LABELS)),
        label2id={label: at for at, label in enumerate(LABELS)}, **changes,
    )  # fmt: skip
    model = transformers.GPT2ForSequenceClassification(config)
    with torch.no_grad():
        model.score.weight.mul_(20)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_model_without_a_padding_token_is_rejected_with_the_line_to_add(tmp_path: Path) -> None:
    folder = gpt2(tmp_path / "gpt2")
    (fault,) = tried(folder, rows(gold=False))
    assert fault.rule == "teacher.batch" and 'Add "pad_token_id": 0 to its config.json' in fault.sentence
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": 0}))
    assert not tried(folder, rows(gold=False)), "the cure helps"


def saved(config: transformers.PretrainedConfig, tokenizer: object, folder: Path) -> Path:
    torch.manual_seed(0)
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)  # type: ignore[attr-defined]
    return folder


def test_a_batch_that_the_library_rejects_is_worded(tmp_path: Path) -> None:
    """BART answers at the token that ends a text; where rows are padded with it, the library finds several."""
    tokenizer = vocabulary.train(examples(400, seed=2).inputs, 300)
    end = tokenizer.sep_token_id
    config = transformers.BartConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64,
        pad_token_id=end, eos_token_id=end, bos_token_id=tokenizer.cls_token_id, decoder_start_token_id=end,
        id2label=dict(enumerate(LABELS)), label2id={label: at for at, label in enumerate(LABELS)},
    )  # fmt: skip
    (fault,) = tried(saved(config, tokenizer, tmp_path / "bart"), rows(gold=False))
    assert fault.rule == "teacher.batch" and "answers one row, and fails on 16 rows of different lengths" in (
        fault.sentence
    )


def test_a_model_that_reads_the_padding_is_rejected(tmp_path: Path) -> None:
    """Nyströmformer's landmarks are means over the padding too."""
    tokenizer = vocabulary.train(examples(400, seed=2).inputs, 300)
    config = transformers.NystromformerConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, initializer_range=0.5, pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(LABELS)), label2id={label: at for at, label in enumerate(LABELS)},
    )  # fmt: skip
    (fault,) = tried(saved(config, tokenizer, tmp_path / "model"), rows(gold=False))
    assert fault.rule == "teacher.batch" and "answers a row differently next to longer rows" in fault.sentence


def test_a_model_whose_outputs_do_not_depend_on_the_text_is_rejected(good: Path, tmp_path: Path) -> None:
    folder = copy_of(good, tmp_path / "copy")
    changed(folder, lambda weights: weights["classifier.weight"].zero_())
    (fault,) = tried(folder, rows(gold=False))
    assert fault.rule == "teacher.reads" and "no text reaches its outputs" in fault.sentence


# --- gold ------------------------------------------------------------------------------------------------------------


def test_a_teacher_that_knows_its_task_is_accepted_with_its_score(good: Path) -> None:
    faults, found = teacher_trial.attempt(Candidate(good, None, "my-model"), rows())
    assert not faults and (found.rows, found.judged) == (16, 16) and found.right >= 12 > found.by_chance + 4


def test_answers_equal_to_chance_are_rejected(teacher: Path) -> None:
    (fault,) = tried(teacher)
    assert fault.rule == "teacher.chance" and "chance alone gives" in fault.sentence


def test_labels_in_another_order_than_the_outputs_are_rejected(good: Path, tmp_path: Path) -> None:
    names = [LABELS[at] for at in (1, 2, 0)]
    folder = spoilt(
        good, tmp_path / "turned", id2label=dict(enumerate(names)), label2id={each: at for at, each in enumerate(names)}
    )
    assert rule_of(folder) == "teacher.chance"


def test_gold_of_other_inputs_is_rejected(good: Path) -> None:
    asked = rows()
    assert rule_of(good, [(text, asked[at - 7][1]) for at, (text, _) in enumerate(asked)]) == "teacher.chance"


def test_too_little_gold_or_gold_of_one_label_is_no_reason_to_reject(teacher: Path, good: Path) -> None:
    asked = rows()
    assert not tried(teacher, [(text, gold if at < 9 else None) for at, (text, gold) in enumerate(asked)])
    assert not tried(teacher, [(text, "good") for text, _ in asked])
    assert not tried(good, [(text, f"LABEL_{LABELS.index(str(gold))}") for text, gold in asked]), "the label map's work"


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.95, 0.05)])
def test_chance_is_what_the_frequencies_of_the_labels_make_likely(shares: tuple[float, float]) -> None:
    random = np.random.default_rng(3)
    draw = lambda: [str(each) for each in random.choice(["a", "b"], 256, p=shares)]  # noqa: E731
    blind = [teacher_trial.by_chance(list(zip(draw(), draw(), strict=True)))[1] for _ in range(20)]
    assert sum(chance <= 0.05 for chance in blind) <= 4
    gold = draw()
    assert teacher_trial.by_chance([("a", each) for each in gold])[1] == 1.0, "a constant answer is chance"
    assert teacher_trial.by_chance(list(zip(gold, gold, strict=True)))[1] < 0.01


# --- models that are asked in words ----------------------------------------------------------------------------------


def causal(folder: Path) -> Path:
    torch.manual_seed(0)
    tokenizer = vocabulary.train(examples(400, seed=2).inputs, 300)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=128, bos_token_id=None, eos_token_id=tokenizer.sep_token_id,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("labels", [LABELS, ()], ids=["it chooses", "it writes"])
def test_a_causal_model_with_a_broken_weight_is_rejected(tmp_path: Path, labels: tuple[str, ...]) -> None:
    folder = causal(tmp_path / "model")
    asked = Described(TeacherSource.PROMPTED, "", labels, "{input}", max_tokens=3)
    assert not tried(folder, rows(gold=False), asked)
    changed(folder, lambda weights: weights["model.norm.weight"].fill_(torch.nan))
    assert rule_of(folder, rows(gold=False), asked) == "teacher.finite"
    changed(folder, lambda weights: weights["model.norm.weight"].fill_(1.0))
    changed(folder, lambda weights: weights["lm_head.weight"].copy_(weights["lm_head.weight"].sign() * 3e38))
    assert rule_of(folder, rows(gold=False), asked) == "teacher.finite", "its outputs overflow"


def test_a_prompted_model_at_chance_is_rejected(tmp_path: Path) -> None:
    asked = Described(TeacherSource.PROMPTED, "", LABELS, "{input}\nLabel:")
    assert rule_of(causal(tmp_path / "model"), None, asked) == "teacher.chance"


def test_labels_that_the_tokenizer_cannot_tell_apart_are_rejected(tmp_path: Path) -> None:
    asked = Described(TeacherSource.PROMPTED, "", ("よい", "わるい", "good"), "{input}")
    (fault,) = tried(causal(tmp_path / "model"), rows(gold=False), asked)
    assert fault.rule == "teacher.reads" and "writes the labels よい and わるい with the same tokens" in fault.sentence


def test_a_template_that_leaves_no_room_for_a_text_is_rejected(tmp_path: Path) -> None:
    asked = Described(TeacherSource.PROMPTED, "", (), "{input}" + " so" * 90, max_tokens=64)
    (fault,) = tried(causal(tmp_path / "model"), rows(gold=False), asked)
    assert fault.rule == "teacher.loads" and "The template takes" in fault.sentence


# --- through the door ------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = data_stage.with_traffic(tmp_path, ({"input": text, "gold": gold} for text, gold in rows(80)))
    yield made
    made.close()


def test_a_model_at_chance_does_not_become_the_teacher(project: Project, teacher: Path) -> None:
    with pytest.raises(Refused) as refusal:
        data_runs.try_teacher(project, 1, MIA, teacher)
    assert [each.rule for each in refusal.value.objections] == ["teacher.chance"]
    dossier = project.dossier(1)
    assert not dossier.play.teacher_source and dossier.runs[-1].status is RunStatus.FAILED
    assert next_step(dossier) is Action.SET_TEACHER, "to resume the trial cannot help"


def test_a_model_that_passes_becomes_the_teacher(project: Project, good: Path) -> None:
    said = data_runs.try_teacher(project, 1, MIA, good)
    assert said.startswith("student. It was tried on 16 rows:") and "as gold" in said
    play = project.dossier(1).play
    assert (play.teacher_source, play.teacher_name) == (TeacherSource.LOCAL, "student")


def test_the_command_names_what_is_wrong_and_exits_as_rejected(
    project: Project, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of(good, tmp_path / "copy")
    changed(folder, nan_head)
    assert main(["--project", str(project.path), "teacher", "P-001", str(folder)]) == 3
    said = capsys.readouterr().err
    assert "classifier.weight in copy are NaN or infinite" in said and "train resume" not in said


def test_labelling_stops_at_an_output_that_is_not_finite(project: Project, good: Path, tmp_path: Path) -> None:
    """A token that no row of the trial holds overflows: nothing of its batch is kept, and no label is made of it."""
    folder = copy_of(good, tmp_path / "copy")
    mask = transformers.AutoTokenizer.from_pretrained(folder).mask_token_id
    changed(folder, lambda weights: weights[WORDS_OF_BERT][mask].fill_(3e38))
    (tmp_path / "more.jsonl").write_text(json.dumps({"input": "the [MASK] product arrived"}) + "\n")
    data_runs.import_traffic(project, 1, MIA, tmp_path / "more.jsonl")
    data_runs.try_teacher(project, 1, MIA, folder)
    with workers_here():
        actions.label(project, 1, MIA)
    dossier = project.dossier(1)
    assert "copy gives NaN or infinite outputs on 1 of" in dossier.runs[-1].message
    assert input_digest("the [MASK] product arrived") not in cache.answered(
        project.artifacts.folder, dossier.play.teacher_digest
    )
    assert next_step(dossier) is Action.SET_TEACHER, "to resume the run cannot help"


# --- recorded columns that say the same thing ------------------------------------------------------------------------


def recorded(count: int, wrong: int, *, lists: bool = False) -> list[dict[str, object]]:
    """Calls whose answer is the label of the highest probability, but in the first `wrong` of them."""
    found: list[dict[str, object]] = []
    for at, (text, gold) in enumerate(rows(count)):
        best = LABELS.index(str(gold)) if at >= wrong else (LABELS.index(str(gold)) + 1) % 3
        shares = [0.8 if label == best else 0.1 for label in range(3)]
        named = shares if lists else dict(zip(LABELS, shares, strict=True))
        found.append({"input": text, "gold": gold, "teacher_output": gold, "teacher_probabilities": named})
    return found


def written(path: Path, lines: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("count", "wrong", "refused"), [(300, 40, True), (300, 4, True), (40, 3, False), (500, 4, False)]
)
def test_answers_and_probabilities_that_contradict_each_other_are_not_imported(
    tmp_path: Path, count: int, wrong: int, refused: bool
) -> None:
    path = written(tmp_path / "calls.jsonl", recorded(count, wrong))
    mapping = readers.guess_mapping(path)
    if refused:
        with pytest.raises(BadInput, match=rf"In {wrong} of the {count} rows of calls.jsonl with both"):
            traffic.import_traffic(path, mapping, tmp_path / "out.parquet")
        (doubt,) = previews.preview(path, mapping).doubts
        assert f"In {min(wrong, 200)} of the {min(count, 200)} rows" in doubt and "Too many to import" in doubt
        assert not (tmp_path / "out.parquet").exists()
        return
    report = traffic.import_traffic(path, mapping, tmp_path / "out.parquet")
    assert report.contradictions.startswith(f"In {wrong} of the {count} rows with an answer and probabilities, ")
    assert report.contradictions.endswith("In such rows the answer counts.")
    assert previews.preview(path, mapping, sampled=1_000).doubts == (report.contradictions,)
    data = build.build([tmp_path / "out.parquet"], {}, SplitRule(1, 10, 0.1), LABELS)
    assert data.tally.contradictions == wrong
    assert sum(row.teacher_probabilities is None for row in data.rows) == wrong, "the answer counts, not the numbers"


def test_lists_in_another_order_than_the_labels_are_found_when_the_data_set_is_built(tmp_path: Path) -> None:
    path = written(tmp_path / "calls.jsonl", recorded(120, 0, lists=True))
    traffic.import_traffic(path, readers.guess_mapping(path), tmp_path / "out.parquet")
    build.build([tmp_path / "out.parquet"], {}, SplitRule(1, 10, 0.1), LABELS)
    with pytest.raises(BadInput, match="give the labels in the order of the lists"):
        build.build([tmp_path / "out.parquet"], {}, SplitRule(1, 10, 0.1), tuple(reversed(LABELS)))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5), st.integers(0, 4))
def test_an_answer_contradicts_only_a_clearly_more_probable_label(shares: list[float], at: int) -> None:
    named = {f"label {number}": share for number, share in enumerate(shares)}
    answer = f"label {at % len(shares)}"
    assert contradicts(answer, named) is (max(shares) - named[answer] > 1e-3)
    assert not contradicts("another", named) and not contradicts(None, named) and not contradicts(answer, None)


def test_recorded_answers_at_chance_must_be_seen_before_the_freeze() -> None:
    random = np.random.default_rng(0)
    gold = [int(each) for each in random.integers(0, 3, 300)]
    texts = [f"text {number}" for number in range(300)]
    gate = Gate((Criterion(Metric.ACCURACY, Reference.NONE, threshold=Decimal("0.2"), binding=True),))
    blind = headroom.compare(texts, gold, [int(each) for each in random.integers(0, 3, 300)], 1)
    found = [each for each in headroom.findings(blind, gate) if each.says.startswith("The teacher gives the gold")]
    assert [each.level for each in found] == [FindingLevel.MUST] and abs(blind["by_chance"] - 100) < 10
    for said in (gold, [each if at % 2 else 0 for at, each in enumerate(gold)]):
        counts = headroom.compare(texts, gold, said, 1)
        assert not any("chance alone" in each.says for each in headroom.findings(counts, gate))


def test_a_log_probability_that_is_not_a_number_gives_no_probabilities() -> None:
    def choice(*logs: float) -> SimpleNamespace:
        top = [SimpleNamespace(token=label, logprob=log) for label, log in zip(LABELS, logs, strict=True)]
        return SimpleNamespace(logprobs=SimpleNamespace(content=[SimpleNamespace(top_logprobs=top)]))

    asked = Described(TeacherSource.ENDPOINT, "m", LABELS, "{input}")
    assert endpoint.shares(choice(-0.1, -3.0, -9999.0), asked) == pytest.approx((0.948, 0.052, 0.0), abs=1e-3)
    assert endpoint.shares(choice(-0.1, float("-inf"), -3.0), asked) is not None, "a token that cannot be"
    for wrong in (float("nan"), float("inf"), 3.0):
        assert endpoint.shares(choice(-0.1, wrong, -3.0), asked) is None
