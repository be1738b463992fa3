"""A teacher that is described rather than copied: an endpoint, or a local model with a prompt (pure).

The description is an artifact, and its digest is the teacher's name in the cache: another model, revision, template or
label is another teacher. Prices and speed are not part of it, so that a change of price asks nothing twice.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from distill_tui.digests import canonical
from distill_tui.tasks import answer_text
from distill_tui.terms import TeacherSource

if TYPE_CHECKING:
    from distill_tui.rules import entities
    from distill_tui.store.artifacts import Artifacts

TEMPLATES = {
    TeacherSource.ENDPOINT: "Answer with exactly one of these labels, and nothing else: {labels}.\n\n{input}",
    TeacherSource.ZERO_SHOT: "This text is {label}.",
    TeacherSource.PROMPTED: "{input}\nOne of {labels}.\nLabel:",
}
WRITES = "{input}"  # the default prompt of a teacher that writes its answers
ANSWER_TOKENS = 256  # the most tokens of such an answer


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
    ) -> Described:
        """Describe a teacher as a person names it: labels with commas. Without labels it writes its answers."""
        choices = tuple(label.strip() for label in labels.split(",")) if labels else ()
        writes = not choices and source is not TeacherSource.ZERO_SHOT
        prompt = template or (WRITES if writes else TEMPLATES[source])
        most = tokens or (ANSWER_TOKENS if writes else cls.max_tokens)
        return cls(source, model, choices, prompt, base_url, revision, most, completes)

    def to_json(self) -> str:
        """Write canonical JSON; fields added later only where they are not the default: the digest is a name."""
        values = {name: value for name, value in asdict(self).items() if name != "completes" or value}
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

    @property
    def writes(self) -> bool:
        return not self.labels

    def problem(self) -> str | None:
        """Return in one sentence why the teacher is impossible, or None."""
        if self.writes and self.source is TeacherSource.ZERO_SHOT:
            return "A zero-shot teacher chooses among labels; give them with --labels a,b,c."
        folded = set(map(_folded, self.labels))
        if self.labels and (len(folded) < max(2, len(self.labels)) or "" in self.labels):
            return "A described teacher needs two labels or more that differ; give them with --labels a,b,c."
        hole = "{label}" if self.source is TeacherSource.ZERO_SHOT else "{input}"
        if hole not in self.template:
            return f"The template has no {hole}; write it where the {hole.strip('{}')} goes."
        if not 1 <= self.max_tokens <= 8192:
            return f"An answer of {self.max_tokens} tokens cannot be asked for; give 1 to 8192."
        if self.completes and (self.source is not TeacherSource.PROMPTED or not self.writes):
            return "Only a local model that writes its answers can continue its template; leave out --completes."
        if self.source is not TeacherSource.ENDPOINT:
            return None
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
        before, after = self.template.split("{input}", 1)
        named = ", ".join(self.labels)
        return f"{before.replace('{labels}', named)}{text}{after.replace('{labels}', named)}"

    def read(self, answer: str) -> str | None:
        """Return the label that an answer names: the whole answer, or the only label in it; else None.

        For a teacher that writes, return the answer: see `answer_text.read`.
        """
        if self.writes:
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
    """Keep letters and digits, each run of other characters as one blank."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())
