"""A language model that chooses a label by its text: see `label_tree`.

It reads the prompt and the whole tree of labels at once, each token of the tree after its own way only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from distill_tui.gates.cut import Cut
from distill_tui.spec import Spec
from distill_tui.training import decoding, export, models
from distill_tui.training.arrays import Floats, Window
from distill_tui.training.folders import LABELS, label_settings, teacher_labels
from distill_tui.training.label_tree import LabelTree
from distill_tui.training.lora import Adapters
from distill_tui.training.predictor import Predictor
from distill_tui.training.students import causal

if TYPE_CHECKING:
    from distill_tui.training.models import Model

ALIKE = 1e-2  # a logit that the tree gives and the plain text gives may differ by so much


@dataclass(frozen=True)
class Chooser:
    """A causal language model with its prompt, and the labels that it chooses among."""

    writer: causal.Writer
    labels: tuple[str, ...]
    tree: LabelTree
    adapters: Adapters | None = None
    windows: bool = False  # whether a longer text is read in windows; labels' log-probabilities are averaged

    @property
    def window(self) -> Window | None:
        """Windows of the input; the template is whole in each of them."""
        before, after = map(len, self.writer.frame)
        return Window(before + self.max_tokens + after, before, after) if self.windows else None

    @property
    def model(self) -> Model:
        return self.writer.model

    @property
    def max_tokens(self) -> int:
        return self.writer.max_tokens

    def tokenise(self, texts: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
        if not self.windows:
            return self.writer.prompts(texts)
        before, after = self.writer.frame
        return [before + ids + after for ids in self.writer.plain(texts)]

    def cut(self, texts: Sequence[str]) -> Cut:
        whole = [len(ids) for ids in self.writer.plain(texts)] if self.windows else []
        return Cut.of(whole, [0] * len(whole)) if self.windows else self.writer.cut(texts)

    def logits(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        return models.averaged(self._log_probabilities, rows, self.window)

    def _log_probabilities(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        return self.tree.log_probabilities(after_nodes(self.model, self.tree, rows, self.writer.padding))

    def description(self) -> str:
        return json.dumps([self.writer.cutter.to_str(), self.writer.template, self.tree.texts])

    def save(self, folder: Path) -> None:
        """Write what plain transformers loads as a causal language model with labels, and labels.json."""
        if self.adapters is not None:
            self.adapters.save_merged(folder)
        config = self.model.config
        config.id2label = dict(enumerate(self.labels))
        config.label2id = {label: number for number, label in enumerate(self.labels)}
        export.save(self.model, self.writer.tokenizer, folder)
        asked = {"template": self.writer.template, "max_tokens": self.max_tokens, "temperature": 1.0}
        values = {**asked, "tokens": self.tree.texts} | ({"windows": True} if self.windows else {})
        (folder / LABELS).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def build(
    spec: Spec, labels: tuple[str, ...], texts: Sequence[str], teacher: Path | None, start: Path | None
) -> Chooser:
    """Take all layers of the causal model in `start`; its vocabulary must be able to spell the labels."""
    if start is None:
        raise ValueError("A student of kind causal_labels starts from a local model folder, and none was given.")
    writer = causal.build(replace(spec, layers=(), answer_tokens=1), texts, start, teacher)
    tree = LabelTree.of(labels, writer.plain(labels), writer.stop)
    _check(writer, tree)
    adapters = Adapters(writer.model, spec.lora, spec.seed) if spec.lora else None
    return Chooser(writer, labels, tree, adapters, spec.windows)


def open_folder(folder: Path, threads: int, max_tokens: int | None = None) -> Predictor[Floats]:
    """Open the folder of a language model that chooses labels. Raises ValueError with one sentence."""
    torch.set_num_threads(threads)
    asked = label_settings(folder)
    writer = causal.load(folder, max_tokens, asked | {"answer_tokens": 1})
    texts = asked["tokens"]
    assert isinstance(texts, list)  # `label_settings` checked it
    tree, temperature = LabelTree(tuple(map(tuple, texts))), float(str(asked["temperature"]))
    student = Chooser(writer, teacher_labels(folder), tree, windows=asked.get("windows") is True)

    def run(rows: Sequence[Sequence[int]]) -> Floats:
        with torch.inference_mode():
            shares: Floats = (student.logits(rows) / temperature).softmax(dim=1).numpy()
        return shares

    return Predictor(student.tokenise, run, student.cut)


def after_nodes(model: Model, tree: LabelTree, rows: Sequence[Sequence[int]], padding: int) -> torch.Tensor:
    """Run a model on prompts, each followed by the tree: the logits after each node, (rows, nodes, vocabulary)."""
    ids, mask, positions = decoding.left_padded(rows, padding)
    added = tree.nodes[1:]
    if not added:
        alone: torch.Tensor = decoding.forward(model, ids, mask, positions, logits_to_keep=1, use_cache=False).logits
        return alone[:, -1:]
    tokens, depth = (torch.tensor(each) for each in ([path[-1] for path in added], [len(path) for path in added]))
    n, whole = ids.shape
    ids = torch.cat([ids, tokens.expand(n, -1)], dim=1)
    positions = torch.cat([positions, positions[:, -1:] + depth], dim=1)
    seen = torch.zeros(n, 1, ids.shape[1], ids.shape[1], dtype=torch.bool)
    seen[:, 0, :whole, :whole] = torch.ones(whole, whole, dtype=torch.bool).tril() & mask[:, None, :].bool()
    seen[:, 0, whole:, :whole] = mask[:, None, :].bool()
    seen[:, 0, whole:, whole:] = tree.ancestors
    hidden = torch.zeros(seen.shape, dtype=model.dtype).masked_fill(~seen, torch.finfo(model.dtype).min)
    kept = len(tree.nodes)
    found: torch.Tensor = decoding.forward(model, ids, hidden, positions, logits_to_keep=kept, use_cache=False).logits
    return found[:, -kept:]


@torch.inference_mode()
def _check(writer: causal.Writer, tree: LabelTree) -> None:
    """Raise ValueError where a model reads the tree otherwise than each of its ways alone."""
    model, (prompt,) = writer.model, writer.prompts(["a text"])
    together = after_nodes(model, tree, [prompt, [*prompt, *prompt]], writer.padding)[0]
    last = max(range(len(tree.nodes)), key=lambda node: len(tree.nodes[node]))
    alone = decoding.forward(model, *decoding.left_padded([[*prompt, *tree.nodes[last]]], 0)).logits[0, -1]
    if not torch.allclose(together[last], alone, atol=ALIKE, rtol=0):
        kind = model.config.model_type
        raise ValueError(f"A {kind} cannot read the texts of all labels at once; choose another causal model.")
