"""`prune`: what ended runs leave in their folders can go; what is named, or can be resumed, stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill_tui.cli.app import main
from distill_tui.store import prune, verdicts
from distill_tui.terms import RunKind
from support import real_play


@pytest.fixture
def play(tmp_path: Path) -> real_play.Play:
    return real_play.copy_to(tmp_path)


def of(play: real_play.Play, kind: RunKind) -> Path:
    run = next(each for each in play.project.dossier(play.id).runs if each.kind is kind)
    return play.project.artifacts.run_folder(run.id)


def names(play: real_play.Play) -> list[str]:
    folder = play.project.artifacts.folder
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*"))


def pruned(play: real_play.Play, *words: str) -> int:
    return main(["--project", str(play.path), "prune", *words])


def test_nothing_is_deleted_before_it_was_counted(play: real_play.Play, capsys: pytest.CaptureFixture[str]) -> None:
    before = names(play)
    assert pruned(play) == 0 and names(play) == before
    shown = capsys.readouterr()
    assert "can go: add --delete" in shown.err and "P-001" in shown.out


def test_a_person_who_is_not_enrolled_deletes_nothing(play: real_play.Play, monkeypatch: pytest.MonkeyPatch) -> None:
    before = names(play)
    monkeypatch.setattr("os.getuid", lambda: 65_000)
    assert pruned(play, "--delete") == 3 and names(play) == before


def test_a_run_that_can_be_resumed_keeps_its_checkpoints(play: real_play.Play) -> None:
    play.sql("UPDATE run SET status = 'lost', result = '{}' WHERE kind = 'train'")
    assert of(play, RunKind.TRAIN).name not in [str(each.run) for each in prune.found(play.project)]
    play.sql("UPDATE play SET round = 2")  # resumed in its own round only
    assert of(play, RunKind.TRAIN).name in [str(each.run) for each in prune.found(play.project)]


def test_work_files_go_and_all_that_the_project_names_stays(
    play: real_play.Play, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("x")
    trained, imported = of(play, RunKind.TRAIN), of(play, RunKind.IMPORT)
    (trained / "link").symlink_to(outside)
    (imported / "source.jsonl").write_text("{}\n")
    for name in ("queued", "worker.log"):  # as a worker leaves them
        (trained / name).write_text("x")
    kept = {name for name in names(play) if not name.startswith("runs/")}
    assert any(trained.rglob("*.safetensors"))
    assert pruned(play, "--delete") == 0
    assert "are deleted" in capsys.readouterr().err
    assert sorted(each.name for each in trained.iterdir()) == ["lock", "queued", "worker.log"]
    assert (imported / "source.jsonl").exists() and (outside / "mine").exists()
    assert {name for name in names(play) if not name.startswith("runs/")} == kept
    assert not any(each.trouble for each in verdicts.check(play.project))
    play.sign()
    assert main(["verify", str(play.ship())]) == 0
    assert pruned(play) == 0 and "No ended run has work files" in capsys.readouterr().err
