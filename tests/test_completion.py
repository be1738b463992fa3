"""Completion, asked of the shells themselves; recent projects, as a person opens them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from distill_tui.cli import exits
from distill_tui.cli.app import COMMANDS, main
from distill_tui.people import remembered
from distill_tui.rules.actor import Actor
from distill_tui.store.project import Project
from distill_tui.terms import PlayKind, Role
from support import needs

MINE = f"account uid {os.getuid()}"


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project of one play, and `distill-tui` on the PATH below it."""
    from distill_tui import actions

    folder = tmp_path_factory.mktemp("here")
    project = Project.create(folder / "team.distill", "Team", "dana", "Dana", Actor(None, MINE))
    actions.open_play(project, Actor("dana", MINE), "refund", PlayKind.COST)
    project.close()
    (folder / "bin").mkdir()
    program = folder / "bin" / "distill-tui"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m distill_tui "$@"\n')
    program.chmod(0o755)
    return folder


def run(shell: str, text: str, here: Path) -> list[str]:
    path = f"{here / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [shell, "-c", text], cwd=here, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split("\n")[:-1]


ASK_BASH = """
eval "$(distill-tui completion bash)"
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_distill_tui_completion distill-tui; printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def bash(here: Path, *words: str) -> set[str]:
    return set(run("bash", ASK_BASH.format(words=shlex.join(["distill-tui", *words])), here))


def fish(here: Path, *words: str) -> set[str]:
    needs.program("fish")
    asked = shlex.quote(" ".join(["distill-tui", *words]))
    lines = run("fish", f"distill-tui completion fish | source; complete -C {asked}", here)
    return {line.split("\t")[0] for line in lines}


@pytest.mark.parametrize("ask", [bash, fish])
def test_a_shell_completes_commands_plays_choices_and_options(ask: Callable[..., set[str]], here: Path) -> None:
    assert ask(here, "tr") == {"train", "try"}
    assert ask(here, "train", "") == {"P-001", "show", "status", "stop", "resume"}
    assert ask(here, "train", "status", "--f") == {"--follow"}
    assert ask(here, "role", "P-001", "") == {role.value for role in Role}
    assert ask(here, "new", "x", "--kind", "") == {kind.value for kind in PlayKind}
    assert ask(here, "gate", "") == {
        words.removeprefix("gate ") for words in COMMANDS.by_words if words.startswith("gate ")
    }


def test_bash_completes_the_plays_of_the_project_that_is_named(here: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.distill"
    shutil.copy(here / "team.distill", moved)
    (tmp_path / "other").mkdir()
    shutil.copytree(here / "bin", tmp_path / "other" / "bin")
    assert bash(tmp_path / "other", "--project", str(moved), "show", "P") == {"P-001"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_script_is_one_that_its_shell_reads(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert exits.COMPLETES in script
    (tmp_path / "script").write_text(script)
    subprocess.run([needs.program(shell), "-n", str(tmp_path / "script")], check=True)


def test_a_shell_without_a_script_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == exits.USAGE and "tcsh" in capsys.readouterr().err


# --- recent projects ---------------------------------------------------------------------------------------------


def test_recent_projects_are_listed_newest_first_and_gone_ones_left_out(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["open", "--recent"]) == 0 and "No project was opened" in capsys.readouterr().err
    gone = tmp_path / "gone.distill"
    gone.touch()
    for path in (tmp_path / "x.distill", here / "team.distill", gone):
        remembered.opened(path)
    (tmp_path / "x.distill").touch()
    gone.unlink()
    assert main(["open", "--recent", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [str(here / "team.distill"), str(tmp_path / "x.distill")]
