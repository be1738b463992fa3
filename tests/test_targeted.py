"""What the next round is taught: inputs like those that the last student failed on, and never a held-out row."""

from __future__ import annotations

import io
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill_tui import actions, gates
from distill_tui.cli.table import main
from distill_tui.dataset import build, frozen, split
from distill_tui.rounds import requests, round_data
from distill_tui.rules.actor import Actor
from distill_tui.spec import Spec
from distill_tui.store import tables
from distill_tui.store.project import Project, ProjectError, now
from distill_tui.terms import PlayKind, Role, RunKind, RunStatus, Split, Stage
from test_dataset import imported

MIA = Actor("mia", f"account uid {os.getuid()}")
LABELS = ("money", "post")
PARCEL, REFUND = "the parcel never arrived at my door", "please refund the invoice of my account"


def about(number: int) -> str:
    """A text about parcels or refunds that is like no other."""
    chance = random.Random(number)
    own = " ".join("".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(8))
    return f"{PARCEL if number % 2 else REFUND} {own}"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A play whose student was looked at on validation, and fails on what is about parcels."""
    made = Project.create(tmp_path / "team.distill", "Team", "mia", "Mia", Actor(None, MIA.proof))
    play = actions.open_play(made, MIA, "mail", PlayKind.COST)
    actions.assign_role(made, play, MIA, Role.DRIVER, "mia")
    rows = [{"input": about(n), "gold": LABELS[n % 2], "segment": "web"} for n in range(160)]
    rows += [{"input": about(n), "segment": "web"} for n in range(160, 200)]  # traffic that nobody has labelled
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    actions.import_traffic(made, play, MIA, path)
    rule = split.SplitRule(seed=3, held_out_rows=40, validation_share=0.25)
    data = build.build([imported(tmp_path, rows)], {}, rule, LABELS)
    with made.artifacts.scratch() as scratch:
        digest = build.write(data, scratch / "data.parquet")
        artifact = made.artifacts.store(scratch / "data.parquet")
    looked = frozen.load(made.artifacts.path(artifact), Split.VALIDATION)
    kept = [at for at in range(len(looked)) if looked.gold[at] >= 0]
    gold = tuple(int(looked.gold[at]) for at in kept)
    record = gates.Record(
        labels=LABELS, rows=tuple(int(looked.rows[at]) for at in kept), gold=gold, teacher=gold,
        student=(0,) * len(kept), baseline=(0,) * len(kept), majority=0, segments=("web",), segment=(0,) * len(kept),
        group=tuple(range(len(kept))),
    )  # fmt: skip
    stored = made.artifacts.store_bytes(record.to_json().encode())
    with made.telemetry() as session:
        row = session.get(tables.Play, play)
        assert row is not None
        row.stage = Stage.DATA
        session.add(row)
        columns = {"play_id": play, "round": 1, "artifact": artifact, "digest": f"sha256:{digest}", "labels": "[]"}
        session.add(tables.DataSet(id=1, **columns, counts="{}", built_at=now(), frozen_at=now()))
        session.flush()
        result = json.dumps({"validation": stored, "failures": {"web / post": [len(gold), len(gold)]}})
        run = {"play_id": play, "round": 1, "kind": RunKind.TRAIN, "status": RunStatus.FINISHED, "data_set_id": 1}
        session.add(tables.Run(**run, spec=Spec().to_json(), started_by="mia", created_at=now(), result=result))
    yield made
    made.close()


def held_out(project: Project) -> set[str]:
    data = project.dossier(1).data_sets[0]
    return {row["input"] for row in frozen.stored(project.artifacts.path(data.artifact)) if row["split"] == "held-out"}


def test_before_a_student_was_trained_nothing_is_targeted(project: Project) -> None:
    play = actions.open_play(project, MIA, "another", PlayKind.COST)
    with pytest.raises(ProjectError, match="No student was trained yet"):
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
    with pytest.raises(ProjectError, match="no input without a label that is new"):
        requests.request(project, 1, fresh, 5)


def test_a_request_is_written_filled_in_and_imported(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "request.jsonl"
    command = ["--project", str(project.path), "data", "request", "P-001", "--rows", "5", "--out", str(out)]
    assert main(command) == 0 and main(command) == 4  # a file that is there is not written over
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 5 and {row["gold"] for row in rows} == {None} and rows[0]["like"]["cell"] == "web / post"
    out.write_text("".join(json.dumps(row | {"gold": "post"}) + "\n" for row in rows))
    with project.telemetry() as session:  # the next round: this one's data set is frozen
        row = session.get(tables.Play, 1)
        assert row is not None
        row.round = 2
        session.add(row)
    assert main(["--project", str(project.path), "import", "P-001", str(out)]) == 0
    assert [traffic.rows for traffic in project.dossier(1).traffic] == [200, 5]


def test_rows_that_a_person_types_come_in_by_standard_input(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with project.telemetry() as session:
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
    factors = round_data.cell_factors({"web / post": [9, 10], "web / money": [1, 100], "fax / post": [2, 3]})
    assert factors["web / post"] == 3.0 and factors["web / money"] == 0.5 and "fax / post" not in factors
