"""Draws docs/screens/*.svg: the app's real screens on the sample of `make demo`, by the keys that a person presses.

    python sample_projects/feedback_sentiment/screenshots.py FOLDER OUT

Nothing in FOLDER changes: what is opened is a copy. The clock in the heading stands still, so that two drawings of one
sample are the same.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from distill_tui.people import identity
from distill_tui.store.project import Project
from distill_tui.ui.app import DistillApp
from distill_tui.ui.widgets import frame

WIDE, NARROW = (120, 36), (80, 24)


@dataclass(frozen=True)
class Shot:
    """One picture: its name, the keys that lead to it, what is on the screen when it is there, and who looks."""

    name: str
    keys: tuple[str, ...]
    shows: str
    size: tuple[int, int] = WIDE
    person: str = ""


SHOTS = (
    Shot("board", (), "P-001 feedback-sentiment"),
    Shot("board-80x24", (), "P-001 feedback-sentiment", NARROW),
    Shot("gate", ("enter", "2"), "FIXED BY THE LOCK"),
    Shot("data", ("enter", "3"), "FINDINGS"),
    Shot("train", ("enter", "4"), "LOSS"),
    Shot("evaluation", ("enter", "5"), "GATE HELD"),
    Shot("evaluation-80x24", ("enter", "5"), "GATE HELD", NARROW),
    Shot("missed-gate", ("j", "enter", "6"), "AGAINST A SHIP"),
    Shot("blocked-ship", ("enter", "6", "H"), "This is not signed off"),
    Shot("sign-off", ("enter", "S"), "type P-001", NARROW, "vera"),
    Shot("jobs", ("J",), "Jobs: runs go on"),
    Shot("people", ("p",), "vera", NARROW),
    Shot("help", ("enter", "question_mark"), "Keys here"),
)


async def draw(path: Path, shot: Shot, out: Path) -> None:
    """Press the keys in the real app, and save what it shows."""
    key = path.parent / "keys" / shot.person if shot.person else None
    actor = None
    if key is not None:
        project = Project.open(path)
        actor = identity.by_key(project.project_dossier(), key)
        project.close()
    app = DistillApp(path, key=key, actor=actor)
    async with app.run_test(size=shot.size) as pilot:
        await seen(pilot, lambda: app.project is not None)
        for pressed in shot.keys:
            await settled(pilot)
            await pilot.press(pressed)
        await settled(pilot)
        await seen(pilot, lambda: shot.shows in text_of(app))
        await pilot.pause(0.3)
        drawn = app.export_screenshot(title="distill-tui", simplify=True)
        (out / f"{shot.name}.svg").write_text(plain_svg(drawn))
    print(f"  {shot.name}.svg", flush=True)


_CELL = 12.2  # units of the drawing that a character is wide
_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
_TEXT = re.compile(r'(<text [^>]*)x="([\d.]+)"([^>]*)textLength="([\d.]+)"([^>]*)>((?:&#160;)+)')


def plain_svg(drawn: str) -> str:
    """Have the drawing fetch no fonts, and put blanks before a text into its place: some viewers leave them out."""

    def moved(found: re.Match[str]) -> str:
        blanks = len(found[6]) // len("&#160;") * _CELL
        x, length = float(found[2]) + blanks, float(found[4]) - blanks
        return f'{found[1]}x="{x:.1f}"{found[3]}textLength="{length:.1f}"{found[5]}>'

    drawn = _FONTS.sub("", drawn).replace("Fira Code, monospace", "DejaVu Sans Mono, Menlo, Consolas, monospace")
    return re.sub(r"<text [^>]*></text>", "", _TEXT.sub(moved, drawn))


async def settled(pilot: Pilot[int]) -> None:
    """Wait until nothing is loading."""
    await pilot.pause(0.2)
    await seen(pilot, lambda: all(worker.is_finished for worker in pilot.app.workers))


async def seen(pilot: Pilot[int], found: Callable[[], bool]) -> None:
    """Wait until something is there; a picture of something else would be worse than none."""
    for _ in range(200):
        if found():
            return
        await pilot.pause(0.05)
    raise SystemExit(f"The screen never showed what was waited for:\n{text_of(pilot.app)}")


def text_of(app: object) -> str:
    """Return the screen as text."""
    lines = app.screen._compositor.render_strips()  # type: ignore[attr-defined]
    return "\n".join("".join(segment.text for segment in line) for line in lines)


def main() -> None:
    """Draw them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    if not (options.folder / "feedback.distill").exists():
        raise SystemExit(f"There is no sample in {options.folder}; `make demo ARGS=--headless` makes it.")
    options.out.mkdir(parents=True, exist_ok=True)
    frame.clock = lambda: "10:42"
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_STATE_HOME"] = (
            scratch  # nothing that its person left behind is drawn, and nothing is left behind
        )
        copy = Path(scratch) / "demo"
        shutil.copytree(options.folder, copy, ignore=shutil.ignore_patterns("source", "minilm-sentiment"))
        for shot in SHOTS:
            asyncio.run(draw(copy / "feedback.distill", shot, options.out))


if __name__ == "__main__":
    main()
