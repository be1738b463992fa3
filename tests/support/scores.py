"""Calls of a judge that scores answers: texts in which more of the good words mean a higher score."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random

GOOD = ["clear", "correct", "complete", "polite", "useful", "cited", "brief", "exact"]
BAD = ["rude", "wrong", "vague", "padded", "broken", "unread", "hasty", "odd"]
FILLER = [f"{a}{b}" for a in ("ba", "do", "ki", "lu", "me") for b in ("ran", "sel", "tim", "vok", "zed")]
LEVELS = ("1", "2", "3", "4", "5")


def rows(
    count: int,
    seed: int,
    *,
    ranged: bool = False,
    noise: float = 0.35,
    soft: bool = True,
    gold: float = 1.0,
    start: str = "2026-01",
    twice: int = 0,
) -> list[dict]:
    """Make calls; the judge errs by `noise` levels, and its distribution over levels shows how sure it is.

    Of a range the numbers go from 0 to 1. The first `twice` rows are asked a second time.
    """
    random, made = Random(seed), []
    for number in range(count):
        good = random.randrange(5)
        words = [*random.sample(GOOD, good), *random.sample(BAD, 4 - good), *random.sample(FILLER, 4)]
        words.append("".join(random.choices("bdfgklmnprstvz", k=6)))
        random.shuffle(words)
        row = {
            "input": " ".join(words),
            "segment": random.choice(("app", "web")),
            "time": f"{start}-{1 + number * 28 // count:02}T12:00:00Z",
        }
        truth = good / 4 if ranged else good + 1
        if random.random() < gold:
            row["gold"] = truth
        for _ in range(1 + (number < twice)):
            made.append(row | _judged(random, good, noise, ranged=ranged, soft=soft))
    return made


def _judged(random: Random, good: int, noise: float, *, ranged: bool, soft: bool) -> dict:
    seen = min(4.0, max(0.0, random.gauss(good, noise)))
    if ranged:
        return {"teacher_output": f"{seen / 4:.3f}"}
    weights = [math.exp(-((level - seen) ** 2) / 0.5) for level in range(5)]
    shares = {level: round(weight / sum(weights), 4) for level, weight in zip(LEVELS, weights, strict=True)}
    said = {"teacher_output": str(1 + max(range(5), key=lambda level: weights[level]))}
    return said | ({"teacher_probabilities": shares} if soft else {})


def write(path: Path, calls: list[dict]) -> Path:
    path.write_text("".join(json.dumps(call) + "\n" for call in calls))
    return path
