"""A small causal language model that learns to write the teacher's answers (Kim and Rush 2016).

Its prompt is the template in its answer.json, and it decodes greedily in batches. Stock transformers loads it.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tokenizers
import torch
import transformers

from distill_tui.gates.cut import Cut
from distill_tui.spec import Spec
from distill_tui.tasks.answer_text import spelled
from distill_tui.tasks.json_shape import shape_of
from distill_tui.teachers.description import Described
from distill_tui.training import decoding, export, guide, lengths, models, processes, vocabulary
from distill_tui.training.checkpoints import run_identity
from distill_tui.training.folders import ANSWER, answer_settings, check_causal_folder
from distill_tui.training.generation import ExactMatch, Pairs, notes
from distill_tui.training.guide import Guide
from distill_tui.training.loop import Places
from distill_tui.training.lora import Adapters
from distill_tui.training.objective import IGNORED, token_loss
from distill_tui.training.predictor import Predictor, WrittenAnswer
from distill_tui.training.students.encoder import attention_heads
from distill_tui.training.token_distributions import distributions

if TYPE_CHECKING:
    from distill_tui.training.models import Model, Tokenizer

FORM = "causal"
HOLE = "{input}"
LAYER = re.compile(r"\b(layers|h)\.(\d+)\.")  # as Llama-like models and GPT-2 name their layers
LINE = "\n"  # ends the prompt of a model that has no token of its own for that


@dataclass(frozen=True)
class Writer:
    """A causal language model and its prompt."""

    model: Model
    tokenizer: Tokenizer
    cutter: (
        tokenizers.Tokenizer
    )  # the same tokenizer without transformers' wrapping; special tokens in a text are plain text
    template: str
    frame: tuple[list[int], list[int]]  # the template's tokens before an input and after it
    max_tokens: int  # of an input; a longer one is cut
    answer_tokens: int  # of an answer
    shape: dict[str, Any] | None = None  # of its answers, where they are JSON objects

    @property
    def stop(self) -> int:
        """The token that ends an answer."""
        return int(self.tokenizer.eos_token_id)

    @property
    def padding(self) -> int:
        return int(self.stop if self.tokenizer.pad_token_id is None else self.tokenizer.pad_token_id)

    def prompts(self, texts: Sequence[str]) -> list[list[int]]:
        before, after = self.frame
        return [before + ids[: self.max_tokens] + after for ids in self.plain(texts)]

    def cut(self, texts: Sequence[str]) -> Cut:
        lengths = [*map(len, self.plain(texts))]
        return Cut.of(lengths, [max(0, length - self.max_tokens) for length in lengths])

    def plain(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenise each text as plain text, special tokens included."""
        spoken = [models.speakable(text) for text in texts]
        return [one.ids for one in self.cutter.encode_batch(spoken, add_special_tokens=False)]

    @cached_property
    def guide(self) -> Guide | None:
        """What keeps its answers to their shape; None where they have none, or its vocabulary is not of bytes."""
        pieces = guide.pieces(self.tokenizer) if self.shape is not None else None
        if self.shape is None or pieces is None:
            return None
        return Guide(self.shape, pieces, int(self.model.get_output_embeddings().weight.shape[0]), self.stop)

    def decode(self, answers: Sequence[list[int]]) -> list[str]:
        return [text.strip() for text in self.cutter.decode_batch([*answers], skip_special_tokens=True)]

    def answer(self, prompts: Sequence[list[int]]) -> list[WrittenAnswer]:
        self.model.eval()
        answers, logs = decoding.write(
            self.model, prompts, self.answer_tokens, [self.stop], self.padding, guide=self.guide
        )
        texts = self.decode(answers)
        return [WrittenAnswer(text, float(np.exp(log))) for text, log in zip(texts, logs, strict=True)]

    @property
    def predictor(self) -> Predictor[WrittenAnswer]:
        return Predictor(self.prompts, self.answer, self.cut)

    def save(self, folder: Path, **more: object) -> None:
        """Write what plain transformers loads as a causal language model, and answer.json."""
        export.save(self.model, self.tokenizer, folder)
        sizes = {"max_tokens": self.max_tokens, "answer_tokens": self.answer_tokens}
        shape = {"shape": self.shape} if self.guide is not None else {}
        values = {"form": FORM, "template": self.template, **sizes, **shape, **more}
        (folder / ANSWER).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def build(
    spec: Spec, texts: Sequence[str], start: Path | None, teacher: Path | None, answers: Sequence[str] = ()
) -> Writer:
    """Make the untrained writer of a spec: from random weights, or from the layers of a causal model in `start`.

    `texts` are the inputs of its training rows, which it is made to read, and `answers` what it is to write. With
    random weights its tokenizer is trained on both; where it learns the teacher's probabilities, it is the teacher's.
    Raises ValueError with one sentence where a folder cannot give what the spec asks for.
    """
    torch.manual_seed(spec.seed)
    if start is not None:
        model, tokenizer, spec = _from_folder(spec, start, texts)
        return _open(model, tokenizer, _template(tokenizer), spec.max_tokens, spec.answer_tokens)
    tokenizer = (
        models.tokenizer_of(teacher)
        if teacher is not None and spec.alpha > 0
        else vocabulary.train_writing([*map(models.speakable, [*texts, *answers])], spec.vocabulary)
    )
    template = _template(tokenizer)
    spec = lengths.settled(spec, lambda: models.lengths(tokenizer, texts), lengths.MOST)
    room = spec.max_tokens + spec.answer_tokens + sum(map(len, frame(tokenizer, template)))
    return _open(_small(spec, tokenizer, room), tokenizer, template, spec.max_tokens, spec.answer_tokens)


def load(folder: Path, max_tokens: int | None = None, settings: Mapping[str, object] | None = None) -> Writer:
    """Load a writer's folder; inputs are cut where training cut them, or sooner. Raises ValueError in one sentence.

    `settings` stand in the place of those of its answer.json.
    """
    model, tokenizer = models.load_for(transformers.AutoModelForCausalLM, folder, check_causal_folder)
    settings = answer_settings(folder) if settings is None else settings
    template, sizes = settings.get("template"), [settings.get(name) for name in ("max_tokens", "answer_tokens")]
    if not isinstance(template, str) or HOLE not in template or not all(isinstance(size, int) for size in sizes):
        raise ValueError(f"{folder / ANSWER} has no prompt template for the model.")
    most, answer_tokens = (int(str(size)) for size in sizes)
    shape = settings.get("shape")
    made = _open(model, tokenizer, template, min(max_tokens or most, most), answer_tokens)
    return replace(made, shape=shape) if isinstance(shape, dict) else made


def frame(tokenizer: Tokenizer, template: str) -> tuple[list[int], list[int]]:
    """Tokenise the template before its input and after it."""
    before, after = template.split(HOLE, 1)
    cut = [list(tokenizer(part, add_special_tokens=False)["input_ids"]) if part else [] for part in (before, after)]
    return cut[0], cut[1]


def _open(model: Model, tokenizer: Tokenizer, template: str, max_tokens: int, answer_tokens: int) -> Writer:
    cutter = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    cutter.no_padding()
    cutter.no_truncation()
    cutter.encode_special_tokens = True
    tokenizer.clean_up_tokenization_spaces = False  # an answer is kept to the blank
    return Writer(model, tokenizer, cutter, template, frame(tokenizer, template), max_tokens, answer_tokens)


def _template(tokenizer: Tokenizer) -> str:
    """Prompt in the fewest tokens: the student learns the task, so that no instruction is needed."""
    own = vocabulary.WRITING[vocabulary.ASKED]
    return f"{tokenizer.bos_token or ''}{HOLE}{own if own in tokenizer.get_vocab() else LINE}"


def _small(spec: Spec, tokenizer: Tokenizer, room: int) -> Model:
    """Make a Llama with random weights of the spec's width and depth, for `room` tokens of prompt and answer."""
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=spec.hidden,
        num_hidden_layers=spec.depth,
        num_attention_heads=attention_heads(spec.hidden),
        intermediate_size=3 * spec.hidden,
        max_position_embeddings=max(room, 128),
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return transformers.LlamaForCausalLM(config)


def _from_folder(spec: Spec, folder: Path, texts: Sequence[str]) -> tuple[Model, Tokenizer, Spec]:
    """Start from all layers of a local causal model, or from some of them."""
    whole, tokenizer = models.load_for(transformers.AutoModelForCausalLM, folder, check_causal_folder)
    if tokenizer.eos_token_id is None or not tokenizer.is_fast:
        raise ValueError(f"The tokenizer of {folder.name} has no token that ends a text; choose another folder.")
    ends = spec.answer_tokens + sum(map(len, frame(tokenizer, _template(tokenizer))))
    spec = lengths.settled(spec, lambda: models.lengths(tokenizer, texts), models.positions(whole.config) - ends)
    room = spec.max_tokens + ends
    if room > models.positions(whole.config):
        raise ValueError(
            f"max_tokens and answer_tokens make {room} tokens, and {folder.name} reads at most "
            f"{models.positions(whole.config)}."
        )
    return (_some_layers(whole, spec.layers, folder.name) if spec.layers else whole), tokenizer, spec


def _some_layers(whole: Model, layers: Sequence[int], name: str) -> Model:
    """Make the same model with fewer layers; all other weights are copied."""
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


def problem(training: Pairs) -> str | None:
    """Return why a writer could not learn these answers: it can try any."""
    return None


def open_folder(folder: Path, threads: int, max_tokens: int | None = None) -> Predictor[WrittenAnswer]:
    torch.set_num_threads(threads)
    return load(folder, max_tokens).predictor


class WriterObjective:
    """Cross-entropy with the answers' tokens, and the divergence from the teacher's distributions where it counts."""

    def __init__(self, spec: Spec, training: Pairs, validation: Pairs, places: Places, asked: Described) -> None:
        self.spec, known = spec, training.known()
        texts, answers = [training.inputs[row] for row in known], [str(training.outputs[row]) for row in known]
        self.writer = build(spec, texts, places.start, places.teacher, answers)
        self.adapters = Adapters(self.writer.model, spec.lora, spec.seed) if spec.lora else None
        self.model, self.term_weights = self.writer.model, {"hard": 1 - spec.alpha, "soft": spec.alpha}
        tokens = self.writer.plain(answers)
        decoded = self.writer.decode(tokens)
        whole = [spelled(read) == spelled(answer) for read, answer in zip(decoded, answers, strict=True)]
        taught = [at for at, ids in enumerate(tokens) if whole[at] and len(ids) <= spec.answer_tokens]
        if not taught:
            raise ValueError(f"No answer can be written in {spec.answer_tokens} tokens; raise answer_tokens.")
        self.writer = replace(self.writer, shape=shape_of(answers[at] for at in taught))
        self.answers = [[*tokens[at], self.writer.stop] for at in taught]
        self.prompts = self.writer.prompts([texts[at] for at in taught])
        self.lengths = [len(ask) + len(answer) for ask, answer in zip(self.prompts, self.answers, strict=True)]
        self.weights = torch.from_numpy(training.weights[[known[at] for at in taught]])
        long = f"Answers of more than {spec.answer_tokens} tokens, or that its tokens cannot spell, were left out."
        self.notes = notes(len(taught), len(known), long)
        self.validate = ExactMatch(validation, self.writer.predictor).score
        description = self.writer.cutter.to_str() + self.writer.template + asked.to_json()
        self.identity = run_identity(spec.to_json(), description, training, validation)
        self.soft = None
        if places.teacher is not None and spec.alpha > 0:
            kept = places.checkpoints / f"teacher-{self.identity[:16]}.safetensors"
            with processes.join().main_first():
                read = [texts[at] for at in taught]
                self.soft = distributions(places.teacher, asked, read, self.answers, spec.temperature, kept)

    def terms(self, batch: list[int]) -> dict[str, torch.Tensor]:
        rows = [self.prompts[row] + self.answers[row] for row in batch]
        ids, mask, positions = decoding.left_padded(rows, self.writer.padding)
        targets = decoding.left_padded([self.answers[row] for row in batch], IGNORED)[0]
        longest = targets.shape[1]
        logits = decoding.forward(self.model, ids, mask, positions, logits_to_keep=longest + 1, use_cache=False).logits
        logits = logits[:, -longest - 1 : -1]  # the logits at one token are of the next
        found = {"hard": token_loss(logits, targets, self.weights[batch])}
        if self.soft is not None:
            found["soft"] = self.soft.divergence(logits, targets, self.weights[batch], batch)
        return found

    def batch_weight(self, batch: list[int]) -> float:
        return sum(float(self.weights[row]) * len(self.answers[row]) for row in batch)

    def save(self, folder: Path) -> None:
        if self.adapters is not None:
            self.adapters.save_merged(folder)
        self.writer.save(folder, **self.notes)


objective = WriterObjective
