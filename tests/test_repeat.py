"""How much of a score is the seed's, of a student that was evaluated: on validation rows, without a look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.cli import exits
from distill_tui.cli.app import main
from distill_tui.review import controls, review
from distill_tui.rules.objection import Refused
from distill_tui.rules.results import RepeatResult
from distill_tui.store.json_columns import result_of
from distill_tui.store.project import Project
from support import real_play


@pytest.fixture
def play(tmp_path: Path) -> Iterator[real_play.Play]:
    made = real_play.copy_to(tmp_path)
    yield made
    made.project.close()


def test_only_who_works_on_the_play_repeats_and_not_without_end(play: real_play.Play) -> None:
    for person, seeds, rule in (("sam", 3, "role.driver"), ("dan", 21, "repeat.seeds")):
        with pytest.raises(Refused) as refused:
            actions.repeat(play.project, play.id, play.by(person), seeds)
        assert rule in {each.rule for each in refused.value.objections}


def test_other_seeds_are_compared_and_nothing_that_was_judged_changes(
    play: real_play.Play, capsys: pytest.CaptureFixture[str]
) -> None:
    before = play.project.dossier(play.id)
    assert review.of(before).seeds == ""
    words = ["--project", str(play.path), "--key", str(play.key("vera"))]
    play.project.close()
    assert main([*words, "eval", "repeat", "P-001", "--seeds", "2", "--wait"]) == exits.DONE
    assert main([*words, "eval", "show", "P-001"]) == exits.DONE
    assert "Of the same student with 3 seeds" in " ".join(capsys.readouterr().out.split())
    play.project = Project.open(play.path)
    after = play.project.dossier(play.id)
    assert controls.reseeded(after).startswith(f"Run {after.runs[-1].id}, on the validation rows: Of the same student")
    result = result_of(RepeatResult, after.runs[-1])
    assert len(result.scores) == 3 and None not in result.scores
    assert (after.evaluation, after.looks, after.judgements) == (before.evaluation, before.looks, before.judgements)
    assert "vera" not in after.builders
    play.sign()  # the validator who repeated may still sign, and the sign-off counts
    play.ship()
