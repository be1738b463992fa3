"""Made-up traffic to practise with: customers' messages, a teacher's recorded answers, gold for a part of them.

It is made to be like real traffic where that matters: some messages are about two things, the teacher is wrong now and
then and less sure where it is, one segment is harder than the others, and some messages come more than once.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

LABELS = ("account", "billing", "cancel", "delivery")
SEGMENTS = ("web", "app", "phone")
ASKS = {
    "billing": (
        "I was charged twice for {thing}", "the invoice for {thing} shows the wrong amount", "please refund {thing}",
        "why did the price of {thing} go up", "my card was declined when paying for {thing}",
        "I need a receipt for {thing} with our tax number", "there is a fee on {thing} that I do not recognise",
        "the discount on {thing} was not applied", "you debited my bank account {when} for {thing}",
    ),
    "delivery": (
        "where is {thing}", "{thing} has not arrived since {when}", "the parcel with {thing} is damaged",
        "the courier left {thing} with a neighbour", "tracking for {thing} stopped {when}",
        "please send {thing} to another address", "{thing} came in the wrong size", "half of {thing} is missing",
        "the driver never rang the bell {when}",
    ),
    "account": (
        "I cannot log in since {when}", "the password reset mail never comes", "please change the mail address on file",
        "my profile shows the name of someone else", "the app asks for a code that I do not get",
        "two accounts were opened for me {when}", "how do I add my colleague to our workspace",
        "I was locked out while looking for {thing}", "my settings are gone after the update {when}",
    ),
    "cancel": (
        "please stop my subscription to {thing}", "I want to end the contract {when}", "do not renew {thing}",
        "how do I get out of the plan with {thing}", "take me off the list for {thing}",
        "I changed my mind about {thing}", "close everything you have with me by {when}",
        "we no longer need {thing} and want to leave", "is there a notice period if I quit {when}",
    ),
}  # fmt: skip
THINGS = (
    "the blue kettle", "two winter tyres", "a garden bench", "the annual plan", "the coffee machine",
    "the running shoes", "a phone case", "the standing desk", "three notebooks", "the bike lights", "a rice cooker",
    "the music lessons", "the water filter", "a pair of curtains", "the photo prints", "the gift card", "a tent",
    "the reading lamp", "the meal box", "a set of knives", "the yoga mat", "the travel cot", "a camera strap",
)  # fmt: skip
WHENS = (
    "yesterday", "last Monday", "on Tuesday", "since Wednesday", "Thursday night", "on Friday", "last weekend",
    "two weeks ago", "this morning", "at the end of May", "in early June", "before the holidays", "after the move",
)  # fmt: skip
AROUND = (
    "I wrote about it {when} already", "my order number is {number}", "nobody answered the phone {when}",
    "I am travelling {when}", "it is for my mother", "we have been customers for {years} years", "thanks for any help",
    "this is the third time", "the shop on the corner could not help", "I attached a picture", "it worked {when}",
    "our office is on floor {years}", "I only have a tablet here", "please answer in plain words", "it is quite urgent",
    "reference {number} if that helps", "the last agent was very kind", "I would rather not call", "no hurry at all",
    "my neighbour has {thing} and no trouble", "it rained the whole day", "you can reach me after {years} pm",
)  # fmt: skip
OPENERS = ("Hello,", "Hi there,", "Good morning,", "Dear team,", "", "", "", "Help:", "Hey,")


@dataclass(frozen=True)
class Call:
    """One message, what it is about, and what the teacher answered."""

    text: str
    gold: str
    answer: str
    sure: float  # the teacher's probability of its answer
    segment: str


def write_traffic(path: Path, rows: int = 3000, seed: int = 11, gold_share: float = 0.9) -> None:
    """Write a JSONL file of calls over 60 days: input, teacher output, probabilities, cost, time, and some gold."""
    chance = random.Random(seed)
    start = datetime(2026, 9, 1, tzinfo=UTC)
    with path.open("w", encoding="utf-8") as file:
        for call in calls(chance, rows):
            others = (1 - call.sure) / (len(LABELS) - 1)
            row = {
                "input": call.text,
                "teacher_output": call.answer,
                "teacher_probabilities": {
                    label: round(call.sure if label == call.answer else others, 4) for label in LABELS
                },
                "gold": call.gold if chance.random() < gold_share else None,
                "segment": call.segment,
                "time": (start + timedelta(seconds=chance.randrange(60 * 86_400))).isoformat(),
                "cost": f"{0.0021 + len(call.text) / 1e5:.6f}",
                "latency_ms": round(chance.lognormvariate(6.6, 0.35)),
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def calls(chance: random.Random, rows: int) -> Iterator[Call]:
    said: list[Call] = []
    for _ in range(rows):
        if said and chance.random() < 0.03:  # people ask the same thing
            yield chance.choice(said)
            continue
        gold, segment = chance.choice(LABELS), chance.choices(SEGMENTS, (5, 3, 2))[0]
        mixed = chance.random() < (0.18 if segment == "phone" else 0.05)
        text = _message(chance, gold, mixed)
        wrong = chance.random() < (0.2 if mixed else 0.04)
        answer = chance.choice([label for label in LABELS if label != gold]) if wrong else gold
        sure = chance.uniform(0.4, 0.75) if wrong or mixed else chance.uniform(0.85, 0.99)
        said.append(Call(text, gold, answer, sure, segment))
        yield said[-1]


def _message(chance: random.Random, about: str, mixed: bool) -> str:
    """Write a message; one about two things names what it wants last."""
    parts = [chance.choice(ASKS[about])]
    if mixed:
        other = chance.choice([label for label in LABELS if label != about])
        parts = [chance.choice(ASKS[other]) + ",", "but what I really want to say:", *parts]
    before, after = chance.sample(AROUND, chance.choice((1, 2))), chance.sample(AROUND, chance.choice((1, 2)))
    words = ". ".join([*before, " ".join(parts), *after])
    filled = _filled(chance, words)
    return f"{chance.choice(OPENERS)} {filled}.".strip()


def _filled(chance: random.Random, words: str) -> str:
    while "{" in words:
        words = words.replace("{thing}", chance.choice(THINGS), 1).replace("{when}", chance.choice(WHENS), 1)
        words = words.replace("{number}", str(chance.randrange(10_000, 99_999)), 1)
        words = words.replace("{years}", str(chance.randrange(2, 15)), 1)
    return words
