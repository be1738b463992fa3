"""A shipped, signed play whose student answers without torch, made once a session: what the gateway serves in tests."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

from distill_tui import actions
from distill_tui.store.project import now
from distill_tui.store.sqlite import module as sqlite3
from distill_tui.terms import Export
from support import data_runs, real_play
from support.live_play import workers_here

SPEC = replace(real_play.SPEC, export=Export.ONNX_INT8)


@cache
def _made() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="served-play-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    play = real_play.copy_to(folder, SPEC)
    play.sign(comment="Read 30 cases; fine.")
    play.ship()
    play.project.close()
    connection = sqlite3.connect(play.path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return play.folder


def copy_to(folder: Path) -> real_play.Play:
    """Return a copy of the shipped play, opened."""
    shutil.copytree(_made(), folder / "team", ignore=shutil.ignore_patterns("*-wal", "*-shm"))
    return real_play.opened(folder / "team")


def refreshed(folder: Path) -> real_play.Play:
    """Return a copy of the shipped play with a refresh to decide on, of other inputs of the same words."""
    play = copy_to(folder)
    project, number, dan = play.project, play.id, play.by("dan")
    known = {word for words in real_play.WORDS.values() for word in words}
    rows = []
    for row in real_play.traffic(soft=False):
        words = (word if word in known else word[::-1] for word in row["input"].split())
        rows.append(json.dumps(row | {"input": " ".join(words), "time": now()}) + "\n")  # a refresh asks for dates
    (folder / "more.jsonl").write_text("".join(rows))
    actions.refresh(project, number, dan, "more words")
    data_runs.import_traffic(project, number, dan, folder / "more.jsonl")
    data_runs.build_data(project, number, dan)
    data_runs.freeze_data(project, number, dan)
    with workers_here():
        real_play.finished(project, actions.start_run(project, number, dan, SPEC))
        real_play.finished(project, actions.evaluate(project, number, dan))
        real_play.finished(project, actions.rehearse(project, number, play.by("olga")))
    return play


def with_two_bundles(folder: Path) -> real_play.Play:
    """Return a copy of the shipped play after a refresh that shipped too."""
    play = refreshed(folder)
    play.sign(comment="Read 30 more; fine.")
    play.ship()
    return play


def bundle_of(play: real_play.Play) -> Path:
    """Return the folder of the live bundle."""
    live = play.project.dossier(play.id).live
    assert live is not None
    return play.project.artifacts.path(live.digest)
