"""Facts about a model folder from its files, read before anything is loaded.

Standard library only, so that screens and commands can check a folder without waiting for torch. Nothing here runs code
from a folder: no pickle is opened and no custom class is imported.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from distill_tui.gates.label_sets import LIKELY
from distill_tui.gates.scale import is_range
from distill_tui.tasks.loaders import FORMS

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
ONNX, NGRAMS, HEAD = (FORMS[name].marker for name in ("onnx", "ngram", "frozen"))
ANSWER = "answer.json"
READS_FIRST = "reads_first_token"  # in config.json: the head reads the first token's vector, not the mean of all
LABELS = FORMS["causal_labels"].marker
SEVERAL = "multi_label_classification"  # the problem_type of a model with a probability of its own for each label
OF_SCALE = "of_scale"  # in config.json: the labels are levels of a scale, or points of a range
READING = "reading.json"  # how a model is to read: tokens at once, fewer than it can; longer texts in windows
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json")


def teacher_labels(folder: Path) -> tuple[str, ...]:
    """Read the labels of a classifier folder in the order of its outputs.

    Raises ValueError with one sentence where config.json cannot be read or names no labels.
    """
    labels = _labels(_read(folder / "config.json"))
    if not labels:
        raise ValueError(f"{folder / 'config.json'} names no labels; add id2label with one name for each output.")
    return labels


def check_model_folder(folder: Path) -> str | None:
    """Return in one sentence why a folder cannot be used as a local sequence classifier, or None.

    Only plain transformers folders pass: config.json with labels, weights as safetensors, a tokenizer, no code.
    """
    return _trouble(folder, _classifier)


def set_settings(folder: Path, settings: Mapping[str, object]) -> None:
    """Write settings into a folder's config.json, over those that are there."""
    path = folder / "config.json"
    path.write_text(json.dumps({**_read(path), **settings}, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def several(folder: Path) -> bool:
    """Whether a classifier gives each label a probability of its own, so that an answer is a set of labels."""
    return _read(folder / "config.json").get("problem_type") == SEVERAL


def of_scale(folder: Path) -> bool:
    """Whether a student gives scores, so that its labels are the levels of a scale or the points of a range."""
    return _read(folder / "config.json").get(OF_SCALE) is True


def scale_form(folder: Path) -> str:
    """Return whether a student's scores are "levels" or of a "range"; empty for a student of labels."""
    return ("range" if is_range(teacher_labels(folder)) else "levels") if of_scale(folder) else ""


def thresholds(folder: Path) -> tuple[float, ...]:
    """Read from which probability on each label is in an answer."""
    found, labels = _read(folder / "config.json").get("thresholds"), teacher_labels(folder)
    if isinstance(found, list) and len(found) == len(labels):
        return tuple(float(str(each)) for each in found)
    return (LIKELY,) * len(labels)


def check_answers(folder: Path, *, sets: bool) -> str | None:
    """Return in one sentence why the answers of a classifier folder are not of a play's kind, or None."""
    if several(folder) is sets:
        return None
    if sets:
        return (
            f"{folder} gives one label for each text, and this play's answers are sets of labels; take a model whose "
            f"config.json has problem_type {SEVERAL}."
        )
    return f"{folder} does {SEVERAL}, and this play's answers are one label each; open a play with --task multilabel."


def _trouble(folder: Path, *checks: Callable[[Path, dict[str, object]], str | None]) -> str | None:
    """Return what prevents a folder from loading, or the first problem of further checks of it and its config.json."""
    if not folder.is_dir():
        return f"{folder} is not a folder; give the folder that holds config.json and model.safetensors."
    try:
        strange = _strange(folder)
        if strange:
            return strange
        config = _read(folder / "config.json")
        found = _custom_code(folder, config) or _weights(folder) or _tokenizer(folder)
        return found or next(filter(None, (check(folder, config) for check in checks)), None)
    except ValueError as error:
        return str(error)


def _strange(folder: Path) -> str | None:
    """Find what is not a plain file, before anything is opened: reading a pipe would block forever."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            return f"{path} is a symbolic link; replace it by the file itself."
        if not path.is_file() and not path.is_dir():
            return f"{path} is neither a file nor a folder; remove it."
    return None


def form(folder: Path) -> str:
    """Return the form of a student's folder, a key of `loaders.FORMS`. Raises ValueError with one sentence."""
    if (folder / ANSWER).is_file():
        named = answer_settings(folder).get("form")
        if named not in FORMS:
            raise ValueError(f"{folder / ANSWER} names the form {str(named)[:40]!r}; it can be {', '.join(FORMS)}.")
        return str(named)
    found = (name for name, form in FORMS.items() if form.marker and (folder / form.marker).is_file())
    return next(found, "transformers")


def answer_settings(folder: Path) -> dict[str, object]:
    """Read the answer.json of a student that writes: its form, and its prompt or the fields of its answers."""
    return _read(folder / ANSWER)


def label_settings(folder: Path) -> dict[str, object]:
    """Read the labels.json of a language model that chooses labels. Raises ValueError with one sentence."""
    found, names = _read(folder / LABELS), teacher_labels(folder)
    texts = found.get("tokens")
    lists = texts if isinstance(texts, list) and all(isinstance(text, list) and text for text in texts) else []
    numbers = all(isinstance(token, int) for text in lists for token in text)
    sizes = isinstance(found.get("max_tokens"), int) and isinstance(found.get("temperature"), (int, float))
    if not sizes or not numbers or len(lists) != len(names):
        raise ValueError(f"{folder / LABELS} does not say how the labels of config.json are spelled; train it again.")
    return found


def tokens_read(folder: Path) -> int:
    """Read how many tokens the folder's tokenizer cuts a text to."""
    return int(str(_read(folder / "tokenizer_config.json")["model_max_length"]))


def reads_windows(folder: Path) -> bool:
    """Whether longer texts are read in windows, whose logits are averaged."""
    return (folder / READING).is_file() and _read(folder / READING).get("windows") is True


def first_token(folder: Path) -> bool:
    """Whether an encoder's vector of a text is that of its first token; else it is the mean over its tokens.

    A student states it; the folder of a sentence encoder has it in the file of its pooling.
    """
    stated, pooling = _read(folder / "config.json").get(READS_FIRST), folder / "1_Pooling" / "config.json"
    if stated is None and pooling.is_file():
        stated = _read(pooling).get("pooling_mode_cls_token")
    return stated is True


def tokens_at_once(folder: Path) -> int | None:
    """Read how many tokens a model is to read at once, None for as many as it can. Raises ValueError."""
    asked = _read(folder / READING).get("max_tokens") if (folder / READING).is_file() else None
    if asked is not None and (not isinstance(asked, int) or asked < 1):
        raise ValueError(f"{folder / READING} asks for {str(asked)[:20]} tokens; it is a whole number of 1 or more.")
    return asked


def stated_parameters(folder: Path) -> int:
    """Read how many parameters config.json states, 0 where it states none."""
    return int(str(_read(folder / "config.json").get("parameters") or 0))


def check_encoder_folder(folder: Path) -> str | None:
    """Return in one sentence why a student cannot start from a folder, or None.

    Unlike a teacher's folder it need not be a classifier: a head is added.
    """
    return _trouble(folder)


def check_causal_folder(folder: Path) -> str | None:
    """Return in one sentence why a folder cannot be used as a local causal language model, or None."""
    return _trouble(folder, _causal)


def architecture(folder: Path) -> str:
    """Name what the model of a folder is, as its config.json does."""
    config = _read(folder / "config.json")
    return next(iter(_architectures(config)), str(config.get("model_type") or "model of an unnamed type"))


def settings_of(folder: Path) -> dict[str, Any]:
    """Read a folder's config.json. Raises ValueError with one sentence."""
    return _read(folder / "config.json")


def _causal(folder: Path, config: dict[str, object]) -> str | None:
    causal = any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in _architectures(config))
    return None if causal else f"{folder} is not a causal language model; give one, or use --zero-shot."


def _architectures(config: dict[str, object]) -> list[str]:
    names = config.get("architectures")
    return [str(name) for name in names] if isinstance(names, list) else []


def _read(path: Path) -> dict[str, object]:
    if not path.is_file():
        raise ValueError(f"{path.parent} has no {path.name}; save the model with save_pretrained() and try again.")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError):
        raise ValueError(f"{path} is not readable JSON; save the model again with save_pretrained().") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no JSON object; save the model again with save_pretrained().")
    return value


def _labels(config: dict[str, object]) -> tuple[str, ...]:
    names = config.get("id2label")
    if not isinstance(names, dict) or len(names) < 2 or set(names) != {str(i) for i in range(len(names))}:
        return ()
    return tuple(str(names[str(i)]) for i in range(len(names)))


def _custom_code(folder: Path, config: dict[str, object]) -> str | None:
    settings = folder / "tokenizer_config.json"
    for name, values in (("config.json", config), (settings.name, _read(settings) if settings.is_file() else {})):
        if values.get("auto_map"):
            return f"{folder / name} asks for custom code (auto_map), which is never run; use a model without it."
    return None


def _weights(folder: Path) -> str | None:
    weights = sorted(folder.glob("model*.safetensors"))
    if not weights:
        pickled = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        if pickled:
            return f"{folder / pickled[0]} is a pickle, which can run code; save the weights as safetensors instead."
        return f"{folder} has no model.safetensors; save the model with save_pretrained() and try again."
    for path in weights:
        if not _has_safetensors_header(path):
            return f"{path} is not a safetensors file; save the model again with save_pretrained()."
    return _elsewhere(folder, {path.name for path in weights})


def _elsewhere(folder: Path, weights: set[str]) -> str | None:
    """Find what would load weights that were not checked: an index of parts, another model's adapter."""
    index, adapter = folder / "model.safetensors.index.json", folder / "adapter_config.json"
    if adapter.exists():
        return f"{adapter} makes this an adapter of another model; merge the two and save the result."
    parts = _read(index).get("weight_map") if index.exists() else {}
    if not isinstance(parts, dict) or not {str(part) for part in parts.values()} <= weights:
        return f"{index} names weights that are not in this folder as safetensors; save the model again."
    return None


def _has_safetensors_header(path: Path) -> bool:
    """Check the format: the length of a JSON header in eight bytes, little-endian; the header; then the tensors."""
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(100_000_000, path.stat().st_size - 8):
            return False
        try:
            return isinstance(json.loads(file.read(length)), dict)
        except (ValueError, RecursionError):
            return False


def _tokenizer(folder: Path) -> str | None:
    if any((folder / name).is_file() for name in TOKENIZERS):
        return None
    return f"{folder} has no tokenizer; put tokenizer.json there with the tokenizer's save_pretrained()."


def _classifier(folder: Path, config: dict[str, object]) -> str | None:
    names = _architectures(config)
    if names and not any(name.endswith("ForSequenceClassification") for name in names):
        return f"{folder} is a {names[0]}, not a sequence classifier; give it a classification head first."
    if config.get("problem_type") == "regression":
        return f"{folder} does regression; only one label for each text, or a set of labels, is supported."
    if not _labels(config):
        return f"{folder / 'config.json'} names no labels; add id2label with one name for each output."
    return None
