"""A student that extracts: it marks in the input where each value of the answer stands, and puts the answer together.

A stock token classifier with labels O, B-field and I-field (Ramshaw and Marcus 1995), and an answer.json beside it. Its
answers can only hold what the input holds; what it costs is one pass over the input, however long the answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers

from distill_tui.spec import Spec
from distill_tui.training import export, models, students, vocabulary
from distill_tui.training.fields import Said, Shape, Span, splits
from distill_tui.training.folders import ANSWER, answers_how

FORM = "tagger"
IGNORED = -100  # what cross_entropy skips
TINY = 1e-9  # probabilities below count as this
NEVER = -1e9  # the gain of a span that cannot be
NO_FAST_TOKENIZER = (
    "The tokenizer of that folder does not tell where its tokens stand in a text; choose another folder."
)


@dataclass(frozen=True)
class Cut:
    """A text as tokens."""

    ids: list[int]
    at: list[Span]  # where each token stands in the text
    real: list[bool]  # whether it stands there at all; special tokens do not


@dataclass(frozen=True)
class Tagger:
    """A token classifier and what its labels mean."""

    model: Any
    tokenizer: Any
    shape: Shape
    cutter: tokenizers.Tokenizer  # the same tokenizer without transformers' wrapping, which takes longer to cut

    def cut(self, texts: Sequence[str]) -> list[Cut]:
        """Cut texts into tokens; none without any, which a model could not read."""
        found = self.cutter.encode_batch([models.speakable(text) for text in texts])
        empty = Cut([self.tokenizer.pad_token_id or 0], [(0, 0)], [False])
        return [
            Cut(one.ids, one.offsets, [not special for special in one.special_tokens_mask]) if one.ids else empty
            for one in found
        ]

    def logits(self, rows: Sequence[Cut]) -> torch.Tensor:
        """Run one batch: (rows, tokens, 1 + 2 fields)."""
        logits: torch.Tensor = models.logits(self.model, [row.ids for row in rows])
        return logits

    def say(self, texts: Sequence[str], rows: Sequence[Cut]) -> list[Said]:
        """Answer one batch of texts, given as they were cut."""
        self.model.eval()
        ends = [self._ends(models.speakable(text), row) for text, row in zip(texts, rows, strict=True)]
        real, opens, closes = (models.pad(each, False)[0].bool() for each in zip(*ends, strict=True))
        with torch.inference_mode():
            found = decode(self.logits(rows), real, opens, closes, [each.always for each in self.shape.fields])
        columns = [each.tolist() for each in (found.first, found.last, found.there, found.confidence)]
        return [
            Said(self.shape.write(_values(models.speakable(text), row, *spans)), sure)
            for text, row, *spans, sure in zip(texts, rows, *columns, strict=True)
        ]

    def _ends(self, text: str, row: Cut) -> tuple[list[bool], list[bool], list[bool]]:
        """Say which tokens are in the text, at which a value may begin, and at which it may end."""
        if not self.shape.whole:
            return row.real, row.real, row.real
        pairs = list(zip(row.real, row.at, strict=True))
        opens = [real and not splits(text, first) for real, (first, _) in pairs]
        return row.real, opens, [real and not splits(text, last) for real, (_, last) in pairs]

    def save(self, folder: Path, **more: object) -> None:
        """Write what plain transformers loads as a token classifier, and answer.json."""
        export.save(self.model, self.tokenizer, folder)
        values = {"form": FORM, **self.shape.to_dict(), **more}
        (folder / ANSWER).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def build(spec: Spec, shape: Shape, texts: Sequence[str], start: Path | None) -> Tagger:
    """Make the untrained tagger of a spec: of random weights, or of the layers of an encoder in `start`.

    Raises ValueError with one sentence where the folder cannot give what the spec asks for.
    """
    torch.manual_seed(spec.seed)
    if start is None:
        tokenizer = vocabulary.train([*map(models.speakable, texts)], spec.vocabulary, literal=True)
        made = students.small(spec, tags(shape), tokenizer, transformers.BertForTokenClassification)
    else:
        made = _from_folder(spec, shape, texts, start)
    made.tokenizer.model_max_length = spec.max_tokens
    return _open(made.model, made.tokenizer, shape, spec.max_tokens)


def load(folder: Path, max_tokens: int) -> Tagger:
    """Open a tagger's folder. Raises ValueError with one sentence."""
    model, tokenizer = models.load_for(transformers.AutoModelForTokenClassification, folder)
    try:
        shape = Shape.from_dict(answers_how(folder))
    except (KeyError, TypeError):
        raise ValueError(f"{folder / ANSWER} does not say what the fields of an answer are.") from None
    if model.config.num_labels != 1 + 2 * len(shape.fields):
        raise ValueError(f"{folder / ANSWER} names {len(shape.fields)} fields, and the model marks others.")
    return _open(model, tokenizer, shape, min(max_tokens, tokenizer.model_max_length))


def tags(shape: Shape) -> tuple[str, ...]:
    """Name the labels of tokens: outside, then the beginning and the inside of each field."""
    return ("O", *(f"{part}-{each.name}" for each in shape.fields for part in "BI"))


def targets(text: str, row: Cut, spans: Sequence[Span | None]) -> list[int] | None:
    """Give the label of each token; None where a span was cut off or its ends are not ends of tokens."""
    found = [0 if real else IGNORED for real in row.real]
    for number, span in enumerate(spans):
        if span is None:
            continue
        inside = [at for at, (first, last) in enumerate(row.at) if row.real[at] and first < span[1] and span[0] < last]
        if not inside or text[row.at[inside[0]][0] : row.at[inside[-1]][1]].strip() != text[slice(*span)]:
            return None
        for at in inside:
            found[at] = 2 * number + (1 if at == inside[0] else 2)
    return found


@dataclass(frozen=True)
class Spans:
    """Of each row and field the likeliest span, its first token and its last, and whether there is one: (rows, fields).

    `confidence` (rows,) is the probability of all of them.
    """

    first: torch.Tensor
    last: torch.Tensor
    there: torch.Tensor
    confidence: torch.Tensor


def decode(
    logits: torch.Tensor, real: torch.Tensor, opens: torch.Tensor, closes: torch.Tensor, always: Sequence[bool]
) -> Spans:
    """Find of each field the likeliest span, or that there is none: logits (rows, tokens, 1 + 2 fields), real as cut.

    A span begins only at tokens that open, and ends only at those that close, (rows, tokens) each.

    A field by itself is a token's first, inside or neither, with the probabilities that the model gives it. Of all ways
    to mark one span at most, the likeliest begins at i and ends at j with the largest log(first_i / neither_i) +
    sum over i < t <= j of log(inside_t / neither_t), found in one pass (Kadane; Bentley 1984). Below 0, no span is
    likelier than this one; a field that `always` has a value gets it still.
    """
    shares = logits.double().softmax(dim=-1).clamp_min(TINY)
    real, opens, closes = (each[:, :, None].to(logits.device) for each in (real, opens, closes))
    first, inside = shares[:, :, 1::2], shares[:, :, 2::2]
    neither = (1 - first - inside).clamp_min(TINY)
    begin, on = (first / neither).log().masked_fill(~opens, NEVER), (inside / neither).log().cumsum(dim=1)
    score, start = (begin - on).cummax(dim=1)
    gain, last = (score + on).masked_fill(~closes, NEVER).max(dim=1)
    there = (gain > 0) | (torch.tensor(always, device=gain.device) & (gain > NEVER / 2))
    none = (neither.log() * real).sum(dim=1)
    sure = (none + gain * there).sum(dim=1).exp()
    return Spans(start.gather(1, last[:, None])[:, 0], last, there, sure)


def _values(text: str, row: Cut, first: list[int], last: list[int], there: list[bool]) -> list[str | None]:
    ends = zip(first, last, there, strict=True)
    cut = [text[row.at[a][0] : row.at[b][1]].strip() if is_there else None for a, b, is_there in ends]
    return [value or None for value in cut]


def _open(model: Any, tokenizer: Any, shape: Shape, max_tokens: int) -> Tagger:
    cutter = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    cutter.no_padding()
    cutter.enable_truncation(max_tokens)
    cutter.encode_special_tokens = True  # what is in a text is no command
    return Tagger(model, tokenizer, shape, cutter)


def _from_folder(spec: Spec, shape: Shape, texts: Sequence[str], start: Path) -> students.Student:
    model, tokenizer = models.load_encoder(start)
    if not tokenizer.is_fast:
        raise ValueError(NO_FAST_TOKENIZER)
    if spec.max_tokens > models.positions(model.config):
        raise ValueError(
            f"max_tokens is {spec.max_tokens}, and {start.name} reads at most {models.positions(model.config)} tokens."
        )
    there = model.config.num_hidden_layers
    layers = spec.layers or tuple(range(there))
    renamed = model.config.model_type in students.FAMILIES
    if not renamed and layers != tuple(range(there)):
        raise ValueError(f"Layers can be taken from {', '.join(students.FAMILIES)}; {start.name} is used whole.")
    if not all(0 <= layer < there for layer in layers):
        raise ValueError(f"{start.name} has layers 0 to {there - 1}, and the spec asks for {max(layers)}.")
    kept = None
    if renamed and vocabulary.is_word_piece(tokenizer):
        tokenizer, kept = vocabulary.prune(tokenizer, [*map(models.speakable, texts)], spec.vocabulary)
    kind = transformers.AutoModelForTokenClassification
    return students.taken_over(tags(shape), layers, kept, model, tokenizer, kind)
