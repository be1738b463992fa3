"""A student's folder on disk: plain transformers files, or ONNX with 8-bit weights."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.torch import save_file

from distill_tui.training import heads, models
from distill_tui.training.checkpoints import weights
from distill_tui.training.folders import HEAD, ONNX, READING
from distill_tui.training.replace import replace_folder

if TYPE_CHECKING:
    from distill_tui.training.models import Model, Tokenizer


def write(model: Model, tokenizer: Tokenizer, out: Path) -> None:
    """Write config.json, model.safetensors and the tokenizer to `out`, as plain transformers reads them."""
    replace_folder(out, lambda folder: save(model, tokenizer, folder))


def save(model: Model, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a transformers model and its tokenizer into a folder that is there."""
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    tensors = {name: tensor.contiguous() for name, tensor in weights(model).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(folder)
    _set_tokenizer_class(folder / "tokenizer_config.json")


def onnx_int8(source: Path, out: Path) -> None:
    """Export a transformers folder to ONNX: model.onnx with 8-bit weights, and the tokenizer.

    Matrices and embeddings are rounded to 8 bits with a scale for each; activations are rounded at run time (dynamic
    quantisation), so no calibration rows are needed. The float weights are left out: what ships is what was judged.
    """
    model, tokenizer, whole = _as_function(source)

    def fill(folder: Path) -> None:
        static = models.is_static(model)
        _trace(model, whole, folder / "float.onnx")
        kinds = ["Gather"] if static else None  # the rest of a static student is a few hundred numbers
        with _quiet():
            quantize_dynamic(
                folder / "float.onnx", folder / ONNX, op_types_to_quantize=kinds, weight_type=QuantType.QInt8
            )
        (folder / "float.onnx").unlink()
        model.config.parameters = sum(weight.numel() for weight in (model if static else whole).parameters())
        model.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        _set_tokenizer_class(folder / "tokenizer_config.json")
        if (source / READING).is_file():
            shutil.copyfile(source / READING, folder / READING)

    replace_folder(out, fill)


def _as_function(source: Path) -> tuple[Model, Tokenizer, torch.nn.Module]:
    """Load a student's folder: its model, its tokenizer, and its logits as a function of two tensors."""
    if (source / HEAD).is_file():
        headed = heads.load(source)
        return headed.encoder, headed.tokenizer, heads.Whole(headed)
    model, tokenizer = models.load(source)
    return model, tokenizer, _Averaged(model) if models.is_static(model) else _Logits(model)


class _Logits(torch.nn.Module):
    """A classifier as a function of two tensors, as ONNX needs it."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


class _Averaged(torch.nn.Module):
    """A static student with the norm and the dense layer folded into its embeddings.

    The norm is of one token alone, and a linear layer commutes with the mean, so the result is exact.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        with torch.no_grad():
            alone = model.model.norm(model.get_input_embeddings().weight) @ model.dense.weight.T
        self.words = torch.nn.Embedding.from_pretrained(alone)
        self.bias, self.activation, self.classifier = model.dense.bias, model.activation, model.classifier

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        shares = attention_mask.float()
        mean = torch.bmm(shares[:, None, :], self.words(input_ids))[:, 0] / shares.sum(dim=1, keepdim=True)
        logits: torch.Tensor = self.classifier(self.activation(mean + self.bias))
        return logits


def _trace(model: Model, whole: torch.nn.Module, path: Path) -> None:
    """Write a model as ONNX in 32 bits, for batches of any size and texts of any length."""
    ids, mask = models.pad([[1, 2, 3], [1, 2]], model.config.pad_token_id or 0)
    axes = {0: "rows", 1: "tokens"}
    with _quiet():
        torch.onnx.export(
            whole.eval(),
            (ids, mask),
            path,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "rows"}},
            opset_version=17,
            dynamo=False,  # the newer exporter needs another package and gives the same graph for these models
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warnings of both libraries, which are for developers."""
    level = logging.getLogger().level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger().setLevel(logging.ERROR)
        try:
            yield
        finally:
            logging.getLogger().setLevel(level)


def _set_tokenizer_class(path: Path) -> None:
    """Write the tokenizer class that both Transformers 4 and 5 know; 5 writes one that 4 does not."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
