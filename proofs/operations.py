"""Operations that must happen completely or not at all: where each starts, how it runs, how to see that it is done.

An operation that a worker does (import, labelling, build, freeze, training) runs the worker's `main` in this process,
and resumes the run that an earlier, killed attempt left.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from distill_tui import actions
from distill_tui.dataset import build, frozen, readers, traffic  # noqa: F401  # before any fork
from distill_tui.dataset.audit import counts  # noqa: F401
from distill_tui.digests import folder_digest
from distill_tui.rounds import cost_estimate
from distill_tui.rules.actor import Actor
from distill_tui.rules.objection import Refused
from distill_tui.runs import build as build_run  # noqa: F401  # before any fork
from distill_tui.runs import claim, freeze, import_traffic, worker  # noqa: F401
from distill_tui.runs.executors import local
from distill_tui.store import audit_log, doctor, migrations
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.backup import backup
from distill_tui.store.project import Project, ProjectError
from distill_tui.store.sqlite import module as sqlite3
from distill_tui.teachers import cache
from distill_tui.teachers.description import TEMPLATES, Described
from distill_tui.terms import Opinion, RunKind, RunStatus, TeacherSource
from kit import NAME, Bench, Send, background
from support import data_runs, endpoints, stories
from support.stories import SPEC, Auditor
from support.story import actor

TRAINING = 4  # the number of the run that trains: import, build and freeze come before it
COPY = "copy.distill"
DAN = actor("dan")
OF_THE_MACHINE = ("room", "clock")  # findings of the doctor that are about the machine and not the file
SMALL = replace(SPEC, hidden=16, depth=1, vocabulary=300, epochs=2, batch_size=128, controls=())  # four steps in all
LIMITS = {"budget": "9", "price_in": "1", "price_out": "2"}


class RunFailed(ProjectError):
    """A worker ended its run early; the run's message says why."""


@dataclass(frozen=True)
class Operation:
    """A change that must happen completely or not at all."""

    stage: str  # where it starts
    run: Callable[[Path], object]
    done: str | Callable[[Path], bool]  # SQL that returns a row once it is done, or a look at the file
    repeatable: bool = False  # otherwise a second run must be rejected
    files: tuple[str, ...] = (NAME,)  # each project file must be whole, where it is there
    inspect: Callable[[Path], str] = lambda path: ""  # one more check after each attempt
    kind: RunKind | None = None  # of the run in which a worker does it

    def is_done(self, path: Path) -> bool:
        if callable(self.done):
            return self.done(path)
        return bool(query(path, self.done))


def query(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Read with plain SQL."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def prepare_process(workers: bool) -> None:
    """No warnings, and enough open files for many trials; without workers of their own, no lower priority either."""
    warnings.simplefilter("ignore")
    if not workers:
        os.environ["XDG_STATE_HOME"] = "/dev/null/nothing"  # each trial is a copy of one project: nothing is remembered
        local.start = lambda project, run: None
        os.nice = lambda increment: 0
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


# --- stages ---------------------------------------------------------------------------------------------------------


def make_stages(folder: Path) -> None:
    """Take one play from its gate to its sign-off, and keep a copy at each stage."""
    work = folder / "work"
    work.mkdir()
    calls, project = stories.write_traffic(work / "calls.jsonl"), stories.found(work / NAME)
    play = stories.open_play(project)

    def keep(name: str) -> None:
        project.close()  # the last to close writes the log back into the file; it opens again by itself
        shutil.copytree(work, folder / name)

    keep("open")
    actions.qualify(project, play, DAN)
    keep("unlocked")
    actions.lock_gate(project, play, actor("sam"))
    keep("locked")
    data_runs.import_traffic(project, play, DAN, calls)
    actions.set_teacher(project, play, DAN, None)
    keep("imported")
    data_runs.build_data(project, play, DAN)
    keep("built")
    data_runs.freeze_data(project, play, DAN)
    keep("frozen")
    run = actions.start_run(project, play, DAN, SPEC)
    keep("queued")
    stories.finish_training(project, run)
    keep("trained")
    evaluation = actions.evaluate(project, play, DAN)
    keep("evaluating")
    stories.finish_evaluation(project, evaluation, 12)
    stories.finish_rehearsal(project, actions.rehearse(project, play, actor("olga")))
    keep("decided")
    actions.sign_off(project, play, actor("vera"), Opinion.APPROVE, "I looked.")
    keep("signed")
    shutil.rmtree(work)


# --- checks ---------------------------------------------------------------------------------------------------------


def trouble(path: Path) -> str:
    """Return what is wrong with a project: by the tests' auditor, by the doctor, and by each artifact's digest."""
    try:
        Auditor(path).look()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    wrong = [f"{each.name}: {each.says}" for each in doctor.file(path) if not each.ok]
    wrong = [each for each in wrong if each.partition(":")[0] not in OF_THE_MACHINE]
    artifacts = Artifacts(path.with_name(f"{path.name}.artifacts"))
    if artifacts.folder.is_dir():
        named = [each.name for each in artifacts.folder.iterdir() if len(each.name) == 64]
        wrong += [found for name in named if (found := artifacts.trouble(f"sha256:{name}"))]
    return "; ".join(wrong)


def check_after(operation: Operation, path: Path, acknowledged: bool) -> str:
    """Check that an interrupted operation is done or not done, and that it can be done; return what was lost."""
    if wrong := files_trouble(operation, path) or operation.inspect(path):
        return wrong
    done = path.exists() and operation.is_done(path)
    if acknowledged and not done:
        return "it was acknowledged and is not done"
    try:
        if not done or operation.repeatable:
            operation.run(path)
        elif not rejected(operation, path):
            return "it could be done twice"
        if not operation.is_done(path):
            return "it cannot be done any more"
    except Exception as error:
        return f"it cannot be done any more: {type(error).__name__}: {error}"
    return files_trouble(operation, path) or operation.inspect(path)


def files_trouble(operation: Operation, path: Path) -> str:
    found = (path.with_name(name) for name in operation.files)
    return "; ".join(wrong for each in found if each.exists() and (wrong := trouble(each)))


def rejected(operation: Operation, path: Path) -> bool:
    try:
        operation.run(path)
    except (Refused, ProjectError):
        return True
    return False


def run_trouble(path: Path) -> str:
    """Check that a run that ended early has one plain line for it; "done" where only its last sync failed."""
    project = Project.open(path)
    local.reap(project)
    run = project.dossier(1).runs[-1]
    project.close()
    if run.status is RunStatus.FINISHED:
        return "done"
    if run.status not in (RunStatus.FAILED, RunStatus.LOST, RunStatus.QUEUED):
        return f"the run is {run.status.value}"
    for line in (run.message or "", run.error or ""):
        if "\n" in line or re.match(r"\w*(Error|Exception): ", line):
            return f"no plain line: {line:.200}"
    return ""


# --- the operations -------------------------------------------------------------------------------------------------


def act(do: Callable[[Project], object]) -> Callable[[Path], None]:
    """Do something with an open project."""

    def run(path: Path) -> None:
        project = Project.open(path)
        try:
            do(project)
        finally:
            project.close()

    return run


def work(kind: RunKind, queue: Callable[[Project], int] | None = None) -> Callable[[Path], None]:
    """Do the newest run of a kind as a worker does: the queued one, one that is resumed, or a new one."""

    def run(project: Project) -> None:
        number = pending(project, kind)
        if number is None:
            if queue is None:
                raise ProjectError("nothing is queued")
            number = queue(project)
        try:
            code = worker.main([str(project.path), str(number)])
        except Exception as error:
            raise RunFailed(f"{type(error).__name__}: {error}") from error
        if code:
            raise RunFailed(project.dossier(1).run(number).message)

    return act(run)


def finish(kind: RunKind, end: Callable[[Project, int], None]) -> Callable[[Path], None]:
    """Record the end of a queued run as a worker does, without its work."""

    def run(project: Project) -> None:
        number = pending(project, kind)
        if number is None:
            raise ProjectError("nothing is queued")
        end(project, number)

    return act(run)


def pending(project: Project, kind: RunKind) -> int | None:
    """Return the newest run of a kind that is not finished, queued again where its worker is gone."""
    local.reap(project)
    runs = [run for run in project.dossier(1).runs if run.kind is kind and run.status is not RunStatus.FINISHED]
    if not runs:
        return None
    last = runs[-1]
    return last.id if last.status is RunStatus.QUEUED else actions.resume_run(project, 1, DAN, last.id)


def create(path: Path) -> None:
    Project.create(path, "x", "mia", "Mia", Actor(None, actor("mia").proof)).close()


def back_up(project: Project) -> None:
    """Back up, after moving away what a killed backup left, as its message asks."""
    copy = project.path.with_name(COPY)
    if not copy.exists():
        shutil.rmtree(f"{copy}.artifacts", ignore_errors=True)
    backup(project, copy)


def calls(project: Project) -> Path:
    return project.path.parent / "calls.jsonl"


OPERATIONS = {
    "import": Operation(
        "locked",
        work(RunKind.IMPORT, lambda project: actions.import_traffic(project, 1, DAN, calls(project))),
        "SELECT 1 FROM traffic",
        kind=RunKind.IMPORT,
    ),
    "data build": Operation(
        "imported",
        work(RunKind.BUILD, lambda project: actions.build_data(project, 1, DAN)),
        "SELECT 1 FROM data_set",
        repeatable=True,
        kind=RunKind.BUILD,
    ),
    "freeze": Operation(
        "built",
        work(RunKind.FREEZE, lambda project: actions.freeze_data(project, 1, DAN)),
        "SELECT 1 FROM data_set WHERE frozen_at IS NOT NULL",
        kind=RunKind.FREEZE,
    ),
    "gate lock": Operation(
        "unlocked",
        act(lambda project: actions.lock_gate(project, 1, actor("sam"))),
        "SELECT 1 FROM gate WHERE locked_at IS NOT NULL",
    ),
    "end of training": Operation(
        "queued",
        finish(RunKind.TRAIN, stories.finish_training),
        "SELECT 1 FROM run WHERE kind = 'train' AND status = 'finished'",
    ),
    "evaluation": Operation(
        "evaluating",
        finish(RunKind.EVALUATE, lambda project, run: stories.finish_evaluation(project, run, 12)),
        "SELECT 1 FROM evaluation JOIN play ON stage = 'decide'",
    ),
    "sign-off": Operation(
        "decided",
        act(lambda project: actions.sign_off(project, 1, actor("vera"), Opinion.APPROVE, "I looked.")),
        "SELECT 1 FROM sign_off",
        repeatable=True,
    ),
    "ship": Operation(
        "signed",
        act(lambda project: actions.ship(project, 1, actor("olga"))),
        "SELECT 1 FROM bundle JOIN play ON stage = 'live'",
    ),
    "init": Operation("", create, Path.exists),
    "backup": Operation("signed", act(back_up), lambda path: path.with_name(COPY).exists(), files=(NAME, COPY)),
}
SPECIAL = ("labelling", "training", "upgrade")  # these need preparation
NAMES = (*OPERATIONS, *SPECIAL)


def prepared(bench: Bench, name: str, *, inputs: int | None = None, concurrency: int = 3) -> Operation:
    """Return an operation, ready to run on a copy of its stage."""
    if name == "labelling":
        return labelling(bench, inputs, concurrency)
    if name == "training":
        return training(bench)
    if name == "upgrade":
        expect_one_more_step()
        return Operation("signed", act(lambda project: None), is_upgraded, repeatable=True)
    return OPERATIONS[name]


# --- upgrade --------------------------------------------------------------------------------------------------------


def one_more_step(connection: sqlite3.Connection) -> None:
    """Do what a later release might do: a table, a trigger, and a row for each entry of the log."""
    connection.execute("CREATE TABLE later (seq INTEGER PRIMARY KEY, length INTEGER NOT NULL, at TEXT) STRICT")
    connection.execute("INSERT INTO later SELECT seq, length(detail), at FROM audit")
    connection.execute("CREATE TRIGGER later_kept BEFORE DELETE ON later BEGIN SELECT RAISE(ABORT, 'kept'); END")


def expect_one_more_step() -> None:
    """Treat every project file that was made before as one of an older release.

    There is one released format, so the step is not of any release; the machinery is that of each opening.
    """
    if one_more_step not in migrations.MIGRATIONS:
        migrations.MIGRATIONS = (*migrations.MIGRATIONS, one_more_step)
        migrations.VERSION += 1
        audit_log.expected_schema.cache_clear()


def is_upgraded(path: Path) -> bool:
    """Whether a file is of the new format. Raises AssertionError where it is of neither."""
    ((version,),) = query(path, "PRAGMA user_version")
    there = bool(query(path, "SELECT 1 FROM sqlite_schema WHERE name = 'later'"))
    assert there == (version == migrations.VERSION), f"half an upgrade: format {version}"
    return there


# --- labelling ------------------------------------------------------------------------------------------------------


def labelling(bench: Bench, inputs: int | None, concurrency: int) -> Operation:
    """Label through an endpoint on this machine that counts what was paid: a request counts once it is answered.

    A kill may lose the answers in flight. What the cache holds must not be requested again.
    """
    import openai  # noqa: F401  # before any fork

    os.environ["DISTILL_TEACHER_KEY"] = "sk-unused"
    log = bench.folder / "paid.jsonl"
    log.touch()
    endpoint = bench.finally_.enter_context(background(lambda send: serve(log, send)))
    teacher = Described(
        TeacherSource.ENDPOINT, "tiny", endpoints.LABELS, TEMPLATES[TeacherSource.ENDPOINT], endpoint.line()
    )
    folder = bench.stages / f"labelling-{os.getpid()}"
    shutil.copytree(bench.stages / "locked", folder)
    calls_file = folder / "calls.jsonl"
    calls_file.write_text("".join(calls_file.read_text().splitlines(keepends=True)[:inputs]))
    project = Project.open(folder / NAME)
    data_runs.import_traffic(project, 1, DAN, calls_file)
    actions.set_teacher(project, 1, DAN, teacher)
    limits = LIMITS | {"concurrency": str(concurrency)}
    cost_estimate.estimate_labels(project.artifacts, project.dossier(1), limits)
    actions.label(project, 1, DAN, limits)
    project.close()
    before, trials, looked = answered(folder / NAME), {}, [len(log.read_text().splitlines())]

    def paid_twice(path: Path) -> str:
        """Compare what was paid since the last look with what was kept then."""
        paid, now = [json.loads(line) for line in log.read_text().splitlines()], answered(path)
        kept, start, attempts = trials.get(path, (before, looked[0], 0))
        again = {teacher.prompt(text) for text in kept} & set(paid[looked[0] :])
        looked[0], trials[path] = len(paid), (now, start, attempts + 1)
        if again:
            return f"{len(again)} answers that were kept were paid again"
        in_flight = len(paid) - start - (len(now) - len(before))
        return f"{in_flight} paid answers are missing" if in_flight > concurrency * (attempts + 1) else ""

    return Operation(
        folder.name,
        work(RunKind.LABEL),
        "SELECT 1 FROM run WHERE kind = 'label' AND status = 'finished'",
        inspect=paid_twice,
        kind=RunKind.LABEL,
    )


def serve(log: Path, send: Send) -> None:
    """Answer every request, and log each prompt that was answered; no model is needed."""
    endpoints.labelling_model = lambda folder: lambda prompt: ("fine", [0.1, 0.7, 0.2])
    server = endpoints.Server(log.parent)
    server.slow, server.handle_error = 0.004, lambda *_: None  # a killed client closes its connection

    class Paid(list[str]):
        def append(self, prompt: str) -> None:
            with log.open("a") as file:
                file.write(json.dumps(prompt) + "\n")

    server.asked = Paid()
    send(server.url)
    server.serve_forever()


def answered(path: Path) -> set[str]:
    """Return the inputs whose answers are in the cache."""
    project = Project.open(path)
    try:
        dossier = project.dossier(1)
        inputs = traffic.distinct_inputs([project.artifacts.path(each.artifact) for each in dossier.traffic])
        return {inputs[digest] for digest in cache.answered(project.artifacts.folder, dossier.play.teacher_digest)}
    finally:
        project.close()


# --- training -------------------------------------------------------------------------------------------------------


def training(bench: Bench) -> Operation:
    """Train a real student with a checkpoint after each step; a resumed run must end with an undisturbed one's bits.

    The undisturbed run happens in this process, so that the children need no imports.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads do not survive a fork
    from distill_tui.training import loop

    loop.CHECKPOINT_SECONDS = 0.0
    stage = f"training-{os.getpid()}"
    shutil.copytree(bench.stages / "frozen", bench.stages / stage)
    act(lambda project: actions.start_run(project, 1, DAN, SMALL))(bench.stages / stage / NAME)
    train, undisturbed = work(RunKind.TRAIN), bench.copy(stage) / NAME
    train(undisturbed)
    wanted = trained(undisturbed)

    def inspect(path: Path) -> str:
        if wrong := half_written(path, str(wanted[0])):
            return wrong
        if operation.is_done(path) and trained(path) != wanted:
            return "it ended with other bits than an undisturbed run"
        return ""

    done = "SELECT 1 FROM run WHERE kind = 'train' AND status = 'finished'"
    operation = Operation(stage, train, done, inspect=inspect, kind=RunKind.TRAIN)
    return operation


def trained(path: Path) -> tuple[object, bytes, bytes]:
    """Return what must be the same: the student's digest, the tensors of the last checkpoint, and its manifest."""
    newest = sorted(path.with_name(f"{NAME}.artifacts").glob(f"runs/{TRAINING}/scratch/checkpoints/step-*"))[-1]
    ((student,),) = query(path, f"SELECT artifact FROM run WHERE id = {TRAINING}")
    return student, (newest / "state.safetensors").read_bytes(), (newest / "manifest.json").read_bytes()


def half_written(path: Path, student: str) -> str:
    """Return which checkpoint or student has its name and is not whole."""
    scratch = path.with_name(f"{NAME}.artifacts") / "runs" / str(TRAINING) / "scratch"
    for checkpoint in (scratch / "checkpoints").glob("step-*"):
        try:
            manifest = json.loads((checkpoint / "manifest.json").read_text())
            tensors = (checkpoint / "state.safetensors").read_bytes()
        except (OSError, ValueError) as error:
            return f"{checkpoint.name} has its name and is not whole: {error}"
        if hashlib.sha256(tensors).hexdigest() != manifest["sha256"]:
            return f"{checkpoint.name} has its name and other tensors than its manifest"
    made = scratch / "student"
    return "half a student has its name" if made.exists() and folder_digest(made) != student else ""
