"""Traffic comes in at the screen: a path is picked, a log recognised, its mapping tried live, and it is stored."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from distill_tui.rules import data
from distill_tui.runs.executors import local
from distill_tui.store.project import Project
from distill_tui.teachers import cache
from distill_tui.teachers.description import Described
from distill_tui.terms import RunKind, RunStatus, Task, TeacherSource
from distill_tui.ui.forms import paths
from support import data_runs
from support import traces as logs
from support.at_the_screen import settled, text_of
from support.screens import DAN, NARROW, WIDE, a_project, add_run, an_app, at_data
from support.sheets import fill

SIZES = pytest.mark.parametrize("size", [WIDE, NARROW])


@pytest.fixture
def project(tmp_path: Path) -> Iterable[Project]:
    made = a_project(tmp_path)
    yield made
    made.close()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of logs: 40 calls, 3 that failed, one that the proxy cut in the middle; and a table of pairs."""
    made = tmp_path / "logs"
    made.mkdir()

    def asked(n: int) -> str:
        return f"Ticket number:\n{n} of the day {n * n}\nAnswer with the queue only."

    calls = [logs.litellm(asked(n), json.dumps({"label": "ab"[n % 2], "why": "x"}), n) for n in range(40)]
    calls += [logs.litellm("x", "y", 50 + n, status="failure") for n in range(3)]
    calls += [logs.litellm("a (litellm_truncated skipped 9 chars) b", "y", 60)]
    (made / "calls.jsonl").write_text("".join(json.dumps(each) + "\n" for each in calls))
    (made / "pairs.csv").write_text("query,document,label\nlost,where is it,yes\nlate,it rains,no\n")
    return made


async def shows(pilot: Any, *parts: str) -> str:
    """Wait until the screen shows these parts of a text, and return it; of a sheet, what stands in its frame."""
    for _ in range(1_500):
        lines = text_of(pilot.app).splitlines()
        inside = [line.split("│")[1] if line.count("│") == 2 else line for line in lines]
        shown = " ".join(" ".join(inside).split())
        if all(part in shown for part in parts):
            return shown
        await pilot.pause(0.02)
    raise AssertionError(f"{parts} are not all in:\n{text_of(pilot.app)}")


@SIZES
async def test_a_log_comes_in_at_the_screen(
    project: Project, source: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "start", data_runs.here)
    app, play = an_app(project, at_data(project), DAN), 1
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("i")
        await shows(pilot, "Langfuse, LangSmith")
        fill(app, file=f"{source}/")
        await shows(pilot, "2 in logs:", "calls.jsonl ", "KB", "pairs.csv ")
        fill(app, file=f"{source}/*.nothing")
        await shows(pilot, "No file matches")
        fill(app, file=str(source / "calls.jsonl"))
        await pilot.press("ctrl+s")
        shown = await shows(pilot, "LiteLLM spend logs · 40 of 44 rows usable", "p95 840 ms", r"Ticket number:\n")
        assert shown.count(" of the day ") >= 4
        fill(app, after="Nowhere")
        await shows(pilot, "does not hold “Nowhere”")
        fill(app, after="(", pattern="(")
        await shows(pilot, "either with --after and --before, or with --pattern")
        fill(app, after=r"Ticket number:\n", pattern="")
        await pilot.press("ctrl+s")
        await shows(pilot, "Columns of calls.jsonl", "chat_input")
        await pilot.press("ctrl+s")
        await shows(pilot, "Imported 40 rows")
        await pilot.press("3")
        await shows(pilot, "cut in the middle by the proxy", "passed over 3")
    assert [(each.rows, each.rejects) for each in project.dossier(play).traffic] == [(40, 1)]


@SIZES
async def test_an_import_shows_how_far_it_is(project: Project, size: tuple[int, int]) -> None:
    play = at_data(project)
    about = {"kind": RunKind.IMPORT, "step": 500, "total": 2000, "message": "importing 500 of 2,000 rows"}
    add_run(project, play, RunStatus.RUNNING, **about)
    app = an_app(project, play, DAN)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("3")
        await shows(pilot, "25%", "importing 500 of 2,000 rows")


@SIZES
async def test_a_table_of_pairs_is_proposed_as_one(
    project: Project, source: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "start", data_runs.here)
    app = an_app(project, at_data(project), DAN)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("i")
        fill(app, file=str(source / "pairs.csv"))
        await pilot.press("ctrl+s")
        await shows(pilot, "{query}{|}{document}", "lost ␟ where is it")
        fill(app, input="{query}{|}")
        await pilot.press("ctrl+s")
        await shows(pilot, "A pair has two parts")
        fill(app, input="{query}{|}{document}")
        await pilot.press("ctrl+s")
        await shows(pilot, "Imported 2 rows")
    assert project.dossier(1).traffic[0].rows == 2


@SIZES
async def test_splits_with_answers_in_json_show_what_counts_and_what_is_doubted(
    project: Project, tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for name, labels, first in (("train", "ab", 0), ("test", "xy", 30)):
        rows = [
            {
                "text": f"ticket {n}",
                "output": json.dumps({"label": labels[n % 2], "why": n}),
                "gold": labels[n % 2],
            }
            for n in range(first, first + 40)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(local, "start", data_runs.here)
    app = an_app(project, at_data(project), DAN)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("i")
        fill(app, file=str(folder))
        await pilot.press("ctrl+s")
        await shows(pilot, "Answers are JSON, and $.label of them counts", "shares no gold and no teacher output")
        await pilot.press("ctrl+s")
        await shows(pilot, "Imported 80 rows")
        await pilot.press("3")
        await shows(pilot, "shares no gold and no teacher output")
    assert json.loads(project.dossier(1).traffic[0].mapping)["calls"]["answer"] == "$.label"


async def test_a_path_is_completed_and_what_lies_there_is_listed(tmp_path: Path, source: Path) -> None:
    complete = paths.PathSuggester().get_suggestion
    assert await complete(f"{source}/ca") == f"{source}/calls.jsonl"
    assert await complete(f"{tmp_path}/lo") == f"{tmp_path}/logs/"
    assert await complete(f"{source}/none") is None and await complete("") is None
    assert paths.listing(f"{source}/p") == ["pairs.csv  67 B"] or "pairs.csv" in str(paths.listing(f"{source}/p"))
    assert str(paths.listing(f"{source}/*")[0]).startswith("2 files match")
    assert paths.listing(f"{source}/none") == [("look", "Nothing here begins like this.")]
    assert paths.listing("\0") and paths.listing("/root/\0x*")
    assert [paths.size(count) for count in (0, 999, 46_800, 5_000_000_000)] == ["0 B", "999 B", "46.8 KB", "5.0 GB"]


@SIZES
async def test_a_batch_is_written_and_its_results_are_taken_at_the_screen(
    project: Project, tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "start", data_runs.here)
    play = at_data(project)
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": f"ticket {n}"}) + "\n" for n in range(5)))
    data_runs.import_traffic(project, play, DAN, rows)
    app, out = an_app(project, play, DAN), tmp_path / "batch.jsonl"
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("U")
        fill(app, teacher="https://api.openai.com/v1")
        await pilot.press("enter")
        await shows(pilot, "A typed-decision API")
        fill(app, model="big", labels="bill,parcel", api="smoke signs")
        await pilot.press("ctrl+s")
        await shows(pilot, "speaks one of these: chat, systemone, decisions")
        fill(app, api="chat")
        await pilot.press("ctrl+s")
        await shows(pilot, "Label the traffic with the teacher")  # the rules were asked again: O is a key now
        await pilot.press("O")
        await shows(pilot, "or write a batch to")
        fill(app, out=str(out), results=str(out))
        await pilot.press("ctrl+s")
        await shows(pilot, "empty one of the two")
        fill(app, results="")
        await pilot.press("ctrl+s")
        await shows(pilot, "Wrote 5 requests to batch.jsonl")
        requests = [json.loads(line) for line in out.read_text().splitlines()]
        done = [{"custom_id": each["custom_id"], "error": None, "response": {
            "status_code": 200, "body": logs.completion("parcel")}} for each in requests]  # fmt: skip
        (tmp_path / "done.jsonl").write_text("".join(json.dumps(each) + "\n" for each in done))
        await pilot.press("O")
        await shows(pilot, "or take results from")
        fill(app, results=str(tmp_path / "done.jsonl"))
        await pilot.press("ctrl+s")
        await shows(pilot, "Set price in and price out")
        fill(app, price_in="1", price_out="2")
        await pilot.press("ctrl+s")
        for _ in range(1_500):
            if data.labelled(project.dossier(play)):
                break
            await pilot.pause(0.02)
    assert data.labelled(project.dossier(play))
    assert len(cache.answers(project.artifacts.folder, project.dossier(play).play.teacher_digest)) == 5


@SIZES
async def test_a_typed_decision_api_and_a_schema_are_chosen_at_the_screen(
    project: Project, tmp_path: Path, size: tuple[int, int]
) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object"}\n')
    plays = at_data(project), at_data(project, "writes", Task.GENERATION)
    given: tuple[dict[str, Any], dict[str, Any]] = (
        {"model": "jev", "labels": "a,b", "api": "systemone"},
        {"model": "big", "schema": str(schema)},
    )
    for play, values in zip(plays, given, strict=True):
        app = an_app(project, play, DAN)
        async with app.run_test(size=size) as pilot:
            await settled(pilot)
            await pilot.press("U")
            fill(app, teacher="https://models.example/v1")
            await pilot.press("enter")
            await shows(pilot, "How https://models.example/v1 is asked")
            fill(app, **values)
            await pilot.press("ctrl+s")
            await shows(pilot, f"The teacher is {values['model']}")
    first, second = (Described.of(project.artifacts, project.dossier(play).play) for play in plays)
    assert first is not None and (first.api, first.labels, first.source) == (
        "systemone", ("a", "b"), TeacherSource.ENDPOINT)  # fmt: skip
    assert second is not None and second.schema == '{"type": "object"}'
