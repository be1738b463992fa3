"""Makes the sample project: real text, a real teacher, two plays driven to `decide` by real work.

    python sample_projects/feedback_sentiment/make_project.py FOLDER [--headless] [--ship]

The app opens at once; the work is done by a driver, a process of its own, and seen on the board. With --headless it is
done here, one line a stage. Everything goes through the same verbs and the same door as the app and the commands. The
persons are the sample's own: dana drives by your OS account; sam (sponsor), vera (validator) and olga (operator) each
have a key pair in FOLDER/keys.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import fetch

from distill_tui import actions
from distill_tui.bundles.verify import verify_bundle
from distill_tui.cli import deferred
from distill_tui.cli.follow import Progress
from distill_tui.cli.plans import ahead, plan_file
from distill_tui.cli.plans import drive as drives
from distill_tui.cli.plans import steps as plans
from distill_tui.cli.plans.plan_file import MaintenancePlan, Plan, PlayPlan, TeacherPlan, TrafficPlan
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.row_identity import input_digest
from distill_tui.gates.gate import EVERY_SEGMENT, Criterion, Gate
from distill_tui.gates.record import Record
from distill_tui.gates.wording import megabytes, milliseconds
from distill_tui.gates.written import digest, to_toml
from distill_tui.people import identity, practice_keys, signatures
from distill_tui.review.rates import score_means, segment_rates
from distill_tui.review.serving_costs import costs
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.data import open_findings
from distill_tui.rules.next_step import advice
from distill_tui.rules.permission import objections
from distill_tui.runs.executors import local
from distill_tui.spec import Spec
from distill_tui.store import queries
from distill_tui.store.project import Project, ProjectError
from distill_tui.terms import (
    Action,
    Assurance,
    Metric,
    Opinion,
    PlayKind,
    Reference,
    Role,
    RunKind,
    RunStatus,
    Task,
)

PEOPLE = {
    "sam": (Role.SPONSOR, "Sam Sponsor"),
    "vera": (Role.VALIDATOR, "Vera Validator"),
    "olga": (Role.OPERATOR, "Olga Operator"),
}
TEACHER_ROWS, PLAY_ROWS, HELD_OUT = 2_400, 6_000, 1_800
FASTER = "feedback-as-you-type"  # the play that is driven first

COST = {  # no bill comes with the data: these are the sample's assumptions, and are stored as such
    "calls_per_month": "900000",
    "teacher_cost_per_1k": "0.40",
    "threshold_per_month": "300",
    "window_days": "90",
    "machine_price_per_hour": "0.10",
    "serving_cost_per_month": "40",
    "build_cost": "600",
    "sample_share": "0.01",
}
LATENCY = {
    "calls_per_month": "900000",
    "teacher_p95_ms": "35",
    "target_p95_ms": "5",
    "abandoned_share": "0.04",
    "share_of_top_patterns": "0.8",
}
STATIC = {"student": "static", "hidden": 128, "epochs": 6, "learning_rate": 3e-3, "alpha": 0.7}
LAYERS = {
    "student": "layers", "layers": [0, 5], "epochs": 1, "batch_size": 16, "learning_rate": 5e-4, "alpha": 0.7,
    "controls": [],  # a control arm would take another minute
}  # fmt: skip
SIGNED_BY_NOBODY = "Signed by the script of the sample; no person read it or judged an answer."
ASSUMED = "assumption of the sample project; no bill comes with the data"


def points(text: str) -> Decimal:
    """Read a share that is written in points."""
    return Decimal(text) / 100


COST_GATE = Gate(
    criteria=(
        Criterion(Metric.ACCURACY, Reference.TEACHER, margin=points("9"), binding=True),
        Criterion(Metric.ACCURACY, Reference.BASELINE, margin=points("0")),
        Criterion(Metric.ACCURACY, Reference.BASELINE, "segment: nyt", margin=points("0")),
        Criterion(Metric.P95_LATENCY, threshold=Decimal(100)),
        Criterion(Metric.PAYBACK, threshold=Decimal(6)),
    ),
    rounds=2,
    held_out_rows=HELD_OUT,
    minimum_assurance=Assurance.SIGNED,
    statement=(
        "We accept up to 9 points less accuracy than the teacher, as long as the student is shown to be ahead of the "
        "classifier that we could build without any teacher: over all, and on news sentences."
    ),
)
LATENCY_GATE = Gate(
    criteria=(
        Criterion(Metric.P95_LATENCY, threshold=Decimal(5), binding=True),
        Criterion(Metric.ACCURACY, Reference.TEACHER, margin=points("10")),
        Criterion(Metric.ACCURACY, scope=EVERY_SEGMENT, threshold=points("58")),
    ),
    rounds=2,
    held_out_rows=HELD_OUT,
    minimum_assurance=Assurance.SIGNED,
    statement="Typing must never wait: 5 ms. No kind of text may fall below 58% right answers.",
)


class Sample:
    """The project being made, who acts, and how long each part took."""

    def __init__(self, folder: Path, name: str = "feedback.distill") -> None:
        self.folder, self.path = folder, folder / name
        self.project: Project
        self.dana: Actor
        self.took: dict[str, float] = {}

    def open(self) -> None:
        """Open the project that is there."""
        self.project = Project.open(self.path)
        self.dana = identity.by_account(self.project.project_dossier())

    def by(self, person: str) -> Actor:
        """Prove one of the sample's persons by the key that was made for them."""
        return identity.by_key(self.project.project_dossier(), self.key(person))

    def key(self, person: str) -> Path:
        """Return the path of a person's private key."""
        return self.folder / "keys" / person

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Print that a part begins, and keep how long it took."""
        say(what)
        started = time.monotonic()
        yield
        self.took[what] = self.took.get(what, 0) + time.monotonic() - started


def say(text: str) -> None:
    """Print a line for the person who waits."""
    print(f"  {text}", flush=True)


def threads() -> int:
    """Two torch threads where the machine is idle; one where it isn't, because two then wait for each other."""
    return 2 if (os.cpu_count() or 1) > 1 and os.getloadavg()[0] < 1.5 else 1


def divided(
    rows: list[dict[str, Any]], most: int | None = PLAY_ROWS
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Take the teacher's rows and at most `most` of the play, so that no group and no text is in both."""

    def order(row: Mapping[str, Any]) -> str:
        return input_digest(f"sample {row.get('group') or row['input']}")

    chosen = sorted(rows, key=order)
    teacher, rest = chosen[:TEACHER_ROWS], chosen[TEACHER_ROWS:]
    seen = {row["group"] for row in teacher if row.get("group")} | {input_digest(row["input"]) for row in teacher}
    fresh = [row for row in rest if row.get("group") not in seen and input_digest(row["input"]) not in seen]
    return teacher, fresh[:most]


def grouped(
    rows: list[dict[str, Any]], lessons: int, marked: int, most: int | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Take the teacher's lessons and the play's rows, so that no group is in both; one in `marked` of these keeps gold.

    At most `most` rows are the play's.
    """
    chosen = sorted(rows, key=lambda row: input_digest(f"sample {row['group'] or row['input']}"))
    taught = {row["group"] for row in chosen[:lessons]} - {None}
    play = [row for row in chosen[lessons:] if row["group"] not in taught][:most]
    kept = {row["input"] for row in sorted(play, key=lambda row: input_digest(row["input"]))[::marked]}
    return chosen[:lessons], [row if row["input"] in kept else row | {"gold": None} for row in play]


def emptied(folder: Path) -> None:
    """Start again in a folder; what was fetched is kept."""
    for old in folder.glob("*"):
        if old.name != "source":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    folder.mkdir(parents=True, exist_ok=True)


def get_traffic(sample: Sample, tell: Callable[[str], None] = say) -> tuple[list[dict[str, Any]], Path]:
    """Fetch the rated texts, and write the play's share of them as a file of traffic."""
    source = fetch.fetch(sample.folder / "source", tell)
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    teacher_rows, play_rows = divided(rows)
    kept = ({name: row[name] for name in ("input", "gold", "segment", "group")} for row in play_rows)
    return teacher_rows, write_traffic(sample, kept)


def write_traffic(sample: Sample, rows: Iterable[dict[str, Any]]) -> Path:
    """Write rows as the sample's file of traffic."""
    traffic = sample.folder / "traffic.jsonl"
    with traffic.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return traffic


def get_teacher(sample: Sample, rows: list[dict[str, Any]]) -> Path:
    """Make the teacher, and wait for it."""
    process = TeacherProcess(sample)
    process.begin(rows)
    if process.wait():
        raise SystemExit(f"The teacher could not be made: {(sample.folder / 'teacher.log').read_text()[-500:]}")
    return sample.folder / "minilm-sentiment"


class TeacherProcess:
    """The making of the teacher, in a process of its own, which gives its memory back.

    It imports torch while the texts are fetched.
    """

    PROGRAM = (
        "import json, sys, teacher; from pathlib import Path; folder = Path(sys.argv[1]); rows = sys.stdin.read();"
        " rows and teacher.make_teacher(json.loads(rows), folder / 'minilm-sentiment', threads=int(sys.argv[2]),"
        " progress=lambda text: print('   ', text, flush=True))"
    )

    def __init__(self, sample: Sample) -> None:
        command = [sys.executable, "-c", self.PROGRAM, str(sample.folder), str(threads())]
        self._log = sample.folder / "teacher.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=Path(__file__).parent, stdin=subprocess.PIPE, stdout=log, stderr=log
            )

    def begin(self, rows: list[dict[str, Any]]) -> None:
        """Send the rows to learn from."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as file:
            file.write(json.dumps(rows).encode())

    def wait(self, tell: Callable[[str], None] | None = None, seconds: float = 15) -> int:
        """Wait for its end; `tell` is given what it wrote last, every so many seconds."""
        said = ""
        while tell is not None:
            with suppress(subprocess.TimeoutExpired):
                return self._process.wait(seconds)
            last = self._log.read_text(encoding="utf-8").strip().rpartition("\n")[2].strip()
            if last.startswith("Teacher:") and last != said:
                said = last
                tell(last)
        return self._process.wait()


def found(sample: Sample, title: str = "Feedback sentiment") -> None:
    """Make the project file and enrol its people."""
    account = Actor(None, f"account uid {os.getuid()}")
    sample.project = Project.create(sample.path, title, "dana", "Dana Driver", account)
    sample.dana = identity.by_account(sample.project.project_dossier())
    practice_keys.make(sample.folder / practice_keys.FOLDER, ("dana", *PEOPLE))
    mine = signatures.read_public_key(Path(f"{sample.key('dana')}.pub").read_text())
    actions.add_key(sample.project, sample.dana, "dana", mine)
    for person, (_, name) in PEOPLE.items():
        public = signatures.read_public_key(Path(f"{sample.key(person)}.pub").read_text())
        actions.enrol_person(sample.project, sample.dana, person, name, key=public)


def qualify(
    sample: Sample, name: str, kind: PlayKind, numbers: dict[str, str], gate: Gate, summary: str,
    task: Task = Task.CLASSIFICATION, scale: str = "",
) -> int:  # fmt: skip
    """Open a play, name its people, fill in its worksheet, write its gate, and have the sponsor lock it."""
    project, dana = sample.project, sample.dana
    play = actions.open_play(project, dana, name, kind, summary=summary, task=task, scale=scale)
    actions.assign_role(project, play, dana, Role.DRIVER, "dana")
    for person, (role, _) in PEOPLE.items():
        actions.assign_role(project, play, dana, role, person)
    actions.fill_worksheet(project, play, dana, numbers, ASSUMED)
    actions.qualify(project, play, dana)
    actions.edit_gate(project, play, dana, gate)
    actions.lock_gate(project, play, sample.by("sam"), digest(gate))
    return play


def followed(sample: Sample, run_id: int) -> entities.Run:
    """Wait for a worker, saying every few seconds how far it is."""
    shown: list[tuple[float, str]] = [(0.0, "")]

    def report(run: entities.Run) -> None:
        done = f" {run.step:,}/{run.total:,}" if run.total else ""
        line = f"  run {run.id} ({run.kind.value}) {run.status.value}{done} {run.message}".rstrip()
        waited = time.monotonic() - shown[0][0]
        if (waited > 10 and (line != shown[0][1] or waited > 60)) or not run.status.active:
            shown[0] = time.monotonic(), line
            say(line)

    run = local.wait(sample.project, run_id, report)
    if run.status is not RunStatus.FINISHED:
        raise SystemExit(f"Run {run.id} is {run.status.value}: {run.error or run.message}")
    return run


def counts_of(sample: Sample, play: int) -> dict[str, Any]:
    data = sample.project.dossier(play).data_set
    assert data is not None
    return dict(json.loads(data.counts))


def accept_findings(sample: Sample, play: int) -> None:
    """Accept what the audit found grave, as a driver does who has read it."""
    project, dana = sample.project, sample.dana
    found = [each.id for each in open_findings(project.dossier(play))]
    if found:
        actions.accept_findings(project, play, dana, found, "Read; known of this sample.")


def take_in(sample: Sample, play: int, traffic: Path, counted: Callable[[dict[str, Any]], str]) -> None:
    """Import traffic that has the teacher's answers, build and freeze; print what `counted` makes of the counts."""
    with sample.timed("import, build, freeze"):
        project, dana = sample.project, sample.dana
        followed(sample, actions.import_traffic(project, play, dana, traffic))
        actions.set_teacher(project, play, dana, None)
        followed(sample, actions.build_data(project, play, dana))
        say(f"  {counted(counts_of(sample, play))}")
        accept_findings(sample, play)
        followed(sample, actions.freeze_data(project, play, dana))


def train_and_judge(sample: Sample, play: int, what: str, spec: Spec) -> None:
    """Train and evaluate; `what` names the training for the person who waits."""
    with sample.timed(what):
        followed(sample, actions.start_run(sample.project, play, sample.dana, spec))
    with sample.timed("judge it on the held-out split"):
        followed(sample, actions.evaluate(sample.project, play, sample.dana))


def summary(sample: Sample, play: int) -> None:
    """Print what the gate says of a play, and what is advised."""
    dossier = sample.project.dossier(play, thorough=True)
    record = dossier.record
    assert record is not None
    print(f"\n{dossier.play.code} {dossier.play.name} ({dossier.play.kind.value}) stands at {dossier.play.stage.value}")
    for judgement in dossier.judgements:
        print(f"  {judgement.verdict.value:10} {judgement.sentence}")
    found = segment_rates(record)
    wide = max(len(rates.scope) for rates in found)
    print(f"  {'rows of':{wide}} {'rows':>6} {'student':>20} {'teacher':>20} {'baseline':>20}  agreement")
    for rates in found:
        cells = [
            f"{rate.share:.3f} ({rate.lower:.3f}–{rate.upper:.3f})" if rate else "–"
            for rate in (rates.student, rates.teacher, rates.baseline)
        ]
        agreement = f"{rates.agreement.share:.3f}" if rates.agreement else "–"
        print(f"  {rates.scope:{wide}} {rates.n:6,} {cells[0]:>20} {cells[1]:>20} {cells[2]:>20}  {agreement}")
    for cost in costs(record):
        if 0.95 in cost.quantiles:
            times = f"p50 {milliseconds(cost.quantiles[0.5].middle)}, " if 0.5 in cost.quantiles else ""
            size = (
                f"; {megabytes(cost.bytes)}, {cost.parameters:,} parameters" if cost.bytes and cost.parameters else ""
            )
            print(f"  {cost.name:10} {times}p95 {milliseconds(cost.p95_ms)}, one request at a time{size}")
    advised, reasons = advice(dossier)
    print(f"  Advice: {advised.value}. {reasons[0]}")


def scored(sample: Sample, play: int) -> Record:
    """Print the summary of a play and the means of its scores; return its record."""
    summary(sample, play)
    record = sample.project.dossier(play, thorough=True).record
    assert record is not None
    for means in score_means(record):
        print(f"  {means.sentence}")
    return record


def blocked(sample: Sample, play: int) -> None:
    """Print why the ship is blocked, and who can unblock it."""
    dossier = sample.project.dossier(play, thorough=True)
    print("\nShip is blocked:")
    for objection in objections(Action.SHIP, dossier, sample.dana):
        print(f"  [{objection.rule}] {objection.sentence}")


def ship(sample: Sample, play: int) -> None:
    """Sign off as the validator, ship as the driver, and check the bundle."""
    vera = sample.by("vera")
    actions.sign_off(sample.project, play, vera, Opinion.APPROVE, SIGNED_BY_NOBODY, key=sample.key("vera"))
    there = actions.ship(sample.project, play, sample.by("dana"), key=sample.key("dana"))
    public = signatures.read_public_key(Path(f"{sample.key('vera')}.pub").read_text())
    report = verify_bundle(there, public.fingerprint)
    print(f"\nShipped: {there}")
    for name, fact in report.facts.items():
        print(f"  {name}: {fact}")
    if report.problems:
        raise SystemExit("\n".join(str(problem) for problem in report.problems))
    print("  verified: the bundle holds")


def plan_of_sample(folder: Path) -> Plan:
    """Write down both plays: what they are for, their gates, their students. The latency play is driven first."""
    about = "Is a piece of customer feedback negative, neutral or positive?"
    roles = {Role.DRIVER: "dana", **{role: person for person, (role, _) in PEOPLE.items()}}
    brought = {
        "roles": roles,
        "worksheet_source": ASSUMED,
        "traffic": (TrafficPlan("traffic.jsonl"),),
        "teacher": TeacherPlan(folder="minilm-sentiment"),
        "maintenance": MaintenancePlan(400, 90),
    }
    faster = PlayPlan(
        FASTER, PlayKind.LATENCY, summary=f"{about} Asked while one types.", worksheet={**LATENCY},
        gate=tomllib.loads(to_toml(LATENCY_GATE), parse_float=Decimal), students=(STATIC,), **brought,
    )  # fmt: skip
    cheaper = PlayPlan(
        "feedback-sentiment", PlayKind.COST, summary=about, worksheet={**COST},
        gate=tomllib.loads(to_toml(COST_GATE), parse_float=Decimal), students=(LAYERS,), **brought,
    )  # fmt: skip
    return Plan("Feedback sentiment", plays=(cheaper, faster), folder=folder)


def begin(sample: Sample) -> None:
    """Make the project and both plays with their people, numbers and gates: seconds, before any work."""
    found(sample)
    whole = plan_of_sample(sample.folder)
    (sample.folder / "plan.toml").write_text(plan_file.write(whole), encoding="utf-8")
    plans.carry_out(sample.project, sample.dana, whole.without_data(), lambda line: None)


def drive(folder: Path, tell: Callable[[str], None], follow: plans.Follow) -> None:
    """Do the work: fetch, make the teacher, and drive both plays at the same time, each on one thread.

    What no run shows is a comment in the log of the play, so that the board shows it. The latency play goes first: its
    student is trained and judged while the other one is still learning.
    """
    os.environ["DISTILL_THREADS"] = str(threads())
    sample = Sample(folder)
    sample.open()
    whole = plan_of_sample(folder)
    plays = {play.name: queries.find_play(sample.project, play.name) for play in whole.plays}
    first, *others = sorted(plays, key=lambda name: name != FASTER)

    def note(text: str) -> None:
        tell(text)
        for number in plays.values():
            actions.comment(sample.project, number, sample.dana, text)

    try:
        note("Fetching the rated texts.")
        teacher = TeacherProcess(sample)
        teacher_rows, _ = get_traffic(sample, tell)
        teacher.begin(teacher_rows)
        for number in plays.values():
            plans.bring(sample.project, number, sample.dana, whole, TrafficPlan("traffic.jsonl"), follow)
        note(f"Training the teacher on {len(teacher_rows):,} texts, in a process of its own: about a minute.")
        with ExitStack() as ready:  # workers that import what they need meanwhile
            for kind in (RunKind.TEACHER, RunKind.LABEL):
                ready.enter_context(local.prepared(kind, ahead.LOCAL_TEACHER))
            if teacher.wait(note):
                raise SystemExit("The teacher could not be trained; teacher.log has the reason.")
            note("The teacher is trained.")
            ready.enter_context(local.prepared(RunKind.BUILD))
            label(sample, plays[first], follow)  # each answer is asked once: the others find them in the cache
            os.environ["DISTILL_THREADS"] = "1"
            deferred.load()  # two threads must not load one module at once
            drivers = [
                threading.Thread(target=to_decide, args=(folder, name, tell, follow)) for name in (first, *others)
            ]
            for each in drivers:
                each.start()
            for each in drivers:
                each.join()
    except (BadInput, ProjectError, SystemExit) as error:
        note(f"The work stopped: {error}")
        raise SystemExit(1) from None
    sample.project.close()


def label(sample: Sample, play: int, follow: plans.Follow) -> None:
    """Have the teacher answer every text once."""
    plans.choose(
        sample.project, play, sample.dana, plan_of_sample(sample.folder), TeacherPlan(folder="minilm-sentiment")
    )
    gate = sample.project.dossier(play).gate_row
    if gate is None or not gate.locked_at:  # the person who watches may have locked it, as sam
        actions.lock_gate(sample.project, play, sample.by("sam"))
    plans.finished(follow(sample.project, actions.label(sample.project, play, sample.dana)))


def to_decide(folder: Path, name: str, tell: Callable[[str], None], follow: plans.Follow) -> None:
    """Drive one play to its verdict."""
    sample = Sample(folder)
    sample.open()
    number = queries.find_play(sample.project, name)
    whole, who = plan_of_sample(folder), drives.people_here(sample.project)
    dossier = drives.Driver(sample.project, number, whole, who, tell, follow).drive()
    tell(f"{dossier.code} {name} stands at {dossier.play.stage.value}.")
    sample.project.close()


def parser(about: str, headless: str = "print a summary instead of opening the app") -> argparse.ArgumentParser:
    """Return what reads the folder of a sample and --headless; `about` is the docstring of its script."""
    made = argparse.ArgumentParser(description=about.splitlines()[0])
    made.add_argument("folder", type=Path)
    made.add_argument("--headless", action="store_true", help=headless)
    return made


@contextmanager
def remade(options: argparse.Namespace, name: str = "feedback.distill") -> Iterator[Sample]:
    """Start a sample again in its folder; afterwards print how long each part took, and open it on a terminal."""
    folder: Path = options.folder.absolute()
    emptied(folder)
    os.environ["DISTILL_THREADS"] = str(threads())
    sample, started = Sample(folder, name), time.monotonic()
    yield sample
    print(f"\nWall time: {time.monotonic() - started:.0f} s")
    for what, seconds in sample.took.items():
        print(f"  {seconds:6.1f} s  {what}")
    sample.project.close()
    if not options.headless and sys.stdout.isatty():
        os.execv(sys.executable, [sys.executable, "-m", "distill_tui", "--project", str(sample.path), "open"])


def main() -> None:
    """Make the sample afresh and open it, or print its summary."""
    words = parser(__doc__, "do the work here and print a summary")
    words.add_argument("--ship", action="store_true", help="sign off with the sample validator's key, and ship")
    words.add_argument("--drive", action="store_true", help=argparse.SUPPRESS)  # the driver's own process
    options = words.parse_args()
    folder: Path = options.folder.absolute()
    if options.drive:
        drive(folder, say, plans.follow_quietly)
        return
    emptied(folder)
    sample = Sample(folder)
    started = time.monotonic()
    begin(sample)
    if not (options.headless or options.ship) and sys.stdout.isatty():
        with (folder / "driver.log").open("ab") as log:
            command = [sys.executable, __file__, str(folder), "--drive"]
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        about = ("--project", str(sample.path), "--key", str(sample.key("dana")))
        os.execv(sys.executable, [sys.executable, "-m", "distill_tui", *about, "open"])
    print("Making the sample project: about four minutes of work on two cores.", flush=True)
    drive(folder, lambda text: say(f"{time.monotonic() - started:5.0f} s  {text}"), shown(started))
    show(sample, 1, time.monotonic() - started)
    if options.ship:
        ship(sample, 1)
    sample.project.close()


def shown(started: float) -> plans.Follow:
    """Return what waits for a run: on a terminal with its progress in one line that moves; then one line a stage."""

    def follow(project: Project, run_id: int) -> entities.Run:
        progress = Progress(plain=False)
        run = local.wait(project, run_id, progress if progress.moving else lambda run: None)
        progress.clear()
        say(f"{time.monotonic() - started:5.0f} s  P-{run.play_id:03d} {run.kind.value} {run.status.value}")
        return run

    return follow


def show(sample: Sample, play: int, took: float) -> None:
    """Print what was reached, how long it took, and what to do next."""
    sample.open()
    for number in (play, play + 1):
        summary(sample, number)
    print(f"\nWall time: {took:.0f} s")
    blocked(sample, play)
    short = os.path.relpath(sample.folder)
    print("\nVera, the validator, judges answers blind, then signs off with the key that the sample made for her:")
    command = f"  distill-tui --project {short}/feedback.distill"
    print(f"{command} --key {short}/keys/vera spotcheck P-001 --rows 4")
    print(f"{command} --key {short}/keys/vera sign P-001 --approve -m 'Looks right.'")
    print("\nThen dana ships:")
    print(f"{command} --key {short}/keys/dana ship P-001", flush=True)


if __name__ == "__main__":
    main()
