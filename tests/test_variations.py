"""What a teacher writes for the next round: of open rows only, paid once, sifted, read, and taken in to train."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distill_tui import actions
from distill_tui.dataset import frozen
from distill_tui.gates.gate import default_gate
from distill_tui.gates.written import to_json
from distill_tui.rounds import play_traffic, teacher_calls, variations
from distill_tui.rules.data import findings, labelled
from distill_tui.rules.objection import Refused
from distill_tui.store import tables
from distill_tui.store.project import Project, ProjectError
from distill_tui.teachers.description import Described
from distill_tui.terms import PlayKind, RunKind, RunStatus, Split, TeacherSource
from distill_tui.ui.forms.sheet import Sheet
from support import data_runs
from support.by_hand import by_hand
from support.endpoints import PRICES, Server, causal, does, server  # noqa: F401
from support.screens import NARROW, an_app, settled
from support.sheets import fill
from support.targeted import MIA, PARCEL, held_out, project  # noqa: F401


@pytest.fixture
def play(project: Project, server: Server) -> Iterator[Project]:
    """The second round of a play whose teacher is an endpoint; the student of the first fails on parcels."""
    server.says = written
    gate = dataclasses.replace(default_gate(PlayKind.COST), held_out_rows=40)
    with by_hand(project) as session:
        row, stored = session.get(tables.Play, 1), session.get(tables.GateRow, 1)
        assert row is not None and stored is not None
        row.round, stored.content = 2, to_json(gate)
        session.add(row)
        session.add(stored)
    words = ["--endpoint", server.url, "--model", "tiny", "--labels", "money,post"]
    assert does(project, "teacher", "P-001", *words) == 0
    yield project


def written(prompt: str) -> str:
    """Answer as models do: a label where one is asked for, else numbered lines about the end of the text."""
    if "Answer with exactly one" in prompt:
        return "post"
    own = " ".join(prompt.split()[-3:])
    return f'1. "still waiting for my box {own}"\n2. no courier rang here {own[::-1]}\n\n3) {prompt.splitlines()[-1]}'


def rows_of(project: Project, split: Split) -> frozen.Rows:
    return frozen.load(project.artifacts.path(project.dossier(1).data_sets[0].artifact), split)


TRIED = ("data", "vary", "P-001", "--each", "3", "--rows", "4", *PRICES)


def vary(project: Project) -> None:
    assert does(project, *TRIED, "--estimate") == 0
    assert does(project, *TRIED, "--wait") == 0


# who may write, of what


def test_a_held_out_row_is_never_shown_to_whoever_writes(play: Project, server: Server) -> None:
    secret = int(rows_of(play, Split.HELD_OUT).rows[0])
    with pytest.raises(Refused, match=f"Row {secret} is held out") as refusal:
        actions.vary(play, 1, MIA, 3, 10, [secret], {"budget": "1", "price_in": "0", "price_out": "0"})
    assert [o.rule for o in refusal.value.objections] == ["variation.sealed"]
    assert does(play, "data", "vary", "P-001", str(secret), *PRICES, "--estimate") == 3
    assert not server.asked and [run.kind for run in play.dossier(1).runs] == [RunKind.IMPORT, RunKind.TRAIN]


@pytest.mark.parametrize(("source", "rule"), [("recorded", "teacher.recorded"), ("local", "teacher.cannot_write")])
def test_a_teacher_that_cannot_write_is_not_asked_to(play: Project, source: str, rule: str) -> None:
    with by_hand(play) as session:
        row = session.get(tables.Play, 1)
        assert row is not None
        row.teacher_source = TeacherSource(source)
        session.add(row)
    with pytest.raises(Refused) as refusal:
        actions.vary(play, 1, MIA, 3, 10)
    assert [o.rule for o in refusal.value.objections] == [rule]


def test_without_a_budget_and_a_trial_nothing_is_written(play: Project, server: Server) -> None:
    with pytest.raises(Refused) as refusal:
        actions.vary(play, 1, MIA, 3, 10)
    assert [o.rule for o in refusal.value.objections] == ["teacher.budget"]
    with pytest.raises(Refused, match="data vary P-001 --estimate") as refusal:
        actions.vary(play, 1, MIA, 3, 10, [], {"budget": "1", "price_in": "1", "price_out": "2"})
    assert [o.rule for o in refusal.value.objections] == ["teacher.untried"] and not server.asked
    with pytest.raises(ProjectError, match="1 to 20 variations"):
        actions.vary(play, 1, MIA, 21, 10, [], {"budget": "1", "price_in": "0", "price_out": "0"})


def test_before_anything_was_written_nothing_waits(play: Project) -> None:
    assert does(play, "data", "variations", "P-001") == 4
    assert does(play, "data", "take", "P-001") == 4


# what is written


def test_failures_of_validation_are_varied_once_and_paid_once(play: Project, server: Server) -> None:
    vary(play)
    validation = set(rows_of(play, Split.VALIDATION).inputs)
    varied = [prompt.split("\n\n", 1)[1] for prompt in server.asked]
    assert len(varied) == len(set(varied)) == 4 and set(varied) <= validation
    assert all(text.startswith(PARCEL) for text in varied) and not set(varied) & held_out(play)
    asked = len(server.asked)
    assert does(play, *TRIED, "--wait") == 0
    paid = play_traffic.ledger(play, 1)
    assert len(server.asked) == asked == paid["calls"] and paid["cache_hits"] == 2 + 4
    assert not labelled(play.dossier(1))  # to write is not to label


def test_what_is_near_to_the_data_set_or_speaks_of_held_out_rows_is_left_out(play: Project) -> None:
    dossier, secret = play.dossier(1), rows_of(play, Split.HELD_OUT)
    source = variations.sources(play, dossier, 1, [])[0]
    canary = next(word for word in secret.inputs[0].split()[8:])
    planted = {source.digest: "\n".join([
        "a quite new text about a box",
        secret.inputs[0],
        "and " + " ".join(secret.inputs[1].split()[-9:]) + " it said, which nobody else ever wrote down anywhere",
        f"{source.input}!",
        source.input.upper(),
        "a quite new text about a box.",
    ])}  # fmt: skip
    kept, left = variations.sift(play, dossier, [source], planted, 20)
    assert [one.input for one in kept] == ["a quite new text about a box"] and canary not in kept[0].input
    assert left == {"held-out": 2, "near": 2, "same": 1}
    assert variations.texts("1. a\n\n- “b”\n c \nd", 3) == ["a", "b", "c"]


def test_a_planted_word_of_a_held_out_row_gives_a_variation_away() -> None:
    foreign = variations._foreign(["one canary-71f3a9c2d4e5b6 two"], ["one two three"])
    assert variations._marks("it says canary-71f3a9c2d4e5b6") & foreign
    assert not variations._marks("one two three") & foreign


def test_a_causal_model_writes_too(causal: Path) -> None:
    from distill_tui.training import local_teachers

    teacher = Described(TeacherSource.PROMPTED, "", ("bad", "good"), variations.TEMPLATE, max_tokens=6)
    found = sorted(local_teachers.written(causal, ["a table", "an awful table"], teacher, threads=1))
    again = list(local_teachers.written(causal, ["a table"], teacher, threads=1))
    assert [at for at, *_ in found] == [0, 1] and found[0] == again[0], "alone or beside a longer one"
    assert all(tokens_in > 10 and 1 <= tokens_out <= 6 for _, _, tokens_in, tokens_out in found)


# what is taken in


def test_variations_are_read_and_taken_in_as_a_source_that_only_trains(
    play: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    vary(play)
    capsys.readouterr()
    assert does(play, "data", "variations", "P-001", "--json") == 0
    wait = json.loads(capsys.readouterr().out)
    assert len(wait["written"]) == 8 and wait["left_out"] == {"same": 4}
    assert does(play, "data", "take", "P-001", "--without", "2", "99") == 4
    assert does(play, "data", "take", "P-001", "--without", "2") == 0
    added = play.dossier(1).traffic[-1]
    run = next(run.id for run in reversed(play.dossier(1).runs) if run.kind is RunKind.LABEL)
    assert (added.name, added.rows) == (f"variations-of-run-{run}.jsonl", 7)
    assert does(play, "data", "take", "P-001") == 4  # once
    assert play_traffic.window(play, 1)[0].calls == 200  # what was written is not a call
    assert (
        does(play, "label", "P-001", *PRICES, "--estimate") == 0
        and does(play, "label", "P-001", *PRICES, "--wait") == 0
    )
    before = rows_of(play, Split.VALIDATION)
    assert does(play, "data", "build", "P-001") == 0
    data = play.dossier(1).data_set
    assert data is not None
    told = list(frozen.stored(play.artifacts.path(data.artifact)))
    new = [row for row in told if (row["group"] or "").startswith("variation of ")]
    assert len(new) == 7 and {row["split"] for row in new} == {"train"} and {row["gold"] for row in new} == {None}
    taken = teacher_calls.taken(added)
    assert taken is not None
    varied = set(taken.varied)
    assert {row["split"] for row in told if row["input_digest"] in varied} == {"train"} and varied <= set(
        before.digests
    )
    assert {row["input"] for row in told if row["split"] == "held-out"} == held_out(play)
    assert any("7 of the" in finding.says for finding in findings(play.dossier(1)))


def test_variations_that_belong_with_held_out_rows_are_refused_at_the_door(play: Project, tmp_path: Path) -> None:
    path = tmp_path / "variations-of-run-1.jsonl"
    path.write_text(json.dumps({"input": rows_of(play, Split.HELD_OUT).inputs[0] + "!"}) + "\n")
    with pytest.raises(Refused) as refusal:
        data_runs.import_traffic(play, 1, MIA, path, variations={"run": 1, "by": "tiny", "varied": []})
    assert [o.rule for o in refusal.value.objections] == ["variation.leak"]
    assert len(play.dossier(1).traffic) == 1


async def test_variations_are_written_read_and_taken_in_by_keys(play: Project) -> None:
    app = an_app(play, 1, MIA)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("V")
        await settled(pilot)
        sheet = pilot.app.screen
        assert isinstance(sheet, Sheet)
        fill(pilot.app, each="3", rows="2", budget="1", price_in="much", price_out="2")
        await pilot.press("ctrl+s")
        assert pilot.app.screen is sheet  # that is not a price
        fill(pilot.app, price_in="1")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Sheet) and pilot.app.screen is not sheet)
        assert len(play.dossier(1).runs) == 2  # one row was tried; no run was started
        await pilot.press("enter")
        await until(pilot, lambda: [r.status for r in play.dossier(1).runs] == [RunStatus.FINISHED] * 3)
        assert teacher_calls.ask_of(play.dossier(1).runs[-1])
        await settled(pilot)
        await pilot.press("V")
        await until(pilot, lambda: isinstance(pilot.app.screen, Sheet))
        assert "wrote 4 variations" in pilot.app.screen.heading
        fill(pilot.app, without="9")
        await pilot.press("ctrl+s")
        assert isinstance(pilot.app.screen, Sheet)  # there is no ninth
        fill(pilot.app, without="1, 3")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(play.dossier(1).traffic) == 2)
    assert play.dossier(1).traffic[-1].rows == 2


async def until(pilot: Any, holds: Callable[[], bool]) -> None:
    """Wait for what a worker or a thread does."""
    end = time.monotonic() + 60
    while not holds() and time.monotonic() < end:
        await pilot.pause(0.1)
    assert holds()
