"""A teacher that is described rather than copied: an endpoint, or a local model with a prompt (pure).

The description is an artifact, and its digest is the teacher's name in the cache: another model, revision, template or
label is another teacher. Prices and speed are not part of it, so that a change of price asks nothing twice.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from distill_tui.digests import canonical
from distill_tui.gates.label_sets import written
from distill_tui.tasks import answer_text
from distill_tui.tasks.set_text import labels_in
from distill_tui.teachers.label_list import label_list
from distill_tui.terms import TeacherSource
from distill_tui.text import in_a_row, pair_of

if TYPE_CHECKING:
    from distill_tui.rules import entities
    from distill_tui.store.artifacts import Artifacts

TEMPLATES = {
    TeacherSource.ENDPOINT: "Answer with exactly one of these labels, and nothing else: {labels}.\n\n{input}",
    TeacherSource.ZERO_SHOT: "This text is {label}.",
    TeacherSource.PROMPTED: "{input}\nOne of {labels}.\nLabel:",
}
SETS = {  # of a teacher that answers with any number of the labels
    TeacherSource.ENDPOINT: (
        "Which of these labels apply to the text? Answer with a JSON list of them, [] if none applies, and nothing "
        "else: {labels}.\n\n{input}"
    ),
    TeacherSource.ZERO_SHOT: TEMPLATES[TeacherSource.ZERO_SHOT],
}
WHETHER = "Does the label “{label}” apply to the text?"  # to a typed-decision API, once for each label
MOST_QUESTIONS = 128  # of one request to a typed-decision API
SYSTEM_ONE, DECISIONS = APIS = ("systemone", "decisions")  # typed-decision APIs; otherwise an endpoint is a chat
WHICH = "Which of these labels fits the text?"  # the question to a typed-decision API
MOST_CHOICES = 255  # of one decision
INPUT = "{input}"
WRITES = INPUT  # the default prompt of a teacher that writes its answers
ANSWER_TOKENS = 256  # the most tokens of such an answer
_LATER = ("completes", "reads", "schema", "api", "windows", "headers", "body", "several")
_PARTS = re.compile(r"\{(?:labels|first|second)\}")

SECRETS = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)  # in the name of a header
OWN = ("model", "messages", "stream", "n", "max_tokens", "max_completion_tokens", "logprobs", "response_format")


@dataclass(frozen=True)
class Described:
    """All that determines the teacher's answers."""

    source: TeacherSource
    model: str  # the model's name at the endpoint, or the digest of a model folder
    labels: tuple[str, ...]  # empty: it writes its answers, for a generation task
    template: str
    base_url: str = ""  # of an endpoint
    revision: str = ""  # of an endpoint's model, as the provider names it; it cannot be verified
    max_tokens: int = 16  # of an answer; temperature is 0
    completes: bool = False  # a local model continues the template as it stands, and its answer is one line
    reads: int = 0  # the most tokens of a prompt that a local model is given; 0: as many as it can read
    schema: str = ""  # of an endpoint that writes JSON: the JSON schema of its answers
    api: str = ""  # of an endpoint: a typed-decision API, whose question is the template; "" for a chat
    windows: bool = False  # a local model reads a longer input in windows, and the scores of a label are averaged
    headers: str = ""  # of an endpoint: more headers of each request, a JSON object of texts; never a key
    body: str = ""  # of an endpoint: more fields of each request's body, a JSON object
    several: bool = False  # whether an answer is a set of its labels

    @classmethod
    def chosen(
        cls,
        source: TeacherSource,
        model: str,
        labels: str,
        template: str,
        base_url: str = "",
        revision: str = "",
        *,
        completes: bool = False,
        tokens: int | None = None,
        reads: int = 0,
        api: str = "",
        schema: str = "",
        windows: bool = False,
        headers: str = "",
        body: str = "",
    ) -> Described:
        """Describe a teacher as a person names it: see `label_list`. Without labels it writes its answers."""
        choices = label_list(labels)
        writes = not choices and source is not TeacherSource.ZERO_SHOT
        prompt = template or (WHICH if api else WRITES if writes else TEMPLATES[source])
        most = tokens or (ANSWER_TOKENS if writes else cls.max_tokens)
        more = (completes, reads, schema, api, windows, headers, body)
        return cls(source, model, choices, prompt, base_url, revision, most, *more)

    @classmethod
    def recorded(cls, labels: str) -> Described:
        """Describe a teacher whose recorded outputs are among these labels, in the order of probability lists."""
        return cls(TeacherSource.RECORDED, "recorded outputs", label_list(labels), "")

    def to_json(self) -> str:
        """Write canonical JSON; fields added later only where they are not the default: the digest is a name."""
        values = {name: value for name, value in asdict(self).items() if name not in _LATER or value}
        return canonical(values).decode()

    @classmethod
    def from_json(cls, text: str) -> Described:
        """Read `to_json` back. Raises ValueError with one sentence."""
        from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config  # not light

        try:
            return TypeAdapter(with_config(ConfigDict(extra="forbid", strict=True))(cls)).validate_json(text)
        except ValidationError:
            raise ValueError("The description of the teacher cannot be read; choose the teacher again.") from None

    @classmethod
    def of(cls, artifacts: Artifacts, play: entities.Play) -> Described | None:
        """Read the description of a play's teacher; None for one that is recorded, or a classifier's folder."""
        return cls.from_json(artifacts.text(play.teacher_digest)) if play.teacher_source.can_write else None

    def for_sets(self) -> Described:
        """Return the same teacher, asked for any number of its labels: the templates for one give way to those."""
        if self.several or not self.labels or self.source is TeacherSource.RECORDED:
            return self
        usual = self.template == (WHICH if self.api else TEMPLATES.get(self.source))
        template = (WHETHER if self.api else SETS.get(self.source, self.template)) if usual else self.template
        tokens = max(self.max_tokens, ANSWER_TOKENS) if not self.api else self.max_tokens
        return replace(self, several=True, template=template, max_tokens=tokens)

    @property
    def writes(self) -> bool:
        return not self.labels

    def problem(self) -> str | None:
        """Return in one sentence why the teacher is impossible, or None."""
        if self.writes and self.source is TeacherSource.ZERO_SHOT:
            return "A zero-shot teacher chooses among labels; give them with --labels a,b,c."
        if self.source is TeacherSource.RECORDED:
            alone = len(set(self.labels)) == len(self.labels) > 1 and "" not in self.labels
            return None if alone else "Recorded outputs need two labels or more that differ: --labels a,b,c or a file."
        folded = set(map(_folded, self.labels))
        if self.labels and (len(folded) < max(2, len(self.labels)) or "" in self.labels):
            return "A described teacher needs two labels or more that differ; give them with --labels a,b,c."
        wrong = self._wrong_schema() if self.schema else None
        wrong = wrong or (self._wrong_extras() if self.headers or self.body else None)
        if wrong:
            return wrong
        if self.several and self.source is TeacherSource.PROMPTED:
            return (
                "A prompted local model scores labels against each other, so it cannot give several; take an endpoint, "
                "--zero-shot, a classifier of several labels, or --recorded."
            )
        if self.api:
            return self._wrong_decision() or self._wrong_address()
        hole = "{label}" if self.source is TeacherSource.ZERO_SHOT else INPUT
        parted = hole == INPUT and all(each in self.template for each in ("{first}", "{second}"))
        if hole not in self.template and not parted:
            return f"The template has no {hole}; write it where the {hole.strip('{}')} goes."
        if not 1 <= self.max_tokens <= 8192:
            return f"An answer of {self.max_tokens} tokens cannot be asked for; give 1 to 8192."
        if self.reads < 0 or (self.reads and self.source is TeacherSource.ENDPOINT):
            return "Only a model on this machine can be made to read less; --max-tokens is 1 or more."
        if self.windows and (self.writes or self.source is TeacherSource.ENDPOINT):
            return "Only a model on this machine that chooses among labels reads in windows; leave out --windows."
        if self.windows and hole not in self.template:
            return f"A template that places the parts of a pair has no windows; write {INPUT}, or leave out --windows."
        if self.completes and (self.source is not TeacherSource.PROMPTED or not self.writes):
            return "Only a local model that writes its answers can continue its template; leave out --completes."
        return self._wrong_address() if self.source is TeacherSource.ENDPOINT else None

    def _wrong_decision(self) -> str | None:
        if self.api not in APIS or self.source is not TeacherSource.ENDPOINT:
            return f"A typed-decision API is an endpoint with --api {' or '.join(APIS)}."
        if not 2 <= len(self.labels) <= MOST_CHOICES:
            return f"A typed-decision API chooses among 2 to {MOST_CHOICES} labels; give them with --labels."
        if self.several and len(self.labels) > MOST_QUESTIONS:
            return f"A typed-decision API answers {MOST_QUESTIONS} questions a request; there are {len(self.labels)}."
        if self.several and "{label}" not in self.template:
            return "The question about each label has no {label}; write it where the label goes."
        return None if self.template.strip() else "The question to a typed-decision API is empty; write the template."

    def _wrong_schema(self) -> str | None:
        if self.source is not TeacherSource.ENDPOINT or self.labels or self.api:
            return (
                "A JSON schema is for an endpoint that writes its answers; leave out --schema, or --labels and --api."
            )
        try:
            found = json.loads(self.schema)
        except ValueError as error:
            return f"The schema is not JSON ({error}). Write a JSON schema of an object."
        return None if isinstance(found, dict) and found.get("type") == "object" else "The schema is not of an object."

    def _wrong_extras(self) -> str | None:
        if self.source is not TeacherSource.ENDPOINT:
            return "Headers and a body are sent to an endpoint; leave out --header and --body."
        try:
            headers, body = (json.loads(text or "{}") for text in (self.headers, self.body))
        except ValueError as error:
            return f'The body is not JSON ({error}). Write a JSON object, like {{"top_p": 1}}.'
        if not isinstance(headers, dict) or not isinstance(body, dict):
            return 'The body is not a JSON object, like {"top_p": 1}.'
        secret = next((name for name in headers if SECRETS.search(name)), None)
        if secret is not None:
            return f"The header {secret} looks like a key, and headers are kept in the project; leave it out."
        own = next((name for name in body if name in OWN), None)
        return f"The body sets {own}, which this program sets itself; leave it out." if own else None

    def _wrong_address(self) -> str | None:
        if not self.model.strip():
            return "An endpoint needs the name of a model; give it with --model NAME."
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            return "The address of the endpoint is like https://host/v1, with no key, name or query in it."
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            return "An endpoint that is not on this machine needs https; http is not encrypted."
        return None

    def prompt(self, text: str) -> str:
        """Fill the template with one input; placeholders inside the input are left as they are."""
        if self.api:
            return in_a_row(text)  # the question stands apart from it
        if self.conversation:
            return json.dumps([each | {"content": self._filled(each["content"], text)} for each in self.conversation])
        return self._filled(self.template, text)

    @property
    def conversation(self) -> list[dict[str, str]] | None:
        """The messages of a template that is a JSON list of them, system message and all; None for a plain text."""
        if not self.template.lstrip().startswith("["):
            return None
        try:
            found = json.loads(self.template)
        except (ValueError, RecursionError):
            return None
        whole = found and all(
            isinstance(each, dict)
            and each.keys() == {"role", "content"}
            and all(isinstance(value, str) for value in each.values())
            for each in found
        )
        return found if whole else None

    def messages(self, prompt: str) -> list[dict[str, str]]:
        """Return the messages of one call from what `prompt` made."""
        return json.loads(prompt) if self.conversation else [{"role": "user", "content": prompt}]

    def _filled(self, template: str, text: str) -> str:
        named, first, second = ", ".join(self.labels), *(pair_of(text) or (text, ""))
        parts = {"{labels}": named, "{first}": first, "{second}": second}
        if INPUT not in template:  # the template places both parts of a pair, or neither
            return _PARTS.sub(lambda hole: parts[hole[0]], template)
        before, after = (part.replace("{labels}", named) for part in template.split(INPUT, 1))
        return f"{before}{in_a_row(text)}{after}"

    def _set(self, answer: str) -> str | None:
        """Return the set of labels that an answer lists; None where a name in it is not a label."""
        known = {_folded(label): label for label in self.labels}
        try:
            names = labels_in(answer, "the answer", "\n")
        except ValueError:
            return None
        if len(names) == 1 and _folded(names[0]) not in known:  # a list in one line, or the word for none
            names = [] if _folded(names[0]) == "none" else names[0].split(",")
        found = [known.get(_folded(name)) for name in names]
        return None if None in found else written(label for label in found if label is not None)

    def read(self, answer: str) -> str | None:
        """Return the label that an answer names: the whole answer, or the only label in it; else None.

        For a teacher that writes, return the answer: see `answer_text.read`.
        """
        if self.writes:
            found = answer_text.read(answer)
            return None if found is None or (self.schema and not answer_text.is_object(found)) else found
        if self.several:
            return self._set(answer)
        said = _folded(answer)
        whole = [label for label in self.labels if _folded(label) == said]
        if whole:
            return whole[0]
        inside = [label for label in self.labels if f" {_folded(label)} " in f" {said} "]
        longest = [label for label in inside if not any(_folded(label) in _folded(o) and o != label for o in inside)]
        return longest[0] if len(longest) == 1 else None


GIVEN_ALONE = Described(TeacherSource.PROMPTED, "", (), WRITES)  # a local model whose prompt is the input alone


def _folded(text: str) -> str:
    """Keep letters and digits, each run of other characters as one blank."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())
