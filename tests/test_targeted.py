"""What the next round is taught: inputs like those that the last student failed on, and never a held-out row."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.rounds import requests, weights
from distill_tui.store import tables
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import PlayKind
from support.by_hand import by_hand
from support.targeted import (
    MIA,
    PARCEL,
    about,
    held_out,
    project,  # noqa: F401
)


def test_before_a_student_was_trained_nothing_is_targeted(project: Project) -> None:
    play = actions.open_play(project, MIA, "another", PlayKind.COST)
    with pytest.raises(ProjectError, match="No student is trained yet"):
        requests.request(project, play, None, 10)


def test_what_was_never_labelled_and_is_like_the_failures_is_asked_for(project: Project) -> None:
    wanted, cells = requests.request(project, 1, None, 5)
    assert set(cells) == {"web / post"} and len(wanted) == 5
    assert all(each.input.startswith(PARCEL) and each.cell == "web / post" for each in wanted)
    assert [each.similarity for each in wanted] == sorted((each.similarity for each in wanted), reverse=True)
    unlabelled = {about(n) for n in range(160, 200)}
    assert {each.input for each in wanted} <= unlabelled - held_out(project)


def test_nothing_that_is_in_the_data_set_is_asked_for_again(project: Project, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh.jsonl"
    secret = sorted(held_out(project))
    texts = [*secret, *(about(n) for n in range(100)), *(about(n) for n in range(500, 540))]
    fresh.write_text("".join(json.dumps({"input": text}) + "\n" for text in texts))
    wanted, _ = requests.request(project, 1, fresh, 50)
    assert {each.input for each in wanted} <= {about(n) for n in range(500, 540)} and len(wanted) >= 20
    fresh.write_text(json.dumps({"input": secret[0]}) + "\n")
    with pytest.raises(ProjectError, match="no new input without a label"):
        requests.request(project, 1, fresh, 5)


def test_a_request_is_written_filled_in_and_imported(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "request.jsonl"
    command = ["--project", str(project.path), "data", "request", "P-001", "--rows", "5", "--out", str(out)]
    assert main(command) == 0 and main(command) == 4  # a file that is there is not written over
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 5 and {row["gold"] for row in rows} == {None} and rows[0]["like"]["cell"] == "web / post"
    out.write_text("".join(json.dumps(row | {"gold": "post"}) + "\n" for row in rows))
    with by_hand(project) as session:  # the next round: this one's data set is frozen
        row = session.get(tables.Play, 1)
        assert row is not None
        row.round = 2
        session.add(row)
    assert main(["--project", str(project.path), "import", "P-001", str(out)]) == 0
    assert [traffic.rows for traffic in project.dossier(1).traffic] == [200, 5]


def test_rows_that_a_person_types_come_in_by_standard_input(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with by_hand(project) as session:
        row = session.get(tables.Play, 1)
        assert row is not None
        row.round = 2
        session.add(row)
    typed = io.TextIOWrapper(io.BytesIO(b'{"input": "my courier lost it", "gold": "post", "segment": "web"}\n'))
    monkeypatch.setattr(sys, "stdin", typed)
    assert main(["--project", str(project.path), "import", "P-001", "-"]) == 0
    added = project.dossier(1).traffic[-1]
    assert (added.name, added.rows) == ("typed.jsonl", 1)


def test_a_cell_that_fails_more_weighs_more_within_bounds() -> None:
    factors = weights.cell_factors({"web / post": [9, 10], "web / money": [1, 100], "fax / post": [2, 3]})
    assert factors["web / post"] == 3.0 and factors["web / money"] == 0.5 and "fax / post" not in factors
