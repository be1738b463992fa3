"""A student's tokenizer: the teacher's with its rare pieces left out, or a new one from the training rows.

Token embeddings are most of a small model: half of MiniLM's 22.7 million parameters. A narrow task uses a quarter
of the pieces, and WordPiece still spells any other word with the pieces that are kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tokenizers
import transformers
from tokenizers import decoders, normalizers, pre_tokenizers, processors, trainers

if TYPE_CHECKING:
    from distill_tui.training.models import Tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ASKED = "asked"  # the token between a prompt and its answer
WRITING = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", ASKED: "<answer>"}
ROLES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


def is_word_piece(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer is of the kind that can be pruned by leaving out pieces."""
    return bool(_description(tokenizer)["model"]["type"] == "WordPiece")


def prune(tokenizer: Tokenizer, texts: Sequence[str], size: int) -> tuple[Tokenizer, list[int]]:
    """Keep the pieces that the texts use most: (tokenizer, the old id of each new id).

    Special tokens and every single character of ASCII or of the texts are always kept, so that words still decompose;
    the rest is kept by count, then by old id, up to `size` pieces. A word whose pieces are all kept is cut as before:
    WordPiece takes the longest match, and leaving out others makes no match longer.
    """
    description = _description(tokenizer)
    vocabulary: dict[str, int] = description["model"]["vocab"]
    kept = _kept(description, vocabulary, _counts(tokenizer, texts), size)
    tokens = {number: token for token, number in vocabulary.items()}
    fresh = {tokens[old]: new for new, old in enumerate(kept)}
    description["model"]["vocab"] = fresh
    description["added_tokens"] = [{**one, "id": fresh[one["content"]]} for one in _added(description)]
    description["post_processor"] = _renumbered(description["post_processor"], fresh)
    description["truncation"] = description["padding"] = None
    return _wrap(tokenizers.Tokenizer.from_str(json.dumps(description)), _roles(tokenizer)), kept


def train(texts: Sequence[str], size: int, *, literal: bool = False) -> Tokenizer:
    """Train a lower-case WordPiece tokenizer of about `size` pieces, as BERT's was (Devlin et al. 2019).

    A `literal` one keeps case and accents, and each digit is a piece: they distinguish the parts of an address, say.
    The same texts give the same tokenizer. The library alone does not promise that: it numbers the letters inside
    words in the order of a hash map and breaks ties by these numbers. So they are numbered here beforehand.
    """
    splitter = _splitter(tokenizers.models.WordPiece(unk_token="[UNK]"), literal)
    normal = (splitter.normalizer.normalize_str(text) for text in texts)
    words = {word for text in normal for word, _ in splitter.pre_tokenizer.pre_tokenize_str(text)}
    inside = sorted({letter for word in words for letter in word[1:]})
    first = [*SPECIAL, *(f"##{letter}" for letter in inside)]
    splitter.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=size, special_tokens=first, show_progress=False)
    )
    tokenizer = _splitter(tokenizers.models.WordPiece(splitter.get_vocab(), unk_token="[UNK]"), literal)
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return _wrap(tokenizer, dict(zip(ROLES, SPECIAL, strict=True)))


def train_writing(texts: Sequence[str], size: int) -> Tokenizer:
    """Train a byte-level BPE tokenizer (Radford et al. 2019) that reads and writes any text; each digit is a piece.

    The same texts give the same tokenizer.
    """
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=max(size, 256 + len(WRITING)),
        special_tokens=list(WRITING.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _wrap(tokenizer, {role: token for role, token in WRITING.items() if role != ASKED})


def _splitter(model: tokenizers.models.Model, literal: bool) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=not literal, strip_accents=False if literal else None)
    words = pre_tokenizers.BertPreTokenizer()
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, digits]) if literal else words
    return tokenizer


def _description(tokenizer: Tokenizer) -> Any:
    return json.loads(tokenizer.backend_tokenizer.to_str())


def _wrap(tokenizer: tokenizers.Tokenizer, roles: dict[str, str]) -> Tokenizer:
    """Wrap in transformers' interface; without token types, which no student uses."""
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"], model_max_length=512, **roles
    )


def _roles(tokenizer: Tokenizer) -> dict[str, str]:
    return {role: str(getattr(tokenizer, role)) for role in ROLES if getattr(tokenizer, role, None) is not None}


def _counts(tokenizer: Tokenizer, texts: Sequence[str]) -> Counter[int]:
    counts: Counter[int] = Counter()
    if texts:
        for ids in tokenizer(list(texts), add_special_tokens=False, padding=False, truncation=False)["input_ids"]:
            counts.update(ids)
    return counts


def _added(description: Any) -> list[dict[str, Any]]:
    """Return the added tokens that are in the vocabulary; WordPiece makes no others."""
    return [one for one in description["added_tokens"] if one["content"] in description["model"]["vocab"]]


def _kept(description: Any, vocabulary: dict[str, int], counts: Counter[int], size: int) -> list[int]:
    prefix = description["model"]["continuing_subword_prefix"]
    special = {one["id"] for one in _added(description)} | {vocabulary[description["model"]["unk_token"]]}
    letters = {
        number
        for token, number in vocabulary.items()
        if len(token.removeprefix(prefix)) == 1 and (token.isascii() or counts[number])
    }
    first = sorted(special) + sorted(letters - special)
    rest = sorted(counts.keys() - special - letters, key=lambda number: (-counts[number], number))
    return first + rest[: max(0, size - len(first))]


def _renumbered(processor: Any, fresh: dict[str, int]) -> Any:
    """Renumber [CLS] and [SEP] in the post-processor, which has two formats."""
    if not isinstance(processor, dict):
        return processor
    if processor["type"] == "BertProcessing":
        return {**processor, **{name: [processor[name][0], fresh[processor[name][0]]] for name in ("sep", "cls")}}
    if processor["type"] == "TemplateProcessing":
        named = processor["special_tokens"]
        numbered = {name: {**one, "ids": [fresh[token] for token in one["tokens"]]} for name, one in named.items()}
        return {**processor, "special_tokens": numbered}
    raise ValueError(f"The teacher's tokenizer adds its special tokens by {processor['type']}, which is not supported.")
