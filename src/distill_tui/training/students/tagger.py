"""A token classifier that extracts: it marks where each value of the answer occurs in the input.

The labels are O, B-field and I-field (Ramshaw and Marcus 1995), and answer.json defines how an answer is assembled. A
field of a closed set has a label for each of its values: every token votes. A day, a time, a number or a phone
number begins and ends only where one stands in the input, and is normalised. An answer costs one pass over the input.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import tokenizers
import torch
import transformers

from distill_tui.gates.cut import Cut
from distill_tui.spec import Spec
from distill_tui.tasks.normalise import found_in
from distill_tui.teachers.description import Described
from distill_tui.training import export, models, vocabulary
from distill_tui.training.arrays import Window
from distill_tui.training.checkpoints import run_identity
from distill_tui.training.folders import ANSWER, answer_settings
from distill_tui.training.generation import ExactMatch, Pairs, notes
from distill_tui.training.loop import Places
from distill_tui.training.objective import IGNORED, token_loss
from distill_tui.training.predictor import Predictor, WrittenAnswer
from distill_tui.training.starts import FAMILIES
from distill_tui.training.students import fields
from distill_tui.training.students.encoder import Student, from_layers, load_start, near
from distill_tui.training.students.fields import Shape, Span, splits

if TYPE_CHECKING:
    from distill_tui.training.models import Model, Tokenizer

FORM = "tagger"
TINY = 1e-9  # probabilities below count as this
NEVER = -1e9  # the gain of a span that cannot be
NO_FAST_TOKENIZER = "The tokenizer of that folder does not give the offsets of its tokens; choose another folder."


@dataclass(frozen=True)
class Tokens:
    """A text as tokens."""

    text: str
    ids: list[int]
    offsets: list[Span]  # the characters of each token
    real: list[bool]  # False for special tokens

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Tagger:
    """A token classifier and what its labels mean."""

    model: Model
    tokenizer: Tokenizer
    shape: Shape
    cutter: tokenizers.Tokenizer  # the same tokenizer without transformers' wrapping, which is slower
    max_tokens: int  # that are read at once
    windows: bool = False  # whether a longer text is read in windows; a token in several has the mean of its logits

    @property
    def window(self) -> Window | None:
        if not self.windows:
            return None
        ids = (self.cutter.encode(text).ids for text in ("", "a"))
        return Window.of(self.max_tokens, *ids)

    def logits(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        return models.by_token(partial(models.logits, self.model), rows, self.window)

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise texts; one without any token becomes one padding token."""
        spoken = [models.speakable(text) for text in texts]
        empty = [self.tokenizer.pad_token_id or 0], [(0, 0)], [False]
        return [
            Tokens(text, one.ids, one.offsets, [not special for special in one.special_tokens_mask])
            if one.ids
            else Tokens(text, *empty)
            for text, one in zip(spoken, self.cutter.encode_batch(spoken), strict=True)
        ]

    def cut(self, texts: Sequence[str]) -> Cut:
        return models.cut(self.tokenizer, texts, self.max_tokens, windows=self.windows)

    def answer(self, rows: Sequence[Tokens]) -> list[WrittenAnswer]:
        self.model.eval()
        real, there = models.pad([row.real for row in rows], False)
        opens, closes = self._ends(rows, real.shape[1])
        with torch.inference_mode():
            logits = self.logits([row.ids for row in rows])
            always = [self.shape.fields[at].always for at in self.shape.marked]
            found = decode(logits[:, :, : 1 + 2 * len(always)], real.bool(), opens, closes, always)
            picks, sure = choose(votes(logits, there), self.shape)
        columns = [each.tolist() for each in (found.first, found.last, found.there, picks, found.confidence * sure)]
        return [
            WrittenAnswer(self.shape.write(self._values(row, *spans)), confidence)
            for row, *spans, confidence in zip(rows, *columns, strict=True)
        ]

    def _values(
        self, row: Tokens, first: list[int], last: list[int], there: list[bool], picks: list[int]
    ) -> list[str | None]:
        found: dict[int, str | None] = {}
        for at, a, b, is_there in zip(self.shape.marked, first, last, there, strict=True):
            span = (row.offsets[a][0], row.offsets[b][1]) if is_there else None
            found[at] = self.shape.value(at, row.text, span)
        for at, pick in zip(self.shape.chosen, picks, strict=True):
            found[at] = self.shape.fields[at].choices[pick - 1] if pick else None
        return [found[at] for at in range(len(self.shape.fields))]

    @property
    def predictor(self) -> Predictor[WrittenAnswer]:
        return Predictor(self.tokenise, self.answer, self.cut)

    def _ends(self, rows: Sequence[Tokens], longest: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Mark the tokens at which a value of each field may begin, and at which it may end: (rows, tokens, fields)."""
        found = torch.zeros(2, len(rows), longest, len(self.shape.marked), dtype=torch.bool)
        for at, row in enumerate(rows):
            for side in (0, 1):
                real = [
                    real and not (self.shape.whole and splits(row.text, ends[side]))
                    for real, ends in zip(row.real, row.offsets, strict=True)
                ]
                found[side, at, : len(row)] = torch.tensor(real)[:, None]
            for column, number in enumerate(self.shape.marked):
                field = self.shape.fields[number]
                if field.reads:
                    spans = found_in(row.text, field.reads, field.form)
                    for side in (0, 1):
                        found[side, at, : len(row), column] &= torch.tensor(_at_ends(row.offsets, spans, side))
        return found[0], found[1]

    def save(self, folder: Path, **more: object) -> None:
        """Write what plain transformers loads as a token classifier, and answer.json."""
        export.save(self.model, self.tokenizer, folder)
        windows = {"windows": True} if self.windows else {}
        values = {"form": FORM, **self.shape.to_dict(), **windows, **more}
        (folder / ANSWER).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def build(spec: Spec, shape: Shape, texts: Sequence[str], start: Path | None) -> Tagger:
    """Make the untrained tagger of a spec: from random weights, or from the layers of an encoder in `start`.

    Raises ValueError with one sentence where the folder cannot give what the spec asks for.
    """
    torch.manual_seed(spec.seed)
    if start is None:
        spoken = [*map(models.speakable, texts)]
        tokenizer = vocabulary.train(spoken, spec.vocabulary, literal=True)
        made = near(spec, tags(shape), spoken, tokenizer, transformers.ModernBertForTokenClassification)
    else:
        made = _from_folder(spec, shape, texts, start)
    return _open(made.model, made.tokenizer, shape, made.max_tokens, spec.windows)


def load(folder: Path, max_tokens: int | None = None) -> Tagger:
    """Load a tagger's folder. Raises ValueError with one sentence."""
    model, tokenizer = models.load_for(transformers.AutoModelForTokenClassification, folder)
    try:
        shape = Shape.from_dict(answer_settings(folder))
    except (KeyError, TypeError):
        raise ValueError(f"{folder / ANSWER} does not say what the fields of an answer are.") from None
    if model.config.num_labels != len(tags(shape)):
        raise ValueError(f"{folder / ANSWER} names {len(shape.fields)} fields, and the model marks others.")
    most = min(max_tokens or tokenizer.model_max_length, tokenizer.model_max_length)
    return _open(model, tokenizer, shape, most, answer_settings(folder).get("windows") is True)


def tags(shape: Shape) -> tuple[str, ...]:
    """Return the labels: outside, the beginning and the inside of each marked field, each value of a closed set."""
    marked = [f"{part}-{shape.fields[at].name}" for at in shape.marked for part in "BI"]
    sets = [shape.fields[at] for at in shape.chosen]
    return ("O", *marked, *(f"{each.name}={value}" for each in sets for value in ("", *each.choices)))


def columns_of(shape: Shape) -> list[slice]:
    """Return where the values of each closed set stand among the labels, that of no value first."""
    start, found = 1 + 2 * len(shape.marked), []
    for at in shape.chosen:
        end = start + 1 + len(shape.fields[at].choices)
        found.append(slice(start, end))
        start = end
    return found


def _at_ends(offsets: Sequence[Span], spans: Sequence[tuple[int, int, str]], side: int) -> list[bool]:
    """Mark the tokens that hold the first character of a span (side 0), or its last (side 1)."""
    ends = {span[0] if side == 0 else span[1] - 1 for span in spans}
    return [not ends.isdisjoint(range(*each)) for each in offsets]


def votes(logits: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """Pool the logits (rows, tokens, labels) of the tokens that are there, so that the surest of them count most."""
    return logits.masked_fill(~there.bool()[:, :, None].to(logits.device), NEVER).logsumexp(dim=1)


def choose(logits: torch.Tensor, shape: Shape) -> tuple[torch.Tensor, torch.Tensor]:
    """Choose from each closed set by the votes of a row's tokens, (rows, labels): picks (rows, sets), confidence.

    A field that `always` has a value gets one.
    """
    picks, sure = [], torch.ones(len(logits), dtype=torch.float64, device=logits.device)
    for at, columns in zip(shape.chosen, columns_of(shape), strict=True):
        shares = logits[:, columns].double().softmax(dim=-1)
        if shape.fields[at].always:
            shares = torch.cat([torch.zeros_like(shares[:, :1]), shares[:, 1:]], dim=1)
        best, pick = shares.max(dim=-1)
        picks.append(pick)
        sure = sure * best
    return (torch.stack(picks, dim=1) if picks else torch.zeros(len(logits), 0, dtype=torch.int64)), sure


def targets(row: Tokens, spans: Sequence[Span | None]) -> list[int] | None:
    """Return the label of each token; None where a span was cut off or does not end where tokens do."""
    found = [0 if real else IGNORED for real in row.real]
    for number, span in enumerate(spans):
        if span is None:
            continue
        inside = [
            at for at, (first, last) in enumerate(row.offsets) if row.real[at] and first < span[1] and span[0] < last
        ]
        whole = row.text[row.offsets[inside[0]][0] : row.offsets[inside[-1]][1]] if inside else ""
        if whole.strip() != row.text[slice(*span)]:
            return None
        for at in inside:
            found[at] = 2 * number + (1 if at == inside[0] else 2)
    return found


@dataclass(frozen=True)
class Spans:
    """The likeliest span of each row and field: its first token, its last, and whether there is one: (rows, fields).

    `confidence` (rows,) is the probability of all of them.
    """

    first: torch.Tensor
    last: torch.Tensor
    there: torch.Tensor
    confidence: torch.Tensor


def decode(
    logits: torch.Tensor, real: torch.Tensor, opens: torch.Tensor, closes: torch.Tensor, always: Sequence[bool]
) -> Spans:
    """Find the likeliest span of each field, if any: logits (rows, tokens, 1 + 2 fields), real (rows, tokens).

    A span begins only at tokens that open, and ends only at those that close, (rows, tokens, fields) each.

    A field by itself is a token's first, inside or neither, with the probabilities that the model gives it. Of all ways
    to mark one span at most, the likeliest begins at i and ends at j with the largest log(first_i / neither_i) +
    sum over i < t <= j of log(inside_t / neither_t), found in one pass (Kadane; Bentley 1984). Below 0, no span is
    likelier than this one; a field that `always` has a value gets it still.
    """
    shares = logits.double().softmax(dim=-1).clamp_min(TINY)
    real, opens, closes = (each.to(logits.device) for each in (real[:, :, None], opens, closes))
    first, inside = shares[:, :, 1::2], shares[:, :, 2::2]
    neither = (1 - first - inside).clamp_min(TINY)
    begin, on = (first / neither).log().masked_fill(~opens, NEVER), (inside / neither).log().cumsum(dim=1)
    score, start = (begin - on).cummax(dim=1)
    gain, last = (score + on).masked_fill(~closes, NEVER).max(dim=1)
    there = (gain > 0) | (torch.tensor(always, device=gain.device) & (gain > NEVER / 2))
    none = (neither.log() * real).sum(dim=1)
    sure = (none + gain * there).sum(dim=1).exp()
    return Spans(start.gather(1, last[:, None])[:, 0], last, there, sure)


def _open(model: Model, tokenizer: Tokenizer, shape: Shape, max_tokens: int, windows: bool) -> Tagger:
    cutter = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    cutter.no_padding()
    if windows:
        cutter.no_truncation()
    else:
        cutter.enable_truncation(max_tokens)
    cutter.encode_special_tokens = True  # special tokens in a text are plain text
    return Tagger(model, tokenizer, shape, cutter, max_tokens, windows)


def _from_folder(spec: Spec, shape: Shape, texts: Sequence[str], start: Path) -> Student:
    model, tokenizer = load_start(spec, start)
    if not tokenizer.is_fast:
        raise ValueError(NO_FAST_TOKENIZER)
    depth = model.config.num_hidden_layers
    layers = spec.layers or tuple(range(depth))
    if model.config.model_type not in FAMILIES and layers != tuple(range(depth)):
        raise ValueError(f"Layers can be taken from {', '.join(FAMILIES)}; {start.name} is used whole.")
    if not all(0 <= layer < depth for layer in layers):
        raise ValueError(f"{start.name} has layers 0 to {depth - 1}, and the spec asks for {max(layers)}.")
    kind = transformers.AutoModelForTokenClassification
    return from_layers(spec, tags(shape), layers, [*map(models.speakable, texts)], model, tokenizer, kind)


def problem(training: Pairs) -> str | None:
    """Return why a tagger could not learn these answers, in one sentence, or None."""
    marked = _marked(training)
    if marked.shape.chosen or any(spans and any(spans) for spans in marked.spans):
        return None
    return "No answer holds a value that stands in its input, so a tagger has nothing to mark; train student=causal."


def open_folder(folder: Path, threads: int, max_tokens: int | None = None) -> Predictor[WrittenAnswer]:
    torch.set_num_threads(threads)
    return load(folder, max_tokens).predictor


class TaggerObjective:
    """Cross-entropy with the label of each token."""

    def __init__(self, spec: Spec, training: Pairs, validation: Pairs, places: Places, asked: Described) -> None:
        known, marked = training.known(), _marked(training)
        texts = [models.speakable(training.inputs[row]) for row in known]
        self.tagger = build(spec, marked.shape, texts, places.start)
        self.model, self.term_weights = self.tagger.model, {"hard": 1.0}
        rows = self.tagger.tokenise(texts)
        in_text = marked.shape.marked
        found = [
            None if spans is None else targets(row, [spans[at] for at in in_text])
            for row, spans in zip(rows, marked.spans, strict=True)
        ]
        taught = [at for at, labels in enumerate(found) if labels is not None]
        if not taught:
            raise ValueError(
                f"No answer stands in the first {self.tagger.max_tokens} tokens of its input; raise max_tokens."
            )
        self.rows = [rows[at].ids for at in taught]
        self.lengths = [len(row) for row in self.rows]
        self.targets = [labels for labels in found if labels is not None]
        self.picks = torch.tensor([marked.picks[at] for at in taught], dtype=torch.int64)  # (rows, closed sets)
        self.columns = columns_of(marked.shape)
        self.weights = torch.from_numpy(training.weights[[known[at] for at in taught]])
        self.notes = notes(len(taught), len(known), marked.left_out)
        self.validate = ExactMatch(validation, self.tagger.predictor).score
        description = self.tagger.cutter.to_str() + str(marked.shape)
        self.identity = run_identity(spec.to_json(), description, training, validation)

    def terms(self, batch: list[int]) -> dict[str, torch.Tensor]:
        logits = self.tagger.logits([self.rows[row] for row in batch])
        targets, there = models.pad([self.targets[row] for row in batch], IGNORED)
        marked = self.columns[0].start if self.columns else logits.shape[-1]
        loss, weights = token_loss(logits[:, :, :marked], targets, self.weights[batch]), self.weights[batch]
        voted = votes(logits, there)
        for at, columns in enumerate(self.columns):
            picks, shares = self.picks[batch, at].to(logits.device), weights.to(logits.device)
            each = torch.nn.functional.cross_entropy(voted[:, columns], picks, reduction="none")
            loss = loss + (each * shares).sum() / shares.sum().clamp_min(TINY)
        return {"hard": loss}

    def batch_weight(self, batch: list[int]) -> float:
        return sum(float(self.weights[row]) * sum(label != IGNORED for label in self.targets[row]) for row in batch)

    def save(self, folder: Path) -> None:
        self.tagger.save(folder, **self.notes)


objective = TaggerObjective


def _marked(rows: Pairs) -> fields.Marked:
    known = rows.known()
    return fields.mark(
        [models.speakable(rows.inputs[row]) for row in known],
        [models.speakable(str(rows.outputs[row])) for row in known],
    )
