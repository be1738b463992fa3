"""Who imports what, seen from fresh interpreters: the front ends stay light, the rules pure, the training alone."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from distill_tui import actions
from distill_tui.cli.app import COMMANDS, SECTIONS
from distill_tui.runs.executors import local
from distill_tui.terms import Opinion, Task
from support import house, stories
from support.story import actor

HEAVY = ("torch", "transformers", "datasets")


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def stays_away(statement: str, *names: str) -> None:
    found = loaded_by(statement)
    assert not {name for name in found for bad in names if name == bad or name.startswith(f"{bad}.")}


@pytest.mark.parametrize(
    "module",
    [
        *(module.__name__.removeprefix("distill_tui.") for module in SECTIONS.values()),
        *("cli.app", "cli.call"),
        *("actions", "ui.app", "runs.executors.local", "store.doctor"),
    ],
)
def test_no_front_end_imports_what_trains(module: str) -> None:
    stays_away(f"import distill_tui.{module}", *HEAVY)


def test_the_rules_touch_nothing() -> None:
    rules = "import distill_tui.rules.permission, distill_tui.rules.next_step"
    stays_away(rules, "sqlmodel", "sqlalchemy", "textual", "subprocess", "pyarrow", *HEAVY)


def test_a_glance_is_cheap() -> None:
    stays_away("import distill_tui.store.glance", "sqlmodel", "sqlalchemy", "textual", "pyarrow", *HEAVY)


def test_a_worker_imports_what_its_run_needs() -> None:
    def of(*modules: str) -> str:
        return "\n".join(f"import distill_tui.{name}" for name in ("runs.worker", *modules))

    for kind in ("import_traffic", "build", "freeze"):
        stays_away(of(f"runs.{kind}"), *HEAVY)
    tasks = [f"runs.{task}" for task in Task]
    stays_away(of("runs.evaluate", *tasks, "training.students.onnx", "training.students.ngram_vocabulary"), *HEAVY)
    ngram = of("runs.train", "runs.classification", "training.classification", "training.students.ngram")
    stays_away(ngram, "transformers", "onnxruntime", "datasets")


def test_training_knows_no_play_and_no_role() -> None:
    import pkgutil

    from distill_tui import training

    names = [module.name for module in pkgutil.iter_modules(training.__path__)]
    statement = "\n".join(f"import distill_tui.training.{name}" for name in names)
    stays_away(statement, *(f"distill_tui.{name}" for name in ("store", "rules", "actions", "people")))


@pytest.mark.parametrize(
    "lines",
    [
        [["--help"]],
        [["nothing"]],
        [["spec"], ["spec", "--markdown"]],
        [[*command.words.split(), "--help"] for command in COMMANDS.by_words.values()],
    ],
    ids=["help", "an unknown command", "spec", "help of every command"],
)
def test_help_and_spec_import_only_what_is_light(lines: list[list[str]]) -> None:
    heavy = ("sqlmodel", "sqlalchemy", "textual", "pyarrow", "numpy", "cryptography", *HEAVY)
    stays_away(f"from distill_tui.cli.app import main\nfor words in {lines!r}:\n    main(words)\nprint()", *heavy)


def test_help_waits_for_no_room() -> None:
    code = """
from distill_tui.cli.app import main
from distill_tui.cli import deferred
for words in ("", "gate", "gate lock", "data vary", "kill", "list", "live", "sign"):
    assert main([*words.split(), "--help"]) == 0
print([name for name in deferred.NAMES if deferred.loaded(name)], "distill_tui.rules.entities" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", f"import sys\n{code}"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] False", "name what cli imports in cli/deferred.py, and import modules"


def test_the_screens_wait_for_no_command_line() -> None:
    begin = """
from pathlib import Path
from distill_tui.cli import start
from distill_tui.ui import app
start.drawable = lambda: True
app.run = lambda path, **_: str(path) == "a.distill"
sys.argv = ["distill-tui", "open", "a.distill"]
assert start.main() is True
"""
    stays_away(begin, "click", "distill_tui.cli.app", "distill_tui.spec", "sqlmodel")


def test_the_list_is_read_without_sqlmodel(tmp_path: object) -> None:
    path = f"{tmp_path}/team.distill"
    make = (
        f"from distill_tui.cli.app import main\nassert main(['init', {path!r}, '--name', 'Team', '--me', 'mia']) == 0"
    )
    subprocess.run([sys.executable, "-c", make], check=True)
    look = f"from distill_tui.cli.app import main\nassert main(['--project', {path!r}, 'list']) == 0\nprint()"
    stays_away(look, "sqlmodel", "sqlalchemy", "textual", "pyarrow", "cryptography", *HEAVY)


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with one play that is signed off."""
    folder, patch = tmp_path_factory.mktemp("decided"), pytest.MonkeyPatch()
    patch.setattr(local, "start", lambda project, run: None)
    project = stories.found(folder / "team.distill")
    stories.drive_to_data(project, stories.open_play(project), stories.write_traffic(folder / "calls.jsonl"))
    stories.drive_to_decide(project, 1)
    actions.sign_off(project, 1, actor("vera"), Opinion.APPROVE, "I looked.")
    project.close()
    yield folder / "team.distill"
    patch.undo()


@pytest.mark.parametrize("words", ["list", "next P-001", "why P-001 ship", "show P-001", "live P-001", "log P-001"])
def test_commands_that_read_import_no_sqlmodel(decided: Path, words: str) -> None:
    look = f"from distill_tui.cli.app import main\nmain(['--project', {str(decided)!r}, *{words.split()!r}])\nprint()"
    stays_away(look, "sqlmodel", "sqlalchemy", "textual", *HEAVY)


def test_no_two_modules_import_one_another_even_inside_functions() -> None:
    assert house.cycles(house.imports()) == []
