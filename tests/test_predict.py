"""A bundle answers alone, and is copied under a name that people read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill_tui.bundles import export
from distill_tui.bundles import student as bundled
from distill_tui.bundles.verify import verify_bundle
from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.digests import folder_digest
from support import real_play, served


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real_play.Play]:
    made = served.copy_to(tmp_path_factory.mktemp("predict"))
    yield made
    made.project.close()


@pytest.fixture
def bundle(play: real_play.Play, tmp_path: Path) -> Path:
    return Path(shutil.copytree(served.bundle_of(play), tmp_path / "bundle"))


def predict(*words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "distill_tui", "predict", *words]
    return subprocess.run(program, capture_output=True, text=True, check=False, cwd=Path(words[0]).parent)


@pytest.mark.parametrize("name", ["model/config.json", "recipe.json", "model/model.onnx"])
def test_a_changed_bundle_answers_nothing(bundle: Path, name: str) -> None:
    content = (bundle / name).read_bytes()
    (bundle / name).unlink()
    (bundle / name).write_bytes(content + b" ")
    done = predict(str(bundle), "a refund please")
    assert done.returncode == exits.BAD_INPUT and not done.stdout
    assert f"{name} was changed after the bundle was written." in done.stderr


def test_what_is_not_a_bundle_is_refused(tmp_path: Path) -> None:
    done = predict(str(tmp_path), "a refund please")
    assert done.returncode == exits.BAD_INPUT and "it has no manifest.json" in done.stderr


def test_a_bundle_answers_a_text_without_torch_and_without_its_project(bundle: Path) -> None:
    program = "import sys\nfrom distill_tui.bundles import predict\ncode = predict.main(sys.argv[1:])\n"
    program += "assert not {'torch', 'transformers', 'sqlmodel', 'pyarrow'} & set(sys.modules)\nsys.exit(code)"
    words = [sys.executable, "-c", program, str(bundle), "--text", "my refund and the invoice"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=bundle)
    found = json.loads(done.stdout)
    assert found["answer"] == "money" and found["confidence"] > 0.5
    assert abs(sum(found["probabilities"].values()) - 1) < 1e-4
    assert predict(str(bundle), "my refund and the invoice").stdout.startswith("money\t")


def test_every_input_of_a_file_is_answered_in_its_order(bundle: Path, tmp_path: Path) -> None:
    texts = [f"the {word} is late {number}" for number, word in enumerate(("parcel", "refund") * 150)]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n\n")
    (tmp_path / "rows.csv").write_text("id,text\n" + "".join(f"{n},{text}\n" for n, text in enumerate(texts)))
    for name in ("texts.txt", "rows.csv"):
        done = predict(str(bundle), str(tmp_path / name), "--json")
        assert done.returncode == exits.DONE, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert [each["input"] for each in found] == texts
        assert [each["answer"] for each in found] == ["post", "money"] * 150


def test_what_is_not_answered_is_named_and_a_mistyped_file_is_not_a_text(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("\ufeffthe parcel is late\n\nthe refund is late\n")
    done = predict(str(bundle), str(tmp_path / "texts.txt"), "--json")
    found = [json.loads(line)["input"] for line in done.stdout.splitlines()]
    assert found == ["the parcel is late", "the refund is late"]
    assert done.stderr == "texts.txt:2: the line is empty; skipped.\n"
    mistyped = predict(str(bundle), "text.txt")
    assert mistyped.returncode == exits.BAD_INPUT and not mistyped.stdout
    assert mistyped.stderr.startswith("There is no file text.txt. Check the path")
    assert predict(str(bundle), "text.txt ").returncode == exits.DONE
    words = [sys.executable, "-m", "distill_tui", "predict", str(bundle), "-"]
    piped = subprocess.run(words, input="my refund and the invoice\n", capture_output=True, text=True, check=True)
    assert piped.stdout.startswith("money\t") and not piped.stderr


def test_an_export_is_the_bundle_under_a_name_and_replaces_nothing(play: real_play.Play, tmp_path: Path) -> None:
    words = ["--project", str(play.path), "bundle", "export", "P-001", str(tmp_path / "out")]
    assert main(words) == exits.DONE and main(words) == exits.DONE  # the same bundle again is not a fault
    folder = tmp_path / "out" / "mail-topic-round-1"
    assert folder_digest(folder) == folder_digest(served.bundle_of(play))
    assert not verify_bundle(folder).problems
    assert not any(
        path.samefile(served.bundle_of(play) / path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    )  # an edit of the copy leaves the artifact whole
    (folder / "recipe.json").write_text("{}")
    assert main(words) == exits.BAD_INPUT
    assert (folder / "recipe.json").read_text() == "{}"


def test_a_name_is_a_plain_name() -> None:
    assert export.name_of("../Réfunds & more", 3) == "réfunds-more-round-3"
    assert export.name_of("///", 1) == "play-round-1"


def test_what_a_bundle_says_of_its_student(bundle: Path) -> None:
    found = bundled.read(bundle)
    assert (found.form, found.labels, found.writes, found.defers_below) == ("onnx", ("money", "post"), False, 0.0)
