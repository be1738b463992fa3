"""Calls whose answers are sets of labels: texts in which each label shows by words of its own."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

WORDS = {
    "billing": "invoice charge refund payment price",
    "delivery": "parcel courier late shipping depot",
    "login": "password account locked signin token",
    "praise": "thanks great love helpful kind",
}
LABELS = tuple(WORDS)
FILLER = [f"{a}{b}" for a in ("ba", "do", "ki", "lu", "me") for b in ("ran", "sel", "tim", "vok", "zed")]


def many(count: int) -> dict[str, str]:
    """Return so many labels, each with two words of its own."""
    return {f"label-{number:03}": f"alpha{number} beta{number}" for number in range(count)}


def rows(
    count: int,
    seed: int,
    *,
    wrong: float = 0.05,
    gold: float = 1.0,
    start: str = "2026-01",
    words_of: dict[str, str] = WORDS,
    share: float = 0.35,
) -> list[dict]:
    """Make calls; the teacher errs about a label now and then, and says how sure it is of each."""
    random, made = Random(seed), []
    for number in range(count):
        truth = [label for label in words_of if random.random() < share]
        words = [word for label in truth for word in random.sample(words_of[label].split(), 2)]
        words += [*random.sample(FILLER, 4), "".join(random.choices("bdfgklmnprstvz", k=6))]
        random.shuffle(words)
        said = {label: (label in truth) != (random.random() < wrong) for label in words_of}
        shares = {
            label: round(0.9 - random.random() / 5 if has else random.random() / 5, 3) for label, has in said.items()
        }
        row = {
            "input": " ".join(words),
            "teacher_output": json.dumps([label for label, has in said.items() if has]),
            "teacher_probabilities": shares,
            "segment": random.choice(("app", "web")),
            "time": f"{start}-{1 + number * 28 // count:02}T12:00:00Z",
        }
        made.append(row | ({"gold": truth} if random.random() < gold else {}))
    return made


def write(path: Path, calls: list[dict]) -> Path:
    path.write_text("".join(json.dumps(call) + "\n" for call in calls))
    return path
