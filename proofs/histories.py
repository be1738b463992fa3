"""Random histories of several people on real project files, and the rules and triggers taken away one by one.

A history starts from a project at one of three points and continues at random: a person tries something, often what
would bring the play further. After each turn an auditor that shares no code with the rules checks the file, each card
and what `list`, `next` and `why` print must agree with the rules, and a rejected turn must have left every row as it
was. At its end the replay must count every entry that the door appended.
"""

from __future__ import annotations

import ast
import inspect
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from types import FunctionType, ModuleType

from distill_tui.rules import data, decide, gate, live, next_step, permission, training, who
from distill_tui.store import migrations, whole_check
from distill_tui.store.project import Project
from distill_tui.store.sqlite import module as sqlite3
from kit import NAME, Bench, Row
from support import cards, projects, tampering
from support.stories import Auditor, Story, see_unchanged

STAGES = ("open", "built", "decided", "decided", "decided")
TURNS, PART = 30, 50  # turns of a history; histories after which the counts are kept
ENOUGH_SHIPS = 0.05  # of the histories; where nothing ships, nothing is proved
MOST = 40  # histories against a mutant that the test cases of the rules miss


class Theatre:
    """A folder in which histories happen one after the other; the project stays open, its file is put back."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.folder = bench, bench.empty() / "play"
        self.put("open")
        self.project = Project.open(self.folder / NAME)

    def put(self, stage: str) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(self.bench.stages / stage, self.folder)

    def history(self, seed: int, number: int) -> tuple[Story, str]:
        """Play one history; return it and what went wrong."""
        chance = Random(f"{seed}/{number}")
        self.put(chance.choice(STAGES))
        asking, looking = sqlite3.connect(self.project.path), sqlite3.connect(self.project.path)
        story = Story(self.project, self.folder / "calls.jsonl", chance, kept=asking)
        auditor = Auditor(self.project.path, kept=looking)
        try:
            auditor.look()
            rows = auditor.rows()
            for _ in range(TURNS):
                before, play = rows, chance.choice(story.plays)
                action, person = story.next_deed(play) if chance.random() < 0.4 else (None, None)
                rejected = story.turn(action, person, play)
                rows = auditor.rows()
                if rejected:
                    see_unchanged(f"rejected by {rejected}", before, rows)
                auditor.look()
                cards.hold(self.project)
            with self.project.view() as connection:
                assert not (said := whole_check.trouble(connection)), (
                    f"the log does not count what the door wrote: {said}"
                )
        except Exception as error:
            return story, f"history {seed}/{number}: {type(error).__name__}: {error} after {'; '.join(story.told)}"
        finally:
            asking.close()
            looking.close()
        return story, ""


def histories(bench: Bench) -> Row:
    row, theatre, full = bench.row("histories of several people"), Theatre(bench), bench.times(10_000, 20)
    while bench.goes_on(row, full):
        row.times += 1
        story, wrong = theatre.history(bench.seed, row.times)
        row.check(wrong)
        row.counts.update(rejected=story.refusals, ships=story.ships, shipping=story.ships > 0)
        if row.times % PART == 0 or row.times == full:
            bench.keep(row)
    theatre.project.close()
    shipping = row.counts["shipping"]
    row.require(row.stopped or shipping >= ENOUGH_SHIPS * row.times, f"only {shipping} histories shipped")
    row.detail = (
        f"{TURNS * row.times:,} turns, {row.counts['rejected']:,} rejected; {row.counts['ships']:,} right ships in "
        f"{row.counts['shipping']:,} histories"
    )
    return row


# --- rules and triggers, taken away one at a time -------------------------------------------------------------------

RULE_MODULES = (who, gate, data, training, live, decide)
CENTRAL = (
    "held_by", "never_built", "gate_holds", "lacks_sign_off", "sign_off_troubles", "standing_refusals", "maintained",
    "one_look", "idle", "run_of_worker", "lock_gate", "freeze_data", "evaluate", "iterate", "qualify",
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A function of the rules without one of its objections."""

    name: str
    function: str
    module: ModuleType
    made: Callable[..., object]


def mutants() -> Iterator[Mutant]:
    """Make each rule function without each of its yields."""
    for module in RULE_MODULES:
        source = inspect.getsource(module)
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef):
                for at in range(sum(map(yields, ast.walk(node)))):
                    yield without(module, node.name, at, source)


def yields(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom)


def without(module: ModuleType, name: str, at: int, source: str) -> Mutant:
    function = next(each for each in ast.parse(source).body if isinstance(each, ast.FunctionDef) and each.name == name)
    gone = [each for each in ast.walk(function) if yields(each)][at]
    where = f"{module.__name__}:{gone.lineno} in {name}: {ast.unparse(gone)[:90]}"
    nothing = ast.YieldFrom(ast.Tuple([], ast.Load()))  # still a generator
    gone.value = ast.copy_location(nothing, gone.value)
    made: dict[str, FunctionType] = {}
    code = ast.fix_missing_locations(ast.Module([function], []))
    exec(compile(code, str(module.__file__), "exec"), module.__dict__, made)
    return Mutant(where, name, module, made[name])


@contextmanager
def swapped(mutant: Mutant) -> Iterator[None]:
    """Put a mutant in the place of its function for a while."""

    def put(old: object, new: object) -> None:
        for module in (*RULE_MODULES, permission, next_step):
            if getattr(module, mutant.function, None) is old:
                setattr(module, mutant.function, new)
        for rules in (permission.RULES, permission.PROJECT_RULES):
            rules.update({action: new for action, rule in rules.items() if rule is old})

    kept = getattr(mutant.module, mutant.function)
    put(kept, mutant.made)
    try:
        yield
    finally:
        put(mutant.made, kept)


def test_cases_notice() -> str:
    """Run the test cases of the rules; return the first that fails."""
    import test_rules

    for case in test_rules.CASES:
        rejected = {reason.rule for reason in case.objections_of_refused()}
        if case.rule not in rejected or case.objections_of_allowed():
            return f"test: {case.rule} of {case.action.value}"
    for action, (seen, may) in test_rules.MAY.items():
        if test_rules.who_may(action, seen) != may:
            return f"test: who may {action.value}"
    return ""


def history_notices(theatre: Theatre) -> str:
    return next((wrong for number in range(MOST) if (wrong := theatre.history(0, number)[1])), "")


def objections(bench: Bench) -> Row:
    """Take each objection of the rules away: the rules' test cases, or the auditor in some history, must notice."""
    row, theatre = Row("objections taken away"), Theatre(bench)
    every = list(mutants())
    for mutant in every[:: max(1, round(1 / bench.scale))]:
        row.times += 1
        with swapped(mutant):
            noticed = test_cases_notice() or history_notices(theatre)
        row.counts[noticed.partition(":")[0].split()[0] if noticed else "unnoticed"] += 1
        row.require(noticed, f"unnoticed: {mutant.name}")
    row.detail = "noticed by " + ", ".join(f"{by} {number}" for by, number in row.counts.items())
    return row


def rules(bench: Bench) -> Row:
    """Take whole rules away: how many of them the auditor, who shares no code with the rules, notices in a history."""
    row, theatre, unnoticed = Row("whole rules taken away"), Theatre(bench), []
    for name in CENTRAL[:: max(1, round(0.2 / bench.scale))]:
        row.times += 1
        module = next(each for each in RULE_MODULES if name in vars(each))
        nothing = (lambda *_, **__: []) if name == "standing_refusals" else (lambda *_, **__: iter(()))
        with swapped(Mutant(name, name, module, nothing)):
            noticed = history_notices(theatre) or test_cases_notice()
        row.require(noticed, f"unnoticed: {name}")
        unnoticed += [name] if noticed.startswith("test") else []
    row.detail = (
        f"{row.times - len(unnoticed)} noticed in a history; only the test cases notice: {', '.join(unnoticed)}"
    )
    return row


def triggers(bench: Bench) -> Row:
    """Drop each trigger: the check of the log must name it, and see which SQL it alone stands against."""
    row, alone = Row("triggers taken away"), 0
    made = projects.make(bench.empty())
    every = sorted(name for name, sql in migrations.expected_schema().items() if sql.startswith("CREATE TRIGGER"))
    for folder, trigger in bench.each(row, every[:: max(1, round(0.2 / bench.scale))]):
        path = shutil.copytree(made, folder / "copy") / projects.NAME
        projects.sql(path, f"DROP TRIGGER {trigger}")
        project = Project.open(path)
        with project.view() as connection:
            row.require(trigger in whole_check.trouble(connection), f"unnoticed: {trigger}")
        project.close()
        alone += any(projects.gets_through(path, table) for table in projects.FIXED)
    row.detail = f"each named by the check of the log; without {alone} of them plain SQL gets through"
    return row


def columns(bench: Bench) -> Row:
    """Change every column of every deciding table at every stage, in four ways: each must be noticed."""
    row, ways = Row("columns changed by SQL"), Counter[str]()
    templates = projects.make(bench.empty()) / projects.NAME
    every = list(tampering.attempts())[:: max(1, round(1 / bench.scale))]
    for stage in ("", "open", "locked", "built", "frozen", "trained", "decided", "signed"):
        path = templates if not stage else bench.copy(stage) / NAME
        for attempt in every:
            said = tampering.tried(path, templates, attempt)
            if said is not None:  # no such row at this stage
                row.times += 1
                ways[attempt.way] += 1
                row.require(said, f"unnoticed at {stage or 'live'}: {attempt}")
    row.detail = ", ".join(f"{number} by {way}" for way, number in ways.items())
    return row


PROOFS = {
    "columns changed by SQL": columns,
    "histories of several people": histories,
    "objections taken away": objections,
    "whole rules taken away": rules,
    "triggers taken away": triggers,
}
