"""The rungs of the ladder: a student before its first step, from a teacher's layers, a folder, nothing, or static.

All but the n-grams are stock transformers architectures, so that whoever gets the folder needs none of our code.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import transformers

from distill_tui.spec import Spec
from distill_tui.terms import StudentKind
from distill_tui.training import export, models, ngrams, vocabulary

FAMILIES = (
    "bert",
    "electra",
    "roberta",
    "xlm-roberta",
    "distilbert",
)  # layers named "layer.N", words "word_embeddings"
WORDS = "word_embeddings.weight"
NO_TEACHER = "A student from the teacher's layers needs the teacher's folder; choose scratch, static or ngram."
NO_FOLDER = "A student of kind folder starts from a local model folder, and none was given."
RARE = 1e-3  # a token this share of all tokens counts half (the `a` of Arora et al. 2017)
FLAT = 1e3  # an RMS norm with eps = FLAT^2 and weight FLAT passes short vectors on as they are


class AnyStudent(Protocol):
    """What training asks of a student, whatever it is made of."""

    @property
    def model(self) -> Any: ...
    def tokenise(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]: ...
    def logits(self, rows: Sequence[Sequence[int]]) -> torch.Tensor: ...
    def description(self) -> str: ...
    def save(self, folder: Path) -> None: ...


@dataclass(frozen=True)
class Student:
    """A transformers model and the tokenizer that belongs to it."""

    model: Any
    tokenizer: Any

    def tokenise(self, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Cut each text into at most `max_tokens` token ids."""
        return models.tokenise(self.tokenizer, texts, max_tokens)

    def logits(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Run one batch: (rows, labels)."""
        return models.logits(self.model, rows)

    def description(self) -> str:
        """Tell this tokenizer from any other."""
        return str(self.tokenizer.backend_tokenizer.to_str())

    def save(self, folder: Path) -> None:
        """Write what plain transformers loads."""
        export.save(self.model, self.tokenizer, folder)


def build(
    spec: Spec, labels: tuple[str, ...], texts: Sequence[str], teacher: Path | None, start: Path | None = None
) -> AnyStudent:
    """Make the untrained student of a spec; a pure function of its arguments (and of the files in the folders).

    `texts` are the training rows: they choose the vocabulary. `start` is the folder that a student of kind folder
    starts from. Raises ValueError with one sentence where a folder cannot give what the spec asks for.
    """
    torch.manual_seed(spec.seed)
    if spec.student is StudentKind.NGRAM:
        return ngrams.build(texts, labels, spec.max_tokens)
    if spec.student is StudentKind.FOLDER:
        student = _from_folder(spec, labels, texts, start)
    elif spec.student is StudentKind.LAYERS:
        if teacher is None:
            raise ValueError(NO_TEACHER)
        student = _from_layers(spec, labels, texts, *models.load(teacher))
    else:
        source = models.load(teacher) if teacher else None
        student = (_from_scratch if spec.student is StudentKind.SCRATCH else _static)(spec, labels, texts, source)
    student.tokenizer.model_max_length = spec.max_tokens  # whoever loads the folder cuts texts as they were judged
    return student


def _from_layers(spec: Spec, labels: tuple[str, ...], texts: Sequence[str], teacher: Any, tokenizer: Any) -> Student:
    """Start from chosen layers of the teacher (Sanh et al. 2019 took every second one) and its own head."""
    problem = _unsuitable(teacher.config, spec)
    if problem:
        raise ValueError(problem)
    kept = None
    if vocabulary.is_word_piece(tokenizer):
        tokenizer, kept = vocabulary.prune(tokenizer, texts, spec.vocabulary)
    return taken_over(labels, spec.layers, kept, teacher, tokenizer)


def _from_folder(spec: Spec, labels: tuple[str, ...], texts: Sequence[str], folder: Path | None) -> Student:
    """Start from all layers of a local model: an encoder, whose head is then new, or a classifier."""
    if folder is None:
        raise ValueError(NO_FOLDER)
    model, tokenizer = models.load_encoder(folder)
    if spec.max_tokens > models.positions(model.config):
        raise ValueError(
            f"max_tokens is {spec.max_tokens}, and {folder.name} reads at most {models.positions(model.config)} tokens."
        )
    kept = None
    if vocabulary.is_word_piece(tokenizer) and model.config.model_type in FAMILIES:
        tokenizer, kept = vocabulary.prune(tokenizer, texts, spec.vocabulary)
    return taken_over(labels, tuple(range(model.config.num_hidden_layers)), kept, model, tokenizer)


def taken_over(
    labels: tuple[str, ...],
    layers: tuple[int, ...],
    kept: list[int] | None,
    teacher: Any,
    tokenizer: Any,
    kind: Any = transformers.AutoModelForSequenceClassification,
) -> Student:
    """Make a classifier of texts, or of tokens, of some layers of another, with the pieces that are kept."""
    config = copy.deepcopy(teacher.config)
    config.num_hidden_layers = len(layers)
    config.vocab_size = len(kept) if kept else config.vocab_size
    _number_special_tokens(config, tokenizer)
    head = _head_rows(teacher.config, labels)
    _name_labels(config, labels)
    model = kind.from_config(config)
    model.load_state_dict(_inherited(model.state_dict(), teacher.state_dict(), layers, kept, head))
    return Student(model, tokenizer)


def _from_scratch(spec: Spec, labels: tuple[str, ...], texts: Sequence[str], source: tuple[Any, Any] | None) -> Student:
    """Start a small BERT from random weights."""
    return small(spec, labels, _tokenizer(spec, texts, source)[0], transformers.BertForSequenceClassification)


def small(spec: Spec, labels: tuple[str, ...], tokenizer: Any, kind: Any) -> Student:
    """Make a BERT of the spec's width and depth, of random weights, that classifies texts or tokens."""
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=spec.hidden,
        num_hidden_layers=spec.depth,
        num_attention_heads=heads(spec.hidden),
        intermediate_size=4 * spec.hidden,
        max_position_embeddings=max(spec.max_tokens, 128),
    )
    _number_special_tokens(config, tokenizer)
    _name_labels(config, labels)
    return Student(kind(config), tokenizer)


def _static(spec: Spec, labels: tuple[str, ...], texts: Sequence[str], source: tuple[Any, Any] | None) -> Student:
    """Average token embeddings and put a small head on them: no attention, and word order does not matter.

    EuroBERT with no layers is just that, in stock transformers: embeddings, RMS norm, mean, dense, GELU, linear.
    (ModernBERT looks the same but divides by the number of its layers when it starts.) With a teacher, each token
    starts as what the teacher's encoder makes of it alone, and its norm is made to do nothing, because there a
    token's length says how much it counts.
    """
    tokenizer, kept = _tokenizer(spec, texts, source)
    encoded = source is not None and kept is not None
    config = transformers.EuroBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=spec.hidden,
        num_hidden_layers=0,
        num_attention_heads=1,
        num_key_value_heads=1,
        intermediate_size=1,
        max_position_embeddings=max(spec.max_tokens, 128),
        classifier_pooling="mean",
        rms_norm_eps=FLAT**2 if encoded else 1e-5,
        mask_token_id=tokenizer.mask_token_id or 0,
    )
    _number_special_tokens(config, tokenizer)
    _name_labels(config, labels)
    model = transformers.EuroBertForSequenceClassification(config)
    if source is not None and kept is not None:
        words = _principal(_each_alone(*source, kept), spec.hidden)
        counts = torch.bincount(torch.tensor([i for row in models.tokenise(tokenizer, texts, 512) for i in row]))
        _start_words(model, words, torch.nn.functional.pad(counts, (0, len(kept) - len(counts))))
    return Student(model, tokenizer)


def _tokenizer(spec: Spec, texts: Sequence[str], source: tuple[Any, Any] | None) -> tuple[Any, list[int] | None]:
    """Prune the teacher's tokenizer where it can be pruned; otherwise train one on the rows."""
    if source is not None and vocabulary.is_word_piece(source[1]):
        return vocabulary.prune(source[1], texts, spec.vocabulary)
    return vocabulary.train(texts, spec.vocabulary), None


@torch.inference_mode()
def _each_alone(teacher: Any, tokenizer: Any, kept: Sequence[int]) -> torch.Tensor:
    """Pass each kept token through the teacher's encoder by itself: its mean hidden state, (tokens, width).

    What comes out of the encoder makes far better static embeddings than what goes in (model2vec's ablations).
    """
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    ends = ([] if first is None else [first], [] if last is None else [last])
    rows = torch.tensor([[*ends[0], token, *ends[1]] for token in kept])
    encoder = teacher.base_model
    return torch.cat([encoder(input_ids=part).last_hidden_state.mean(dim=1) for part in rows.split(256)])


def _principal(words: torch.Tensor, width: int) -> torch.Tensor:
    """Turn vectors to their principal components, the largest first: (tokens, at most `width`), of unit spread."""
    centred = words - words.mean(dim=0)
    values, directions = torch.linalg.eigh(centred.T @ centred)  # ascending
    turned: torch.Tensor = centred @ directions[:, values.argsort(descending=True)[:width]]
    return turned / turned.std().clamp_min(1e-8)


@torch.no_grad()
def _start_words(model: Any, words: torch.Tensor, counts: torch.Tensor) -> None:
    """Start a static student's embeddings from words (tokens, width), frequent tokens short (Arora et al. 2017)."""
    share = counts / counts.sum().clamp_min(1)
    target = model.get_input_embeddings().weight
    target[:, : words.shape[1]] = words * (RARE / (RARE + share))[:, None]
    target[:, words.shape[1] :] = 0.0
    model.model.norm.weight.fill_(FLAT)


def _unsuitable(config: Any, spec: Spec) -> str | None:
    if config.model_type not in FAMILIES:
        return (
            f"The teacher is a {config.model_type}; layers can be taken from {', '.join(FAMILIES)}: "
            "choose scratch or static for the student."
        )
    absent = [layer for layer in spec.layers if not 0 <= layer < config.num_hidden_layers]
    if absent:
        return f"The teacher has layers 0 to {config.num_hidden_layers - 1}, and the spec asks for layer {absent[0]}."
    if spec.max_tokens > models.positions(config):
        return f"max_tokens is {spec.max_tokens}, and the teacher reads at most {models.positions(config)} tokens."
    return None


def _inherited(
    student: dict[str, torch.Tensor],
    teacher: dict[str, torch.Tensor],
    layers: tuple[int, ...],
    kept: list[int] | None,
    head: list[int] | None,
) -> dict[str, torch.Tensor]:
    """Take each of the student's tensors from its layer in the teacher; what has no match stays random."""
    result = {}
    for name, fresh in student.items():
        old = teacher.get(re.sub(r"\blayer\.(\d+)\.", lambda match: f"layer.{layers[int(match[1])]}.", name))
        if old is not None and kept is not None and name.endswith(WORDS):
            old = old[kept]
        if old is not None and _is_output(name):
            old = old[head] if head is not None else None
        result[name] = old.clone() if old is not None and old.shape == fresh.shape else fresh
    return result


def _is_output(name: str) -> bool:
    return name in ("classifier.weight", "classifier.bias", "classifier.out_proj.weight", "classifier.out_proj.bias")


def _head_rows(config: Any, labels: tuple[str, ...]) -> list[int] | None:
    """Find the teacher's output for each of our labels; none where the two do not name the same labels."""
    theirs = [config.id2label[number] for number in range(config.num_labels)]
    return [theirs.index(label) for label in labels] if sorted(theirs) == sorted(labels) else None


def _name_labels(config: Any, labels: tuple[str, ...]) -> None:
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}
    config.problem_type = "single_label_classification"


def _number_special_tokens(config: Any, tokenizer: Any) -> None:
    """A pruned vocabulary gives special tokens new ids, and the config must not name the old ones."""
    config.pad_token_id = tokenizer.pad_token_id
    for ours, theirs in (("bos", "cls"), ("eos", "sep"), ("cls", "cls"), ("sep", "sep"), ("mask", "mask")):
        if getattr(config, f"{ours}_token_id", None) is not None:
            setattr(config, f"{ours}_token_id", getattr(tokenizer, f"{theirs}_token_id"))


def heads(hidden: int) -> int:
    """Give attention heads of about 32 columns, as many as divide the width."""
    return next(heads for heads in range(max(1, hidden // 32), 0, -1) if hidden % heads == 0)
