"""What students that generate promise: they learn from texts alone, answer as their folder does, survive kills."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from support.sequences import CAUSAL, QUICK, TAGGER, addresses, colours, tiny_causal

os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from distill_tui.spec import Spec
from distill_tui.tasks import json_shape, loaders
from distill_tui.tasks.answer_text import spelled
from distill_tui.teachers.description import GIVEN_ALONE, Described
from distill_tui.terms import TeacherSource
from distill_tui.training import (
    decoding,
    export,
    folders,
    generation,
    local_teachers,
    measure,
    models,
    predict,
    students,
    token_distributions,
    vocabulary,
)
from distill_tui.training.generation import Pairs
from distill_tui.training.loop import Places, Step
from distill_tui.training.replace import replace_folder
from distill_tui.training.students import causal, fields
from distill_tui.training.students import tagger as tagging
from support.training import digests

HOSTILE = [
    "",
    " ",
    "\ud800 Salem",
    "\x00\x1b[31m",
    "[bold]Salem[/bold]",
    "😀 12 Elm Ave, Dover",
    "</s><answer>[SEP]",
    "1" * 900,
]


def run(
    spec: Spec,
    folder: Path,
    training: Pairs,
    validation: Pairs,
    teacher: Path | None = None,
    start: Path | None = None,
    asked: Described = GIVEN_ALONE,
) -> list[Step]:
    places = Places(teacher, folder / "checkpoints", folder / "student", start)
    return list(generation.train(spec, training, validation, places, asked))


def exact(folder: Path, rows: Pairs) -> float:
    said = predict.answers(folder, rows.inputs, threads=1, max_tokens=96)
    return float(
        np.mean([spelled(one.text) == spelled(str(told)) for one, told in zip(said, rows.outputs, strict=True)])
    )


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tagger")
    run(TAGGER, folder, addresses(300, 0), addresses(60, 1))
    return folder / "student"


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("writer")
    run(CAUSAL, folder, colours(200, 0), colours(40, 1))
    return folder / "student"


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny causal model of random weights, with three layers."""
    return tiny_causal(tmp_path_factory.mktemp("teacher") / "model", colours(100, 3).inputs)


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (
            {"ladder": "tagger, ngram"},
            "rungs of one task: ngram, static, scratch, layers, frozen, folder, causal_labels give labels; tagger",
        ),
        ({"ladder": "causal 0 5"}, "name its folder"),
        ({"student": "tagger", "layers": "0,1"}, "name its folder"),
        ({"student": "tagger", "alpha": "0.5"}, "give alpha=0"),
        ({"student": "causal", "logit_mse": "1"}, "give logit_mse=0"),
        ({"student": "causal", "export": "onnx-int8"}, "A causal ships as safetensors"),
        ({"student": "causal", "answer_tokens": "0"}, "answer_tokens is 0"),
        ({"ladder": "tagger x"}, "'tagger x' is not a rung"),
    ],
)
def test_a_spec_that_cannot_generate_is_refused_in_one_sentence(asked: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=r"\.$") as refusal:
        Spec.from_mapping(asked)
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    ("spec", "training", "says"),
    [
        (TAGGER, Pairs((), (), np.ones(0, dtype=np.float32)), "There are no training rows."),
        (TAGGER, replace(addresses(5, 0), outputs=(None,) * 5), "No training row has an answer that counts"),
        (CAUSAL, replace(colours(5, 0), weights=np.zeros(5, dtype=np.float32)), "No training row has an answer"),
        (TAGGER, colours(5, 0), "a tagger has nothing to mark; train student=causal"),
        (TAGGER, replace(addresses(5, 0), outputs=("{}",) * 5), "a tagger has nothing to mark"),
        (CAUSAL, replace(colours(5, 0), outputs=("a",)), "with 1 outputs"),
        (CAUSAL, replace(colours(5, 0), weights=np.full(5, -1, dtype=np.float32)), "negative"),
        (replace(CAUSAL, alpha=0.5), colours(5, 0), "there is no local teacher"),
        (Spec(), colours(5, 0), "chooses labels"),
    ],
)
def test_rows_that_teach_nothing_are_refused_before_anything_is_loaded(
    spec: Spec, training: Pairs, says: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"\.$") as refusal:
        generation.train(spec, training, training, Places(None, tmp_path / "c", tmp_path / "o"))
    assert says in str(refusal.value) and "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_probabilities_of_another_vocabulary_are_refused_at_the_start(teacher: Path, tmp_path: Path) -> None:
    other = tiny_causal(tmp_path / "other", addresses(50, 0).inputs)
    spec = replace(CAUSAL, alpha=0.5, folder="its digest")
    rows = colours(8, 0)
    with pytest.raises(ValueError, match=r"vocabulary of \d+ tokens is not the teacher's of \d+, .*give alpha=0"):
        generation.train(spec, rows, rows, Places(teacher, tmp_path / "c", tmp_path / "o", other))
    with pytest.raises(ValueError, match="not a causal language model"):
        generation.train(spec, rows, rows, Places(encoder(tmp_path), tmp_path, tmp_path, other))


def test_a_teacher_that_says_what_the_student_says_teaches_nothing(teacher: Path, tmp_path: Path) -> None:
    spec = replace(CAUSAL, alpha=0.5, folder="its digest")
    more = {
        "teacher": teacher,
        "start": teacher,
        "asked": Described(TeacherSource.PROMPTED, "", (), "<s>{input}<answer>"),
    }
    with pytest.raises(ValueError, match="The soft term has no gradient on the first batch"):
        run(spec, tmp_path, colours(8, 0), colours(8, 1), **more)


def test_a_folder_that_cannot_give_what_the_spec_asks_for_is_refused(teacher: Path, tmp_path: Path) -> None:
    rows, spec = colours(8, 0), replace(CAUSAL, folder="its digest")
    for changes, says in (
        ({"layers": (0, 3)}, "has layers 0 to 2, and the spec asks for 3"),
        ({"max_tokens": 300}, "reads at most 256"),
        ({"answer_tokens": 1}, "No answer can be written in 1 tokens"),
    ):
        with pytest.raises(ValueError, match=says):
            run(replace(spec, **changes), tmp_path, rows, rows, start=teacher)
    bert = encoder(tmp_path)
    with pytest.raises(ValueError, match="not a causal language model"):
        run(spec, tmp_path, rows, rows, start=bert)
    with pytest.raises(ValueError, match="has layers 0 to 1, and the spec asks for 5"):
        run(replace(TAGGER, folder="its digest", layers=(5,)), tmp_path, addresses(8, 0), addresses(8, 1), start=bert)
    with pytest.raises(ValueError, match="No answer stands in the first 3 tokens"):
        run(replace(TAGGER, max_tokens=3), tmp_path, addresses(8, 0), addresses(8, 1))


def test_a_spec_of_the_first_release_is_written_as_it_was_and_a_longer_answer_is_kept() -> None:
    assert "answer_tokens" not in Spec().to_json()
    assert Spec.from_json(CAUSAL.to_json()) == CAUSAL and CAUSAL.answer_tokens == 12


def test_a_ladder_of_students_that_generate_starts_from_the_folder_where_a_rung_says_so() -> None:
    spec = Spec.from_mapping({"ladder": "causal folder, causal 0 5, causal, tagger", "folder": "f", "alpha": "0.5"})
    assert [rung.rung for rung in spec.rungs()] == ["tagger", "causal", "causal 0 5", "causal folder"]
    assert [rung.folder for rung in spec.rungs()] == ["", "", "f", "f"]
    assert [rung.alpha for rung in spec.rungs()] == [0, 0.5, 0.5, 0.5] and spec.writes and spec.distils
    assert all(spec.kept(rung.rung).student is rung.student for rung in spec.rungs())


# --- what answers look like -----------------------------------------------------------------------------------------


def test_the_shape_of_answers_is_learnt_from_them() -> None:
    inputs = ("Jo pays 7.50 in ROME", "Al pays 3 in LIMA", "Cy pays in OSLO", "Jo pays 12 in ROME")
    answers = (
        '{"who": "Jo", "price": 7.50, "town": "Rome", "note": null}',
        '{"who": "Al", "price": 3, "town": "Lima", "note": ""}',
        '{"who": "Cy", "town": "Oslo", "note": null}',
        '{"who": "Jo", "price": 12, "town": "Rome", "note": null}',
    )
    marked = fields.mark(inputs, answers)
    who, price, town, note = marked.shape.fields
    assert [each.name for each in marked.shape.fields] == ["who", "price", "town", "note"]
    assert who.always and not price.always and price.absent == "missing" and price.bare and not who.bare
    assert town.letters == "title" and note.absent == "null"
    for text, answer, spans in zip(inputs, answers, marked.spans, strict=True):
        assert spans is not None
        values = [None if span is None else text[slice(*span)] for span in spans]
        assert spelled(marked.shape.write(values)) == spelled(answer)
    assert fields.Shape.from_dict(json.loads(json.dumps(marked.shape.to_dict()))) == marked.shape
    assert marked.left_out == ""


def test_of_several_occurrences_the_one_in_the_usual_order_is_marked() -> None:
    rows = addresses(20, 0)
    inputs = (*rows.inputs, "7 Lima Ave, Lima IL 70007", "5 Elm Ave, Troy IL 5")
    answers = (
        *map(str, rows.outputs),
        '{"number": "7", "city": "Lima", "zip": "70007"}',
        '{"number": "5", "city": "Troy", "zip": "5"}',
    )
    lima, five = fields.mark(inputs, answers).spans[-2:]
    assert lima == ((0, 1), (12, 16), (20, 25)) and five is not None and five[0] == (0, 1) and five[2] == (19, 20)


def test_answers_that_no_tagger_can_give_are_counted_and_told() -> None:
    rows = replace(addresses(4, 0), outputs=('{"city": "Atlantis"}', '{"a": [1]}', None, '{"city": "Salem"}'))
    rows = replace(rows, inputs=("1 Elm", "2 Elm", "3 Elm", "4 Elm, Salem"))
    assert tagging._marked(rows).left_out == (
        "Of 3 answers a tagger cannot learn 1 with a value that does not stand in the input. a.0 is left out: 0% of "
        "its 1 values stand in the input in a form that can be read, and they are not a closed set."
    )
    twice = replace(rows, outputs=('{"city": "Elm"}', '{"city": "Elm", "city": "Elm"}', None, '{"city": "Salem"}'))
    assert tagging._marked(twice).left_out == (
        "Of 3 answers a tagger cannot learn 1 that are not an object of the same plain fields as the others."
    )


def _folded(text: str) -> str:
    return "".join(text.casefold().split())


@given(st.lists(st.tuples(st.text(), st.one_of(st.text(), st.dictionaries(st.text(), st.text()).map(json.dumps)))))
def test_no_text_breaks_the_marking_and_what_is_marked_is_the_value(rows: list[tuple[str, str]]) -> None:
    inputs, answers = [row[0] for row in rows], [row[1] for row in rows]
    marked = fields.mark(inputs, answers)
    for text, answer, spans in zip(inputs, answers, marked.spans, strict=True):
        if spans is None:
            continue
        values = marked.shape.values(answer)
        assert values is not None
        for field, span, value in zip(marked.shape.fields, spans, values, strict=True):
            if field.reads:  # normalised, or of a closed set
                continue
            assert (span is None) == (value is None)
            if span is not None and value is not None:
                assert _folded(text[slice(*span)]) == _folded(value)


@given(st.lists(st.one_of(st.none(), st.text()), min_size=1, max_size=5), st.booleans())
def test_what_a_tagger_writes_is_json_whatever_stood_in_the_input(values: list[str | None], bare: bool) -> None:
    shape = fields.Shape(True, tuple(fields.Field(f"f{at}", "null", False, bare) for at in range(len(values))))
    read = json.loads(shape.write(values))
    assert list(read) == [f"f{at}" for at in range(len(values))]


def test_a_value_begins_and_ends_where_words_do_unless_the_answers_say_otherwise() -> None:
    whole = fields.mark(["12 Elm Ave, Troy", "7 Oak St, Rome"], ['{"city": "Troy"}', '{"city": "Rome"}'])
    inner = fields.mark(["order A12-7", "order B34-8"], ['{"lot": "12"}', '{"lot": "34"}'])
    assert whole.shape.whole and not inner.shape.whole
    assert fields.splits("Hiawatha", 3) and not fields.splits("St. Paul", 3) and not fields.splits("Ely", 3)
    assert fields.Shape.from_dict({"json": True, "fields": []}).whole is False, "a student that was trained before"


def test_the_likeliest_span_of_each_field_is_the_best_of_all_spans() -> None:
    """Against every span there is; in half of the rows some tokens open or close none of one field."""
    torch.manual_seed(3)
    logits, real = 3 * torch.randn(6, 7, 5), torch.ones(6, 7, dtype=torch.bool)
    real[:, 0] = real[:, 6] = False
    opens, closes = (real[:, :, None].repeat(1, 1, 2) for _ in range(2))
    opens[3:, 2:4, 1], closes[3:, 3, 0], closes[3:, 2, 1] = False, False, False
    found = tagging.decode(logits, real, opens, closes, [False, True])
    shares = logits.double().softmax(dim=-1)
    for row in range(6):
        whole = 1.0
        for field in range(2):
            first, inside = shares[row, :, 2 * field + 1], shares[row, :, 2 * field + 2]
            odds = {None: float((1 - first - inside)[1:6].prod())}
            for a in range(1, 6):
                for b in range(a, 6):
                    if not (opens[row, a, field] and closes[row, b, field]):
                        continue
                    each = [
                        first[t] if t == a else inside[t] if a < t <= b else (1 - first - inside)[t]
                        for t in range(1, 6)
                    ]
                    odds[a, b] = float(torch.stack(each).prod())
            if field == 1:
                del odds[None]
            best = max(odds, key=lambda span: odds[span])
            whole *= odds[best]
            ours = (int(found.first[row, field]), int(found.last[row, field])) if found.there[row, field] else None
            assert ours == best
        assert float(found.confidence[row]) == pytest.approx(whole, rel=1e-6)


# --- students -------------------------------------------------------------------------------------------------------


def test_a_tagger_learns_to_extract(tagger: Path) -> None:
    assert exact(tagger, addresses(150, 9)) > 0.9
    said = predict.answers(tagger, ["12 Elm Ave, Salem OR"], threads=1, max_tokens=96)[0]
    assert said.text == '{"number": "12", "city": "Salem", "zip": null}' and 0.01 < said.confidence <= 1


def test_a_writer_learns_to_answer(writer: Path) -> None:
    assert exact(writer, colours(60, 9)) > 0.9


def test_each_says_what_it_was_not_taught(tagger: Path, writer: Path) -> None:
    for folder, taught in ((tagger, 300), (writer, 200)):
        told = folders.answer_settings(folder)
        assert told["taught"] == taught and told["left_out"] == 0 and told["why"] == ""


def test_surer_answers_are_righter(tmp_path: Path) -> None:
    """A tagger that was stopped early: of the half that it is surer of, more is right."""
    run(replace(TAGGER, epochs=3), tmp_path, addresses(200, 0), addresses(40, 1))
    rows = addresses(200, 9)
    said = predict.answers(tmp_path / "student", rows.inputs, threads=1, max_tokens=96)
    right = np.array([spelled(a.text) == spelled(str(b)) for a, b in zip(said, rows.outputs, strict=True)])
    order = np.argsort([-one.confidence for one in said])
    assert 0 < right.mean() < 1 and right[order[:100]].mean() > right[order[100:]].mean()


@pytest.mark.parametrize("kind", ["tagger", "writer"])
def test_hostile_text_is_answered_and_batches_change_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)
    texts = [*HOSTILE, *addresses(5, 4).inputs]
    together = predict.answers(folder, texts, threads=1, max_tokens=96)
    ask = students.open_folder(folder, threads=1, max_tokens=96).ask
    for text, said in zip(texts, together, strict=True):
        alone = ask(text)
        assert alone.text == said.text and alone.confidence == pytest.approx(said.confidence, rel=1e-3)
        assert 0 <= said.confidence <= 1 and said.text.encode()
        if kind == "tagger":
            assert list(json.loads(said.text)) == ["number", "city", "zip"]


def test_json_answers_keep_to_the_shape_of_the_teachers_however_little_was_learnt(tmp_path: Path) -> None:
    """Unless they are cut off; the program of the model card says the same."""
    rows = addresses(120, 0)
    run(replace(CAUSAL, epochs=4, answer_tokens=60, vocabulary=400), tmp_path, rows, addresses(10, 1))
    folder = tmp_path / "student"
    shape = folders.answer_settings(folder)["shape"]
    assert isinstance(shape, dict) and [*shape["names"]] == ["number", "city", "zip"]
    texts = [*HOSTILE, *addresses(20, 7).inputs]
    said = [one.text for one in predict.answers(folder, texts, threads=1)]
    whole = [text for text in said if json_shape.Grammar(shape).walk((("value", 0),), text.encode()) == ()]
    assert len(whole) > len(texts) / 2
    assert all(json.loads(text).keys() == {"number", "city", "zip"} for text in whole)
    cutter = causal.load(folder).cutter
    assert all(len(cutter.encode(text).ids) >= 50 for text in said if text not in whole), "it was cut off"
    program = loaders.FORMS["causal"].program.replace('"model"', repr(str(folder)))
    code = f"import sys\nsys.modules['distill_tui'] = None\n{program}\n"
    code += "print(json.dumps([predict(text) for text in json.loads(sys.argv[1])]))"
    command = [sys.executable, "-I", "-c", code, json.dumps(texts)]
    assert json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout) == said


def test_the_programs_of_the_model_card_answer_as_the_folders_do(tagger: Path, writer: Path) -> None:
    assert (folders.form(tagger), folders.form(writer)) == ("tagger", "causal")
    texts = [*HOSTILE, *addresses(10, 5).inputs, *colours(10, 5).inputs]
    code = ["import json, sys", "sys.modules['distill_tui'] = None  # any import of it would fail", "answers = []"]
    for folder in (tagger, writer):
        program = loaders.FORMS[folders.form(folder)].program
        own = program.rpartition("\nimport pathlib\n")[2]  # before it stands, in a tagger's, the module that normalises
        assert len(own.splitlines()) <= (69 if folder == tagger else 47)
        asked = "answers.append([predict(text) for text in json.loads(sys.argv[1])])"
        code += [program.replace('"model"', repr(str(folder))), asked]
    command = [sys.executable, "-I", "-c", "\n".join([*code, "print(json.dumps(answers))"]), json.dumps(texts)]
    answers = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for folder, theirs in zip((tagger, writer), answers, strict=True):
        assert theirs == [one.text for one in predict.answers(folder, texts, threads=1, max_tokens=96)]


def encoder(folder: Path) -> Path:
    """A tiny BERT of random weights, with two layers."""
    tokenizer = vocabulary.train(addresses(200, 2).inputs, 400)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2,
    )  # fmt: skip
    export.write(transformers.BertModel(config).eval(), tokenizer, folder / "bert")
    return folder / "bert"


def test_a_tagger_may_start_from_layers_of_an_encoder(tmp_path: Path) -> None:
    spec = replace(TAGGER, folder="its digest", layers=(1,), vocabulary=300)
    run(spec, tmp_path, addresses(200, 0), addresses(40, 1), start=encoder(tmp_path))
    assert exact(tmp_path / "student", addresses(100, 9)) > 0.8
    assert json.loads((tmp_path / "student" / "config.json").read_text())["num_hidden_layers"] == 1


def test_an_untrained_writer_of_all_layers_is_its_folder_and_of_some_has_these(teacher: Path) -> None:
    spec = replace(CAUSAL, folder="its digest")
    theirs = causal.build(spec, (), teacher, None).model.state_dict()
    fewer = causal.build(replace(spec, layers=(2, 0)), (), teacher, None).model
    assert fewer.config.num_hidden_layers == 2
    for name, tensor in fewer.state_dict().items():
        old = name.replace("layers.0.", "layers.X.").replace("layers.1.", "layers.0.").replace("layers.X.", "layers.2.")
        assert torch.equal(tensor, theirs[old])


def test_a_student_of_a_half_precision_folder_is_in_32_bits_whoever_loads_it(teacher: Path, tmp_path: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(teacher, dtype=torch.bfloat16)
    export.write(model, transformers.AutoTokenizer.from_pretrained(teacher), tmp_path / "half")
    for layers in ((), (0, 2)):
        made = causal.build(replace(CAUSAL, folder="its digest", layers=layers), (), tmp_path / "half", None)
        replace_folder(tmp_path / "made", made.save)
        loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "made")
        assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}


def test_a_writer_learns_the_probabilities_of_a_teacher_of_its_vocabulary(teacher: Path, tmp_path: Path) -> None:
    spec = replace(CAUSAL, alpha=1.0, epochs=4)
    steps = run(spec, tmp_path, colours(100, 0), colours(20, 1), teacher=teacher)
    assert steps[0].terms.soft > 2 * steps[-1].terms.soft > 0
    assert len(list((tmp_path / "checkpoints").glob("teacher-*.safetensors"))) == 1  # asked once
    assert steps[0].loss == pytest.approx(steps[0].terms.soft)


def test_what_all_questions_begin_with_is_read_once_and_changes_no_answer(teacher: Path) -> None:
    model, tokenizer = models.load_for(transformers.AutoModelForCausalLM, teacher)
    texts = ["snow", "so what coal is like", "grass 7 and more of it", "blood"]
    asks = [tokenizer(f"{'say what grass is like so ' * 3}{text}")["input_ids"] for text in texts]
    begun = decoding.shared_prefix(model, asks)
    assert len(begun.tokens) >= decoding.MIN_PREFIX and all(
        tuple(ask[: len(begun.tokens)]) == begun.tokens for ask in asks
    )
    alone = [decoding.write(model, [ask], 8, [tokenizer.eos_token_id], 0) for ask in asks]
    for _ in range(2):  # it is not used up
        answers, logs = decoding.write(model, asks, 8, [tokenizer.eos_token_id], 0, begun)
        assert answers == [said for (said,), _ in alone]
        assert logs == pytest.approx([log for _, (log,) in alone], abs=1e-3)
    assert (
        decoding.shared_prefix(model, asks[:1]).tokens == () == decoding.shared_prefix(model, [[1, 2], [1, 2]]).tokens
    )
    whole = decoding.shared_prefix(model, [list(range(1, 30))] * 3)
    assert whole.tokens == tuple(range(1, 29)), "something is left to ask"


def test_a_teacher_that_completes_goes_on_from_its_template_and_stops_at_the_line(
    teacher: Path, tmp_path: Path
) -> None:
    model, tokenizer = models.load_for(transformers.AutoModelForCausalLM, teacher)
    tokenizer.chat_template = "{{ messages[0]['content'] }} talks"
    export.write(model, tokenizer, tmp_path / "talks")
    template = "so what snow is like\n{input}:"
    chats = Described(TeacherSource.PROMPTED, "", (), template, max_tokens=12)
    completes = replace(chats, completes=True)
    assert tokenizer.decode(local_teachers.prompt(tokenizer, chats, "coal")).endswith("coal: talks")
    assert tokenizer.decode(local_teachers.prompt(tokenizer, completes, "coal")).endswith("coal:")
    newline = tokenizer("\n", add_special_tokens=False)["input_ids"][0]
    assert newline in local_teachers.stop_tokens(model, tokenizer, completes)
    assert newline not in local_teachers.stop_tokens(model, tokenizer, chats)
    said = [
        text for _, text, _, _ in local_teachers.written(tmp_path / "talks", ["coal", "grass"], completes, threads=1)
    ]
    assert len(said) == 2 and not any("\n" in text for text in said)


def test_a_template_that_leaves_no_room_is_refused_and_a_long_text_is_cut_at_its_end(teacher: Path) -> None:
    with pytest.raises(ValueError, match=r"The template takes \d+ tokens .* shorten one of them\.$"):
        list(
            local_teachers.written(
                teacher, ["coal"], Described(TeacherSource.PROMPTED, "", (), "snow " * 400 + "{input}"), threads=1
            )
        )
    model, tokenizer = models.load_for(transformers.AutoModelForCausalLM, teacher)
    asked = Described(TeacherSource.PROMPTED, "", (), "say what is like {input} so")
    (row,) = local_teachers.prompts(model, tokenizer, ["coal " * 500], asked)
    told = tokenizer.decode(row)
    assert len(row) <= 256 - asked.max_tokens and told.startswith("say what") and told.endswith(" so")


def test_a_line_that_ends_is_the_end_of_a_students_answer(teacher: Path, tmp_path: Path) -> None:
    model, tokenizer = models.load_for(transformers.AutoModelForCausalLM, teacher)
    says = [[*tokenizer("it is red", add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]] * 2
    asked = Described(TeacherSource.PROMPTED, "", (), "say what {input} is like", completes=True)
    soft = token_distributions.distributions(teacher, asked, ["coal", "snow"], says, 1.0, tmp_path / "kept")
    ends = local_teachers.stop_tokens(model, tokenizer, asked)
    for row, text in enumerate(("coal", "snow")):
        ids = local_teachers.prompt(tokenizer, asked, text) + says[row]
        share = model(torch.tensor([ids])).logits[0, -2].softmax(-1)[ends].sum()
        named = dict(zip(soft.tops[row][-1].tolist(), soft.logs[row][-1].exp().tolist(), strict=False))
        assert named.get(tokenizer.eos_token_id, 0.0) == pytest.approx(share.item(), abs=1e-4)
        assert all(named.get(end, 0.0) < 1e-6 for end in ends if end != tokenizer.eos_token_id)


def divergence(theirs: torch.Tensor, logits: torch.Tensor, k: int, temperature: float = 1.0) -> torch.Tensor:
    """The divergence of one answer of (tokens, vocabulary) logits, of which k tokens are named."""
    shares = (theirs / temperature).log_softmax(-1)
    tops = shares.topk(k, dim=-1).indices
    soft = token_distributions.TokenDistributions([tops], [token_distributions.with_rest(shares, tops)], temperature)
    targets = torch.zeros(1, len(theirs), dtype=torch.int64)
    return soft.divergence(logits[None], targets, torch.ones(1), [0])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(2, 20), st.floats(0.1, 12), st.floats(0.5, 4))
def test_named_tokens_and_the_rest_as_one_are_a_distribution_whose_divergence_is_a_lower_bound(
    seed: int, words: int, spread: float, temperature: float
) -> None:
    """Nothing is renormalised: each named token keeps its probability. More names bring the bound nearer."""
    random = torch.Generator().manual_seed(seed)
    theirs, ours = (spread * torch.randn(3, words, generator=random, dtype=torch.float64) for _ in range(2))
    shares = (theirs / temperature).log_softmax(-1)
    whole = (shares.exp() * (shares - (ours / temperature).log_softmax(-1))).sum(-1).mean() * temperature**2
    found = [0.0]
    for k in range(1, words + 1):
        tops = shares.topk(k, dim=-1).indices
        named = token_distributions.with_rest(shares, tops)
        torch.testing.assert_close(named.exp().sum(-1), torch.ones(3, dtype=torch.float64))
        torch.testing.assert_close(named[:, :-1], shares.gather(-1, tops))
        found.append(float(divergence(theirs, ours, k, temperature)))
        assert float(divergence(theirs, theirs, k, temperature)) == pytest.approx(0, abs=1e-4)
    slack = 1e-4 * (1 + float(whole))
    assert all(less <= more + slack for less, more in itertools.pairwise(found))
    assert found[-1] == pytest.approx(float(whole), rel=1e-3, abs=1e-4)


def test_a_student_that_gives_the_rest_nothing_learns_to() -> None:
    """In single precision, where 1 less the sum of the named tokens would be 0, and its gradient too."""
    logits = torch.tensor([[30.0, 29.0, 0.0, 0.0, 0.0]], requires_grad=True)
    divergence(torch.tensor([[1.0, 1.0, 0.0, 0.0, 0.0]]), logits, 2).backward()
    assert logits.grad is not None and (logits.grad[0, 2:] < -0.1).all()


def test_a_tied_weight_is_kept_once(writer: Path) -> None:
    from safetensors import safe_open

    with safe_open(writer / "model.safetensors", framework="np") as file:
        assert "lm_head.weight" not in file.keys()  # noqa: SIM118
    model = transformers.AutoModelForCausalLM.from_pretrained(writer)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_a_new_tokenizer_that_writes_is_the_same_for_the_same_texts_and_spells_any_text() -> None:
    made = [vocabulary.train_writing(addresses(100, 0).inputs, 400) for _ in range(4)]
    assert len({each.backend_tokenizer.to_str() for each in made}) == 1
    text = "naïve 😀 \x00 </b> 12\n"
    assert made[0].decode(made[0](text)["input_ids"]) == text


# --- runs -----------------------------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.sequences import QUICK
from distill_tui.training import generation, loop
loop.CHECKPOINT_SECONDS = 0.0
spec, training, validation = QUICK["causal"]
folder = Path(sys.argv[2])
for step in generation.train(spec, training, validation,
                             loop.Places(None, folder / "checkpoints", folder / "student")):
    print(step.number, flush=True)
"""


def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    run(QUICK["causal"][0], tmp_path / "whole", *QUICK["causal"][1:])
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parent), str(tmp_path / "killed")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert [int(child.stdout.readline()) for _ in range(6)][-1] == 6
    child.kill()
    child.communicate()
    assert not (tmp_path / "killed" / "student").exists()
    rest = run(QUICK["causal"][0], tmp_path / "killed", *QUICK["causal"][1:])
    assert 6 <= rest[0].number < rest[-1].total == 12
    assert digests(tmp_path / "killed" / "student") == digests(tmp_path / "whole" / "student")


def test_a_closed_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    spec, *rows = QUICK["tagger"]
    run(spec, tmp_path / "whole", *rows)
    places = Places(None, tmp_path / "closed" / "checkpoints", tmp_path / "closed" / "student")
    steps = generation.train(spec, *rows, places)
    for _ in range(5):
        next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert run(spec, tmp_path / "closed", *rows)[0].number == 6
    assert digests(tmp_path / "closed" / "student") == digests(tmp_path / "whole" / "student")


def test_a_student_that_gets_nothing_right_yet_goes_on(tmp_path: Path) -> None:
    spec = replace(CAUSAL, epochs=6, patience=1, learning_rate=1e-6)
    scores = [
        step.validation for step in run(spec, tmp_path, colours(20, 0), colours(5, 1)) if step.validation is not None
    ]
    assert scores == [0.0] * 6


# --- what is measured -----------------------------------------------------------------------------------------------


def test_latency_throughput_size_and_cold_start_are_measured(tagger: Path, writer: Path) -> None:
    texts = addresses(10, 0).inputs
    kinds = {tagger: transformers.AutoModelForTokenClassification, writer: transformers.AutoModelForCausalLM}
    for folder, kind in kinds.items():
        times = measure.latencies(folder, texts, runs=2, per_run=5, warm_up=1)
        assert [len(each) for each in times] == [5, 5] and min(map(min, times)) > 0
        parameters, size = measure.size(folder)
        assert parameters == sum(weight.numel() for weight in kind.from_pretrained(folder).parameters())
        assert size == sum(path.stat().st_size for path in folder.iterdir())
    told = measure.running(tagger, texts)
    assert told["cold_start_us"] > 100_000 and told["peak_kb"] > 50_000 and told["batch_8"] > 0


def test_a_folder_whose_answer_json_says_nothing_is_refused(tagger: Path, writer: Path, tmp_path: Path) -> None:
    import shutil

    for folder, content, says in (
        (tagger, '{"form": "tagger"}', "does not say what the fields"),
        (writer, '{"form": "causal"}', "no prompt template"),
        (writer, '{"form": "poem"}', "names the form 'poem'"),
        (writer, "{", "not readable JSON"),
    ):
        copy = shutil.copytree(folder, tmp_path / "copy", dirs_exist_ok=True)
        (copy / folders.ANSWER).write_text(content)
        with pytest.raises(ValueError, match=says):
            predict.answers(copy, ["x"], threads=1, max_tokens=96)
