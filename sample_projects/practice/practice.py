"""Makes a folder to practise in: calls with a teacher's recorded answers, and three colleagues' keys.

    python sample_projects/practice/practice.py FOLDER [--until HEADING]

The calls are made up, and easy: their words show the label. With --until, the commands of docs/tutorials/driver.md are
typed too, up to the section whose heading begins so: a person who practises another role begins where the driver is.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shlex
import subprocess
import sys
from pathlib import Path

PEOPLE = ("sam", "vera", "olga")
TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorials" / "driver.md"
WORDS = {
    "money": ["refund", "invoice", "charge", "paid", "price", "card", "twice", "bank"],
    "post": ["parcel", "courier", "late", "box", "address", "delivery", "lost", "van"],
    "account": ["password", "login", "mail", "locked", "reset", "profile", "user", "code"],
}
OTHERS = ["please", "my", "the", "today", "again", "where", "help", "with", "since", "about", "need", "still", "here"]


def calls(path: Path, rows: int = 900, seed: int = 11) -> None:
    """Write calls whose teacher is right nineteen times in twenty."""
    chance, labels = random.Random(seed), list(WORDS)
    with path.open("w") as file:
        for number in range(rows):
            gold = labels[number % 3]
            said = gold if chance.random() < 0.95 else chance.choice(labels)
            words = chance.sample(WORDS[gold], 3) + chance.sample(OTHERS, 4)
            chance.shuffle(words)
            row = {
                "input": " ".join(words),
                "teacher_output": said,
                "teacher_probabilities": {label: 0.9 if label == said else 0.05 for label in labels},
                "gold": gold,
                "segment": chance.choice(("web", "phone")),
            }
            file.write(json.dumps(row) + "\n")


def keys(folder: Path) -> None:
    """Make a key pair for each colleague; they have no passphrase, for they prove no identity."""
    folder.mkdir(mode=0o700)
    for person in PEOPLE:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", person, "-f", str(folder / person)]
        subprocess.run(command, check=True)


def blocks(page: Path, until: str = "") -> list[str]:
    """Return the commands of a tutorial, block by block, up to the section whose heading begins with `until`."""
    text = page.read_text(encoding="utf-8")
    if until:
        before, found, _ = text.partition(f"\n## {until}")
        if not found:
            raise SystemExit(f"{page.name} has no section that begins with “{until}”.")
        text = before
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def replay(folder: Path, until: str) -> None:
    """Type the driver's commands; `distill-tui` is the one of this Python."""
    program = f'distill-tui() {{ {shlex.quote(sys.executable)} -m distill_tui "$@"; }}\n'
    for block in blocks(TUTORIAL, until)[1:]:  # the first one is what runs this program
        print(block, end="", flush=True)
        subprocess.run(["bash", "-e", "-c", program + block], cwd=folder, check=True)


def main() -> None:
    """Make the folder, and go as far as was asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--until", default="", metavar="HEADING", help="the section of the driver's tutorial to stop at"
    )
    options = parser.parse_args()
    if options.folder.exists():
        raise SystemExit(f"{options.folder} is there already; name another folder, or remove it.")
    options.folder.mkdir(parents=True)
    calls(options.folder / "calls.jsonl")
    calls(options.folder / "later.jsonl", rows=120, seed=12)
    keys(options.folder / "keys")
    if options.until:
        replay(options.folder, options.until)


if __name__ == "__main__":
    main()
