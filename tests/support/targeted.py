"""A play in its second round, whose student fails on parcels."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.dataset import build, frozen, split
from distill_tui.gates.record import Record
from distill_tui.rules.actor import Actor
from distill_tui.spec import Spec
from distill_tui.store import tables
from distill_tui.store.project import Project, now
from distill_tui.terms import PlayKind, Role, RunKind, RunStatus, Split, Stage
from support import data_runs
from support.by_hand import by_hand
from support.datasets import imported
from support.results import trained

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
    rows += [{"input": about(n), "segment": "web"} for n in range(160, 200)]  # traffic that is not labelled
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data_runs.import_traffic(made, play, MIA, path)
    rule = split.SplitRule(seed=3, held_out_rows=40, validation_share=0.25)
    data = build.build([imported(tmp_path, rows)], {}, rule, LABELS)
    with made.artifacts.scratch() as scratch:
        digest = build.write(data, scratch / "data.parquet")
        artifact = made.artifacts.store(scratch / "data.parquet")
    looked = frozen.load(made.artifacts.path(artifact), Split.VALIDATION)
    kept = [at for at in range(len(looked)) if looked.gold[at] >= 0]
    gold = tuple(int(looked.gold[at]) for at in kept)
    record = Record(
        labels=LABELS, rows=tuple(int(looked.rows[at]) for at in kept), gold=gold, teacher=gold,
        student=(0,) * len(kept), baseline=(0,) * len(kept), majority=0, segments=("web",), segment=(0,) * len(kept),
        group=tuple(range(len(kept))),
    )  # fmt: skip
    stored = made.artifacts.store_bytes(record.to_json().encode())
    with by_hand(made) as session:
        row = session.get(tables.Play, play)
        assert row is not None
        row.stage = Stage.DATA
        session.add(row)
        columns = {"play_id": play, "round": 1, "artifact": artifact, "digest": f"sha256:{digest}", "labels": "[]"}
        session.add(tables.DataSet(id=1, **columns, counts="{}", built_at=now(), frozen_at=now()))
        session.flush()
        result = trained(0.0, validation=stored, failures={"web / post": (len(gold), len(gold))})
        run = {"play_id": play, "round": 1, "kind": RunKind.TRAIN, "status": RunStatus.FINISHED, "data_set_id": 1}
        session.add(tables.Run(**run, spec=Spec().to_json(), started_by="mia", created_at=now(), result=result))
    yield made
    made.close()


def held_out(project: Project) -> set[str]:
    data = project.dossier(1).data_sets[0]
    return {row["input"] for row in frozen.stored(project.artifacts.path(data.artifact)) if row["split"] == "held-out"}
