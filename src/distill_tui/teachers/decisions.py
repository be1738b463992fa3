"""Typed-decision APIs: the whole soft label in one call, as System One (`/v1/systemone`) or OpenAI (`/v1/decisions`).

Shapes as LiteLLM documents and serves both (October 2026). The question's instructions are the teacher's template, its
choices the labels. Probabilities are rounded to two decimals by the providers, so their sum may miss 1 a little.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distill_tui.gates.label_sets import likely
from distill_tui.teachers.description import DECISIONS, SYSTEM_ONE, Described

QUESTION = "label"  # the name of the one question
ROUNDING = 0.006  # of one probability that was rounded to two decimals, and a little


@dataclass(frozen=True)
class Decision:
    """A decision: the label and every label's probability, or a refusal."""

    label: str | None
    shares: tuple[float, ...] | None
    tokens_in: int
    tokens_out: int
    model: str  # that answered, as the provider resolved it
    said: str  # the answer as JSON, with the model


def path_of(teacher: Described) -> str:
    return {SYSTEM_ONE: "/systemone", DECISIONS: "/decisions"}[teacher.api]


def body_of(teacher: Described, text: str) -> dict[str, object]:
    """Return the request about one input: one question, or where an answer is a set, one about each label."""
    if teacher.several:
        asked_of = [teacher.template.replace("{label}", label) for label in teacher.labels]
        if teacher.api == SYSTEM_ONE:
            pairs = zip(teacher.labels, asked_of, strict=True)
            nouls = {label: {"type": "noul", "instructions": asked} for label, asked in pairs}
            return {"model": teacher.model, "state": text, "questions": nouls}
        predicates = [
            {"type": "predicate", "name": label, "instructions": asked}
            for label, asked in zip(teacher.labels, asked_of, strict=True)
        ]
        return {"model": teacher.model, "input": text, "questions": predicates}
    question: dict[str, object] = {"type": "choice", "instructions": teacher.template}
    if teacher.api == SYSTEM_ONE:
        asked = question | {"criteria": {label: label for label in teacher.labels}}
        return {"model": teacher.model, "state": text, "questions": {QUESTION: asked}}
    asked = question | {"name": QUESTION, "choices": [{"value": label} for label in teacher.labels]}
    return {"model": teacher.model, "input": text, "questions": [asked]}


def read(teacher: Described, response: object, text: str) -> Decision:
    """Read an answer. Raises ValueError where it is incomplete or contradicts itself."""
    if not isinstance(response, Mapping):
        raise ValueError("the answer is not an object")
    if teacher.several:
        return _several(teacher, response, text)
    answer = _answer(response.get("answers"))
    about = _about(teacher, response, text)
    said = json.dumps({"model": about[2], "answer": answer}, ensure_ascii=False, separators=(",", ":"))
    if answer.get("type") == "refusal":
        return Decision(None, None, *about, said)
    shares = _shares(answer.get("probabilities"), teacher.labels)
    label = answer.get("choice")
    if label not in teacher.labels:
        raise ValueError("the answer names none of the choices")
    best = max(shares)
    if shares[teacher.labels.index(label)] < best - 2 * ROUNDING:
        raise ValueError("the answer is not its most probable choice")
    return Decision(label, shares, *about, said)


def _about(teacher: Described, response: Mapping[str, object], text: str) -> tuple[int, int, str]:
    """Return the tokens in and out, and the model that answered."""
    usage = response.get("usage")
    used: Mapping[str, Any] = usage if isinstance(usage, Mapping) else {}
    tokens_in = used.get("input_tokens", math.ceil(len(json.dumps(body_of(teacher, text))) / 3))
    return int(tokens_in), int(used.get("output_tokens") or 0), str(response.get("model") or "")


def _several(teacher: Described, response: Mapping[str, object], text: str) -> Decision:
    """Read one probability of yes for each label; a refusal of one question is one of all."""
    answers, about = response.get("answers"), _about(teacher, response, text)
    by_name = answers if isinstance(answers, Mapping) else {}
    if isinstance(answers, list):
        by_name = {str(each.get("name")): each for each in answers if isinstance(each, Mapping)}
    said = json.dumps({"model": about[2], "answers": by_name}, ensure_ascii=False, separators=(",", ":"))
    shares = []
    for label in teacher.labels:
        answer = by_name.get(label)
        if not isinstance(answer, Mapping):
            raise ValueError(f"the answer holds no decision about “{label}”")
        if answer.get("type") == "refusal":
            return Decision(None, None, *about, said)
        share = answer.get("noul" if teacher.api == SYSTEM_ONE else "probability")
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(f"the answer has no probability of “{label}” from 0 to 1")
        shares.append(float(share))
    return Decision(likely(teacher.labels, shares), tuple(shares), *about, said)


def _answer(answers: object) -> Mapping[str, object]:
    found = answers.get(QUESTION) if isinstance(answers, Mapping) else answers
    if isinstance(found, list):
        found = next((each for each in found if isinstance(each, Mapping)), None)
    if not isinstance(found, Mapping):
        raise ValueError("the answer holds no decision")
    return found


def _shares(value: object, labels: tuple[str, ...]) -> tuple[float, ...]:
    """Return the probabilities in the order of the labels, of a mapping or a list of values."""
    if isinstance(value, list):
        value = {each.get("value"): each.get("probability") for each in value if isinstance(each, Mapping)}
    if not isinstance(value, Mapping) or set(value) != set(labels):
        raise ValueError("the answer does not have a probability for each choice")
    shares = [float(value[label]) for label in labels]
    total = math.fsum(shares)
    if any(not 0 <= share <= 1 for share in shares) or abs(total - 1) > ROUNDING * len(labels):
        raise ValueError(f"the probabilities sum to {total:.4g}, not to 1")
    return tuple(share / total for share in shares)
