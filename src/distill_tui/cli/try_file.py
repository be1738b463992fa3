"""The command `try`: would a small model do? One file in, one page out; no project, no roles, nothing to ship."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from pathlib import Path

import click

from distill_tui.cli import plan_option, traffic
from distill_tui.cli.call import Call, InputError, reading
from distill_tui.cli.exits import PROGRAM
from distill_tui.cli.options import FILE, command
from distill_tui.cli.plans import tryout
from distill_tui.reports import html, text, tryout_page


@command("try", "Try a file of traffic without a project: would a small model do? Two minutes; nothing can be shipped.")
@click.argument(
    "file", metavar="FILE", type=FILE, help="traffic: an input and the teacher's answer a row, gold for some"
)
@traffic.columns
@click.option("--levels", metavar="SCALE", default="", help="the answers are scores: 1,2,3,4,5, or a range like 0..1")
@click.option("--rows", metavar="N", type=click.IntRange(min=60), default=6000, help="the most rows; a random sample")
@click.option("--html", "page", metavar="OUT.html", type=FILE, help="also write one self-contained page")
def try_(call: Call, file: str, levels: str, rows: int, page: str | None, **columns: str | None) -> None:
    path, began = Path(file).absolute(), time.monotonic()
    if page and Path(page).exists():
        raise InputError(f"{Path(page).name} exists already; name a new file.")
    follow = plan_option.narrated(call, began)
    with tempfile.TemporaryDirectory(prefix="distill-try-") as folder, reading():
        found = tryout.run(path, traffic.mapping(path, columns), Path(folder), call.talk, follow, rows, levels)
    found = dataclasses.replace(found, seconds=round(time.monotonic() - began, 1))
    made = _plan(path, found.plan)
    ends = f"{PROGRAM} init {path.name.partition('.')[0]}.distill --from {made.name}"
    note = f"Tried in {found.seconds:.0f} s. Nothing of it was kept: the students are gone."
    parts = list(tryout_page.of(found))
    if page:
        Path(page).write_text(html.page_of(f"Would a small model do? {path.name}", note, parts, ends), encoding="utf-8")
        call.talk(f"Wrote {page}.")
    value = {"sections": [dataclasses.asdict(part) for part in parts], "seconds": found.seconds, "plan": str(made)}
    call.data(value, [*text.parts(parts, plain=call.plain), "", note, f"Make it a play:  {ends}"])


def _plan(path: Path, written: str) -> Path:
    """Write the plan into this folder, under a name that is free."""
    stem = path.name.partition(".")[0]
    for name in (f"{stem}.plan.toml", *(f"{stem}-{number}.plan.toml" for number in range(2, 1000))):
        if not Path(name).exists():
            Path(name).write_text(written, encoding="utf-8")
            return Path(name)
    raise InputError(f"There are too many plans of {stem} here; remove some.")
