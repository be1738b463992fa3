"""Try a file of traffic: would a small model do? A play in a folder that is thrown away, driven to its verdict.

It is a real play with the real workers, so that its numbers are those that a play would show. Nothing of it can be
shipped: its gate asks for a hardware key that no one has, and its folder is gone when the answer is there.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path

from distill_tui.actions import data, gate, people
from distill_tui.cli.plans import drive, of_play, steps
from distill_tui.cli.plans.plan_file import Plan, PlayPlan, TeacherPlan, TrafficPlan, write
from distill_tui.dataset.readers import ColumnMapping, TrafficRow, answers_in, column_names, read_rows, with_answers
from distill_tui.dataset.records import BadInput
from distill_tui.dataset.traces import proposal, stream
from distill_tui.dataset.traces.call_mapping import DEFAULT
from distill_tui.dataset.window import Measured
from distill_tui.gates.gate import ALL, EVERY_SEGMENT, Criterion, Gate
from distill_tui.gates.scale import Scale
from distill_tui.people import identity, practice_keys, signatures
from distill_tui.reports.tryout_page import Trial
from distill_tui.rounds import play_traffic
from distill_tui.rules import labels
from distill_tui.rules.actor import Actor
from distill_tui.rules.data import counts
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import provable
from distill_tui.rules.next_step import next_step
from distill_tui.rules.objection import Refused
from distill_tui.rules.results import ImportReport, Reject, known
from distill_tui.store.project import Project
from distill_tui.tasks.label_map import Reading
from distill_tui.terms import Action, Assurance, Metric, PlayKind, Reference, Role, Split, Task

NAME, ME = "trial", "you"
OTHERS = {Role.SPONSOR: "sponsor", Role.VALIDATOR: "validator", Role.OPERATOR: "operator"}
MOST_ROWS, LEAST_ROWS = 6000, 60
LEAST_HELD_OUT = 20
CURE = "Give more traffic, or texts that vary more."
FEW = "Too few rows in a segment: shown, not judged."
STUDENTS: tuple[dict[str, object], ...] = (
    {"student": "ngram", "controls": []},
    {"student": "static", "epochs": 12, "learning_rate": 0.01, "controls": []},
)


def run(
    path: Path,
    columns: ColumnMapping,
    folder: Path,
    say: steps.Say,
    follow: steps.Follow,
    most: int = MOST_ROWS,
    scale: str = "",
) -> Trial:
    """Judge two cheap students on a file, in a project in `folder`; answers on a `scale` are scores.

    Raises BadInput, ProjectError.
    """
    task = Task.SCORE if scale else Task.CLASSIFICATION
    if scale:
        _check(scale)
    say("Reading the file.")
    rows, rejects, sample = _sampled(path, with_answers(columns, path, scale=scale), most, folder)
    project, me = _project(folder)
    source = TrafficPlan(str(sample), _named(columns, sample != path), 1.0)
    trial = _Trial(project, me, source, task, scale, say, follow)
    try:
        judged, report, window, trial_gate = trial.judged(NAME)
    except Refused:
        there = trial.sealable()
        if there is None:
            raise
        held, rows_there = there
        only = f"Of {rows_there:,} distinct rows only {held:,} can be sealed for a verdict"
        if held * 3 // 4 < LEAST_HELD_OUT:
            raise BadInput(f"{only}: near duplicates stay together. {CURE}") from None
        say(f"{only}; most of them are.")
        judged, report, window, trial_gate = trial.judged(f"{NAME} again", held * 3 // 4)
    project.close()
    if judged.record is None:
        raise BadInput("These rows could not be judged. Import them into a play: `distill-tui next` then shows why.")
    named = {name: value for name, value in asdict(columns).items() if value}
    written = _plan(path, named, trial_gate, scale)
    return Trial(judged, path.name, named, rows, report.rows, rejects or report.reasons, window, written)


@dataclass
class _Trial:
    """A play for a file; a second one where the gate of the first asked for more held-out rows than can be sealed."""

    project: Project
    me: Actor
    source: TrafficPlan
    task: Task
    scale: str
    say: steps.Say
    follow: steps.Follow
    play: int = 0

    def judged(self, name: str, rows: int = 0) -> tuple[PlayDossier, ImportReport, Measured, Gate]:
        """Drive a play to its verdict; `rows` are held out, else a quarter of all."""
        project, me = self.project, self.me
        play = self.play = people.open_play(project, me, name, PlayKind.COST, task=self.task, scale=self.scale)
        for role, person in {Role.DRIVER: ME, **OTHERS}.items():
            people.assign_role(project, play, me, role, person)
        planned = Plan(NAME, folder=project.path.parent)
        steps.bring(project, play, me, planned, self.source, self.follow)
        dossier = project.dossier(play)
        report = known(ImportReport, dossier.traffic[0].report)
        if report is None or not report.teacher_share:
            raise BadInput(_no_answers(Path(self.source.file)))
        if report.rows < LEAST_ROWS:
            raise BadInput(f"{report.rows} usable rows are too few to try; {LEAST_ROWS} are the least.")
        if not self.scale:
            _check_labels(dossier)
        window, _ = play_traffic.window(project, play)
        gate.fill_worksheet(project, play, me, _worksheet(window), "this trial")
        gate.qualify(project, play, me)
        trial_gate = _lockable(project, play, me, _gate(report, rows, self.scale))
        students = PlayPlan(
            name,
            PlayKind.COST,
            task=self.task,
            levels=self.scale,
            teacher=TeacherPlan(recorded=True),
            students=STUDENTS,
            gate=of_play.gate_table(trial_gate),
        )
        whole, who = replace(planned, plays=(students,)), drive.people_here(project)
        sponsor = _must(who, OTHERS[Role.SPONSOR])
        gate.lock_gate(project, play, sponsor, cannot_pass=True)  # few rows are tried, too
        driver = drive.Driver(project, play, whole, who, lambda line: None, self.follow)
        if next_step(driver.drive()) is Action.MAP_LABELS:
            found = labels.reading(project.dossier(play))
            data.map_labels(project, play, me, labels.settling(found, {}).names)
            self.say(_spellings(found))
            drive.Driver(project, play, whole, who, lambda line: None, self.follow).drive()
        return project.dossier(play, thorough=True), report, window, trial_gate

    def sealable(self) -> tuple[int, int] | None:
        """Return the held-out and all rows of a draft with too few to seal; None where something else is wrong."""
        dossier = self.project.dossier(self.play)
        counted = counts(dossier)
        if counted is None or dossier.gate is None:
            return None
        held = counted.splits.get(Split.HELD_OUT, 0)
        return (held, sum(counted.splits.values())) if held < dossier.gate.held_out_rows else None


def _check_labels(dossier: PlayDossier) -> None:
    """Raise BadInput where gold and answers are not labels to choose from."""
    found = labels.reading(dossier)
    if labels.like_text(found) or found.more_gold or found.more_answers:
        rows = max(found.gold[1], found.answers[1])
        raise BadInput(
            f"The file has {len(found.labels):,} different answers on {rows:,} rows, like free text. `try` judges "
            "answers that are one label of a list, or scores (--levels)."
        )
    if len(found.labels) < 2:
        raise BadInput(f"Every answer is {', '.join(found.labels) or 'empty'}; there must be two labels or more.")


def _spellings(found: Reading) -> str:
    names = [f"“{each.name}” as {each.label}" for each in found.proposed]
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return f"Names were taken for labels by their spelling: {', '.join(names[:3])}{more}."


def _no_answers(path: Path) -> str:
    """Return that the file has no answers, with the columns that it has."""
    try:
        names = column_names(path)
    except (BadInput, OSError):
        names = []
    there = f" Its columns: {', '.join(names[:12])}." if names else ""
    return f"No row has an answer of the teacher; name its column with --teacher-output COLUMN.{there}"


def _check(scale: str) -> None:
    try:
        Scale.read(scale)
    except ValueError as error:
        raise BadInput(str(error)) from None


def _must(who: drive.Who, person: str) -> Actor:
    actor = who(person)
    assert actor is not None
    return actor


def _project(folder: Path) -> tuple[Project, Actor]:
    practice_keys.make(folder / practice_keys.FOLDER, tuple(OTHERS.values()))
    stranger = identity.this_account()
    project = Project.create(folder / "trial.distill", NAME, ME, ME, stranger)
    me = identity.by_account(project.project_dossier())
    for person in OTHERS.values():
        line = (folder / practice_keys.FOLDER / f"{person}.pub").read_text(encoding="utf-8")
        people.enrol_person(project, me, person, person, key=signatures.read_public_key(line))
    return project, me


def _sampled(
    path: Path, columns: ColumnMapping, most: int, folder: Path
) -> tuple[int, tuple[tuple[str, int], ...], Path]:
    """Count the usable rows; of more than `most`, write a random sample. Returns rows, reasons of rejects, the file."""
    chance, kept, count = random.Random(7), list[TrafficRow](), 0
    reasons: dict[str, int] = {}
    known = stream.recognise(path)
    logged = any(each.format is not None for each in known)
    if logged:
        calls = proposal.propose(stream.sample_calls(known, proposal.SAMPLE), chooses=True)
    else:
        answers = answers_in(path, columns.teacher_output)
        calls = proposal.propose_for_table(answers, chooses=True) or DEFAULT
    for row in read_rows(path, columns, calls):
        if isinstance(row, Reject):
            reasons[row.reason] = reasons.get(row.reason, 0) + 1
            continue
        count += 1
        if len(kept) < most:
            kept.append(row)
        elif (place := chance.randrange(count)) < most:
            kept[place] = row
    if count <= most:
        return count, (), path
    sample = folder / "sample.jsonl"
    with sample.open("w", encoding="utf-8") as file:
        for row in kept:
            values = {name: value for name, value in vars(row).items() if name in _NAMES and value not in (None, "")}
            file.write(json.dumps(values, ensure_ascii=False, default=_text) + "\n")
    return count, tuple(sorted(reasons.items(), key=lambda each: -each[1])), sample


_NAMES = tuple(ColumnMapping.__dataclass_fields__)


def _text(value: object) -> str:
    iso: Callable[[], str] | None = getattr(value, "isoformat", None)
    return iso() if iso is not None else str(value)


def _named(columns: ColumnMapping, sampled: bool) -> dict[str, str]:
    """Return every column by its meaning; of a sample they have the names of their meanings."""
    found = {name: value or "" for name, value in asdict(columns).items()}
    return {name: name if value and sampled else value for name, value in found.items()}


def _worksheet(window: Measured) -> dict[str, str]:
    """Return numbers with which a trigger holds; what the file does not have is not shown."""
    calls, price = window.calls_per_month or Decimal(1000), window.cost_per_1k or Decimal(1)
    return {
        "calls_per_month": f"{max(1, round(calls))}",
        "teacher_cost_per_1k": f"{max(price, Decimal('0.000001')):.6f}",
        "threshold_per_month": "0",
        "window_days": str(min(90, max(30, window.days))),
        "machine_price_per_hour": "0",
        "serving_cost_per_month": "0",
        "build_cost": "1",
        "sample_share": "0",
    }


def _gate(report: ImportReport, rows: int, scale: str = "") -> Gate:
    """Return the gate of the trial: a quarter of the rows, and as the quality what these rows can measure."""
    rows = rows or max(LEAST_HELD_OUT, min(1000, report.rows // 4))
    payback = Criterion(Metric.PAYBACK, threshold=Decimal(6))
    if not report.gold_share and scale and Scale.read(scale).ranged:
        raise BadInput("Numbers of a range are hardly ever equal: name the column of gold with --gold COLUMN.")
    if not report.gold_share:
        agrees = Criterion(Metric.AGREEMENT, threshold=Decimal("0.7" if scale else "0.9"), binding=True)
        return Gate((agrees, payback), rounds=1, held_out_rows=rows)
    metric = Metric.MAE if scale else Metric.ACCURACY
    within = Criterion(metric, Reference.TEACHER, ALL, margin=Decimal("0.05"), binding=True)
    each = Criterion(metric, Reference.TEACHER, EVERY_SEGMENT, margin=Decimal("0.1"))
    quality = (within, each) if len(report.segments) > 1 else (within,)
    return Gate((*quality, payback), rounds=1, held_out_rows=rows)


def _lockable(project: Project, play: int, me: Actor, wanted: Gate) -> Gate:
    """Write the gate of the trial; where a segment has too few rows to be proved, segments are shown and not judged."""
    gate.edit_gate(project, play, me, replace(wanted, minimum_assurance=Assurance.HARDWARE))
    if not any(provable(project.dossier(play))):
        return wanted
    shown = (replace(each, watch_only=FEW) if each.scope == EVERY_SEGMENT else each for each in wanted.criteria)
    return _lockable(project, play, me, replace(wanted, criteria=tuple(shown)))


def _plan(path: Path, columns: dict[str, str], found: Gate, scale: str) -> str:
    """Write a plan for a real play of this file, driven by this account; what it cannot know is left to its people."""
    name = path.name.partition(".")[0][:80] or NAME
    play = PlayPlan(
        name=name,
        kind=PlayKind.COST,
        task=Task.SCORE if scale else Task.CLASSIFICATION,
        levels=scale,
        roles={Role.DRIVER: identity.account_name() or "driver"},
        gate=of_play.gate_table(replace(found, rounds=3)),
        traffic=(TrafficPlan(str(path.absolute()), columns),),
        teacher=TeacherPlan(recorded=True),
        students=tuple({word: value for word, value in each.items() if word != "controls"} for each in STUDENTS),
    )
    return PLAN_HEAD + write(Plan(name, plays=(play,)))


PLAN_HEAD = """\
# Written by `distill-tui try`. It makes a play as it is; before that, add the people and what the play is for:
#   [people.sam]                     [plays.roles]
#   key = "sam.pub"                  sponsor = "sam", validator = …, operator = …
# and [plays.worksheet] with the numbers of the trigger. Each can also be given later.

"""
