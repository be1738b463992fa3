"""Propose how calls become inputs and answers, from the first calls of a log. A person sees it before it is stored.

What is the same in nearly all calls is an instruction, not an input: examples before the last message, a fixed text
before and after the part that differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from distill_tui.dataset.traces.call import Call
from distill_tui.dataset.traces.call_mapping import (
    TOOL_NAME,
    CallMapping,
    NotMapped,
    Take,
    answer_of,
    input_of,
    json_in,
    pair_template,
)
from distill_tui.dataset.traces.messages import ASSISTANT, SYSTEM, USER, Message
from distill_tui.digests import sorted_json

SAMPLE = 300  # calls that are looked at
ENOUGH = 8  # distinct calls, for a proposal about their texts
NEARLY_ALL = 0.9
SHORTEST, WITH_A_BREAK = 12, 6  # characters of a fixed text before or after the input; one that ends a line
LONGEST_LABEL, MOST_LABELS = 80, 200
LABEL_NAMES = ("label", "category", "class", "intent", "sentiment", "topic", "queue", "route", "decision", "answer")


def propose(calls: Sequence[Call], *, chooses: bool) -> CallMapping:
    """Propose a mapping; `chooses`: the play's task chooses among labels."""
    mapping = CallMapping(take=_take(calls))
    single = [each for each in calls if sum(message.role == USER for message in each.messages) == 1]
    if mapping.take is Take.LAST_USER or len(single) == len(calls):
        texts = _inputs(calls, CallMapping(Take.LAST_USER))
        template = _template(texts)
        if not template:
            after, before = _fixed(texts)
            cut = CallMapping(Take.LAST_USER, after=after, before=before)
            mapping, template = (cut, _template(_inputs(calls, cut))) if after or before else (mapping, "")
        if template:
            mapping = CallMapping(**vars(mapping) | {"take": Take.LAST_USER, "template": template})
    return CallMapping(**vars(mapping) | {"answer": _answer(calls, chooses=chooses)})


def propose_for_table(answers: Sequence[object], *, chooses: bool) -> CallMapping | None:
    """Propose which part of a table's answers counts, where they are JSON with a label in it; else None."""
    texts = [sorted_json(each) if isinstance(each, Mapping) else each for each in answers]
    calls = [Call(answer=Message(ASSISTANT, text)) for text in texts if isinstance(text, str) and text.strip()]
    part = _answer(calls, chooses=chooses)
    return CallMapping(answer=part) if part else None


def _take(calls: Sequence[Call]) -> Take:
    """Choose the last user message where all before it is the same in nearly all calls of several messages."""
    before: Counter[tuple[object, ...]] = Counter()
    for call in calls:
        plain = [message for message in call.messages if message.role != SYSTEM]
        before[tuple((message.role, message.text) for message in plain[:-1])] += 1
    often = before.most_common(1)
    if len(calls) >= ENOUGH and often and often[0][0] and often[0][1] >= NEARLY_ALL * len(calls):
        return Take.LAST_USER
    return Take.CONVERSATION


def _inputs(calls: Sequence[Call], mapping: CallMapping) -> list[str]:
    found: dict[str, None] = {}
    for call in calls:
        try:
            found.setdefault(input_of(call.messages, mapping))
        except NotMapped:
            continue
    return list(found)


def _fixed(texts: Sequence[str]) -> tuple[str, str]:
    """Return the fixed texts before and after the part that differs; "" where there is none."""
    if len(texts) < ENOUGH:
        return "", ""
    head = _common(texts)
    tail = _common([text[::-1] for text in texts])[::-1]
    head, tail = _edge(head), _edge(tail[::-1])[::-1]
    return _mark(head), _mark(tail[::-1])[::-1]


def _edge(fixed: str) -> str:
    """Drop what may belong to the input: the beginning of a word, of a quote or of JSON."""
    begun, line = fixed.rpartition("\n")[::2]
    if line.lstrip()[:1] in tuple('{["}]'):
        return f"{begun}\n" if begun else ""
    while fixed and fixed[-1].isalnum():
        fixed = fixed[:-1]
    return fixed


def _common(texts: Sequence[str]) -> str:
    """Return what nearly all texts begin with."""
    ((begun, often),) = Counter(text[:WITH_A_BREAK] for text in texts).most_common(1)
    if often < NEARLY_ALL * len(texts):
        return ""
    alike = [text for text in texts if text.startswith(begun)]
    first, last = min(alike), max(alike)
    same = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:same]


def _mark(fixed: str) -> str:
    """Return the shortest end of a fixed text that occurs only there, from the beginning of a line if there is one."""
    if len(fixed) < (WITH_A_BREAK if "\n" in fixed else SHORTEST):
        return ""
    ends = [fixed[at:] for at in range(len(fixed) - 2, -1, -1)]
    unique = [end for end in ends if end.strip() and fixed.find(end) == len(fixed) - len(end)]
    lines = [end for end in unique if len(end) == len(fixed) or fixed[-len(end) - 1] == "\n"]
    return (lines or unique or [fixed])[0]


def _template(texts: Sequence[str]) -> str:
    """Return a template of the text fields, where nearly all inputs are JSON objects."""
    objects = [value for text in texts if isinstance(value := json_in(text), Mapping)]
    if len(texts) < ENOUGH or len(objects) < NEARLY_ALL * len(texts):
        return ""
    first = [name for name in objects[0] if all(isinstance(each.get(name), str) for each in objects)]
    differ = [name for name in first if len({each[name] for each in objects}) > 1]
    return pair_template(differ) or "\n\n".join(f"{{{name}}}" for name in differ)


def _answer(calls: Sequence[Call], *, chooses: bool) -> str:
    """Return the part of the answers that is the label, where they are JSON or calls of tools."""
    answers = [call.answer for call in calls if call.answer is not None]
    if not chooses or not answers:
        return ""
    tools = [each for each in answers if each.calls and not each.text]
    if len(tools) >= NEARLY_ALL * len(answers) and all(each.calls[0].arguments in ("{}", "") for each in tools):
        return TOOL_NAME
    objects = [value for each in answers if isinstance(value := json_in(answer_of(each) or ""), Mapping)]
    if len(objects) < NEARLY_ALL * len(answers):
        return ""
    names = [name for name in objects[0] if all(_is_label(each.get(name)) for each in objects) and name.isidentifier()]
    values = {name: len({str(each[name]) for each in objects}) for name in names}
    fit = [name for name in names if values[name] <= min(MOST_LABELS, max(2, len(objects) // 2))]
    ranked = sorted(fit, key=lambda name: (name.casefold() not in LABEL_NAMES, values[name] < 2, values[name]))
    return f"$.{ranked[0]}" if ranked else ""


def _is_label(value: object) -> bool:
    return isinstance(value, str | int) and len(str(value)) <= LONGEST_LABEL
