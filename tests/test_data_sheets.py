"""The sheets of the data stage, by keys only: teacher, labelling within a budget, terms, accepted findings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from distill_tui import actions
from distill_tui.rounds import cost_estimate
from distill_tui.rules.data import findings
from distill_tui.store import tables
from distill_tui.store.project import Project
from distill_tui.teachers.description import TEMPLATES, Described
from distill_tui.terms import Task, TeacherSource
from distill_tui.ui.forms.sheet import Sheet
from distill_tui.ui.play.screen import PlayScreen
from support.at_the_screen import text_of
from support.by_hand import by_hand
from support.screens import DAN, NARROW, WIDE, a_project, an_app, at_data, settled, with_draft
from support.sheets import fill

SIZES = pytest.mark.parametrize("size", [WIDE, NARROW])


@pytest.fixture
def project(tmp_path: Path) -> Iterable[Project]:
    made = a_project(tmp_path)
    yield made
    made.close()


ESTIMATE = {
    "input": "where is it",
    "said": "bad",
    "label": "bad",
    "probabilities": True,
    "seconds": 0.5,
    "timed": 8,
    "pace": 0.1,
    "stopped": "",
    "left": 9,
    "tokens_in": 90,
    "tokens_out": 9,
    "money": "0.4200",
    "currency": "USD",
    "minutes": 0.1,
    "concurrency": 4,
}


@SIZES
async def test_a_teacher_is_chosen_and_how_it_is_asked(
    project: Project,
    monkeypatch: Any,
    size: tuple[int, int],
    tmp_path: Path,
) -> None:
    app, folder = an_app(project, with_draft(project), DAN), str(tmp_path)
    chosen: list[tuple[Path | None, Described | None]] = []
    monkeypatch.setattr(actions, "set_teacher", lambda project, play, actor, how: chosen.append((None, how)))
    monkeypatch.setattr(actions, "try_teacher", lambda project, play, actor, *which: chosen.append(which))
    monkeypatch.setattr(app.file_watch, "await_run", lambda run: None)  # no worker was started
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("U", "enter")
        await pilot.press("U")
        fill(pilot.app, teacher="https://models.example/v1")
        await pilot.press("enter")
        fill(pilot.app, model="big-1")
        await pilot.press("ctrl+s")
        assert isinstance(pilot.app.screen, Sheet) and len(chosen) == 1  # labels are missing
        fill(pilot.app, labels="bad,good")
        await pilot.press("ctrl+s")
        for how, labels in (("zero-shot", "bad,good"), ("as a classifier", "")):
            await pilot.press("U")
            fill(pilot.app, teacher="/models/none")
            await pilot.press("enter")
            await settled(pilot)
            assert "There is no folder /models/none" in text_of(pilot.app)
            fill(pilot.app, teacher=folder)
            await pilot.press("enter")
            fill(pilot.app, kind=how, labels=labels)
            await pilot.press("ctrl+s")
            await settled(pilot)
    labels = ("bad", "good")
    assert [folder for folder, _ in chosen] == [None, None, tmp_path, tmp_path]
    assert [described for _, described in chosen] == [
        None,
        Described(
            TeacherSource.ENDPOINT, "big-1", labels, TEMPLATES[TeacherSource.ENDPOINT], "https://models.example/v1"
        ),
        Described(TeacherSource.ZERO_SHOT, "", labels, TEMPLATES[TeacherSource.ZERO_SHOT]),
        None,
    ]


@SIZES
async def test_a_teacher_that_writes_is_asked_in_the_words_of_a_file(
    project: Project, monkeypatch: Any, size: tuple[int, int], tmp_path: Path
) -> None:
    app, folder = an_app(project, at_data(project, task=Task.GENERATION), DAN), str(tmp_path)
    chosen: list[tuple[Path | None, Described | None]] = []
    monkeypatch.setattr(actions, "set_teacher", lambda project, play, actor, how: chosen.append((None, how)))
    monkeypatch.setattr(actions, "try_teacher", lambda project, play, actor, *which: chosen.append(which))
    monkeypatch.setattr(app.file_watch, "await_run", lambda run: None)  # no worker was started
    words = tmp_path / "words.txt"
    words.write_text("The parts of {input}, as JSON.")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        for teacher, more in ((folder, {}), ("https://models.example/v1", {"model": "big-1"})):
            await pilot.press("U")
            fill(pilot.app, teacher=teacher)
            await pilot.press("enter")
            await settled(pilot)
            assert "template file" in text_of(pilot.app) and "labels" not in text_of(pilot.app)
            fill(pilot.app, template="/no/words.txt", **more)
            await pilot.press("ctrl+s")
            await settled(pilot)
            assert "There is no file /no/words.txt" in text_of(pilot.app)
            fill(pilot.app, template=str(words), tokens="none")
            await pilot.press("ctrl+s")
            await settled(pilot)
            assert "Write a whole number" in text_of(pilot.app)
            fill(pilot.app, tokens="64")
            await pilot.press("ctrl+s")
            await settled(pilot)
    text = words.read_text()
    url = "https://models.example/v1"
    assert chosen == [
        (tmp_path, Described(TeacherSource.PROMPTED, "", (), text, max_tokens=64)),
        (None, Described(TeacherSource.ENDPOINT, "big-1", (), text, url, max_tokens=64)),
    ]


async def test_an_endpoint_is_not_asked_without_a_budget(project: Project, monkeypatch: Any) -> None:
    play = with_draft(project)
    with by_hand(project) as session:
        row = session.get(tables.Play, play)
        assert row is not None
        row.teacher_source, row.teacher_name = TeacherSource.ENDPOINT, "big-1"
        session.add(row)
    asked: list[Any] = []
    monkeypatch.setattr(actions, "label", lambda *args: asked.append(args[-1]))
    monkeypatch.setattr(cost_estimate, "estimate_labels", lambda *args: ESTIMATE)
    app = an_app(project, play, DAN)
    async with app.run_test(size=NARROW) as pilot:
        await settled(pilot)
        await pilot.press("O")
        await pilot.press("ctrl+s")
        assert isinstance(pilot.app.screen, Sheet) and not asked
        fill(pilot.app, budget="5", price_in="much", price_out="0.6")
        await pilot.press("ctrl+s")
        assert isinstance(pilot.app.screen, Sheet) and not asked
        fill(pilot.app, price_in="0.15")
        await pilot.press("ctrl+s")
        await settled(pilot)
        assert isinstance(pilot.app.screen, Sheet) and not asked  # one row was tried, and is shown first
        assert "about USD 0.42 and" in " ".join(str(line) for line in pilot.app.screen.body)
        await pilot.press("enter")
        await settled(pilot)
    assert asked == [{"budget": "5", "price_in": "0.15", "price_out": "0.6", "concurrency": "4", "per_minute": "0"}]


@SIZES
async def test_terms_are_recorded_and_findings_accepted_by_keys(
    project: Project,
    size: tuple[int, int],
) -> None:
    play = with_draft(project)
    app = an_app(project, play, DAN)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("P")
        fill(pilot.app, provider="Acme", version="3.1", dated="May 1", says="permitted")
        await pilot.press("ctrl+s")
        assert isinstance(pilot.app.screen, Sheet)  # that is not a date
        fill(pilot.app, dated="2026-05-01")
        await pilot.press("ctrl+s")
        await settled(pilot)
        await pilot.press("D")
        await pilot.press("ctrl+s")
        assert isinstance(pilot.app.screen, Sheet)  # a reason is asked for
        fill(pilot.app, reason="few, and known")
        await pilot.press("ctrl+s")
        await settled(pilot)
        assert isinstance(pilot.app.screen, PlayScreen)
    dossier = project.dossier(play)
    assert dossier.terms is not None and (dossier.terms.provider, dossier.terms.permits) == ("Acme", 1)
    assert [each.accepted for each in findings(dossier)] == ["few, and known"]
