"""A model folder in memory: load it, cut texts into tokens, run it in batches of like length.

The one place that loads weights. Only local files, only safetensors, never code from the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
import transformers
from torch.utils.checkpoint import checkpoint

from distill_tui.gates.cut import Cut
from distill_tui.training import starts
from distill_tui.training.arrays import TOKENS as TOKENS
from distill_tui.training.arrays import Floats as Floats
from distill_tui.training.arrays import Window as Window
from distill_tui.training.arrays import by_length as by_length
from distill_tui.training.arrays import side_by_side as side_by_side
from distill_tui.training.arrays import softmax as softmax
from distill_tui.training.arrays import speakable as speakable
from distill_tui.training.arrays import spoken_pair
from distill_tui.training.folders import check_encoder_folder, check_model_folder, reads_windows, tokens_at_once

if TYPE_CHECKING:
    Config: TypeAlias = transformers.PreTrainedConfig
    Model: TypeAlias = transformers.PreTrainedModel
    Tokenizer: TypeAlias = transformers.PreTrainedTokenizerBase

Run: TypeAlias = Callable[[Sequence[Sequence[int]]], torch.Tensor]
TYPES = "token_type_ids"
AT_ONCE = 2_000  # texts that are tokenised together
LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}  # for every load


class TypedRow(list[int]):
    """The token ids of a pair, for a model with token types: those from `second` on have type 1."""

    second: int


def load(folder: Path) -> tuple[Model, Tokenizer]:
    """Load a classifier and its tokenizer with plain transformers, ready to predict.

    Raises ValueError with one sentence where the folder is not a local safetensors classifier.
    """
    return load_for(transformers.AutoModelForSequenceClassification, folder, check_model_folder)


def load_for(
    kind: type[transformers.AutoModel],
    folder: Path,
    check: Callable[[Path], str | None] = check_encoder_folder,
    *,
    new_head: bool = False,
) -> tuple[Model, Tokenizer]:
    """Load a folder by a class of transformers. With `new_head`, a head that the folder lacks gets random weights.

    Raises ValueError with one sentence where the folder does not pass the check, or lacks other weights: transformers
    itself would fill them with random numbers.
    """
    problem = check(folder)
    if problem:
        raise ValueError(problem)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
        how = {"use_safetensors": True, "dtype": torch.float32, "ignore_mismatched_sizes": True}
        model, report = kind.from_pretrained(folder, **LOCAL, **how, output_loading_info=True)
    except Exception as error:  # transformers raises a dozen types for one bad folder
        said = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{folder.name} does not load: {said}. Save model and tokenizer again with save_pretrained()."
        ) from error
    problem = _lacking(folder.name, model, report, new_head=new_head)
    if problem:
        raise ValueError(problem)
    return model.eval(), _bounded(tokenizer, model.config, folder)


def _bounded(tokenizer: Tokenizer, config: Config, folder: Path) -> Tokenizer:
    """Have a tokenizer cut texts to what its model reads at once, and give token types only where its model has two."""
    if getattr(config, "type_vocab_size", 0) < 2:
        without_types(tokenizer)
    asked = tokens_at_once(folder)
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions(config), asked or 1_000_000)
    return tokenizer


def without_types(tokenizer: Tokenizer) -> None:
    """Have a tokenizer give no token types: a pair is then told apart by its separator alone."""
    names = [name for name in tokenizer.model_input_names if name != TYPES]
    tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = names


def reader(folder: Path) -> tuple[Tokenizer, Config]:
    """Load a folder's tokenizer, which cuts texts to what the model reads at once, and its config; no weights."""
    tokenizer, config = tokenizer_of(folder), transformers.AutoConfig.from_pretrained(folder, **LOCAL)
    return _bounded(tokenizer, config, folder), config


def _lacking(name: str, model: Model, report: Mapping[str, Any], *, new_head: bool) -> str | None:
    """Word the part of the loading report about weights that the folder lacks, or has in another shape."""
    base = f"{model.base_model_prefix}."
    missing = [key for key in sorted(report["missing_keys"]) if not (new_head and _is_head(key, base))]
    other = [each for each in sorted(report["mismatched_keys"]) if not (new_head and _is_head(each[0], base))]
    if other:
        key, stored, wanted = other[0]
        return (
            f"{name} does not fit its config.json: {key} is {tuple(stored)} in the file and must be {tuple(wanted)}. "
            "Save model and config.json together with save_pretrained()."
        )
    if not missing:
        return None
    extra = sorted(report["unexpected_keys"])
    unused = f" The file has {', '.join(extra[:2])} instead, which nothing reads." if extra else ""
    return (
        f"{name} lacks {', '.join(missing[:3])}{' and others' if missing[3:] else ''}: these weights would be random, "
        f"so its answers too.{unused} Train the model for this task first, or name the folder of one that is trained."
    )


def _is_head(key: str, base: str) -> bool:
    """Whether a weight belongs to the head: it is outside of the encoder, or pools its output."""
    return not key.startswith(base) or ".pooler." in key


def tokenizer_of(folder: Path) -> Tokenizer:
    """Load a folder's tokenizer alone. Raises ValueError with one sentence."""
    try:
        return transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
    except Exception as error:
        raise ValueError(f"The tokenizer of {folder} does not load: {' '.join(str(error).split())[:200]}") from error


def positions(config: Config) -> int:
    """Return the most tokens that a model can read at once."""
    found = starts.positions(config.to_dict())
    return 1_000_000 if found is None else found


def window_of(folder: Path, tokenizer: Tokenizer) -> Window | None:
    """Return how a folder's model reads texts that are too long for it; None where they are cut."""
    return window(tokenizer) if reads_windows(folder) else None


def window(tokenizer: Tokenizer) -> Window:
    """Make windows as long as the tokenizer's model reads at once."""
    return Window.of(int(tokenizer.model_max_length), tokenizer("")["input_ids"], tokenizer("a")["input_ids"])


def whole(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Tokenise texts without cutting them; one without any token becomes one padding token."""
    spoken = [speakable(text) for text in texts]
    ids = tokenizer(spoken, truncation=False, return_attention_mask=False)["input_ids"] if spoken else []
    return [row or [tokenizer.pad_token_id or 0] for row in ids]


def pairs_up(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer has a form for two texts, with a separator between them."""
    return bool(tokenizer.num_special_tokens_to_add(True) > tokenizer.num_special_tokens_to_add(False))


def _ids(tokenizer: Tokenizer, texts: Sequence[str], **how: Any) -> list[list[int]]:
    """Tokenise texts, so many at once: what a tokenizer returns takes several times the memory of its ids."""
    parts = (texts[at : at + AT_ONCE] for at in range(0, len(texts), AT_ONCE))
    return [row for part in parts for row in _ids_of(tokenizer, part, **how)]


def _ids_of(tokenizer: Tokenizer, texts: Sequence[str], **how: Any) -> list[list[int]]:
    """Tokenise texts, a pair in the tokenizer's form for pairs where it has one."""
    both = {at: pair for at, text in enumerate(texts) if (pair := spoken_pair(text))} if pairs_up(tokenizer) else {}
    found: list[list[int]] = [[] for _ in texts]
    single = [at for at in range(len(texts)) if at not in both]
    how |= {"return_attention_mask": False, "padding": False}
    if single:
        rows = tokenizer([speakable(texts[at]) for at in single], **how)["input_ids"]
        for at, row in zip(single, rows, strict=True):
            found[at] = row
    if both:
        made = tokenizer(*map(list, zip(*both.values(), strict=True)), **how)
        types = made.get(TYPES) or [None] * len(both)
        for at, row, kinds in zip(both, made["input_ids"], types, strict=True):
            found[at] = row if kinds is None else _typed(row, kinds)
    return found


def _typed(ids: list[int], types: list[int]) -> TypedRow:
    row = TypedRow(ids)
    row.second = types.index(1) if 1 in types else len(types)
    return row


def tokenise(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
    """Cut each text into at most `max_tokens` token ids, special tokens included; nothing is padded.

    Never more than the tokenizer's model can read, and never none: a text without any token becomes one padding token.
    """
    most = min(max_tokens or tokenizer.model_max_length, tokenizer.model_max_length)
    ids = _ids(tokenizer, texts, truncation=True, max_length=most)
    return [row or [tokenizer.pad_token_id or 0] for row in ids]


def lengths(tokenizer: Tokenizer, texts: Sequence[str]) -> list[int]:
    """Count the tokens of each whole text, special tokens included."""
    return [*map(len, _ids(tokenizer, texts, truncation=False))]


def cut(tokenizer: Tokenizer, texts: Sequence[str], most: int | None = None, *, windows: bool = False) -> Cut:
    """Count what is not read of texts that are cut to `most` tokens, by default to what the tokenizer's model reads.

    Nothing is cut where they are read in windows.
    """
    room = min(most or tokenizer.model_max_length, tokenizer.model_max_length)
    found = [length for at in range(0, len(texts), 1024) for length in lengths(tokenizer, texts[at : at + 1024])]
    return Cut.of(found, [0 if windows else max(0, length - room) for length in found])


def pad(rows: Sequence[Sequence[int]], padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids, mask = side_by_side(rows, padding)
    return torch.from_numpy(ids), torch.from_numpy(mask)


def logits(model: Model, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Run one batch of token rows through a classifier: (rows, labels)."""
    ids, mask = (tensor.to(model.device) for tensor in pad(rows, model.config.pad_token_id or 0))
    if is_static(model):
        return _averaged(model, ids, mask)
    result: torch.Tensor = model(input_ids=ids, attention_mask=mask, **types(rows, mask)).logits
    return result


def is_static(model: Model) -> bool:
    """Whether a model averages its token embeddings and has no layer that lets tokens see each other."""
    return bool(model.config.model_type == "eurobert" and model.config.num_hidden_layers == 0)


def _averaged(model: Model, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Run a static student without the attention mask of (rows, tokens, tokens), which none of its layers reads."""
    hidden, shares = model.model.norm(model.get_input_embeddings()(ids)), mask[:, :, None]
    mean = (hidden * shares).sum(dim=1) / shares.sum(dim=1)
    result: torch.Tensor = model.classifier(model.activation(model.dense(mean)))
    return result


def types(rows: Sequence[Sequence[int]], mask: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the token types of a batch as its model takes them; empty where no row has any."""
    if not any(isinstance(row, TypedRow) for row in rows):
        return {}
    begins = [row.second if isinstance(row, TypedRow) else len(row) for row in rows]
    places = torch.arange(mask.shape[1], device=mask.device)
    return {TYPES: (places >= torch.tensor(begins, device=mask.device)[:, None]).long() * mask}


def pooled(model: Model, rows: Sequence[Sequence[int]], window: Window | None) -> torch.Tensor:
    """Run one batch of rows of any length: the mean of the logits of a row's windows, (rows, labels)."""
    return averaged(partial(logits, model), rows, window)


def averaged(run: Run, rows: Sequence[Sequence[int]], window: Window | None) -> torch.Tensor:
    """Run the windows of one batch of rows, and average what each row's give, (rows, columns)."""
    parts = [[[*row]] if window is None else window.parts(row) for row in rows]
    counts = torch.tensor([len(each) for each in parts])
    if int(counts.max()) == 1:
        return run(rows)
    found = _in_pieces(run, [part for each in parts for part in each])
    which = torch.repeat_interleave(torch.arange(len(rows)), counts).to(found.device)
    summed = torch.zeros(len(rows), found.shape[1], device=found.device).index_add(0, which, found)
    return summed / counts[:, None].to(found.device)


def by_token(run: Run, rows: Sequence[Sequence[int]], window: Window | None) -> torch.Tensor:
    """Run one batch of rows of any length through a model of tokens: (rows, tokens, labels).

    A token that stands in several windows of its row has the mean of its logits there.
    """
    longest = max(map(len, rows))
    if window is None or longest <= window.tokens:
        return run(rows)
    placed = [(at, where) for at, row in enumerate(rows) for where in window.places(len(row))]
    parts = [[rows[at][place] for place in where] for at, where in placed]
    places = torch.tensor([at * longest + place for at, where in placed for place in where])

    def flat(piece: Sequence[Sequence[int]]) -> torch.Tensor:
        found = run(piece)
        return torch.cat([found[at, : len(part)] for at, part in enumerate(piece)])

    found = _in_pieces(flat, parts)
    places = places.to(found.device)
    summed = torch.zeros(len(rows) * longest, found.shape[1], device=found.device).index_add(0, places, found)
    counts = torch.zeros(len(rows) * longest, device=found.device).index_add(0, places, torch.ones_like(found[:, 0]))
    return (summed / counts.clamp_min(1)[:, None]).reshape(len(rows), longest, -1)


def _in_pieces(run: Run, parts: Sequence[list[int]]) -> torch.Tensor:
    """Run any number of windows; of many, activations are not kept but computed again for the gradient."""
    at_once = max(1, TOKENS // max(map(len, parts)))
    pieces = [parts[start : start + at_once] for start in range(0, len(parts), at_once)]
    if len(pieces) == 1 or not torch.is_grad_enabled():
        return torch.cat([run(piece) for piece in pieces])
    return torch.cat([checkpoint(run, piece, use_reentrant=False) for piece in pieces])
