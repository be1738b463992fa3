"""A look at the rows: by what they say, at any size, and never at a held-out one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from textual.widgets import Input

from distill_tui.cli.app import main
from distill_tui.dataset import browse, build, split
from distill_tui.dataset.browse import Filter
from distill_tui.dataset.records import BadInput
from distill_tui.rules.actor import Actor
from distill_tui.store import tables
from distill_tui.store.project import Project
from distill_tui.terms import Split, Stage
from distill_tui.ui.app import DistillApp
from distill_tui.ui.play.rows import RowsScreen
from support import data_stage
from support.at_the_screen import text_of
from support.by_hand import by_hand
from support.datasets import imported
from support.findings import sentence
from support.hostile import STEERS
from support.screens import HOSTILE

MIA = Actor("mia", f"account uid {os.getuid()}")
LABELS = ("bad", "good")


def lines(count: int = 120) -> list[dict[str, object]]:
    """Every tenth teacher's label differs from gold; confidence runs from .5 to 1; two near duplicates clash."""
    made: list[dict[str, object]] = []
    for n in range(count):
        gold = LABELS[n % 2]
        said = LABELS[1 - n % 2] if n % 10 == 0 else gold
        share = round(0.5 + 0.5 * n / count, 3)
        shares = {said: share, LABELS[1 - LABELS.index(said)]: round(1 - share, 3)}
        row = {"input": sentence(n), "gold": gold, "teacher_output": said, "probs": shares}
        made.append(row | {"segment": "mail" if n % 4 == 0 else "web"})
    clash = {"teacher_output": "bad", "probs": {"bad": 0.9, "good": 0.1}, "segment": "web"}
    return [
        *made,
        *({"input": sentence(999) + end, "gold": gold, **clash} for end, gold in (("", "bad"), ("!!", "good"))),
    ]


@pytest.fixture
def rows(tmp_path: Path) -> browse.OpenRows:
    rule = split.SplitRule(seed=3, held_out_rows=30, validation_share=0.2)
    data = build.build([imported(tmp_path, lines())], {}, rule, LABELS)
    build.write(data, tmp_path / "data.parquet")
    return browse.OpenRows(tmp_path / "data.parquet")


def found(rows: browse.OpenRows, **wanted: object) -> list[dict[str, object]]:
    return [rows.at(int(place)) for place in rows.find(Filter(**wanted))]  # type: ignore[arg-type]


def test_no_filter_ever_shows_a_held_out_row(rows: browse.OpenRows) -> None:
    assert rows.sealed == 30 and len(rows) == 122 - 30
    assert {row["split"] for row in found(rows)} == {"train", "validation"}
    assert "sealed" in Filter(split="held-out").problem()
    assert not len(rows.find(Filter(split="held-out")))


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Filter(split="test"), "Unknown split “test”"),
        (Filter(conflicts="all"), "Unknown conflict “all”"),
        (Filter(below=2), "“below” is 2"),
        (Filter(above=-1), "“above” is -1"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(wanted: Filter, says: str) -> None:
    assert says in wanted.problem()


def test_rows_are_found_by_what_they_say(rows: browse.OpenRows) -> None:
    everything = found(rows)
    assert found(rows, label="good") == [row for row in everything if row["gold"] == "good"]
    assert found(rows, segment="mail") == [row for row in everything if row["segment"] == "mail"]
    assert found(rows, split="validation") == [row for row in everything if row["split"] == "validation"]
    one = str(everything[0]["input"])
    assert found(rows, search=one.upper()) == [everything[0]]
    low = [row for row in everything if row["confidence"] is not None and row["confidence"] < 0.7]  # type: ignore[operator]
    assert low and found(rows, below=0.7) == low
    assert len(found(rows, above=0.7)) + len(low) == len(everything)
    both = found(rows, label="good", segment="mail", below=0.8)
    assert both == [row for row in found(rows, label="good", segment="mail") if row in found(rows, below=0.8)]


def test_conflicts_are_of_teacher_and_gold_or_of_near_duplicates(rows: browse.OpenRows) -> None:
    assert all(row["gold"] != row["teacher_output"] for row in found(rows, conflicts="teacher"))
    assert len(found(rows, conflicts="teacher")) == sum(
        row["gold"] is not None and row["gold"] != row["teacher_output"] for row in found(rows)
    )
    near = {str(row["input"]).rstrip("!") for row in found(rows, conflicts="near")}
    assert near <= {sentence(999)}


def test_a_search_is_text_and_no_pattern(rows: browse.OpenRows) -> None:
    for text in (".*", "[a-z]", "%", "'; DROP TABLE"):
        assert not len(rows.find(Filter(search=text)))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = with_rows(tmp_path, lines())
    yield made
    made.close()


def with_rows(tmp_path: Path, found: list[dict[str, object]], labels: tuple[str, ...] = LABELS) -> Project:
    made, play = data_stage.opened(tmp_path), 1
    rule = split.SplitRule(seed=3, held_out_rows=30, validation_share=0.2)
    data = build.build([imported(tmp_path, found)], {}, rule, labels)
    with made.artifacts.scratch() as scratch:
        digest = build.write(data, scratch / "data.parquet")
        artifact = made.artifacts.store(scratch / "data.parquet")
    with by_hand(made) as session:
        row = session.get(tables.Play, play)
        assert row is not None
        row.stage = Stage.DATA
        session.add(row)
        columns = {"play_id": play, "round": 1, "artifact": artifact, "digest": f"sha256:{digest}", "labels": "[]"}
        session.add(tables.DataSet(**columns, counts="{}", built_at="2026-11-25T08:00:00Z"))
    return made


def test_the_command_gives_rows_and_counts_what_is_sealed(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    about = ["--project", str(project.path), "rows", "P-001"]
    capsys.readouterr()
    assert main([*about, "--conflicts", "teacher", "--show", "3", "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["held_out_sealed"] == 30 and len(value["rows"]) == 3 <= value["found"]
    assert all(row["split"] != Split.HELD_OUT for row in value["rows"])
    assert main([*about, "--split", "held-out"]) == 2
    assert main([*about, "--offset", "-1"]) == 2


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
async def test_the_screen_filters_by_keys_and_goes_to_the_next_conflict(
    project: Project, size: tuple[int, int]
) -> None:
    app = DistillApp(project.path, play=1)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("d")
        await settled(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, RowsScreen) and screen.rows is not None and screen.found is not None
        whole = len(screen.found)
        await pilot.press("n")
        here = screen.rows.at(int(screen.found[screen.cursor]))
        assert here["gold"] != here["teacher_output"]
        await pilot.press("G", "g", "slash")
        pilot.app.screen.query_one("#field-search", Input).value = str(here["input"])
        await pilot.press("enter")
        await settled(pilot)
        assert len(screen.found) == 1
        await pilot.press("f")
        pilot.app.screen.query_one("#field-split", Input).value = "held-out"
        await pilot.press("ctrl+s")
        assert not isinstance(pilot.app.screen, RowsScreen)  # the sheet stays, and says that they are sealed
        await pilot.press("escape", "escape")  # leaves the sheet, then the filter
        await settled(pilot)
        assert len(screen.found) == whole
        await pilot.press("q")
        await pilot.pause()
        assert not isinstance(pilot.app.screen, RowsScreen)


@pytest.mark.parametrize("size", [(120, 36), (80, 24)])
async def test_rows_that_would_steer_a_terminal_stand_there_as_text(
    tmp_path: Path, size: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    labels = (f"a {HOSTILE}", f"b {HOSTILE}")
    hostile = [
        {
            "input": f"{HOSTILE} {sentence(n)}",
            "gold": labels[n % 2],
            "teacher_output": labels[n % 3 % 2],
            "segment": HOSTILE,
        }
        for n in range(90)
    ]
    made = with_rows(tmp_path, hostile, labels)
    made.close()
    app = DistillApp(made.path, play=1)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        for key in ("3", "d", "j", "n", "f", "escape"):
            await pilot.press(key)
            await settled(pilot)
            assert not STEERS.search(text_of(app)), key
        assert isinstance(app.screen, RowsScreen) and "[red]x[/]" in text_of(app)
    capsys.readouterr()
    for words in (["--show", "20"], ["--conflicts", "teacher"], ["--plain"]):
        assert main(["--project", str(made.path), "rows", "P-001", *words]) == 0
        said = capsys.readouterr().out
        assert "[red]x[/]" in said and not STEERS.search(said.replace("\t", ""))


async def settled(pilot: object) -> None:
    """Wait until nothing is loaded any more."""
    for _ in range(100):
        await pilot.pause(0.05)  # type: ignore[attr-defined]
        app = pilot.app  # type: ignore[attr-defined]
        if app.project is not None and all(worker.is_finished for worker in app.workers):
            break
    await pilot.pause()  # type: ignore[attr-defined]


def test_a_row_without_probabilities_has_no_confidence(tmp_path: Path) -> None:
    plain = [{"input": sentence(n), "gold": LABELS[n % 2]} for n in range(40)]
    rule = split.SplitRule(seed=3, held_out_rows=5, validation_share=0.2)
    build.write(build.build([imported(tmp_path, plain)], {}, rule, LABELS), tmp_path / "d.parquet")
    bare = browse.OpenRows(tmp_path / "d.parquet")
    assert all(bare.at(place)["confidence"] is None for place in range(len(bare)))
    assert not len(bare.find(Filter(below=1.0))) and not len(bare.find(Filter(above=0.0)))


def test_a_screen_of_rows_needs_no_more_than_the_row_groups_that_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "GROUP", 7)
    monkeypatch.setattr(browse, "KEPT", 2)
    rule = split.SplitRule(seed=3, held_out_rows=20, validation_share=0.2)
    build.write(build.build([imported(tmp_path, lines())], {}, rule, LABELS), tmp_path / "d.parquet")
    table = pq.read_table(tmp_path / "d.parquet").to_pylist()
    wanted = [row for row in table if row["split"] != "held-out"]
    found = browse.OpenRows(tmp_path / "d.parquet")
    assert (len(found), found.sealed) == (len(wanted), len(table) - len(wanted))
    for place in [*range(len(found)), *reversed(range(len(found)))]:
        row = found.at(place)
        assert {name: row[name] for name in wanted[place]} == wanted[place] and len(found._groups) <= 2
    with pytest.raises(BadInput, match="is held out, and sealed"):
        found.at(len(table) - 1)
    for split_name in ("train", "validation"):
        places = [at for at, row in enumerate(wanted) if row["split"] == split_name]
        assert found.find(Filter(split=split_name)).tolist() == places
