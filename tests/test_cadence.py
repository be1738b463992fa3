"""The whole cadence by keys alone: from an empty board to a ship that waits until a second person signs.

Nothing is called that a person could not press: the keys of two people, real workers, a real student, a real signature.
What cannot be done in the app (making the project, enrolling people) is done by the command.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from distill_tui.people import identity, signatures
from distill_tui.store.project import Project
from distill_tui.ui.app import DistillApp
from distill_tui.ui.board.widget import Board
from distill_tui.ui.forms.gate_sheet import GateSheet
from distill_tui.ui.forms.sheet import Sheet
from distill_tui.ui.widgets.frame import MessageLine
from support.forked import workers

NUMBERS = ("900000", "2.40", "1000", "60", "0.08", "60", "4000", "0.01")
WORDS = {  # which words tell which label
    "money": ["refund", "invoice", "charge", "paid", "price", "card", "twice", "bank"],
    "post": ["parcel", "courier", "late", "box", "address", "delivery", "lost", "van"],
    "account": ["password", "login", "mail", "locked", "reset", "profile", "user", "code"],
    "": [
        "please",
        "my",
        "the",
        "today",
        "again",
        "where",
        "help",
        "with",
        "since",
        "about",
        "need",
        "still",
        "never",
        "could",
        "now",
        "here",
    ],
}


class Person:
    """A person at a keyboard: presses, types, and looks at the screen."""

    def __init__(self, pilot: Pilot[int]) -> None:
        self.pilot = pilot

    @property
    def sees(self) -> str:
        lines = self.pilot.app.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in line) for line in lines)

    @property
    def told(self) -> str:
        return self.pilot.app.screen.query_one(MessageLine).text

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str, then: str = "") -> None:
        await self.press(*("space" if c == " " else c for c in text), *([then] if then else []))

    async def until(self, what: str | Callable[[], bool], seconds: float = 30) -> None:
        """Wait for a text on the screen, as a person would."""
        found: Callable[[], bool] = (lambda: what in self.sees) if isinstance(what, str) else what
        for _ in range(int(seconds / 0.05)):
            if found():
                return
            await self.pilot.pause(0.05)
        raise AssertionError(f"waited {seconds} s for {what!r}; the screen shows:\n{self.sees}")


def traffic(path: Path, rows: int = 600) -> None:
    """Write calls whose label their words tell, with a teacher that is right nineteen times in twenty."""
    chance, names = random.Random(11), [name for name in WORDS if name]
    with path.open("w") as file:
        for number in range(rows):
            gold = names[number % 3]
            said = gold if chance.random() < 0.95 else chance.choice(names)
            words = chance.sample(WORDS[gold], 3) + chance.sample(WORDS[""], 4)
            chance.shuffle(words)
            row = {
                "input": " ".join(words),
                "teacher_output": said,
                "teacher_probabilities": {name: 0.9 if name == said else 0.05 for name in names},
                "gold": gold,
                "segment": chance.choice(("web", "phone")),
            }
            file.write(json.dumps(row) + "\n")


def command(*words: str) -> str:
    """Run the real command in a process of its own."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DISTILL_", "SSH_"))}
    done = subprocess.run([sys.executable, "-m", "distill_tui", *words], capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    """A project file, kept by dana's account and key, in which vera is enrolled by her key."""
    path, key, dana = tmp_path / "support.distill", tmp_path / "vera", tmp_path / "dana"
    for each in (key, dana):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(each)], check=True)
    command("init", str(path), "--name", "Support", "--me", "dana")
    command("--project", str(path), "person", "add", "vera", "--key-file", f"{key}.pub")
    command("--project", str(path), "key", "add", "dana", f"{dana}.pub")
    return path, key


async def test_the_whole_cadence_by_keys_alone_with_two_people(made: tuple[Path, Path], monkeypatch: Any) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    path, key = made
    monkeypatch.chdir(path.parent)
    with workers():
        await the_cadence(path, key)


async def the_cadence(path: Path, key: Path) -> None:
    async with DistillApp(path).run_test(size=(120, 36)) as pilot:
        dana = Person(pilot)
        await opens_a_play(dana)
        await qualifies(dana)
        await locks_the_gate(dana)
        traffic(path.parent / "calls.jsonl")
        await freezes_data(dana)
        await trains(dana)
        await evaluates(dana)
        await is_blocked(dana)
        project = Project.open(path)
        actor = identity.by_key(project.project_dossier(), key)
        async with DistillApp(path, key=key, actor=actor).run_test(size=(80, 24)) as second:
            await signs(Person(second))
        mine = path.parent / "dana"
        actor = identity.by_key(project.project_dossier(), mine)
        async with DistillApp(path, key=mine, actor=actor).run_test(size=(120, 36)) as signing:
            await ships(Person(signing))  # the gate asks for signatures: the ship has one too
        (shipped,) = project.dossier(1).bundles
        signer = signatures.read_public_key(Path(f"{key}.pub").read_text()).fingerprint
        bundle = str(project.artifacts.path(shipped.digest))
        project.close()
    assert "The bundle is whole." in command("verify", bundle, "--signer", signer)
    command("--project", str(path), "audit", "verify")


async def opens_a_play(dana: Person) -> None:
    await dana.until("No plays yet")
    await dana.until(lambda: dana.pilot.app.screen.active_bindings["n"].enabled)  # type: ignore[attr-defined]
    await dana.press("n")
    await dana.type("refund-intent", "enter")
    await dana.press("enter", "enter")  # kind and task stay as they are
    await dana.type("What does the customer want?", "enter")
    await dana.until("P-001 refund-intent")
    await dana.until("NEXT")


async def qualifies(dana: Person) -> None:
    await dana.press("a")
    for person in ("dana", "dana", "vera", "dana"):
        await dana.type(person, "enter")
    await dana.until("NEXT  a  Fill in the numbers of the trigger.")
    await dana.press("a")
    for value in NUMBERS:
        await dana.type(value, "enter")
    await dana.press("ctrl+s")
    await dana.until("NEXT  a  Pass the trigger")
    await dana.press("a", "enter")
    await dana.until("Gate ●")


async def locks_the_gate(dana: Person) -> None:
    await dana.until("NEXT  a  Lock the success gate")
    await dana.press("E")
    assert isinstance(dana.pilot.app.screen, GateSheet)
    await dana.press("down", "end", "backspace", "1")  # rounds = 3
    await dana.press("down", "end", *["backspace"] * 4, *"150")  # held_out_rows = 1000
    await dana.press(*["down"] * 4, "end", *["backspace"] * 8)  # minimum_assurance = "account"
    await dana.type('signed"')
    await dana.until("This gate can be locked.")
    await dana.press("ctrl+s")
    await dana.until("The draft of the gate is saved.")
    await dana.press("a")
    await dana.type("P-002", "enter")
    assert isinstance(dana.pilot.app.screen, Sheet) and "Nothing was done: type P-001" in dana.sees
    await dana.press("backspace", "1", "enter")
    await dana.until("The gate is locked.")


async def freezes_data(dana: Person) -> None:
    await dana.until("NEXT  a  Import traffic")
    await dana.press("a")
    await dana.type("calls.jsonl", "ctrl+s")
    await dana.until("Columns of calls.jsonl")
    await dana.press("ctrl+s")
    await dana.until("Imported 600 rows, 0 left out.", 60)
    await dana.until("NEXT  a  Choose the teacher", 60)
    await dana.press("a", "enter")
    await dana.until("NEXT  a  Build a draft data set")
    await dana.press("a", "enter")
    await dana.until("NEXT  a  Freeze the data set", 60)
    await dana.press("a")
    await dana.type("P-001", "enter")
    await dana.until("NEXT  a  Train a student", 60)


async def trains(dana: Person) -> None:
    await dana.press("a")  # a static student is suggested, since the teacher's outputs are recorded
    await dana.until("Train a student for")
    await dana.press("down", "down", "down", "down")  # past student, folder, layers and lora, to epochs
    await dana.type("12", "enter")
    await dana.press("down", "down")  # past temperature and alpha, to learning_rate
    await dana.type("0.01")
    await dana.press("ctrl+s")
    await dana.until(lambda: "run 4 finished" in dana.sees or ("run 4 running" in dana.sees and " rows/s" in dana.sees))
    await dana.until("run 4 finished", 60)
    assert "LOSS" in dana.sees and "⠀" < max(dana.sees) <= "⣿", "the curve is drawn"


async def evaluates(dana: Person) -> None:
    await dana.until("NEXT  a  Evaluate one student")
    await dana.press("a")
    await dana.type("P-001", "enter")
    await dana.until("Gate held", 60)


async def is_blocked(dana: Person) -> None:
    await dana.press("a")
    await dana.press("enter", "enter")
    await dana.until("The maintenance loop is set.")
    await dana.press("6")
    await dana.until("RECOMMENDED  SHIP")
    assert not dana.pilot.app.screen.active_bindings["H"].enabled
    await dana.press("H")
    assert dana.told.startswith("This is not signed off; vera, the validator, signs")


async def signs(vera: Person) -> None:
    await vera.until("vera · signed")
    await vera.until("1 waits for you")
    assert vera.pilot.app.screen.query_one(Board).shelf.selected is not None
    await vera.press("enter")
    await vera.until("NEXT")
    await vera.press("5")
    await vera.until("Gate held")
    await vera.press("S")
    await vera.until(lambda: not vera.pilot.app.screen.deaf)  # type: ignore[attr-defined]
    while not vera.pilot.app.screen.read_all:  # type: ignore[attr-defined]
        await vera.press("pagedown")
    await vera.type("Read the phone rows.", "enter")
    await vera.type(re.findall(r"type (P-001 \w+)", vera.sees)[0], "enter")  # the last digits of what is signed
    await vera.until("Your sign-off is recorded.")
    await vera.press("H")
    assert "you are vera" in vera.told


async def ships(dana: Person) -> None:
    await dana.until("P-001 refund-intent")
    await dana.press("enter", "6")
    await dana.until("Nothing stands against a ship")
    await dana.press("H")
    await dana.type("P-001", "enter")
    await dana.until("The bundle is written and live.")
