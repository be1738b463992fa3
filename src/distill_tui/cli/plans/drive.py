"""Drive a planned play by its verbs, as the people whose proofs are at hand, up to the first step of another person.

`python -m distill_tui.cli.plans.drive PROJECT PLAN PLAY` is the driver of a demo. It is a process of its own, so that
the screens show the work and do none of it. It may be started again at any time: it continues where the play is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from distill_tui.actions import data, decide, gate, runs
from distill_tui.cli.plans import steps
from distill_tui.cli.plans.ahead import Ahead
from distill_tui.cli.plans.plan_file import Plan, PlayPlan, read
from distill_tui.gates import written
from distill_tui.people import identity, practice_keys
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.data import open_findings
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.next_step import next_step, waits_for
from distill_tui.rules.objection import Refused
from distill_tui.runs.executors import local
from distill_tui.spec import Spec
from distill_tui.store import queries
from distill_tui.store.project import Project
from distill_tui.terms import Action, RunKind, RunStatus, Stage

Who = Callable[[str], Actor | None]  # a person's proof, if it is at hand
KNOWN = "Read. These rows are made for practice, and this is known of them."


class Driver:
    """One play on its way, and what it is driven with."""

    def __init__(
        self, project: Project, play_id: int, whole: Plan, who: Who, say: steps.Say, follow: steps.Follow
    ) -> None:
        self.project, self.play_id, self.whole, self.who, self.say = project, play_id, whole, who, say
        name = project.dossier(play_id).play.name
        self.planned: PlayPlan = next(each for each in whole.plays if each.name == name)
        self.ahead, self._follow = Ahead.of(self.planned), follow

    def follow(self, project: Project, run_id: int) -> entities.Run:
        """Wait for a run, while the workers of the next ones start."""
        run = queries.run(project, run_id)
        assert run is not None
        self.ahead.begun(run.kind)
        return self._follow(project, run_id)

    def drive(self) -> PlayDossier:
        """Take the next step until none is left that can be taken here; return how the play stands then."""
        with closing(self.ahead):
            return self._drive()

    def _drive(self) -> PlayDossier:
        while True:
            dossier = self.project.dossier(self.play_id)
            active = next((run for run in dossier.runs if run.status.active), None)
            if active is not None:
                steps.finished(self.follow(self.project, active.id))
                continue
            step = self._step(dossier)
            actor = self.who(waits_for(dossier) or "") if step is not None else None
            try:
                if step is None or actor is None or not self._take(step, dossier, actor):
                    return dossier
            except Refused:
                if not self._moved(step):
                    raise

    def _moved(self, step: Action | None) -> bool:
        """Whether a person who watches took this step first: they may act on the play at any time."""
        dossier = self.project.dossier(self.play_id)
        return any(run.status.active for run in dossier.runs) or self._step(dossier) is not step

    def _step(self, dossier: PlayDossier) -> Action | None:
        return (
            Action.START_RUN if dossier.play.stage is Stage.TRAIN and self._untrained(dossier) else next_step(dossier)
        )

    def _untrained(self, dossier: PlayDossier) -> list[Spec]:
        begun = {run.spec for run in dossier.runs if run.kind is RunKind.TRAIN and run.status is RunStatus.FINISHED}
        specs = [runs.fitting(self.project, self.play_id, each)[0] for each in self.planned.students]
        return [spec for spec in specs if spec.to_json() not in begun]

    def _take(self, step: Action, dossier: PlayDossier, actor: Actor) -> bool:
        about, planned = (self.project, self.play_id, actor), self.planned
        match step:
            case Action.LOCK_GATE:
                key = practice_keys.near(self.project.path).get(actor.person or "")
                gate.lock_gate(*about, written.digest(planned.read_gate()), key=key)
                self.say(f"{actor.person} locked the gate.")
            case Action.IMPORT_TRAFFIC if planned.traffic:
                for traffic in planned.traffic:
                    steps.bring(*about, self.whole, traffic, self.follow)
            case Action.SET_TEACHER if planned.teacher is not None:
                steps.choose(*about, self.whole, planned.teacher, self.follow)
            case Action.ACCEPT_FINDINGS:
                data.accept_findings(*about, [each.id for each in open_findings(dossier)], KNOWN)
            case Action.LABEL:
                self._run(runs.label(*about))
            case Action.BUILD_DATA:
                self._run(data.build_data(*about))
            case Action.FREEZE_DATA:
                self._run(data.freeze_data(*about))
            case Action.START_RUN if self._untrained(dossier):
                self._run(runs.start_run(*about, self._untrained(dossier)[0]))
            case Action.EVALUATE:
                self._run(runs.evaluate(*about))
            case Action.SET_MAINTENANCE if planned.maintenance is not None:
                decide.set_maintenance(*about, planned.maintenance.sample, planned.maintenance.refresh_days)
            case _:
                return False
        return True

    def _run(self, run_id: int) -> None:
        steps.finished(self.follow(self.project, run_id))


def people_here(project: Project) -> Who:
    """Prove people by this account and by the practice keys next to the project."""
    dossier = project.project_dossier()
    keys, mine = practice_keys.near(project.path), identity.by_account(dossier)

    def who(person: str) -> Actor | None:
        if person == mine.person:
            return mine
        return identity.by_key(dossier, keys[person]) if person in keys else None

    return who


def start(path: Path, plan_file: Path, play: str) -> None:
    """Start the driver of a play as a process that outlives this one."""
    with (plan_file.parent / "driver.log").open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "distill_tui.cli.plans.drive", str(path), str(plan_file), play],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"DISTILL_THREADS": "1"},
        )


def main(arguments: list[str]) -> int:
    path, plan_file, play = Path(arguments[0]), Path(arguments[1]), arguments[2]
    held = local.lock(plan_file.parent / "drivers" / play)
    if held is None:
        return 0  # another driver is at it
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:6.1f} s  {play}: {text}\n")
        sys.stdout.flush()

    project = Project.open(path)
    found = project.project_dossier().play_names
    whole = read(plan_file.read_text(encoding="utf-8"), plan_file.parent)
    if play not in found:
        say("There is no such play in the project.")
        return 2

    Driver(project, queries.find_play(project, play), whole, people_here(project), say, steps.follow_quietly).drive()
    say("The driver has done what it may; the rest waits for a person.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
