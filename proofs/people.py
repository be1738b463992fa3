"""Ten thousand stories of thirty turns by several people, on real project files; and each guard taken away once.

    python proofs/people.py                      # all of it
    python proofs/people.py --stories 500        # fewer stories
    python proofs/people.py --story 4711         # tell one story again, turn by turn
    python proofs/people.py --guards             # only the guards

A story begins with a project at one of three points and goes on by chance: somebody tries something, now and then what
would bring the play on. After each turn an auditor who shares no code with the rules looks at the file, and a refused
turn must have left every row as it was. Exit code 1 where something wrong was found, or too few stories shipped.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FunctionType, ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from distill_tui.rules import data, decide, gate, live, next_step, permission, training, who
from distill_tui.rules.permission import RULES
from distill_tui.runs.executors import local
from distill_tui.store import migrations
from distill_tui.store.audit_log import chain_trouble
from distill_tui.store.project import Project
from support import cards
from support.stories import Auditor, Story, drive_to_data, drive_to_decide, found, open_play, write_traffic
from trials import Row, keep

MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
BEGINNINGS = ("open", "built", "decided", "decided", "decided")
ENOUGH_SHIPS = 0.05  # of the stories; a suite in which nothing ships proves nothing


def beginnings(folder: Path) -> dict[str, Path]:
    """Make a project and keep a copy at three points."""
    (folder / "work").mkdir()
    traffic, project = write_traffic(folder / "work" / "calls.jsonl"), found(folder / "work" / "team.distill")
    play = open_play(project)
    steps: dict[str, Callable[[], None]] = {
        "open": lambda: None,
        "built": lambda: drive_to_data(project, play, traffic),
        "decided": lambda: drive_to_decide(project, play),
    }
    for name, step in steps.items():
        step()
        shutil.copytree(folder / "work", folder / name)
    project.close()
    return {name: folder / name for name in steps}


class Stage:
    """A folder in which one story after the other is told; the project stays open, its file is put back."""

    def __init__(self, kept: dict[str, Path]) -> None:
        self.kept, self.folder = kept, Path(tempfile.mkdtemp(dir=MEMORY))
        self.put("open")
        self.project = Project.open(self.folder / "play" / "team.distill")

    def put(self, beginning: str) -> None:
        """Put a project at its beginning."""
        shutil.rmtree(self.folder / "play", ignore_errors=True)
        shutil.copytree(self.kept[beginning], self.folder / "play")

    def tell(self, seed: int, number: int, turns: int) -> Story:
        """Tell one story, with the auditor after each turn. Raises Wrong, or whatever else went wrong."""
        chance = Random(f"{seed}/{number}")
        self.put(chance.choice(BEGINNINGS))
        story = Story(self.project, self.folder / "play" / "calls.jsonl", chance)
        auditor = Auditor(self.project.path)
        auditor.look()
        for _ in range(turns):
            before = auditor.rows()
            play = chance.choice(story.plays)
            deed, who = story.next_deed(play) if chance.random() < 0.4 else (None, None)
            refused = story.turn(deed, who, play)
            if refused and auditor.rows() != before:
                raise AssertionError(f"refused by {refused}, and changed something all the same")
            auditor.look()
            cards.hold(self.project)
        return story

    def close(self) -> None:
        """Clear away."""
        self.project.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass
class Tally:
    """What came of some stories."""

    stories: int = 0
    turns: int = 0
    ships: int = 0
    shipping: int = 0
    refusals: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count another's in."""
        for name in ("stories", "turns", "ships", "shipping", "refusals", "wrong"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def tell_some(kept: dict[str, Path], seed: int, numbers: range, turns: int) -> Tally:
    """Tell some stories in this process."""
    local.start = lambda project, run: None  # type: ignore[assignment]  # the story plays the workers' part
    stage, tally = Stage(kept), Tally()
    for number in numbers:
        try:
            story = stage.tell(seed, number, turns)
            tally.ships += story.ships
            tally.shipping += story.ships > 0
            tally.refusals += story.refusals
        except Exception as error:
            tally.wrong.append(f"story {number}: {type(error).__name__}: {error}")
        tally.stories += 1
        tally.turns += turns
    stage.close()
    return tally


# --- guards, taken away one at a time -----------------------------------------------------------------------------


RULE_MODULES = (who, gate, data, training, live, decide)


@dataclass(frozen=True)
class Mutant:
    """A function of the rules without one of its objections."""

    module: ModuleType
    function: str
    line: int
    text: str
    made: FunctionType


def mutants() -> Iterator[Mutant]:
    """Make each rule function without each of its yields."""
    for module in RULE_MODULES:
        source = inspect.getsource(module)
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef):
                count = sum(_yields(each) for each in ast.walk(node))
                for at in range(count):
                    yield _without(module, node, at, source)


def _yields(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom)


def _without(module: ModuleType, function: ast.FunctionDef, at: int, source: str) -> Mutant:
    fresh = ast.parse(source)
    target = next(each for each in fresh.body if isinstance(each, ast.FunctionDef) and each.name == function.name)
    gone = [each for each in ast.walk(target) if _yields(each)][at]
    assert isinstance(gone, ast.Expr) and isinstance(gone.value, ast.Yield | ast.YieldFrom)
    line, text = gone.lineno, ast.unparse(gone)[:90]
    nothing = ast.YieldFrom(ast.Tuple([], ast.Load()))  # still a generator, one that says nothing here
    gone.value = ast.copy_location(nothing, gone.value)
    changed = ast.fix_missing_locations(ast.Module([target], []))
    made: dict[str, Any] = {}
    exec(compile(changed, str(module.__file__), "exec"), module.__dict__, made)
    return Mutant(module, function.name, line, text, made[function.name])


class Swapped:
    """Puts a mutant in the place of its function for a while."""

    def __init__(self, mutant: Mutant) -> None:
        self.name, self.made, self.kept = mutant.function, mutant.made, getattr(mutant.module, mutant.function)

    def __enter__(self) -> None:
        self._put(self.kept, self.made)

    def __exit__(self, *_: object) -> None:
        self._put(self.made, self.kept)

    def _put(self, old: Any, new: Any) -> None:
        for module in (*RULE_MODULES, permission, next_step):
            if getattr(module, self.name, None) is old:
                setattr(module, self.name, new)
        for action, rule in RULES.items():
            if rule is old:
                RULES[action] = new


def rulebook_notices() -> str:
    """Ask the rulebook of the tests; gives the first case that fails, or nothing."""
    import test_rules

    for case in test_rules.CASES:
        refused = case.objections_of_refused()
        if case.rule not in {reason.rule for reason in refused} or case.objections_of_allowed():
            return f"rulebook: {case.rule} of {case.action.value}"
    for action, (seen, may) in test_rules.MAY.items():
        if test_rules.who_may(action, seen) != may:
            return f"rulebook: who may {action.value}"
    return ""


def stories_notice(stage: Stage, most: int) -> str:
    """Tell stories until the auditor objects; gives what was said, or nothing."""
    for number in range(most):
        try:
            stage.tell(0, number, 30)
        except Exception as error:
            return f"story {number}: {error}"[:110]
    return ""


def try_rule_mutants(kept: dict[str, Path], most: int) -> list[tuple[Mutant, str]]:
    """Take each objection away, and see who notices."""
    stage, found_ = Stage(kept), []
    for mutant in mutants():
        with Swapped(mutant):
            found_.append((mutant, rulebook_notices() or stories_notice(stage, most)))
    stage.close()
    return found_


CENTRAL = (
    "held_by", "never_built", "gate_holds", "lacks_sign_off", "sign_off_troubles", "standing_refusals", "maintained",
    "one_look", "idle", "run_of_worker", "lock_gate", "freeze_data", "evaluate", "iterate", "qualify",
)  # fmt: skip


def try_whole_rules(kept: dict[str, Path], most: int) -> list[tuple[str, str]]:
    """Take whole rules away, and see whether the auditor, who shares no code with them, notices in some story."""
    stage, found_ = Stage(kept), []
    for name in CENTRAL:
        nothing: Any = (lambda *_, **__: []) if name == "standing_refusals" else (lambda *_, **__: iter(()))
        module = next(each for each in RULE_MODULES if name in vars(each))
        with Swapped(Mutant(module, name, 0, "all of it", nothing)):
            found_.append((name, stories_notice(stage, most)))
    stage.close()
    return found_


def try_trigger_mutants() -> list[tuple[str, bool, str]]:
    """Drop each trigger: the log's check must name it; and see which SQL it alone stood against."""
    from support import projects

    made = projects.make(Path(tempfile.mkdtemp(dir=MEMORY)))
    triggers = sorted(name for name, sql in migrations.expected_schema().items() if sql.startswith("CREATE TRIGGER"))
    found_ = []
    for trigger in triggers:
        folder = Path(tempfile.mkdtemp(dir=MEMORY)) / "copy"
        shutil.copytree(made, folder)
        path = folder / projects.NAME
        projects.sql(path, f"DROP TRIGGER {trigger}")
        project = Project.open(path)
        with project.view() as connection:
            named = trigger in chain_trouble(connection)
        project.close()
        through = (projects.gets_through(path, table) for table in projects.FIXED)
        found_.append((trigger, named, next((each[0] for each in through if each), "")))
        shutil.rmtree(folder.parent)
    shutil.rmtree(made.parent, ignore_errors=True)
    return found_


# --- the table ----------------------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--story", type=int, help="tell this one again")
    parser.add_argument("--guards", action="store_true", help="only take the guards away")
    parser.add_argument("--most", type=int, default=40, help="stories against a mutant that the rulebook misses")
    given = parser.parse_args()
    local.start = lambda project, run: None  # type: ignore[assignment]
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        kept = beginnings(Path(folder))
        if given.story is not None:
            return retell(kept, given)
        code = 0 if given.guards else tell_all(kept, given)
        return max(code, take_guards_away(kept, given.most))


def retell(kept: dict[str, Path], given: argparse.Namespace) -> int:
    stage = Stage(kept)
    try:
        story = stage.tell(given.seed, given.story, given.turns)
        print("\n".join(story.told))
        return 0
    finally:
        stage.close()


def tell_all(kept: dict[str, Path], given: argparse.Namespace) -> int:
    started, tally, size = time.monotonic(), Tally(), 50
    parts = [range(at, min(at + size, given.stories)) for at in range(0, given.stories, size)]
    with ProcessPoolExecutor(given.workers) as pool:
        told = [pool.submit(tell_some, kept, given.seed, numbers, given.turns) for numbers in parts]
        for future in told:
            tally.add(future.result())
            print(f"\r{tally.stories:,} stories, {tally.ships:,} ships, {len(tally.wrong)} wrong", end="", flush=True)
    seconds = time.monotonic() - started
    print(
        f"\npeople: {tally.stories:,} stories, {tally.turns:,} turns, {tally.refusals:,} refused, "
        f"{tally.ships:,} right ships in {tally.shipping:,} stories, {len(tally.wrong)} wrong, {seconds:,.0f} s"
    )
    said = (
        f"{tally.turns:,} turns, {tally.refusals:,} refused; {tally.ships:,} right ships in {tally.shipping:,} stories"
    )
    keep([Row("stories of several people", tally.stories, said, tally.wrong)])
    for each in tally.wrong[:20]:
        print(f"  {each}\n    again: python proofs/people.py --seed {given.seed} --story {each.split()[1][:-1]}")
    return int(bool(tally.wrong) or tally.shipping < ENOUGH_SHIPS * tally.stories)


def take_guards_away(kept: dict[str, Path], most: int) -> int:
    by, alive = Counter[str](), []
    for mutant, noticed in try_rule_mutants(kept, most):
        by[noticed.partition(":")[0].split()[0] if noticed else "nobody"] += 1
        if not noticed:
            alive.append(f"{mutant.module.__name__}:{mutant.line} in {mutant.function}: {mutant.text}")
    print(f"rules: {sum(by.values())} objections taken away one by one; noticed by {dict(by)}")
    whole = try_whole_rules(kept, most)
    print(f"auditor: {len(whole)} whole rules taken away; {sum(bool(n) for _, n in whole)} noticed in a story")
    print("\n".join(f"  without {name}: {noticed or 'only the rulebook notices'}" for name, noticed in whole))
    triggers = try_trigger_mutants()
    alive += [f"trigger {name}: nobody notices that it is gone" for name, named, _ in triggers if not named]
    open_ = sum(bool(through) for *_, through in triggers)
    named = sum(each for _, each, _ in triggers)
    print(
        f"triggers: {len(triggers)} dropped one by one; {named} named by the check of "
        f"the log; without {open_} of them plain SQL gets through, the others are held twice:"
    )
    print("  " + ", ".join(name for name, _, through in triggers if not through))
    taken = (
        f"rules: {dict(by)}; {sum(bool(n) for _, n in whole)} whole rules noticed in a story; {named} triggers named"
    )
    keep([Row("guards taken away", sum(by.values()) + len(whole) + len(triggers), taken, alive)])
    for each in alive:
        print(f"  alive: {each}")
    return int(bool(alive))


if __name__ == "__main__":
    sys.exit(main())
