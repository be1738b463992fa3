"""Token embeddings, averaged, and a small head: no attention, and word order does not matter.

EuroBERT with no layers is just that, in stock transformers: embeddings, RMS norm, mean, dense, GELU, linear.
(ModernBERT looks the same but divides by the number of its layers when it starts.) With a local encoder, which is the
folder that the spec names or else the teacher, each token starts as the encoder's output for that token alone, and the
norm is set to have no effect, because a token's length then encodes its importance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers

from distill_tui.spec import Spec
from distill_tui.training import checkpoints, lengths, models, vocabulary
from distill_tui.training.starts import no_word_piece
from distill_tui.training.students.encoder import Student, fresh, student_tokenizer

if TYPE_CHECKING:
    from distill_tui.training.models import Model, Tokenizer

RARE = 1e-3  # a token with this share of all tokens counts half (the `a` of Arora et al. 2017)
FLAT = 1e3  # an RMS norm with eps = FLAT^2 and weight FLAT passes short vectors on unchanged


def build(
    spec: Spec,
    labels: tuple[str, ...],
    texts: Sequence[str],
    teacher: Path | None,
    start: Path | None,
    shared: Path | None = None,
) -> Student:
    """Make the student, with the encoder's embeddings of single tokens where there is an encoder with WordPiece.

    The arms of a run start from the same ones, which are kept in `shared`.
    """
    source = _encoder(start, teacher)
    tokenizer, kept = student_tokenizer(spec, texts, source)
    encoded = source is not None and kept is not None
    spec = lengths.settled(spec, lambda: models.lengths(tokenizer, texts), lengths.MOST_AVERAGED)
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
    student = fresh(spec, labels, tokenizer, config, transformers.EuroBertForSequenceClassification)
    if source is not None and kept is not None:
        words = _principal_components(_encoded(source, kept, shared), spec.hidden)
        counts = torch.bincount(torch.tensor([i for row in models.tokenise(tokenizer, texts, 512) for i in row]))
        _start_embeddings(student.model, words, torch.nn.functional.pad(counts, (0, len(kept) - len(counts))))
    return student


def _encoder(start: Path | None, teacher: Path | None) -> tuple[Model, Tokenizer] | None:
    """Load the folder to start from, or else the teacher. Raises ValueError where its vocabulary cannot be taken."""
    if start is None:
        return models.load(teacher) if teacher else None
    source = models.load_for(transformers.AutoModel, start, new_head=True)
    if vocabulary.is_word_piece(source[1]):
        return source
    raise ValueError(no_word_piece(start))


def _encoded(source: tuple[Model, Tokenizer], kept: Sequence[int], shared: Path | None) -> torch.Tensor:
    """Encode the kept tokens, or read what was computed of the same tokens by the same weights."""
    if shared is None:
        return _encode_alone(*source, kept)
    content = hashlib.sha256(json.dumps([*kept]).encode())
    for name, weight in source[0].state_dict().items():
        content.update(name.encode())
        content.update(weight.reshape(-1).view(torch.uint8).numpy())
    path = shared / f"words-{content.hexdigest()[:32]}.safetensors"
    return checkpoints.kept(path, lambda: {"words": _encode_alone(*source, kept)})["words"]


@torch.inference_mode()
def _encode_alone(teacher: Model, tokenizer: Tokenizer, kept: Sequence[int]) -> torch.Tensor:
    """Compute the mean hidden state of each kept token, encoded alone by the teacher: (tokens, width).

    The encoder's output makes far better static embeddings than its input (model2vec's ablations).
    """
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    ends = ([] if first is None else [first], [] if last is None else [last])
    rows = torch.tensor([[*ends[0], token, *ends[1]] for token in kept])
    encoder = teacher.base_model
    return torch.cat([encoder(input_ids=part).last_hidden_state.mean(dim=1) for part in rows.split(256)])


def _principal_components(words: torch.Tensor, width: int) -> torch.Tensor:
    """Project on the largest principal components: (tokens, at most `width`), of unit standard deviation."""
    centred = words - words.mean(dim=0)
    values, directions = torch.linalg.eigh(centred.T @ centred)  # ascending
    turned: torch.Tensor = centred @ directions[:, values.argsort(descending=True)[:width]]
    return turned / turned.std().clamp_min(1e-8)


@torch.no_grad()
def _start_embeddings(model: Model, words: torch.Tensor, counts: torch.Tensor) -> None:
    """Initialise the embeddings from words (tokens, width), frequent tokens short (Arora et al. 2017)."""
    share = counts / counts.sum().clamp_min(1)
    target = model.get_input_embeddings().weight
    target[:, : words.shape[1]] = words * (RARE / (RARE + share))[:, None]
    target[:, words.shape[1] :] = 0.0
    model.model.norm.weight.fill_(FLAT)
