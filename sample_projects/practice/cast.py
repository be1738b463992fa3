"""Draws docs/screens/demo.svg: `distill-tui demo` as it happens, from the board to a signed ship, in twenty seconds.

    python sample_projects/practice/cast.py OUT.svg [DEMO]

With DEMO, the folder of a demo whose work is done, a copy of it is played from its verdict on.

The screens are the real ones, by the keys that a person presses, while the demo's driver does its work. Each picture is
drawn once; the file shows them in turn, with no script in it.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import tempfile
from pathlib import Path

from textual.pilot import Pilot

sys.path.insert(0, str(Path(__file__).parents[1] / "feedback_sentiment"))

from screenshots import plain_svg, settled, text_of

from distill_tui.cli import demo
from distill_tui.cli.plans import drive
from distill_tui.ui.app import DistillApp
from distill_tui.ui.forms.sheet import DEAF
from distill_tui.ui.widgets import frame

SIZE = (80, 24)
PATIENCE = 300.0  # seconds for the driver's work on a busy machine
SHOWN = 1.7  # seconds for each picture
PAGES = 12  # that what is signed has at most; it is read to its last line


async def until(pilot: Pilot[int], words: str) -> None:
    """Wait until the screen shows these words."""
    for _ in range(int(PATIENCE / 0.1)):
        if words in text_of(pilot.app):
            return
        await pilot.pause(0.1)
    raise SystemExit(f"The screen never showed “{words}”:\n{text_of(pilot.app)}")


async def pictures(folder: Path) -> list[str]:
    """Play the demo by its keys; return a picture of each step."""
    path, drawn = folder / demo.FILE_NAME, list[str]()
    drive.start(path, folder / demo.PLAN_NAME, demo.PLAY)  # it does what is left to do
    app = DistillApp(path)

    async with app.run_test(size=SIZE) as pilot:

        async def look(*keys: str, words: str = "") -> None:
            for key in keys:
                await pilot.press(key)
                await settled(pilot)
            if words:
                await until(pilot, words)
            drawn.append(plain_svg(app.export_screenshot(title="distill-tui demo", simplify=True)))

        stages = ["importing", "building", "training", "evaluating"]  # each as it is seen; a short one may pass unseen
        for _ in range(int(PATIENCE / 0.1)):
            shown = text_of(app)
            if "sign off" in shown:
                await look()
                break
            for stage in [each for each in stages if each in shown]:
                stages.remove(stage)
                await look()
            await pilot.pause(0.1)
        await look("enter", "5", words="Gate held")
        await look("H", words="This is not signed off")
        await look("at", words="Act as another person")
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("a")
        await pilot.pause(DEAF + 0.5)
        for _ in range(PAGES):
            await pilot.press("pagedown")
            await settled(pilot)
        await pilot.press(*"Read.", "enter")
        await look(words="type P-001")
        await pilot.press(*(_pressed(each) for each in app.screen.typed), "enter")  # type: ignore[attr-defined]
        await settled(pilot)
        await look(words="Your sign-off is recorded")
        await pilot.press("at", "enter")
        await settled(pilot)
        await pilot.press("a")
        await settled(pilot)
        await pilot.press(*(_pressed(each) for each in "P-001"), "enter")
        await look(words="is written and live")
        await look("q", words="live")
    return drawn


def _pressed(character: str) -> str:
    return {" ": "space", "-": "minus"}.get(character, character)


def in_turn(drawn: list[str]) -> str:
    """Return one drawing that shows the pictures in turn, over and over."""
    total, size = SHOWN * len(drawn), re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn[0])
    assert size is not None
    rules, parts = [], []
    for number, picture in enumerate(drawn):
        begin, end = 100 * number / len(drawn), 100 * (number + 1) / len(drawn)
        first = "" if number == 0 else "0% { visibility: hidden } "
        last = "" if number == len(drawn) - 1 else f" {end:.3f}% {{ visibility: hidden }}"
        rules.append(f"@keyframes p{number} {{ {first}{begin:.3f}% {{ visibility: visible }}{last} }}")
        rules.append(f".p{number} {{ visibility: hidden; animation: p{number} {total:g}s step-end infinite }}")
        parts.append(f'<g class="p{number}">{picture}</g>')
    still = "@media (prefers-reduced-motion: reduce) { .p4 { visibility: visible } g { animation: none !important } }"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[1]} {size[2]}">\n<style>\n'
        + "\n".join([*rules, still])
        + "\n</style>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def main() -> None:
    """Play and draw."""
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python cast.py OUT.svg [DEMO]")
    frame.clock = lambda: "10:00"
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) == 3:
            shutil.copytree(sys.argv[2], Path(folder) / "demo")
        else:
            demo.make(Path(folder) / "demo")
        drawn = asyncio.run(pictures(Path(folder) / "demo"))
    Path(sys.argv[1]).write_text(in_turn(drawn), encoding="utf-8")
    print(f"Wrote {sys.argv[1]}: {len(drawn)} pictures.")


if __name__ == "__main__":
    main()
