"""Every screen as plain text, at both sizes, with hostile and long text: compared with `tests/screens/*.txt`.

`make snapshots` writes the files again; read the difference before you commit it. What changes from run to run (times,
digests, ids of a terminal) is written as dots of the same width.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot
from textual.widgets import Input

from distill_tui import actions
from distill_tui.people import identity
from distill_tui.rules.actor import Actor
from distill_tui.runs.executors import local
from distill_tui.store.project import Project
from distill_tui.terms import Task
from distill_tui.ui.app import DistillApp
from distill_tui.ui.board.screen import BoardScreen
from distill_tui.ui.forms import sheet
from distill_tui.ui.widgets import frame
from support import real_play
from support import screens as staged
from support.at_the_screen import settled, text_of
from support.by_hand import by_hand
from support.hostile import STEERS

SIZES = ((120, 36), (80, 24))
FOLDER = Path(__file__).parent / "screens"
WRITE = os.environ.get("WRITE_SNAPSHOTS") == "1"
LONG = f"{staged.HOSTILE} {'a-long-name ' * 4}"[:80].strip()
WHO = {"dana": staged.DANA, "dan": staged.DAN, "vera": staged.VERA}
VARIES = [
    re.compile(pattern)
    for pattern in (
        r"\d{4}-\d\d-\d\d(?: \d\d:\d\d)?",
        r"\b\d\d-\d\d \d\d:\d\d",
        r"\b(?=[0-9a-f]*\d)(?=[0-9]*[a-f])[0-9a-f]{6,64}\b",
        r"\b\d+ (?:s|min)\b",
        r"\buid \d+",
        r"SHA256:\S+",
        r"[▁▂▃▄▅▆▇]+",  # how far down a scrollbar stands says only how much there is
    )
]


@dataclass(frozen=True)
class Shot:
    """One screen: its name, the play that is open (none: the board), the keys that lead to it, and who looks.

    What `shows` is looked for where a training or the machine has a say in the rest, so that no text of it is kept.
    """

    name: str
    play: str = ""
    keys: tuple[str, ...] = ()
    who: str = "dana"
    shows: str = ""


STAGED = (
    Shot("board"),
    Shot("board-filter", keys=("slash", *"kind:cost", "enter")),
    Shot("board-filter-menu", keys=("f",)),
    Shot("board-sort-menu", keys=("s",)),
    Shot("board-keys", keys=("question_mark",)),
    Shot("command-line", keys=("colon",)),
    Shot("palette", keys=("ctrl+p",)),
    Shot("people", keys=("p",)),
    Shot("jobs", keys=("J",)),
    Shot("form-new-play", keys=("n",)),
    *(Shot(f"{play}-{name}", play, (str(tab),)) for play in ("qualifying", "deciding") for tab, name in
      enumerate(("overview", "gate", "data", "train", "eval", "decide"), start=1)),
    Shot("qualifying-log", "qualifying", ("8",)),
    Shot("data-draft", "with_draft", ("3",)),
    Shot("run-with-loss", "training", ("4",)),
    Shot("killed", "killed", ("1",)),
    Shot("play-keys", "deciding", ("question_mark",)),
    Shot("a-dimmed-key", "deciding", ("H",)),
    Shot("form-roles", "qualifying", ("A",)),
    Shot("form-numbers", "at_gate", ("e",), "dan"),
    Shot("form-gate", "at_gate", ("E",), "dan"),
    Shot("form-lock", "at_gate", ("L",)),
    Shot("writing-gate", "writing", ("2",), "dan"),
    Shot("form-gate-writing", "writing", ("E",), "dan"),
    Shot("form-import", "at_data", ("i",), "dan"),
    Shot("form-teacher", "at_data", ("U",), "dan"),
    Shot("form-terms", "at_data", ("P",), "dan"),
    Shot("form-accept", "with_draft", ("D",), "dan"),
    Shot("form-train", "frozen", ("T",), "dan"),
    Shot("form-stop", "training", ("K",), "dan"),
    Shot("form-maintain", "deciding", ("M",), "dan"),
    Shot("form-iterate", "deciding", ("I",), "dan"),
    Shot("form-kill", "deciding", ("Z",)),
    Shot("form-comment", "deciding", ("c",)),
)  # fmt: skip
REAL = (
    Shot("sign-off", "mail-topic", ("S",), "vera", "sign   esc back"),
    Shot("refusal", "mail-topic", ("X",), "vera", "reject   esc back"),
    Shot("spot-check", "mail-topic", ("P",), "vera", "1 only A   2 only B"),
    Shot("failures", "mail-topic", ("f",), "vera", "j next   k back"),
    Shot("rows", "mail-topic", ("d",), "dan"),
    Shot("rows-filter", "mail-topic", ("d", "f"), "dan"),
    Shot("checkup", keys=("d",), who="dan", shows="✓ journal: wal"),
)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, dict[str, int]]]:
    """A project with a play in every stage, all named with hostile text."""
    made = staged.a_project(tmp_path_factory.mktemp("screens"))
    plays = {}
    for number, maker in enumerate(staged.MAKERS):
        named = {"text": LONG} if maker.__name__ in ("with_draft", "frozen", "training", "deciding") else {}
        plays[maker.__name__] = maker(made, f"{number} {LONG}"[:80].strip(), **named)
    plays["writing"] = staged.at_gate(made, f"9 {LONG}"[:80].strip(), Task.GENERATION)
    actions.comment(made, plays["qualifying"], staged.DANA, LONG * 3)
    with by_hand(made) as session:
        session.connection().exec_driver_sql("DELETE FROM play_card")
    made.renew_cards()  # stages were set by hand
    yield made, plays
    made.close()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[real_play.Play]:
    """A play at `decide` by real work."""
    made = real_play.copy_to(tmp_path_factory.mktemp("real"))
    yield made
    made.project.close()


@pytest.fixture(autouse=True)
def a_still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "clock", lambda: "10:42")


async def taken(pilot: Pilot[int], shot: Shot, play: int | None, actor: Actor) -> str:
    """Go to a screen as that person by its keys, and give its text; come back to the board."""
    app = pilot.app
    assert isinstance(app, DistillApp)
    if app.actor != actor:
        app.actor = actor
        app.changed()
    if play is not None:
        app.open_play(play)
        await settled(pilot)
    for key in shot.keys:
        await pilot.press(key)
        if len(shot.keys) < 3:
            await settled(pilot)
    await settled(pilot)
    text = text_of(app)
    while not isinstance(app.screen, BoardScreen):
        app.pop_screen()
        await pilot.pause()
    app.screen.action_clear_filter()
    await pilot.pause()
    return text


def steady(text: str) -> str:
    """Write what changes from run to run as dots of the same width."""
    for pattern in VARIES:
        text = pattern.sub(lambda found: "." * len(found[0]), text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def hold(shot: Shot, size: tuple[int, int], text: str) -> str:
    """Return what is wrong with a screen; empty where nothing is."""
    lines = text.splitlines()
    if len(lines) != size[1] or any(cell_len(line) != size[0] for line in lines):
        return f"{shot.name}: not {size[0]} by {size[1]} cells"
    if STEERS.search(text):
        return f"{shot.name}: something that steers a terminal: {STEERS.findall(text)}"
    if shot.shows:
        return "" if shot.shows in text else f"{shot.name} at {size}: no {shot.shows!r} in\n{text}"
    path = FOLDER / f"{shot.name}-{size[0]}x{size[1]}.txt"
    if WRITE:
        FOLDER.mkdir(exist_ok=True)
        path.write_text(steady(text), encoding="utf-8")
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    return "" if kept == steady(text) else f"{shot.name} at {size} was\n{kept}\nand is\n{steady(text)}"


def told(wrong: list[str]) -> str:
    return "\n".join([*wrong, "`make snapshots` writes them again; read the difference first"])


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_every_screen_looks_as_it_did_with_hostile_and_long_text(
    size: tuple[int, int], many: tuple[Project, dict[str, int]]
) -> None:
    project, plays = many
    app = staged.an_app(project, plays["qualifying"])
    app.first_play = None
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        app.screen.action_clear_filter()  # type: ignore[attr-defined]  # what waits for me comes first
        found = [hold(shot, size, await taken(pilot, shot, plays.get(shot.play), WHO[shot.who])) for shot in STAGED]
    assert not any(found), told([wrong for wrong in found if wrong])


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_a_review_and_the_rows_look_as_they_did(size: tuple[int, int], real: real_play.Play) -> None:
    app = DistillApp(real.path)
    app.file_watch.look_up = lambda: None  # type: ignore[method-assign]  # the actor is who this test says
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        found = []
        for shot in REAL:
            actor = identity.by_key(real.project.project_dossier(), real.key(shot.who))
            found.append(hold(shot, size, await taken(pilot, shot, real.id if shot.play else None, actor)))
    assert not any(found), told([wrong for wrong in found if wrong])


@pytest.mark.parametrize(
    "text",
    [
        staged.HOSTILE,
        *(
            pytest.param(text, marks=pytest.mark.slow)
            for text in ("9" * 5000, "NaN", "../../etc/passwd", "'; DROP TABLE play; --")
        ),
    ],
    ids=lambda text: text[:9],
)
async def test_whatever_is_typed_into_the_fields_of_a_sheet_is_taken_or_refused_in_place(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "start", lambda project, run: None)
    monkeypatch.setattr(sheet, "DEAF", 0.0)
    project = staged.a_project(tmp_path)
    plays = {maker.__name__: maker(project, maker.__name__) for maker in staged.MAKERS}
    plays["writing"] = staged.at_gate(project, "writing", Task.GENERATION)
    app, filled = staged.an_app(project, plays["qualifying"]), 0
    app.first_play, before = None, project.project_dossier(thorough=True).audit_trouble  # stages were set by hand
    async with app.run_test(size=SIZES[1]) as pilot:
        await settled(pilot)
        for shot in (each for each in STAGED if each.name.startswith("form-")):
            app.actor = WHO[shot.who]
            app.changed()
            if shot.play:
                app.open_play(plays[shot.play])
            await settled(pilot)
            await pilot.press(*shot.keys)
            await settled(pilot)
            for field in app.screen.query(Input):
                field.value, filled = text, filled + 1
            await pilot.press("ctrl+s")
            await settled(pilot)
            assert not STEERS.search(text_of(app)), shot.name
            while not isinstance(app.screen, BoardScreen):
                app.pop_screen()
                await pilot.pause()
    assert filled > 30
    assert project.project_dossier(thorough=True).audit_trouble == before
    project.close()


def test_every_kept_screen_is_still_drawn() -> None:
    names = {
        f"{shot.name}-{width}x{height}.txt" for shot in (*STAGED, *REAL) if not shot.shows for width, height in SIZES
    }
    assert {path.name for path in FOLDER.iterdir()} == names
