"""People on a real project file: everything that they can try, in any order, and an auditor who trusts no code of ours.

Workers are not started: the run that an action queues is claimed here and ended through the door by a real `Claim`,
with a small student and a small real record. `Auditor` reads the file by plain SQL and says what must never be.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

from distill_tui import actions
from distill_tui.gates import judging
from distill_tui.gates.judging import judge
from distill_tui.gates.record import Record
from distill_tui.rules import entities
from distill_tui.rules.actor import Actor
from distill_tui.rules.data import open_findings
from distill_tui.rules.objection import Refused
from distill_tui.rules.requests import WorkerReport
from distill_tui.runs import evaluate
from distill_tui.runs.claim import Claim
from distill_tui.spec import Spec
from distill_tui.store.project import Project, ProjectError
from distill_tui.store.sqlite import module as sqlite3
from distill_tui.terms import Action, Opinion, PlayKind, Role, RunKind, RunStatus, Split, Stage, StudentKind
from support import data_runs
from support.results import rehearsal, train_result
from support.story import EVERYBODY, GATE, ROLES, WORKSHEET, actor

SPEC = Spec(student=StudentKind.SCRATCH, alpha=0.0)  # what can be learnt from recorded answers without probabilities
WORDS = ("refund", "parcel", "invoice", "delay")
TRAFFIC = [
    {"prompt": f"{word} {number * 7919} {word * 2} question {number}", "teacher": label, "label": label}
    for number in range(40)
    for word, label in zip(WORDS, ("no", "yes", "no", "yes"), strict=True)
]


def write_traffic(path: Path) -> Path:
    """Write a small file of traffic."""
    path.write_text("".join(json.dumps(row) + "\n" for row in TRAFFIC))
    return path


def found(path: Path) -> Project:
    """Make a project with its people."""
    project = Project.create(path, "support", "mia", "Mia", Actor(None, actor("mia").proof))
    for at, person in enumerate(EVERYBODY[1:], start=100_001):
        actions.enrol_person(project, actor("mia"), person, person.title(), uid=at)
    return project


def open_play(project: Project, name: str = "refunds") -> int:
    """Open a play, give its roles and write its gate."""
    play = actions.open_play(project, actor("mia"), name, PlayKind.STABILITY)
    for role, person in ROLES.items():
        actions.assign_role(project, play, actor("mia"), role, person)
    actions.fill_worksheet(project, play, actor("dan"), WORKSHEET)
    actions.edit_gate(project, play, actor("dan"), GATE)
    actions.confirm_terms(project, play, actor("dan"), "Acme", "3.1", "2026-11-01", True)
    actions.set_maintenance(project, play, actor("olga"), 400, 90)
    return play


def drive_to_data(project: Project, play: int, traffic: Path) -> None:
    """Qualify, lock, import, build and freeze."""
    actions.qualify(project, play, actor("dan"))
    actions.lock_gate(project, play, actor("sam"))
    data_runs.import_traffic(project, play, actor("dan"), traffic)
    actions.set_teacher(project, play, actor("dan"), None)
    data_runs.build_data(project, play, actor("dan"))


def drive_to_decide(project: Project, play: int, right: int = 12) -> None:
    """Freeze, train and evaluate a student that has so many held-out rows right."""
    data_runs.freeze_data(project, play, actor("dan"))
    finish_training(project, actions.start_run(project, play, actor("dan"), SPEC))
    finish_evaluation(project, actions.evaluate(project, play, actor("dan")), right)
    finish_rehearsal(project, actions.rehearse(project, play, actor("olga")))


def finish_training(project: Project, run: int, weights: str = "w") -> None:
    """Do what a training worker does at its end, with a student that is one small file."""
    claimed = Claim.take(project, run)
    assert claimed is not None
    with project.artifacts.scratch() as scratch:
        (scratch / "student").mkdir()
        (scratch / "student" / "config.json").write_text(json.dumps({"weights": weights}))
        student = project.artifacts.store(scratch / "student")
    claimed.finish(train_result(), 10, student)


def finish_rehearsal(project: Project, run: int) -> None:
    """Do what a rehearsing worker does at its end, where the recipe gave the same student."""
    claimed = Claim.take(project, run)
    assert claimed is not None
    claimed.finish(rehearsal(), 10, None)


def finish_evaluation(project: Project, run: int, right: int) -> None:
    """Do what an evaluating worker does: a record of the real held-out rows, judged by the locked gate, stored."""
    claimed = Claim.take(project, run)
    assert claimed is not None
    seen = project.dossier(claimed.run.play_id)
    assert seen.gate is not None and seen.data_set is not None and claimed.run.student_run is not None
    student = seen.run(claimed.run.student_run)
    assert student is not None and student.artifact is not None
    record = a_record(project, seen.data_set, student.artifact, right)
    digest = project.artifacts.store_bytes(record.to_json().encode())
    passed = judging.passed(judge(seen.gate, record))
    evaluate.record_evaluation(claimed, seen, student, seen.data_set, digest, passed, 0.1)


def a_record(project: Project, data: entities.DataSet, model: str, right: int) -> Record:
    """Write down a student that has the first so many of the held-out rows right."""
    from distill_tui.dataset import frozen

    held_out = frozen.load(project.artifacts.path(data.artifact), Split.HELD_OUT)
    gold = tuple(int(label) for label in held_out.gold)
    return Record(
        labels=held_out.labels,
        rows=tuple(int(row) for row in held_out.rows),
        gold=gold,
        teacher=tuple(int(label) for label in held_out.teacher),
        student=tuple(label if at < right else 1 - label for at, label in enumerate(gold)),
        baseline=(0,) * len(gold),
        majority=0,
        segment=(-1,) * len(gold),
        segments=(),
        group=tuple(range(len(gold))),
        data_set=data.digest,
        model=model,
    )


@contextmanager
def plain(path: Path, kept: sqlite3.Connection | None) -> Iterator[sqlite3.Connection]:
    """Yield a plain connection to a file: the one that is kept, else one of its own."""
    connection = kept or sqlite3.connect(path)
    try:
        yield connection
    finally:
        if connection is not kept:
            connection.close()


# --- what people try ----------------------------------------------------------------------------------------------


@dataclass
class Story:
    """One project, several people, and chance. A seed tells the same story each time."""

    project: Project
    traffic: Path
    random: Random
    told: list[str] = field(default_factory=list)
    ships: int = 0
    refusals: int = 0
    kept: sqlite3.Connection | None = None  # to read with; one is opened for each look otherwise

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Look something up by plain SQL: chance needs no dossier."""
        with plain(self.project.path, self.kept) as connection:
            return connection.execute(query, values).fetchall()

    @property
    def plays(self) -> list[int]:
        """The plays that there are."""
        return [number for (number,) in self.ask("SELECT id FROM play ORDER BY id")]

    def roles(self, play: int) -> dict[str, str]:
        """Who holds which role."""
        return dict(self.ask("SELECT role, person_id FROM role_holder WHERE play_id = ?", play))  # type: ignore[arg-type]

    def turn(self, deed: str | None = None, who: str | None = None, play: int | None = None) -> str | None:
        """Let a person try something; returns the rule that refused, or None where it was done."""
        deed = deed or self.random.choice(LIKELY)
        play = play or self.random.choice(self.plays)
        who = who or self._somebody(play)
        try:
            DEEDS[deed](self, play, actor(who))
        except Refused as refused:
            self.refusals += 1
            self.told.append(f"{who} tries {deed} on {play}: {refused.objections[0].rule}")
            return refused.objections[0].rule
        except ProjectError as error:
            self.told.append(f"{who} tries {deed} on {play}: {error}")
            return "project.error"
        self.ships += deed == "ship"
        self.told.append(f"{who} does {deed} on {play}")
        return None

    def _somebody(self, play: int) -> str:
        """Mostly one who holds a role, else anyone."""
        holders = sorted(set(self.roles(play).values()))
        return self.random.choice(holders if holders and self.random.random() < 0.7 else list(EVERYBODY))

    def next_deed(self, play: int) -> tuple[str, str]:
        """What would bring a play on, and who could do it: stories without it would seldom get anywhere."""
        roles = self.roles(play)
        driver, sponsor, validator = (
            roles.get(role.value, "mia") for role in (Role.DRIVER, Role.SPONSOR, Role.VALIDATOR)
        )
        ((stage, round_, teacher),) = self.ask("SELECT stage, round, teacher_source FROM play WHERE id = ?", play)

        def there(table: str, more: str = "") -> bool:
            return bool(self.ask(f"SELECT 1 FROM {table} WHERE play_id = ? AND round = ? {more}", play, round_))

        match stage:
            case Stage.QUALIFY:
                return ("qualify", driver)
            case Stage.GATE:
                return ("lock_gate", sponsor)
            case Stage.DATA:
                imported = bool(self.ask("SELECT 1 FROM traffic WHERE play_id = ?", play))
                steps = {"import_traffic": imported, "set_teacher": teacher, "build_data": there("data_set")}
                return (next((step for step, done in steps.items() if not done), "freeze_data"), driver)
            case Stage.TRAIN:
                return ("evaluate" if there("run", "AND artifact IS NOT NULL") else "start_run", driver)
            case Stage.DECIDE if not there("run", "AND kind = 'rehearse' AND status = 'finished'"):
                return ("rehearse", driver)
            case Stage.DECIDE if there("sign_off", "AND id NOT IN (SELECT sign_off_id FROM withdrawal)"):
                return ("ship", driver)
            case Stage.DECIDE:
                return ("sign_off", validator)
            case _:
                return (self.random.choice(LIKELY), self._somebody(play))

    def active(self, play: int, *kinds: RunKind) -> list[entities.Run]:
        """The runs of a play that have not ended."""
        return [r for r in self.project.dossier(play).runs if r.status.active and r.kind in kinds]


Deed = Callable[[Story, int, Actor], object]


def _run_to_its_end(story: Story, play: int, run: int) -> None:
    """What a worker does with a queued run: it trains or judges, or dies on the way."""
    row = story.project.dossier(play).run(run)
    assert row is not None
    fate = story.random.random()
    if fate < 0.05:
        return  # its worker never came; later actions find the run active
    if fate < 0.1:
        claimed = Claim.take(story.project, run)
        assert claimed is not None
        claimed.give_up(RunStatus.FAILED, "the disk was full", "the disk was full")
    elif row.kind is RunKind.TRAIN:
        finish_training(story.project, run, str(story.random.random()))
    elif row.kind is RunKind.REHEARSE:
        finish_rehearsal(story.project, run)
    else:
        finish_evaluation(story.project, run, story.random.choice((0, 6, 12, 12, 12)))


def _start(queue: Callable[[Story, int, Actor], int]) -> Deed:
    return lambda story, play, who: _run_to_its_end(story, play, queue(story, play, who))


def _assign(story: Story, play: int, who: Actor) -> None:
    role, person = story.random.choice(list(Role)), story.random.choice(EVERYBODY)
    actions.assign_role(story.project, play, who, role, person)


def _sign(opinion: Opinion) -> Deed:
    return lambda story, play, who: actions.sign_off(story.project, play, who, opinion, "I looked.")


def _edit_gate(story: Story, play: int, who: Actor) -> None:
    threshold = Decimal(story.random.choice(("0.4", "0.5", "0.6")))
    criterion = replace(GATE.criteria[0], threshold=threshold)
    actions.edit_gate(story.project, play, who, replace(GATE, criteria=(criterion,)))


def _stop(story: Story, play: int, who: Actor) -> None:
    """Stop a run; the worker that has it, or would have taken it, then ends it."""
    runs = story.active(play, *RunKind)
    actions.stop_run(story.project, play, who, (runs[0].id if runs else None) or 0)
    story.project.lose([runs[0].id], unless=lambda run: False)  # as `local.reap` does once the worker is gone


def _report_for_another(story: Story, play: int, who: Actor) -> None:
    """A person who is not a worker reports that a run is finished."""
    runs = story.project.dossier(play).runs
    request = WorkerReport(runs[-1].id, runs[-1].token) if runs else None
    with story.project.change(Action.FINISH_RUN, play, who, request):
        raise AssertionError("a person spoke for a worker")


def _by_hand(story: Story, play: int, who: Actor) -> None:
    """A person with a database tool changes the gate, or undoes an action; the file refuses."""
    statement = story.random.choice(
        (
            "UPDATE gate SET content = '{}' WHERE locked_at IS NOT NULL",
            "DELETE FROM builder",
            "UPDATE evaluation SET passed = 1, reproduced = 1",
            "REPLACE INTO audit SELECT seq, at, person_id, proof, action, play_id, '{}', rows, state, previous, digest "
            "FROM audit",
            "UPDATE data_set SET digest = 'sha256:' || hex(zeroblob(32)) WHERE frozen_at IS NOT NULL",
        )
    )
    connection = sqlite3.connect(story.project.path)
    try:
        before = connection.total_changes
        connection.execute(statement)
        if connection.total_changes > before:
            raise Wrong(f"plain SQL changed what is fixed: {statement}")
        raise ProjectError("nothing to change yet")
    except sqlite3.IntegrityError as error:
        raise ProjectError(str(error)) from None
    finally:
        connection.close()


DEEDS: dict[str, Deed] = {
    "open_play": lambda s, play, who: actions.open_play(
        s.project, who, f"play {s.random.random()}", PlayKind.STABILITY
    ),
    "assign_role": _assign,
    "fill_worksheet": lambda s, play, who: actions.fill_worksheet(s.project, play, who, WORKSHEET),
    "qualify": lambda s, play, who: actions.qualify(s.project, play, who),
    "edit_gate": _edit_gate,
    "lock_gate": lambda s, play, who: actions.lock_gate(s.project, play, who),
    "import_traffic": lambda s, play, who: data_runs.import_traffic(s.project, play, who, s.traffic),
    "confirm_terms": lambda s, play, who: actions.confirm_terms(
        s.project, play, who, "Acme", "3.1", "2026-11-01", s.random.random() < 0.9
    ),
    "accept_findings": lambda s, play, who: actions.accept_findings(
        s.project, play, who, [each.id for each in open_findings(s.project.dossier(play))], "known"
    ),
    "set_teacher": lambda s, play, who: actions.set_teacher(s.project, play, who, None),
    "build_data": lambda s, play, who: data_runs.build_data(s.project, play, who),
    "freeze_data": lambda s, play, who: data_runs.freeze_data(s.project, play, who),
    "start_run": _start(lambda s, play, who: actions.start_run(s.project, play, who, SPEC)),
    "stop_run": _stop,
    "resume_run": _start(lambda s, play, who: actions.resume_run(s.project, play, who)),
    "evaluate": _start(lambda s, play, who: actions.evaluate(s.project, play, who)),
    "reproduce": _start(lambda s, play, who: actions.reproduce(s.project, play, who)),
    "rehearse": _start(lambda s, play, who: actions.rehearse(s.project, play, who)),
    "report_for_another": _report_for_another,
    "by_hand": _by_hand,
    "sign_off": _sign(Opinion.APPROVE),
    "refuse": _sign(Opinion.REFUSE),
    "withdraw": lambda s, play, who: actions.withdraw(s.project, play, who, "I erred."),
    "set_maintenance": lambda s, play, who: actions.set_maintenance(s.project, play, who, 400, 90),
    "ship": lambda s, play, who: actions.ship(s.project, play, who),
    "iterate": lambda s, play, who: actions.iterate(s.project, play, who),
    "kill": lambda s, play, who: actions.kill(s.project, play, who, "No headroom."),
    "comment": lambda s, play, who: actions.comment(s.project, play, who, "noted"),
    "add_account": lambda s, play, who: actions.add_account(
        s.project, who, s.random.choice(EVERYBODY), s.random.randrange(200_000, 2**31)
    ),
}
RARE = (
    *("add_account", "kill", "open_play", "set_maintenance", "comment", "fill_worksheet"),
    *("confirm_terms", "accept_findings", "refuse", "iterate", "by_hand"),
)
LIKELY = [deed for deed in DEEDS for _ in range(1 if deed in RARE else 3)]


# --- what must never be -------------------------------------------------------------------------------------------


class Wrong(AssertionError):
    """Something that must never be is so."""


DRIVER, SPONSOR, VALIDATOR, OPERATOR = "driver", "sponsor", "validator", "operator"
BY = {  # who does it; the rules say the same in other words, and neither reads the other
    "fill_worksheet": {DRIVER, SPONSOR},
    "qualify": {DRIVER, SPONSOR},
    "edit_gate": {DRIVER, SPONSOR},
    "lock_gate": {SPONSOR},
    "import_traffic": {DRIVER},
    "set_teacher": {DRIVER},
    "build_data": {DRIVER},
    "freeze_data": {DRIVER},
    "start_run": {DRIVER},
    "evaluate": {DRIVER},
    "reproduce": {VALIDATOR},
    "sign_off": {VALIDATOR},
    "refuse": {VALIDATOR},
    "set_maintenance": {DRIVER, OPERATOR},
    "ship": {DRIVER, OPERATOR, SPONSOR},
    "iterate": {DRIVER, SPONSOR},
    "kill": {DRIVER, SPONSOR},
}
BUILDS = {"import_traffic", "set_teacher", "label", "build_data", "freeze_data", "start_run", "evaluate", "iterate"}
IN_ORDER = ("qualify", "gate", "data", "train", "decide", "live")


NEVER = {  # what no row may ever show
    "two workers of one play at once": (
        "SELECT play_id FROM run WHERE status IN ('queued', 'running') GROUP BY play_id HAVING count(*) > 1"
    ),
    "two looks at the held-out split in one round": (
        "SELECT play_id, round FROM evaluation WHERE NOT reproduced GROUP BY play_id, round HAVING count(*) > 1"
    ),
    "more rounds than the gate allows": (
        "SELECT play.id, round FROM play JOIN gate ON play_id = play.id WHERE round > content ->> '$.rounds'"
    ),
    "a student of data that are not frozen": (
        "SELECT run.id FROM run JOIN data_set ON data_set_id = data_set.id WHERE frozen_at IS NULL"
        " AND run.kind = 'train'"
    ),
    "frozen with less held out than was promised": (
        "SELECT data_set.id FROM data_set JOIN gate USING (play_id) WHERE frozen_at IS NOT NULL"
        " AND counts ->> '$.splits.held-out' < content ->> '$.held_out_rows' AND round = 1"
    ),
    "past the gate without a lock": (
        "SELECT play_id FROM gate JOIN play ON play_id = play.id WHERE locked_at IS NULL"
        " AND stage IN ('data', 'train', 'decide', 'live')"
    ),
}


@dataclass
class Play:
    """A play as the log alone shows it."""

    roles: dict[str, str] = field(default_factory=dict)
    built: set[str] = field(default_factory=set)
    worked: set[str] = field(default_factory=set)  # who built by an act of their own, or drove while it was done
    stage: str = "qualify"
    locked: bool = False


Rows = dict[str, list[tuple[Any, ...]]]  # every row, by table


def see_unchanged(turn: str, before: Rows, after: Rows) -> None:
    """Raise Wrong where a rejected turn changed a row.

    Where only the worker was rejected, its run stays, as failed.
    """
    before = dict(before)
    if len(after["run"]) > len(before["run"]):
        (run,) = after["run"][len(before["run"]) :]
        done = [entry[4] for entry in after["audit"][len(before["audit"]) :]]
        if done != [Action.QUEUE_RUN, Action.END_RUN] or RunStatus.FAILED not in run:
            raise Wrong(f"{turn}, and the log also has {done}, of {run}")
        before |= {"run": [*before["run"], run]} | {table: after[table] for table in ("audit", "play_card")}
    changed = [table for table in after if after[table] != before.get(table)]
    if changed:
        raise Wrong(f"{turn}, and rows changed of {', '.join(changed)}")


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _digest_of(fields: list[Any]) -> str:
    return _digest(json.dumps(fields, separators=(",", ":"), ensure_ascii=False))


@dataclass
class Auditor:
    """Looks at the file by plain SQL after each turn, knowing nothing of `rules`."""

    path: Path
    plays: dict[int, Play] = field(default_factory=dict)
    locked: dict[int, tuple[str, str]] = field(default_factory=dict)
    live: set[int] = field(default_factory=set)
    seen: int = 0  # entries of the log whose chain was followed
    head: str = ""
    kept: sqlite3.Connection | None = None  # to read with; one is opened for each look otherwise

    def rows(self) -> Rows:
        """Every row of every table."""
        with plain(self.path, self.kept) as connection:
            connection.row_factory = None
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            return {name: connection.execute(f'SELECT * FROM "{name}" ORDER BY 1, 2, 3').fetchall() for name in names}

    def look(self) -> None:
        """Raise Wrong where something must not be so."""
        with plain(self.path, self.kept) as connection:
            connection.row_factory = sqlite3.Row
            self._chain(connection)
            self._gates(connection)
            live = connection.execute("SELECT * FROM play WHERE stage = 'live'").fetchall()
            for play in live:
                if play["id"] not in self.live:
                    self._ship(connection, play)
                    self.live.add(play["id"])
            retired = {number for number, play in self.plays.items() if play.stage == "killed"}  # as the log says
            if len(live) < len(self.live - retired):
                raise Wrong("a live play is not live any more")

    def _chain(self, connection: sqlite3.Connection) -> None:
        for row in connection.execute("SELECT * FROM audit WHERE seq > ? ORDER BY seq", (self.seen,)):
            names = ("at", "person_id", "proof", "action", "play_id", "detail")
            fields = [row[name] if row[name] is not None else (0 if name == "play_id" else "") for name in names]
            content = _digest_of([*fields, _digest(row["rows"]), row["state"]])
            if row["digest"] != _digest_of([row["seq"], row["previous"], content]):
                raise Wrong(f"entry {row['seq']} of the log is not what its digest says")
            if (row["previous"], row["seq"]) != (self.head, self.seen + 1):
                raise Wrong(f"entry {row['seq']} of the log does not follow the one before")
            self.seen, self.head = row["seq"], row["digest"]
            if row["play_id"] is not None:
                self._entry(row, self.plays.setdefault(row["play_id"], Play()))

    def _entry(self, row: sqlite3.Row, play: Play) -> None:
        """Was this entry allowed to the person who made it, by the log before it?"""
        who, action, detail = row["person_id"], row["action"], json.loads(row["detail"])

        def must(holds: object, what: str) -> None:
            if not holds:
                raise Wrong(f"entry {row['seq']}: {who} did {action} on play {row['play_id']}, but {what}")

        if action in BY:
            must(who in {play.roles.get(role) for role in BY[action]}, "holds no role for that")
        if action in ("finish_run", "end_run", "record_evaluation", "record_reproduction"):
            must(row["proof"].startswith("worker of run"), "is no worker")
        if action in ("sign_off", "refuse"):
            must(who not in play.built, "built")
        if action == "assign_role":
            must(not play.locked or who == play.roles.get(SPONSOR), "is not the sponsor of a locked play")
            must(detail["role"] != VALIDATOR or detail["after"] not in play.built, f"{detail['after']} built")
            old = play.roles.get(DRIVER)
            if detail["role"] == DRIVER and old != detail["after"] and old not in play.worked:
                play.built.discard(old or "")  # replaced before anything was built
            play.roles[detail["role"]] = detail["after"]
            must(play.roles.get(DRIVER) != play.roles.get(VALIDATOR, ""), "one person drives and validates")
        if action in BUILDS:
            play.worked |= {who, play.roles.get(DRIVER, who)}
        if action in BUILDS or detail.get("role") == DRIVER:
            play.built.add(detail["after"] if action == "assign_role" else who)
        if action == "lock_gate":
            must(len(play.roles) == 4, "not all roles are named")
            must(play.roles[VALIDATOR] not in play.built, "nobody could validate")
            play.locked = True
        if "stage" in detail:
            before, after = detail["stage"]
            must(before == play.stage, f"it stood at {play.stage}")
            onwards = after in IN_ORDER and IN_ORDER.index(after) == IN_ORDER.index(before) + 1
            must(
                onwards or after == "killed" or (before, after) == ("decide", "data"), f"{before} leads not to {after}"
            )
            play.stage = after

    def _gates(self, connection: sqlite3.Connection) -> None:
        now_locked = {
            row["play_id"]: (row["content"], row["digest"])
            for row in connection.execute("SELECT * FROM gate WHERE locked_at IS NOT NULL")
        }
        for play, gate in self.locked.items():
            if now_locked.get(play) != gate:
                raise Wrong(f"the locked gate of play {play} changed")
        self.locked = now_locked
        for name, query in NEVER.items():
            found = connection.execute(query).fetchone()
            if found is not None:
                raise Wrong(f"{name}: {tuple(found)}")

    def _ship(self, connection: sqlite3.Connection, play: sqlite3.Row) -> None:
        """A play went live: its gate is passed, a person who never built approved, and no one rejected."""

        def of_play(table: str, *more: str) -> list[sqlite3.Row]:
            where = " AND ".join(("play_id = ?", *more))
            return connection.execute(f"SELECT * FROM {table} WHERE {where} ORDER BY rowid", (play["id"],)).fetchall()

        def must(holds: object, what: str) -> None:
            if not holds:
                raise Wrong(f"play {play['id']} went live, but {what}")

        this_round = f"round = {play['round']}"
        gate = self.locked.get(play["id"])
        must(gate is not None, "no gate is locked")
        assert gate is not None
        evaluations = of_play("evaluation", this_round)
        own = [row for row in evaluations if not row["reproduced"]]
        must(len(own) == 1, f"{len(own)} evaluations decide")
        looked = own[0]
        record = Record.from_json((self._artifacts / looked["record"][7:]).read_text())
        right = sum(said == true for said, true in zip(record.student, record.gold, strict=True))
        must(right >= 11 and len(record.gold) >= 12, f"its student has {right} of {len(record.gold)} right")
        must(looked["gate_digest"] == gate[1], "it was judged by another gate")
        (data,) = of_play("data_set", this_round)
        must(data["frozen_at"] and data["digest"] == looked["data_digest"], "its data were not frozen")
        builders = {row["person_id"] for row in of_play("builder")}
        roles = {row["role"]: row["person_id"] for row in of_play("role_holder")}
        (bundle,) = of_play("bundle", this_round)
        gone = {row["sign_off_id"] for row in connection.execute("SELECT sign_off_id FROM withdrawal")}
        stands = [row for row in of_play("sign_off", this_round) if row["id"] not in gone]
        latest = {row["person_id"]: row["opinion"] for row in stands}
        must("refuse" not in latest.values(), "a refusal stands")
        signed = next((row for row in stands if row["id"] == bundle["sign_off_id"]), None)
        must(signed is not None and signed["opinion"] == "approve", "nobody approved")
        assert signed is not None
        who = signed["person_id"]
        must(who not in builders, f"{who}, who signed, built")
        must(who == roles.get("validator"), f"{who}, who signed, does not validate")
        must(who != bundle["shipped_by"], f"{who} shipped on their own word")
        must(roles.get("driver") != who and roles.get("operator"), "its roles are not filled")
        covers = json.loads(signed["statement"])["predicate"]["covers"]
        must(covers["model"] == looked["model"], "the sign-off is for another student")
        must(covers["evaluations"] == [row["record"] for row in evaluations], "the sign-off saw other evaluations")
        must(covers["gate"] == gate[1] and covers["data"] == data["digest"], "the sign-off is for something else")
        must(
            covers["builders"] == sorted(builders) and covers["roles"] == roles, "the people changed after the sign-off"
        )
        must(play["sampling_per_month"] and play["refresh_days"], "nobody maintains it")
        must((self._artifacts / bundle["digest"][7:] / "manifest.json").is_file(), "there is no bundle")

    @property
    def _artifacts(self) -> Path:
        return self.path.parent / f"{self.path.name}.artifacts"


def stand_still() -> Callable[..., None]:
    """Use in place of `launch.start`: the worker's part is played here, so no process is needed."""
    return lambda project, run: None
