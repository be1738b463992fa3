"""A student that generates, opened from its folder and asked: the artifact that ships answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from distill_tui.training import causal, tagging
from distill_tui.training.fields import Said
from distill_tui.training.folders import ANSWER, form
from distill_tui.training.models import by_length

__all__ = ["FORMS", "Said", "answer", "in_batches", "open_answering", "open_batches"]

FORMS = (tagging.FORM, causal.FORM)


def answer(folder: Path, texts: Sequence[str], *, threads: int, max_tokens: int, batch_size: int = 64) -> list[Said]:
    """Answer texts, those of like length together.

    `max_tokens` cuts inputs, never later than in training; how long an answer may get stands in the folder. Raises
    ValueError with one sentence where the folder is no student that generates. Sets torch's threads for the process.
    """
    return in_batches(open_batches(folder, threads=threads, max_tokens=max_tokens), texts, batch_size)


def in_batches(ask: Callable[[Sequence[str]], list[Said]], texts: Sequence[str], batch_size: int = 64) -> list[Said]:
    """Ask an open student, those of like length together."""
    said: dict[int, Said] = {}
    for positions in by_length([len(text) for text in texts], batch_size):
        said |= dict(zip(positions, ask([texts[at] for at in positions]), strict=True))
    return [said[at] for at in range(len(texts))]


def open_answering(folder: Path, *, threads: int, max_tokens: int) -> Callable[[str], Said]:
    """Open a folder for one request at a time. Raises ValueError with one sentence. Sets torch's threads."""
    ask = open_batches(folder, threads=threads, max_tokens=max_tokens)
    return lambda text: ask([text])[0]


def open_batches(folder: Path, *, threads: int, max_tokens: int) -> Callable[[Sequence[str]], list[Said]]:
    """Open a folder for requests in batches. Raises ValueError with one sentence. Sets torch's threads."""
    torch.set_num_threads(threads)
    kind = form(folder)
    if kind == tagging.FORM:
        tagger = tagging.load(folder, max_tokens)
        return lambda texts: tagger.say(texts, tagger.cut(texts))
    if kind == causal.FORM:
        writer = causal.load(folder, max_tokens)
        return lambda texts: writer.say(writer.cut(texts))
    raise ValueError(f"{folder} is no student that generates: it has no {ANSWER} that says how it answers.")
