"""A teacher that is described rather than copied: an endpoint, or a local model that is asked in words (pure).

The description is an artifact, and its digest is the teacher's name in the cache: another model, revision, template or
label is another teacher. Prices and speed are no part of it, so that a cheaper day asks nothing twice.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from distill_tui.digests import canonical
from distill_tui.tasks import answer_text
from distill_tui.terms import TeacherSource

TEMPLATES = {
    TeacherSource.ENDPOINT: "Answer with exactly one of these labels, and nothing else: {labels}.\n\n{input}",
    TeacherSource.ZERO_SHOT: "This text is {label}.",
    TeacherSource.PROMPTED: "{input}\nOne of {labels}.\nLabel:",
}
WRITES = "{input}"  # what is asked of a teacher that writes its answers, where nothing is said
ANSWER_TOKENS = 256  # the most tokens of such an answer


@dataclass(frozen=True)
class Described:
    """All that decides what the teacher says."""

    source: TeacherSource
    model: str  # the model's name at the endpoint, or the digest of a model folder
    labels: tuple[str, ...]  # none: it writes its answers, for a generation task
    template: str
    base_url: str = ""  # of an endpoint
    revision: str = ""  # of an endpoint's model, as the provider names it; nobody can check it
    max_tokens: int = 16  # of an answer; temperature is 0
    completes: bool = False  # a local model goes on from the template as it stands, and its answer is one line

    def to_json(self) -> str:
        """Give the canonical JSON text; what came later is in it where it is not the default: the digest is a name."""
        values = {name: value for name, value in asdict(self).items() if name != "completes" or value}
        return canonical(values).decode()

    @classmethod
    def from_json(cls, text: str) -> Described:
        """Read `to_json` back. Raises ValueError with one sentence."""
        try:
            values = json.loads(text)
            found = cls(**values | {"source": TeacherSource(values["source"]), "labels": tuple(values["labels"])})
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ValueError("The description of the teacher cannot be read; choose the teacher again.") from None
        words = (found.model, found.template, found.base_url, found.revision, *found.labels)
        if not all(isinstance(word, str) for word in words) or (
            type(found.max_tokens) is not int or type(found.completes) is not bool
        ):
            raise ValueError("The description of the teacher holds something else than words; choose it again.")
        return found

    def problem(self) -> str | None:
        """Say what makes the teacher impossible, in one sentence, or nothing."""
        if not self.labels and self.source is TeacherSource.ZERO_SHOT:
            return "A zero-shot teacher chooses among labels; give them with --labels a,b,c."
        folded = set(map(_folded, self.labels))
        if self.labels and (len(folded) < max(2, len(self.labels)) or "" in self.labels):
            return "A described teacher needs two labels or more that differ; give them with --labels a,b,c."
        hole = "{label}" if self.source is TeacherSource.ZERO_SHOT else "{input}"
        if hole not in self.template:
            return f"The template has no {hole}; write it where the {hole.strip('{}')} goes."
        if not 1 <= self.max_tokens <= 8192:
            return f"An answer of {self.max_tokens} tokens cannot be asked for; give 1 to 8192."
        if self.completes and (self.source is not TeacherSource.PROMPTED or self.labels):
            return "Only a local model that writes its answers can go on from its template; leave out --completes."
        if self.source is not TeacherSource.ENDPOINT:
            return None
        if not self.model.strip():
            return "An endpoint needs the name of a model; give it with --model NAME."
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            return "The address of the endpoint is like https://host/v1, with no key, name or query in it."
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            return "An endpoint that is not on this machine is asked over https only: all else is open."
        return None

    def prompt(self, text: str) -> str:
        """Write what is asked about one input; what is in the input is never a place to fill in."""
        before, after = self.template.split("{input}", 1)
        named = ", ".join(self.labels)
        return f"{before.replace('{labels}', named)}{text}{after.replace('{labels}', named)}"

    def read(self, answer: str) -> str | None:
        """Find the label that an answer names: the whole answer, or the only label in it; else nothing.

        Of a teacher that writes its answers, give the answer: see `generated.read`.
        """
        if not self.labels:
            return answer_text.read(answer)
        said = _folded(answer)
        whole = [label for label in self.labels if _folded(label) == said]
        if whole:
            return whole[0]
        inside = [label for label in self.labels if f" {_folded(label)} " in f" {said} "]
        longest = [label for label in inside if not any(_folded(label) in _folded(o) and o != label for o in inside)]
        return longest[0] if len(longest) == 1 else None


GIVEN_ALONE = Described(TeacherSource.PROMPTED, "", (), WRITES)  # a local model whose prompt is the input alone


def _folded(text: str) -> str:
    """Leave letters and digits, each run of others one blank."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())
