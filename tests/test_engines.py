"""The recipes of deploy/engines on real engines in local mode: `make slow`, where the extra `engines` is installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from distill_tui import actions
from distill_tui.cli.app import main
from distill_tui.runs.executors.place import Place
from distill_tui.store.project import Project
from distill_tui.terms import Executor, RunStatus
from support import latency_play
from support.latency_play import DAN, QUICK
from support.live_play import workers_here
from support.training import teacher as tiny_teacher  # noqa: F401
from support.unlabelled_play import unlabelled  # noqa: F401

pytestmark = pytest.mark.slow
RECIPES = Path(__file__).parents[1] / "deploy" / "engines"


def recipe(engine: str, name: str, *words: str) -> str:
    """Run a recipe as its user would, and return its output."""
    pytest.importorskip(engine, reason=f"{engine} is not installed: pip install 'distill-tui[engines]'")
    done = subprocess.run([sys.executable, str(RECIPES / name), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("engine", "name"), [("ray", "ray_shards.py"), ("datatrove", "datatrove_shards.py")])
def test_an_engine_labels_the_shards_of_a_run(unlabelled: Project, tmp_path: Path, engine: str, name: str) -> None:
    folder = tmp_path / "shards"
    where = Place(on=Executor.FILES, folder=str(folder), shards=3)
    run = actions.label(unlabelled, 1, DAN, where=where)
    recipe(engine, name, str(folder))
    actions.resume_run(unlabelled, 1, DAN, run, where)
    ended = unlabelled.dossier(1).runs[-1]
    assert ended.status is RunStatus.FINISHED, ended.error or ended.message


@pytest.mark.parametrize(("engine", "name"), [("ray", "ray_shards.py"), ("datatrove", "datatrove_shards.py")])
def test_an_engine_trains_a_student(tmp_path: Path, engine: str, name: str) -> None:
    folder = tmp_path / "shards"
    where = Place(on=Executor.FILES, folder=str(folder))
    with workers_here():
        project, play = latency_play.frozen(tmp_path)
        run = actions.start_run(project, play, DAN, QUICK, where)
        recipe(engine, name, str(folder))
        actions.resume_run(project, play, DAN, run, where)
    assert project.dossier(play).runs[-1].status is RunStatus.FINISHED
    project.close()


def test_datatrove_leaves_out_near_duplicates_and_the_import_takes_what_it_kept(tmp_path: Path) -> None:
    draw = Random(3)
    words = ["".join(draw.choices("abcdefghijklmnop", k=draw.randint(3, 8))) for _ in range(400)]
    rows = [{"input": " ".join(draw.choices(words, k=14)), "teacher": "ab"[n % 2], "id": n} for n in range(600)]
    rows += [row | {"input": f"{row['input']} ok", "id": 1000 + n} for n, row in enumerate(rows[:60])]
    (tmp_path / "traffic").mkdir()
    for part in range(2):
        lines = (json.dumps(row) + "\n" for row in rows[part::2])
        (tmp_path / "traffic" / f"{part}.jsonl").write_text("".join(lines))
    recipe("datatrove", "datatrove_near_duplicates.py", str(tmp_path / "traffic"), str(tmp_path / "out"))
    kept, left = ([json.loads(line) for path in sorted((tmp_path / "out" / name).glob("*.jsonl"))
                   for line in path.read_text().splitlines()] for name in ("kept", "left_out"))  # fmt: skip
    assert sorted(row["id"] % 1000 for row in left) == list(range(60))
    assert sorted((row["id"], row["input"], row["teacher"]) for row in kept + left) == sorted(
        (row["id"], row["input"], row["teacher"]) for row in rows
    )
    with workers_here():
        project, play = latency_play.locked(tmp_path)
        code = main(["--project", str(project.path), "import", "P-001", str(tmp_path / "out" / "kept")])
    assert code == 0 and sum(row.rows for row in project.dossier(play).traffic) == 600
    project.close()
