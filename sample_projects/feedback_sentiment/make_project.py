"""Makes the sample project: real text, a real teacher, two plays driven to `decide` by real work.

    python sample_projects/feedback_sentiment/make_project.py FOLDER [--headless] [--ship]

Everything goes through the same verbs and the same door as the app and the commands. The persons are the sample's own:
dana drives by your OS account; sam (sponsor), vera (validator) and olga (operator) each have a key pair in FOLDER/keys.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import fetch

from distill_tui import actions
from distill_tui.bundles.verify import verify_bundle
from distill_tui.dataset.duplicates import input_digest
from distill_tui.gates.gate import EVERY_SEGMENT, Criterion, Gate
from distill_tui.gates.wording import megabytes, milliseconds
from distill_tui.gates.written import digest
from distill_tui.people import identity, signatures
from distill_tui.review.rates import segment_rates
from distill_tui.review.serving_costs import costs
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.next_step import advice
from distill_tui.rules.permission import objections
from distill_tui.rules.results import LabelResult
from distill_tui.runs.executors import local
from distill_tui.spec import Spec
from distill_tui.store.json_columns import result_of
from distill_tui.store.project import Project
from distill_tui.terms import (
    Action,
    Assurance,
    Metric,
    Opinion,
    PlayKind,
    Reference,
    Role,
    RunStatus,
    StudentKind,
    Task,
)

PEOPLE = {
    "sam": (Role.SPONSOR, "Sam Sponsor"),
    "vera": (Role.VALIDATOR, "Vera Validator"),
    "olga": (Role.OPERATOR, "Olga Operator"),
}
TEACHER_ROWS, PLAY_ROWS, HELD_OUT = 4_000, 10_000, 3_000

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
SIGNED_BY_NOBODY = "Signed by the script of the sample; nobody read it, and nobody judged an answer."
ASSUMED = "assumption of the sample project; no bill comes with the data"


def points(text: str) -> Decimal:
    """Read a share that is written in points."""
    return Decimal(text) / 100


COST_GATE = Gate(
    criteria=(
        Criterion(Metric.ACCURACY, Reference.TEACHER, margin=points("7"), binding=True),
        Criterion(Metric.ACCURACY, Reference.BASELINE, margin=points("0")),
        Criterion(Metric.ACCURACY, Reference.BASELINE, "segment: nyt", margin=points("0")),
        Criterion(Metric.P95_LATENCY, threshold=Decimal(100)),
        Criterion(Metric.PAYBACK, threshold=Decimal(6)),
    ),
    rounds=2,
    held_out_rows=HELD_OUT,
    minimum_assurance=Assurance.SIGNED,
    statement=(
        "We accept up to 7 points less accuracy than the teacher, as long as the student is shown to be ahead of the "
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
    statement="Typing must never wait: 5 ms. No kind of text may fall below 58 % right answers.",
)


class Sample:
    """The project being made, who acts, and how long each part took."""

    def __init__(self, folder: Path, name: str = "feedback.distill") -> None:
        self.folder, self.path = folder, folder / name
        self.project: Project
        self.dana: Actor
        self.took: dict[str, float] = {}

    def by(self, person: str) -> Actor:
        """Prove one of the sample's persons by the key that was made for them."""
        return identity.by_key(self.project.project_dossier(), self.key(person))

    def key(self, person: str) -> Path:
        """Say where a person's private key lies."""
        return self.folder / "keys" / person

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Say that a part begins, and keep how long it took."""
        say(what)
        started = time.monotonic()
        yield
        self.took[what] = self.took.get(what, 0) + time.monotonic() - started


def say(text: str) -> None:
    """Tell whoever waits."""
    print(f"  {text}", flush=True)


def threads() -> int:
    """Two torch threads where the machine is idle; one where it isn't, because two then wait for each other."""
    return 2 if (os.cpu_count() or 1) > 1 and os.getloadavg()[0] < 1.5 else 1


def divided(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Take the teacher's rows and the play's, so that no group and no text is in both."""

    def order(row: Mapping[str, Any]) -> str:
        return input_digest(f"sample {row.get('group') or row['input']}")

    chosen = sorted(rows, key=order)
    teacher, rest = chosen[:TEACHER_ROWS], chosen[TEACHER_ROWS:]
    seen = {row["group"] for row in teacher if row.get("group")} | {input_digest(row["input"]) for row in teacher}
    fresh = [row for row in rest if row.get("group") not in seen and input_digest(row["input"]) not in seen]
    return teacher, fresh[:PLAY_ROWS]


def emptied(folder: Path) -> None:
    """Begin anew in a folder; what was fetched is kept."""
    for old in folder.glob("*"):
        if old.name != "source":
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    folder.mkdir(parents=True, exist_ok=True)


def get_traffic(sample: Sample) -> tuple[list[dict[str, Any]], Path]:
    """Fetch the rated texts, and write the play's share of them as a file of traffic."""
    source = fetch.fetch(sample.folder / "source", say)
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    teacher_rows, play_rows = divided(rows)
    traffic = sample.folder / "traffic.jsonl"
    with traffic.open("w", encoding="utf-8") as file:
        for row in play_rows:
            kept = {name: row[name] for name in ("input", "gold", "segment", "group")}
            file.write(json.dumps(kept, ensure_ascii=False) + "\n")
    return teacher_rows, traffic


def get_teacher(sample: Sample, rows: list[dict[str, Any]]) -> Path:
    """Make the teacher in a process of its own, which gives its memory back."""
    (sample.folder / "teacher_rows.json").write_text(json.dumps(rows))
    program = (
        "import json, sys, teacher; from pathlib import Path; folder = Path(sys.argv[1]);"
        " teacher.make_teacher(json.loads((folder / 'teacher_rows.json').read_text()), folder / 'minilm-sentiment',"
        " threads=int(sys.argv[2]), progress=lambda text: print('   ', text, flush=True))"
    )
    command = [sys.executable, "-c", program, str(sample.folder), str(threads())]
    subprocess.run(command, check=True, cwd=Path(__file__).parent)
    return sample.folder / "minilm-sentiment"


def found(sample: Sample, title: str = "Feedback sentiment") -> None:
    """Make the project file and enrol its people."""
    account = Actor(None, f"account uid {os.getuid()}")
    sample.project = Project.create(sample.path, title, "dana", "Dana Driver", account)
    sample.dana = identity.by_account(sample.project.project_dossier())
    (sample.folder / "keys").mkdir(mode=0o700)
    for person, (_, name) in PEOPLE.items():
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", person, "-f", str(sample.key(person))]
        subprocess.run(command, check=True)
        public = signatures.read_public_key(Path(f"{sample.key(person)}.pub").read_text())
        actions.enrol_person(sample.project, sample.dana, person, name, key=public)


def qualify(
    sample: Sample, name: str, kind: PlayKind, numbers: dict[str, str], gate: Gate, summary: str,
    task: Task = Task.CLASSIFICATION,
) -> int:  # fmt: skip
    """Open a play, name its people, fill in its worksheet, write its gate, and have the sponsor lock it."""
    project, dana = sample.project, sample.dana
    play = actions.open_play(project, dana, name, kind, summary=summary, task=task)
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
    told = [0.0]

    def report(run: entities.Run) -> None:
        if time.monotonic() - told[0] > 5 or not run.status.active:
            told[0] = time.monotonic()
            say(f"  run {run.id} ({run.kind.value}) {run.status.value} {run.step:,}/{run.total:,} {run.message}")

    run = local.wait(sample.project, run_id, report)
    if run.status is not RunStatus.FINISHED:
        raise SystemExit(f"Run {run.id} is {run.status.value}: {run.error or run.message}")
    return run


def data(sample: Sample, play: int, traffic: Path, teacher: Path) -> None:
    """Import, label, build, freeze."""
    project, dana = sample.project, sample.dana
    followed(sample, actions.import_traffic(project, play, dana, traffic))
    actions.set_teacher(project, play, dana, teacher)
    run = followed(sample, actions.label(project, play, dana))
    result = result_of(LabelResult, run)
    say(
        f"  {project.dossier(play).traffic[-1].rows:,} rows; the teacher answered {result.new:,} inputs, "
        f"{result.cached:,} came from the cache"
    )
    followed(sample, actions.build_data(project, play, dana))
    counts = counts_of(sample, play)
    say(f"  {counts['splits']}, {counts['groups']:,} groups")
    followed(sample, actions.freeze_data(project, play, dana))


def counts_of(sample: Sample, play: int) -> dict[str, Any]:
    data = sample.project.dossier(play).data_set
    assert data is not None
    return dict(json.loads(data.counts))


def accept_findings(sample: Sample, play: int) -> None:
    """Accept what the audit found grave, as a driver does who has read it."""
    project, dana = sample.project, sample.dana
    reasons = objections(Action.ACCEPT_FINDINGS, project.dossier(play), dana)
    if not reasons:
        actions.accept_findings(project, play, dana, [], "Read; known of this sample.")


def train(sample: Sample, cost: int, latency: int) -> None:
    """Train one student for each play at the same time, each on one thread, and judge each when it is done.

    The small one has a control arm; beside the larger one it would take another minute.
    """
    layers = Spec(layers=(0, 5), epochs=1, batch_size=16, learning_rate=5e-4, alpha=0.7, controls=())
    static = Spec(student=StudentKind.STATIC, hidden=128, epochs=6, learning_rate=3e-3, alpha=0.7)
    with sample.timed("train and judge the static student (latency play)"):
        runs = [
            actions.start_run(sample.project, play, sample.dana, spec)
            for play, spec in ((cost, layers), (latency, static))
        ]
        followed(sample, runs[1])
        followed(sample, actions.evaluate(sample.project, latency, sample.dana))
    with sample.timed("train the two-layer student to its end (cost play)"):
        followed(sample, runs[0])
    with sample.timed("judge the two-layer student on the held-out split"):
        followed(sample, actions.evaluate(sample.project, cost, sample.dana))


def summary(sample: Sample, play: int) -> None:
    """Print what the gate says of a play, and what is advised."""
    dossier = sample.project.dossier(play, thorough=True)
    record = dossier.record
    assert record is not None
    print(f"\n{dossier.play.code} {dossier.play.name} ({dossier.play.kind.value}) stands at {dossier.play.stage.value}")
    for judgement in dossier.judgements:
        print(f"  {judgement.verdict.value:10} {judgement.sentence}")
    print(f"  {'segment':10} {'rows':>6} {'student':>20} {'teacher':>20} {'baseline':>20}  agreement")
    for rates in segment_rates(record):
        cells = [
            f"{rate.share:.3f} ({rate.lower:.3f}–{rate.upper:.3f})" if rate else "–"
            for rate in (rates.student, rates.teacher, rates.baseline)
        ]
        agreement = f"{rates.agreement.share:.3f}" if rates.agreement else "–"
        print(f"  {rates.scope:10} {rates.n:6,} {cells[0]:>20} {cells[1]:>20} {cells[2]:>20}  {agreement}")
    for cost in costs(record):
        if 0.95 in cost.quantiles:
            times = f"p50 {milliseconds(cost.quantiles[0.5].middle)}, " if 0.5 in cost.quantiles else ""
            size = f"{megabytes(cost.bytes)}, {cost.parameters:,} parameters" if cost.bytes and cost.parameters else ""
            print(f"  {cost.name:10} {times}p95 {milliseconds(cost.p95_ms)}, one request at a time. {size}")
    advised, reasons = advice(dossier)
    print(f"  Advice: {advised.value}. {reasons[0]}")


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
    there = actions.ship(sample.project, play, sample.dana)
    public = signatures.read_public_key(Path(f"{sample.key('vera')}.pub").read_text())
    report = verify_bundle(there, public.fingerprint)
    print(f"\nShipped: {there}")
    for name, fact in report.facts.items():
        print(f"  {name}: {fact}")
    if report.problems:
        raise SystemExit("\n".join(str(problem) for problem in report.problems))
    print("  verified: the bundle holds")


def make(sample: Sample) -> int:
    """Make the whole sample; gives the number of the cost play."""
    with sample.timed("fetch the rated texts"):
        teacher_rows, traffic = get_traffic(sample)
    with sample.timed("make the teacher (MiniLM, upper layers trained on human ratings)"):
        teacher = get_teacher(sample, teacher_rows)
    with sample.timed("open the project, two plays, their people and gates; the sponsor locks"):
        found(sample)
        about = "Is a piece of customer feedback negative, neutral or positive?"
        cost = qualify(sample, "feedback-sentiment", PlayKind.COST, COST, COST_GATE, about)
        faster = qualify(
            sample, "feedback-as-you-type", PlayKind.LATENCY, LATENCY, LATENCY_GATE, f"{about} Asked while one types."
        )
    os.environ["DISTILL_THREADS"] = str(threads())
    with sample.timed("import, label, build, freeze (cost play)"):
        data(sample, cost, traffic, teacher)
    with sample.timed("the same rows for the latency play, from the cache"):
        data(sample, faster, traffic, teacher)
    actions.set_maintenance(sample.project, cost, sample.dana, 400, 90)
    train(sample, cost, faster)
    return cost


def main() -> None:
    """Make the sample anew and open it, or print its summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--headless", action="store_true", help="print a summary instead of opening the app")
    parser.add_argument("--ship", action="store_true", help="sign off with the sample validator's key, and ship")
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    emptied(folder)
    sample = Sample(folder)
    started = time.monotonic()
    print("Making the sample project: about five minutes of work on two cores.", flush=True)
    play = make(sample)
    show(sample, play, time.monotonic() - started)
    if options.ship:
        ship(sample, play)
    sample.project.close()
    if not options.headless and sys.stdout.isatty():
        os.execv(sys.executable, [sys.executable, "-m", "distill_tui", "--project", str(sample.path), "open"])


def show(sample: Sample, play: int, took: float) -> None:
    """Print what was reached, how long it took, and what to do next."""
    for number in (play, play + 1):
        summary(sample, number)
    print(f"\nWall time: {took:.0f} s")
    for what, seconds in sample.took.items():
        print(f"  {seconds:6.1f} s  {what}")
    blocked(sample, play)
    short = os.path.relpath(sample.folder)
    print("\nVera, the validator, judges answers blind, then signs off with the key that the sample made for her:")
    told = f"  distill-tui --project {short}/feedback.distill"
    print(f"{told} --key {short}/keys/vera spotcheck P-001 --rows 4")
    print(f"{told} --key {short}/keys/vera sign P-001 --approve -m 'Looks right.'")
    print("\nThen dana ships:")
    print(f"{told} ship P-001", flush=True)


if __name__ == "__main__":
    main()
