"""How a call becomes an input and an answer: one stored value, used unchanged at import, labelling and serving (pure).

`input_of(messages, mapping)` is the one function that makes a student's input of chat messages. The mapping is stored
with the traffic, is part of the digest of the data set, and never changes within a play. Standard library only.

The input is made in three steps. `take` chooses messages. `after` and `before` cut the text between two fixed texts,
or `pattern` (a regular expression) finds parts of it. `template` writes the named parts, or the fields of a JSON text,
as one input. A template with `{|}` makes a pair: what stands before it is the first part, what follows the second.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache

from distill_tui.dataset.audit import privacy
from distill_tui.dataset.traces.messages import ASSISTANT, SYSTEM, USER, Message, compact, messages_of
from distill_tui.digests import canonical, sorted_json
from distill_tui.text import PAIR, pair_of

VERSION = 1
HOLE = re.compile(r"\{([^{}\n]{1,200})\}")
BETWEEN = "|"  # the hole between the two parts of a pair
MOST_CHARACTERS = 1_000_000  # of a text on which a pattern is tried
PAIRS = (  # usual names of the two parts of a pair
    ("query", "document"), ("query", "passage"), ("question", "passage"), ("question", "context"),
    ("premise", "hypothesis"), ("claim", "evidence"), ("sentence1", "sentence2"), ("text1", "text2"),
    ("text_a", "text_b"),
)  # fmt: skip
_PATH = re.compile(r"\$((?:\.[^.\[\]]+|\[[0-9]{1,6}\])*)")
_STEP = re.compile(r"\.([^.\[\]]+)|\[([0-9]+)\]")


class Take(StrEnum):
    """Which messages make the input."""

    CONVERSATION = "conversation"  # all of them; several are written with their roles
    USER_TURNS = "user-turns"
    LAST_USER = "last-user"


TOOL_NAME = "tool-name"


PAIR_INSIDE = "the text holds the character U+001F, which stands between the two parts of a pair"


class NotMapped(ValueError):
    """A call does not fit the mapping; the message is the reason."""


@dataclass(frozen=True)
class CallMapping:
    """How calls of one play become inputs and answers."""

    take: Take = Take.CONVERSATION
    system: bool = False  # the system message is part of the input
    after: str = ""  # the input begins after the first of these texts
    before: str = ""  # and ends before the last of these
    pattern: str = ""  # a regular expression; its groups are the parts
    template: str = ""  # the input, with {name} for each part
    answer: str = ""  # "" as it is, "tool-name", or a path into JSON like $.label; "$" for the whole JSON
    scrub: bool = False  # personal data in inputs and answers is replaced by placeholders
    version: int = VERSION

    def to_json(self) -> str:
        """Write canonical JSON; what is the default is left out."""
        plain = {name: own for name, own in asdict(self).items() if own != getattr(DEFAULT, name, None)}
        return canonical(plain | {"version": self.version}).decode()

    @classmethod
    def read(cls, text: str) -> CallMapping:
        """Read what `to_json` wrote. Raises ValueError with one sentence."""
        try:
            value = json.loads(text)
            mapping = cls(**value | {"take": Take(value.get("take", Take.CONVERSATION))})
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise ValueError("The mapping of calls cannot be read. Import the traffic again.") from None
        wrong = mapping.problem()
        if wrong:
            raise ValueError(wrong)
        return mapping

    def problem(self) -> str | None:
        """Return in one sentence why the mapping is impossible, or None."""
        if self.version != VERSION:
            return f"The mapping of calls has version {self.version}; this program reads version {VERSION}."
        if self.pattern and (self.after or self.before):
            return "A mapping cuts the message either with --after and --before, or with --pattern."
        try:
            groups = re.compile(self.pattern).groups if self.pattern else 1
        except re.error as error:
            return f"The pattern is not a regular expression ({error})."
        if not groups:
            return "The pattern has no group; put what is the input in parentheses."
        if groups > 1 and not self.template:
            return "The pattern has several groups; write how they make one input, like --template '{1}: {2}'."
        wrong = template_problem(self.template) if self.template else None
        if wrong:
            return wrong
        if self.answer not in ("", TOOL_NAME) and not _PATH.fullmatch(self.answer):
            return f"“{self.answer}” is not a path into JSON. Write one like $.label or $.items[0].name."
        return None

    @property
    def pairs(self) -> bool:
        """Whether every input is a pair."""
        return f"{{{BETWEEN}}}" in self.template

    def says(self, *, table: bool = False) -> str:
        """Describe the mapping in one line; of a plain table it is the part of the answer alone."""
        taken = {
            Take.CONVERSATION: "all messages",
            Take.USER_TURNS: "all user messages",
            Take.LAST_USER: "last user message",
        }
        parts = [taken[self.take] + (" with the system message" if self.system else "")]
        parts += [f"after “{_end(self.after)}”"] if self.after else []
        parts += [f"before “{_end(self.before)}”"] if self.before else []
        parts += [f"pattern {self.pattern}"] if self.pattern else []
        parts += [f"as “{_end(self.template)}”"] if self.template else []
        parts += ["personal data replaced"] if self.scrub else []
        answers = {"": "the answer's text", TOOL_NAME: "the tool's name", "$": "the answer's JSON"}
        answer = f"answer: {answers.get(self.answer, self.answer)}"
        return answer if table else f"input: {', '.join(parts)} · {answer}"


DEFAULT = CallMapping()


def template_problem(template: str) -> str | None:
    """Return in one sentence why a template of fields is impossible, or None."""
    holes = HOLE.findall(template)
    if not any(hole != BETWEEN for hole in holes):
        return "The template has no {field}; write the name of each part in braces."
    sides = [HOLE.search(side) is not None for side in template.split(f"{{{BETWEEN}}}")]
    if len(sides) > 2 or not all(sides):
        return "A pair has two parts with a field in each, like --input-template '{query}{|}{document}'."
    return None


def escaped(text: str) -> str:
    """Write a text on one line: a line break is `\\n`."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def unescaped(text: str) -> str:
    """Read what `escaped` wrote."""
    return re.sub(r"\\([nt\\])", lambda found: {"n": "\n", "t": "\t"}.get(found[1], "\\"), text)


def columns_in(template: str) -> list[str]:
    """Return the fields that a template needs, each once; of a path like $.ticket.title it is the first."""
    holes = [hole for hole in HOLE.findall(template) if hole != BETWEEN]
    steps = [_STEP.match(hole, 1) if _PATH.fullmatch(hole) else None for hole in holes]
    return list(dict.fromkeys(step[1] if step and step[1] else hole for step, hole in zip(steps, holes, strict=True)))


def pair_template(names: Iterable[str]) -> str:
    """Return the template of a pair where names are those of its parts, in any case; empty for none."""
    known = {name.casefold(): name for name in names}
    found = next(((known[one], known[other]) for one, other in PAIRS if {one, other} <= known.keys()), None)
    return f"{{{found[0]}}}{{{BETWEEN}}}{{{found[1]}}}" if found else ""


def stored_calls(stored: Iterable[str]) -> CallMapping | None:
    """Return the mapping of calls that a play's traffic was read with last; None where it is all plain tables."""
    kept = [calls for text in stored if text and (calls := json.loads(text).get("calls"))]
    return CallMapping.read(json.dumps(kept[-1])) if kept else None


def of_traffic(stored: Iterable[str]) -> CallMapping | None:
    """Return the mapping of calls in a play's traffic, of its `mapping` column; None where texts stay as they are.

    Of a plain table it is the template that makes one input of several columns: fields of a request do the same.
    """
    found: CallMapping | None = None
    for text in stored:
        kept = json.loads(text) if text else {}
        calls = dict(kept.get("calls") or {})
        template = str(kept.get("input") or "")
        if HOLE.search(template) and not calls.get("template"):
            calls |= {"take": Take.LAST_USER, "template": template}
        found = CallMapping.read(json.dumps(calls)) if calls else found
    return found


def input_of(messages: Sequence[Message], mapping: CallMapping = DEFAULT) -> str:
    """Make a student's input of the messages of a call. Raises NotMapped where they do not fit the mapping."""
    text = _taken(messages, mapping)
    if mapping.pairs and pair_of(text):  # a log of this program holds inputs as they were made
        return plain_input(text, mapping)
    if PAIR in text:
        raise NotMapped(PAIR_INSIDE)
    if mapping.after or mapping.before:
        text = _between(text, mapping)
    if mapping.pattern:
        text = _found(text, mapping)
    elif mapping.template:
        text = filled(mapping.template, _fields(text))
    if not text.strip():
        raise NotMapped("the input is empty")
    return plain_input(text, mapping)


def plain_input(value: object, mapping: CallMapping = DEFAULT) -> str:
    """Make the input of what came without messages: a text, the two texts of a pair, or an object of fields.

    Raises NotMapped.
    """
    text = _plain(value, mapping)
    if PAIR in text and pair_of(text) is None:
        raise NotMapped(PAIR_INSIDE)
    if mapping.pairs and PAIR not in text:
        raise NotMapped("the input is not a pair")
    if not text.strip():
        raise NotMapped("the input is empty")
    return privacy.scrub(text)[0] if mapping.scrub else text


def _plain(value: object, mapping: CallMapping) -> str:
    if isinstance(value, Mapping) and mapping.template and not mapping.pattern:
        return filled(mapping.template, value)
    if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(each, str) for each in value):
        if any(PAIR in each for each in value):
            raise NotMapped(PAIR_INSIDE)
        return PAIR.join(value)
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping | list):
        return _written(value)
    raise NotMapped("the input is not text")


def _written(value: object) -> str:
    """Write JSON. Raises NotMapped where it holds NaN, Infinity or too many levels."""
    try:
        return sorted_json(value)
    except RecursionError:
        raise NotMapped("the JSON is nested too deeply") from None
    except ValueError:
        raise NotMapped("the JSON holds NaN or Infinity") from None


def input_of_request(body: Mapping[str, object], mapping: CallMapping = DEFAULT) -> str:
    """Make the input of a request body as it comes over the wire: chat, responses, prompt or contents.

    Raises NotMapped where the body holds no messages, or they do not fit.
    """
    messages = request_messages(body)
    if not messages:
        raise NotMapped("the request holds no messages")
    return input_of(messages, mapping)


def request_messages(body: Mapping[str, object]) -> tuple[Message, ...]:
    """Return the messages of a request: system text of its own first."""
    found: tuple[Message, ...] = ()
    for name in ("messages", "input", "contents", "prompt"):
        found = messages_of(body[name]) if body.get(name) else ()
        if found:
            break
    for name in ("system", "instructions", "systemInstruction", "system_instruction"):
        own = body.get(name)
        framed = Message(SYSTEM, own) if isinstance(own, str) else _framed(own)
        if framed is not None and framed.text:
            return (framed, *found)
    return found


def _framed(value: object) -> Message | None:
    if isinstance(value, list):
        value = {"role": SYSTEM, "content": value}
    read = messages_of([{"role": SYSTEM, **value}]) if isinstance(value, Mapping) else ()
    return read[0] if read else None


def answer_of(message: Message, mapping: CallMapping = DEFAULT) -> str | None:
    """Return a model's answer as it is compared and learned; None where there is none. Raises NotMapped.

    A message without text that calls a tool answers with the tool's arguments; with several tools, with a list.
    """
    if mapping.answer == TOOL_NAME:
        if not message.calls:
            raise NotMapped("the answer calls no tool")
        return message.calls[0].name
    text = message.text or _arguments(message)
    if not text or not mapping.answer:
        return text or None
    value = _at(_json(text), mapping.answer)
    if value is None:
        raise NotMapped(f"the answer's JSON has no {mapping.answer}")
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else _written(value)


def table_answer(value: object, mapping: CallMapping) -> object:
    """Return the part of a JSON answer in a plain table; what is not a JSON object stays. Raises NotMapped."""
    text = sorted_json(value) if isinstance(value, Mapping) else value
    if mapping.answer in ("", TOOL_NAME) or not isinstance(text, str) or not isinstance(json_in(text), Mapping):
        return value
    return answer_of(Message(ASSISTANT, text), mapping)


def filled(template: str, fields: Mapping[str, object]) -> str:
    """Write fields into a template. Raises NotMapped where one that the template names is missing or not plain."""

    def written(hole: re.Match[str]) -> str:
        if hole[1] == BETWEEN:
            return PAIR
        value = _at(fields, hole[1]) if _PATH.fullmatch(hole[1]) else fields.get(hole[1])
        if value is None or isinstance(value, bool | Mapping | list):
            raise NotMapped(f"the field {hole[1]} is missing")
        if PAIR in str(value):
            raise NotMapped(PAIR_INSIDE)
        return str(value)

    made = HOLE.sub(written, template)
    if PAIR in made and pair_of(made) is None:
        raise NotMapped("a part of the pair is empty")
    return made


def _taken(messages: Sequence[Message], mapping: CallMapping) -> str:
    chosen = [each for each in messages if each.role != SYSTEM]
    if mapping.take is not Take.CONVERSATION:
        chosen = [each for each in chosen if each.role == USER and (each.text or each.other)]
    if mapping.take is Take.LAST_USER:
        chosen = chosen[-1:]
    if not any(each.role != ASSISTANT and each.text for each in chosen) and not any(each.other for each in chosen):
        raise NotMapped("the call has no message of a user")
    chosen = [each for each in messages if each.role == SYSTEM and mapping.system] + chosen
    for each in chosen:
        if each.other:
            raise NotMapped(f"a message holds “{each.other[:40]}”, which is not text")
    texts = [(each.role, each.text) for each in chosen if each.text]
    if len(texts) == 1:
        return texts[0][1]
    if mapping.take is Take.CONVERSATION or mapping.system:
        return "\n".join(f"{role}: {text}" for role, text in texts)
    return "\n\n".join(text for _, text in texts)


def _between(text: str, mapping: CallMapping) -> str:
    """Cut what stands after the first `after` and before the last `before`."""
    start = text.find(mapping.after) + len(mapping.after)
    end = text.rfind(mapping.before) if mapping.before else len(text)
    if mapping.after not in text or end < start:
        missing = mapping.after if mapping.after not in text else mapping.before
        raise NotMapped(f"the message does not hold “{_end(missing)}”")
    return text[start:end].strip()


def _found(text: str, mapping: CallMapping) -> str:
    found = _compiled(mapping.pattern).search(text[:MOST_CHARACTERS])
    if found is None:
        raise NotMapped("the message does not match the pattern")
    if not mapping.template:
        return (found[1] or "").strip()
    numbered = {str(place): own for place, own in enumerate(found.groups(), 1)}
    return filled(mapping.template, numbered | found.groupdict())


@lru_cache(64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.DOTALL)


def _fields(text: str) -> Mapping[str, object]:
    value = _json(text)
    if not isinstance(value, Mapping):
        raise NotMapped("the message is not a JSON object")
    return value


def json_in(text: str) -> object:
    """Parse JSON, also within a Markdown fence; None for other texts."""
    try:
        return _json(text)
    except NotMapped:
        return None


def _json(text: str) -> object:
    """Parse JSON, also within a Markdown fence. Raises NotMapped."""
    body = text.strip()
    if body.startswith("```") and body.endswith("```"):
        body = body.strip("`").removeprefix("json").strip()
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise NotMapped("the text is not JSON") from None


def _at(value: object, path: str) -> object:
    for name, place in _STEP.findall(path):
        if name and isinstance(value, Mapping):
            value = value.get(name)
        elif place and isinstance(value, list) and int(place) < len(value):
            value = value[int(place)]
        else:
            return None
    return value


def _arguments(message: Message) -> str:
    if len(message.calls) == 1:
        return message.calls[0].arguments
    named = [{"name": each.name, "arguments": each.arguments} for each in message.calls]
    return compact(named) if named else ""


def _end(text: str) -> str:
    """Show the end of a long text, where it meets the input."""
    line = " ".join(text.split())
    return line if len(line) <= 40 else "…" + line[-39:]
