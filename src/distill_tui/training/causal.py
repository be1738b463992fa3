"""A student that writes: a small causal language model that learns the teacher's answers (Kim and Rush 2016).

It is asked by the template in its answer.json and answers greedily, many texts at a time. Stock transformers loads it.
"""

from __future__ import annotations

import copy
import inspect
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
import transformers

from distill_tui.spec import Spec
from distill_tui.training import export, models, students, vocabulary
from distill_tui.training.fields import Said
from distill_tui.training.folders import ANSWER, answers_how, check_causal_folder

FORM = "causal"
HOLE = "{input}"
LAYER = re.compile(r"\b(layers|h)\.(\d+)\.")  # as Llama's many kin and GPT-2 name their layers
SHORT = 16  # tokens; to read fewer again takes less than to share them
LINE = "\n"  # what ends the question to a model that has no token of its own for it


@dataclass(frozen=True)
class Writer:
    """A causal language model and how it is asked."""

    model: Any
    tokenizer: Any
    cutter: tokenizers.Tokenizer  # the same tokenizer without transformers' wrapping; it takes no text for a command
    template: str
    ends: tuple[list[int], list[int]]  # what the template puts before an input and after it
    max_tokens: int  # of an input; a longer one is cut
    answer_tokens: int  # of an answer

    @property
    def stop(self) -> int:
        """The token that ends an answer."""
        return int(self.tokenizer.eos_token_id)

    @property
    def padding(self) -> int:
        """The token that stands where there is nothing."""
        return int(self.stop if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id)

    def cut(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the tokens that ask for an answer to each text."""
        before, after = self.ends
        return [before + ids[: self.max_tokens] + after for ids in self.plain(texts)]

    def plain(self, texts: Sequence[str]) -> list[list[int]]:
        """Give the tokens of each text as text, whatever command it spells."""
        spoken = [models.speakable(text) for text in texts]
        return [one.ids for one in self.cutter.encode_batch(spoken, add_special_tokens=False)]

    def read(self, answers: Sequence[list[int]]) -> list[str]:
        """Give the text of tokens."""
        return [text.strip() for text in self.cutter.decode_batch([*answers], skip_special_tokens=True)]

    def say(self, rows: Sequence[list[int]]) -> list[Said]:
        """Answer one batch, given as tokens that ask."""
        self.model.eval()
        answers, logs = write(self.model, rows, self.answer_tokens, [self.stop], self.padding)
        texts = self.read(answers)
        return [Said(text, float(np.exp(log))) for text, log in zip(texts, logs, strict=True)]

    def save(self, folder: Path, **more: object) -> None:
        """Write what plain transformers loads as a causal language model, and answer.json."""
        export.save(self.model, self.tokenizer, folder)
        sizes = {"max_tokens": self.max_tokens, "answer_tokens": self.answer_tokens}
        values = {"form": FORM, "template": self.template, **sizes, **more}
        (folder / ANSWER).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def build(spec: Spec, texts: Sequence[str], start: Path | None, teacher: Path | None) -> Writer:
    """Make the untrained writer of a spec: of random weights, or of the layers of a causal model in `start`.

    One of random weights has a tokenizer trained on the `texts`; where it learns from the teacher's probabilities, it
    has the teacher's. Raises ValueError with one sentence where a folder cannot give what the spec asks for.
    """
    torch.manual_seed(spec.seed)
    if start is not None:
        model, tokenizer = _from_folder(spec, start)
        return _open(model, tokenizer, _template(tokenizer), spec.max_tokens, spec.answer_tokens)
    tokenizer = (
        models.tokenizer_of(teacher)
        if teacher is not None and spec.alpha > 0
        else vocabulary.train_writing([*map(models.speakable, texts)], spec.vocabulary)
    )
    template = _template(tokenizer)
    room = spec.max_tokens + spec.answer_tokens + sum(map(len, ends(tokenizer, template)))
    return _open(_small(spec, tokenizer, room), tokenizer, template, spec.max_tokens, spec.answer_tokens)


def load(folder: Path, max_tokens: int) -> Writer:
    """Open a writer's folder; inputs are cut where it was trained to, or sooner. Raises ValueError in one sentence."""
    problem = check_causal_folder(folder)
    if problem:
        raise ValueError(problem)
    model, tokenizer = models.load_for(transformers.AutoModelForCausalLM, folder)
    told = answers_how(folder)
    template, sizes = told.get("template"), [told.get(name) for name in ("max_tokens", "answer_tokens")]
    if not isinstance(template, str) or HOLE not in template or not all(isinstance(size, int) for size in sizes):
        raise ValueError(f"{folder / ANSWER} does not say how the model is asked.")
    return _open(model, tokenizer, template, min(max_tokens, int(str(sizes[0]))), int(str(sizes[1])))


def ends(tokenizer: Any, template: str) -> tuple[list[int], list[int]]:
    """Give the tokens before an input and after it."""
    before, after = template.split(HOLE, 1)
    cut = [list(tokenizer(part, add_special_tokens=False)["input_ids"]) if part else [] for part in (before, after)]
    return cut[0], cut[1]


def left_padded(rows: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Lay token rows side by side so that all end together: ids, mask and each token's place, (rows, longest)."""
    ids, mask = models.side_by_side([row[::-1] for row in rows], padding)
    mask = mask[:, ::-1].copy()
    places = np.maximum(mask.cumsum(axis=1) - 1, 0)
    return torch.from_numpy(ids[:, ::-1].copy()), torch.from_numpy(mask), torch.from_numpy(places)


def forward(
    model: Any, ids: torch.Tensor | None, mask: torch.Tensor | None, places: torch.Tensor | None, **more: Any
) -> Any:
    """Run a model on rows that end together, wherever the model is."""
    ids, mask, places = (each if each is None else each.to(model.device) for each in (ids, mask, places))
    takes = _takes(type(model).forward)
    if "position_ids" in takes:  # the others count the mask themselves
        more["position_ids"] = places
    if "logits_to_keep" not in takes:  # the others give all of them, the last ones last
        more.pop("logits_to_keep", None)
    return model(input_ids=ids, attention_mask=mask, **more)


@dataclass(frozen=True)
class Opening:
    """The tokens with which all questions begin, read once: a template with examples in it takes longer than a text."""

    tokens: tuple[int, ...] = ()
    cache: Any = None

    def cut(self, rows: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Lay what is left of token rows side by side: ids, the mask of all, and each token's place in all."""
        ids, mask, places = left_padded([row[len(self.tokens) :] for row in rows], padding)
        return ids, torch.nn.functional.pad(mask, (len(self.tokens), 0), value=1), places + len(self.tokens)

    def remembered(self, rows: int) -> Any:
        """Give what the model remembers of it, once for each of so many rows."""
        if self.cache is None:
            return None
        cache = copy.deepcopy(self.cache)
        cache.batch_repeat_interleave(rows)
        return cache


@torch.inference_mode()
def opening(model: Any, rows: Sequence[list[int]]) -> Opening:
    """Read once what all rows begin with; nothing where that is short, or where the model's memory cannot be shared."""
    first, last = min(rows, default=[]), max(rows, default=[])
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    tokens = tuple(first[: min(same, min(map(len, rows), default=1) - 1)])
    if len(rows) < 2 or len(tokens) < SHORT:
        return Opening()
    result = forward(model, *left_padded([tokens], 0), logits_to_keep=1, use_cache=True)
    cache = result.get(memory_of(model))
    return Opening(tokens, cache) if type(cache) is transformers.DynamicCache else Opening()


@torch.inference_mode()
def write(
    model: Any,
    rows: Sequence[Sequence[int]],
    most: int,
    stops: Sequence[int],
    padding: int,
    begun: Opening = Opening(),
) -> tuple[list[list[int]], list[float]]:
    """Go on greedily from each row of tokens: the answers without their end, and their log-probabilities, end included.

    What was read is remembered, and a row that has ended is let go of. An answer is cut off after `most` tokens.
    """
    memory, ends = memory_of(model), torch.tensor([*stops], device=model.device)
    ids, mask, places = (each.to(model.device) for each in begun.cut(rows, padding))
    answers: list[list[int]] = [[] for _ in rows]
    logs, under_way, cache = torch.zeros(len(rows)), torch.arange(len(rows)), begun.remembered(len(rows))
    for _ in range(most):
        shown = None if bool(mask.all()) else mask  # no mask is quicker than one that hides nothing
        result = forward(model, ids, shown, places, logits_to_keep=1, use_cache=True, **{memory: cache})
        log, token = result.logits[:, -1].float().log_softmax(dim=-1).max(dim=-1)
        logs[under_way] += log.cpu()
        cache, going = result[memory], (~torch.isin(token, ends)).nonzero().flatten()
        if len(going) < len(token):
            if not len(going):
                break
            cache.batch_select_indices(going)
            under_way = under_way[going.cpu()]
            token, mask, places = token[going], mask[going], places[going]
        for row, said in zip(under_way.tolist(), token.tolist(), strict=True):
            answers[row].append(said)
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        ids, places = token[:, None], places[:, -1:] + 1
    return answers, logs.tolist()


def memory_of(model: Any) -> str:
    """Say what a model calls what it remembers."""
    return "cache" if "cache" in _takes(type(model).forward) else "past_key_values"  # as older releases call it


@lru_cache
def _takes(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def _open(model: Any, tokenizer: Any, template: str, max_tokens: int, answer_tokens: int) -> Writer:
    cutter = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    cutter.no_padding()
    cutter.no_truncation()
    cutter.encode_special_tokens = True
    tokenizer.clean_up_tokenization_spaces = False  # an answer is what was said, to the blank
    return Writer(model, tokenizer, cutter, template, ends(tokenizer, template), max_tokens, answer_tokens)


def _template(tokenizer: Any) -> str:
    """Ask in the fewest tokens: what is learnt is the task, so that it need not be told."""
    own = vocabulary.WRITING[vocabulary.ASKED]
    return f"{tokenizer.bos_token or ''}{HOLE}{own if own in tokenizer.get_vocab() else LINE}"


def _small(spec: Spec, tokenizer: Any, room: int) -> Any:
    """Make a Llama of the spec's width and depth, of random weights, that reads and writes up to `room` tokens."""
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=spec.hidden,
        num_hidden_layers=spec.depth,
        num_attention_heads=students.heads(spec.hidden),
        intermediate_size=3 * spec.hidden,
        max_position_embeddings=max(room, 128),
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return transformers.LlamaForCausalLM(config)


def _from_folder(spec: Spec, folder: Path) -> tuple[Any, Any]:
    """Start from all layers of a local causal model, or from some of them."""
    problem = check_causal_folder(folder)
    if problem:
        raise ValueError(problem)
    whole, tokenizer = models.load_for(transformers.AutoModelForCausalLM, folder)
    if tokenizer.eos_token_id is None or not tokenizer.is_fast:
        raise ValueError(f"The tokenizer of {folder.name} has no token that ends a text; choose another folder.")
    room = spec.max_tokens + spec.answer_tokens + sum(map(len, ends(tokenizer, _template(tokenizer))))
    if room > models.positions(whole.config):
        raise ValueError(
            f"max_tokens and answer_tokens make {room} tokens, and {folder.name} reads at most "
            f"{models.positions(whole.config)}."
        )
    return (_some_layers(whole, spec.layers, folder.name) if spec.layers else whole), tokenizer


def _some_layers(whole: Any, layers: Sequence[int], name: str) -> Any:
    """Make the same model with fewer layers; all else comes over as it is."""
    there = whole.config.num_hidden_layers
    absent = [layer for layer in layers if not 0 <= layer < there]
    if absent:
        raise ValueError(f"{name} has layers 0 to {there - 1}, and the spec asks for {absent[0]}.")
    config = copy.deepcopy(whole.config)
    config.num_hidden_layers = len(layers)
    if getattr(config, "layer_types", None):
        config.layer_types = [whole.config.layer_types[layer] for layer in layers]
    model, theirs = type(whole)(config), whole.state_dict()
    taken = {
        tensor: theirs[LAYER.sub(lambda match: f"{match[1]}.{layers[int(match[2])]}.", tensor)]
        for tensor in model.state_dict()
    }
    model.load_state_dict(taken)
    return model
