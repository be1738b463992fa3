"""The files in deploy/ fit the program: its commands, its metrics, its variables."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from distill_tui.cli.app import COMMANDS
from distill_tui.serving.figures import Meters

DEPLOY = Path(__file__).parents[1] / "deploy"


def parsed(words: list[str]) -> dict[str, Any]:
    """Parse the words of a command; raises where an option or a value is not one of its own."""
    name, *rest = words
    command = COMMANDS.get_command(click.Context(COMMANDS), name)
    assert command is not None
    return command.make_context(name, rest).params


def metrics() -> set[str]:
    found = set()
    for family in Meters().registry.collect():
        found.add(family.name)
        found |= {f"{family.name}_{end}" for end in ("total", "bucket", "sum", "count")}
    return found


def test_the_grafana_board_asks_only_for_metrics_that_there_are() -> None:
    board = json.loads((DEPLOY / "grafana.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    asked += [each["query"] for each in board["templating"]["list"] if each["type"] == "query"]
    named = {name for text in asked for name in re.findall(r"distill_\w+", text)}
    assert len(named) > 8 and named <= metrics()
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_compose_starts_commands_that_parse_and_mounts_files_that_there_are() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    made = ("./data", "./bundles", "./gateway-token")  # by who deploys
    for service in compose["services"].values():
        for mount in service.get("volumes", ()):
            source = mount.partition(":")[0]
            assert source in made or (DEPLOY / source).is_file(), source
    for name in ("capture", "student"):
        words = [
            re.sub(r"\$\{\w+\}", "https://teacher.example/v1", word) for word in compose["services"][name]["command"]
        ]
        found = parsed(words)
        assert found["host"] == "0.0.0.0" and found["teacher"].startswith("https://")
        assert "DISTILL_GATEWAY_TOKENS" in compose["services"][name]["environment"]
    with pytest.raises(click.UsageError):
        parsed(["serve", "P-001", "--mode", "everything"])


def test_an_image_is_made_of_what_the_package_is_built_from_and_nothing_else() -> None:
    root = DEPLOY.parent
    lines = (line for line in (root / ".dockerignore").read_text().splitlines() if line and not line.startswith("#"))
    first, *rest = lines
    taken = {line.removeprefix("!") for line in rest if line.startswith("!")}
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    needed = {"src", "pyproject.toml", project["readme"], *project["license-files"]}
    copied = re.findall(r"/src/([\w.]+)", (DEPLOY / "Dockerfile").read_text())
    assert first == "*" and taken == needed | {*copied} and all((root / each).exists() for each in taken)
    extras = re.findall(r"/src\[([\w,]+)\]", (DEPLOY / "Dockerfile").read_text())
    assert {*extras[0].split(",")} <= set(project["optional-dependencies"])


def test_the_systemd_unit_starts_a_command_that_parses_and_may_write_only_its_data() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "distill-tui-serve@.service")
    service = unit["Service"]
    program, *words = shlex.split(service["ExecStart"].replace("%i", "P-001"))
    assert Path(program).name == "distill-tui" and parsed(words)["port"] == 8080
    assert service["ProtectSystem"] == "strict" and service["ReadWritePaths"] == "/var/lib/distill"
    assert service["User"] != "root" and service["NoNewPrivileges"] == "yes"


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a shell")
def test_the_check_with_the_programs_that_read_these_files_finds_nothing_wrong() -> None:
    done = subprocess.run([DEPLOY / "check.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert len(done.stdout.splitlines()) == 3, done.stdout  # each is checked, or named as not installed
