"""Kill labelling again and again while an endpoint answers: what was kept is never paid for twice.

    python proofs/storms_teacher.py               # 200 kills
    python proofs/storms_teacher.py --kills 20

The endpoint is a process of its own on this machine that speaks the OpenAI protocol, and counts on its side: a request
counts as paid once it is answered. A kill may lose what was in flight, at most as many answers as were asked for at
once; whatever the cache holds must not be asked again, and at the end every input has one answer.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from trials import MEMORY, NAME, Child, Row, beginnings, fresh, table, trouble

os.environ["DISTILL_TEACHER_KEY"] = "sk-of-nobody"

import openai  # noqa: F401  # before any fork

from distill_tui import actions
from distill_tui.rounds import cost_estimate
from distill_tui.runs import worker
from distill_tui.runs.claim import Claim
from distill_tui.runs.executors import local
from distill_tui.store.project import Project
from distill_tui.teachers import cache
from distill_tui.teachers.description import TEMPLATES, Described
from distill_tui.terms import RunStatus, TeacherSource
from support import endpoints
from support.story import actor

LABELS, AT_ONCE = endpoints.LABELS, 3
LIMITS = {"budget": "9", "price_in": "1", "price_out": "2", "concurrency": str(AT_ONCE)}


def serve(log: Path, tell: Callable[[str], None]) -> None:
    """Answer for ever, and write down each prompt that was answered; the model behind it does not matter here."""
    endpoints.labelling_model = lambda folder: lambda prompt: ("fine", [0.1, 0.7, 0.2])  # type: ignore[assignment]
    server = endpoints.Server(log.parent)
    server.slow, server.handle_error = 0.004, lambda *_: None  # type: ignore[method-assign]  # whoever asked was killed

    class Paid(list[str]):
        def append(self, prompt: str) -> None:
            with log.open("a") as file:
                file.write(json.dumps(prompt) + "\n")

    server.asked = Paid()
    tell(server.url)
    server.serve_forever()


def storm(kept: dict[str, Path], parent: Path, kills: int, chance: Random) -> Row:
    """Kill labelling at random moments until there were so many kills; each run goes on until it ends."""
    log, lost, done, runs, paid, twice = parent / "paid.jsonl", [], 0, 0, 0, 0
    log.touch()
    endpoint = Child(lambda tell: serve(log, tell))
    endpoint.go()
    teacher = Described(TeacherSource.ENDPOINT, "tiny", LABELS, TEMPLATES[TeacherSource.ENDPOINT], endpoint.line())
    try:
        while done < kills:
            log.write_text("")
            folder, killed, runs = fresh(kept["imported"], parent), 0, runs + 1
            prepare(folder / NAME, teacher)
            while True:
                before, at = answered(folder), len(prompts(log))
                told = label(folder / NAME, chance)
                again = {teacher.prompt(text) for text in before} & set(prompts(log)[at:])
                lost += [f"{len(again)} answers that were kept were paid for again"] if again else []
                lost += [line[:300] for line in told if line.startswith("!")]
                killed += "done" not in told
                lost += not_kept(prompts(log), answered(folder), killed)
                if "done" in told or lost:
                    break
            done, paid = done + killed, paid + len(prompts(log))
            twice += sum(times - 1 for times in Counter(prompts(log)).values())
            lost += list(wrong_at_the_end(folder, prompts(log)))
            shutil.rmtree(folder.parent)
            if lost:
                break
    finally:
        endpoint.kill()
        endpoint.end()
    said = f"{runs} runs ended; {paid:,} answers paid, {twice} of them twice, all in flight at a kill"
    return Row("SIGKILL: labelling", done, said, lost)


def prepare(path: Path, teacher: Described) -> None:
    """Choose the endpoint, try one row, and queue the run."""
    project = Project.open(path)
    actions.set_teacher(project, 1, actor("dan"), None, teacher)
    cost_estimate.estimate_labels(project.artifacts, project.dossier(1), LIMITS)
    actions.label(project, 1, actor("dan"), LIMITS)
    project.close()


def label(path: Path, chance: Random) -> list[str]:
    """Have a worker label, and kill it at a random moment; gives what it told."""

    def do(tell: Callable[[str], None]) -> None:
        project = Project.open(path)
        run = next(run for run in project.dossier(1).runs)
        held = local.lock(project.artifacts.run_folder(run.id or 0))
        claimed = Claim.take(project, run.id or 0)
        assert held is not None and claimed is not None, run.status
        tell("begun")
        worker.work(claimed)
        tell("done")

    project = Project.open(path)
    local.reap(project)
    run = project.dossier(1).runs[-1]
    if run.status is RunStatus.LOST:
        actions.resume_run(project, 1, actor("dan"), run.id)
    project.close()
    child = Child(do)
    child.go()
    first = child.line()
    time.sleep(chance.uniform(0, 0.5))
    child.kill()
    return [first, *child.end()]


def prompts(log: Path) -> list[str]:
    """Read what the endpoint answered so far, on its own word."""
    return [json.loads(line) for line in log.read_text().splitlines()]


def answered(folder: Path) -> set[str]:
    """Give the inputs whose answers are kept."""
    from distill_tui.dataset.traffic import distinct_inputs

    project = Project.open(folder / NAME)
    try:
        dossier = project.dossier(1)
        inputs = distinct_inputs([project.artifacts.path(each.artifact) for each in dossier.traffic])
        return {inputs[digest] for digest in cache.answered(project.artifacts.folder, dossier.play.teacher_digest)}
    finally:
        project.close()


def not_kept(paid: list[str], inputs: set[str], killed: int) -> list[str]:
    """See that no more was paid for than is kept, and was in flight at a kill."""
    if len(paid) <= len(inputs) + AT_ONCE * killed:
        return []
    return [f"{len(paid)} answers were paid for {len(inputs)} inputs and {killed} kills"]


def wrong_at_the_end(folder: Path, paid: list[str]) -> list[str]:
    """See that every input has its answer."""
    wrong, inputs = [], answered(folder)
    project = Project.open(folder / NAME)
    run = project.dossier(1).runs[-1]
    project.close()
    if run.status is not RunStatus.FINISHED or len(inputs) != len(set(paid)):
        wrong.append(f"the run is {run.status.value}, {len(inputs)} inputs are answered, {len(set(paid))} were asked")
    return [*wrong, *([said] if (said := trouble(folder / NAME)) else [])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    started, kills = time.monotonic(), max(5, round(given.kills * given.scale))
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        kept = beginnings(Path(folder))
        (parent := Path(folder) / "trials").mkdir()
        row = storm(kept, parent, kills, Random(given.seed))
    print(f"labelling: {row.times:,} kills in {time.monotonic() - started:,.0f} s")
    return table([row])


if __name__ == "__main__":
    sys.exit(main())
