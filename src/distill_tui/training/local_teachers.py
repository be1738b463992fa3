"""Teachers that are models on this machine: label probabilities or written answers, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from distill_tui.teachers.description import Described
from distill_tui.training import decoding, models
from distill_tui.training.folders import teacher_labels
from distill_tui.training.models import LOCAL, Floats


def label(
    folder: Path, texts: Sequence[str], *, threads: int, batch_size: int = 32, max_tokens: int = 96
) -> Iterator[tuple[list[int], Floats]]:
    """Yield (positions in `texts`, probabilities (batch, labels) float32) until every text is labelled.

    Texts of similar length go together, the longest first. Columns follow `teacher_labels(folder)`. Raises ValueError
    with one sentence where the folder is not a local safetensors classifier. Sets torch's threads for the process.
    """
    torch.set_num_threads(threads)
    model, tokenizer = models.load(folder)
    rows = models.tokenise(tokenizer, texts, max_tokens)
    for positions in models.by_length([len(row) for row in rows], batch_size):
        with torch.inference_mode():
            logits = models.logits(model, [rows[at] for at in positions])
        yield positions, torch.softmax(logits, dim=-1).numpy()


def zero_shot(
    folder: Path, texts: Sequence[str], teacher: Described, *, threads: int, batch_size: int = 16, max_tokens: int = 192
) -> Iterator[tuple[list[int], Floats]]:
    """Yield (positions, probabilities) by entailment: how much each text entails the template with each label in it.

    The folder is an NLI classifier, one of whose labels begins with `entail`; the entailment logits of the labels are
    compared by a softmax (Yin, Hay and Roth 2019). Raises ValueError with one sentence.
    """
    torch.set_num_threads(threads)
    names = [name.casefold() for name in teacher_labels(folder)]
    entails = next((at for at, name in enumerate(names) if name.startswith("entail")), None)
    if entails is None:
        raise ValueError(f"{folder.name} is not an NLI model: none of its labels begins with “entail”; choose another.")
    model, tokenizer = models.load(folder)
    claims = [teacher.template.replace("{label}", label) for label in teacher.labels]
    for positions in models.by_length([len(text) for text in texts], batch_size):
        pairs = [(texts[at], claim) for at in positions for claim in claims]
        batch = tokenizer([a for a, _ in pairs], [b for _, b in pairs], truncation="only_first", max_length=max_tokens,
                          padding=True, return_tensors="pt")  # fmt: skip
        with torch.inference_mode():
            logits = model(**batch).logits[:, entails].reshape(len(positions), len(claims))
        yield positions, torch.softmax(logits.float(), dim=1).numpy()


def prompted(
    folder: Path, texts: Sequence[str], teacher: Described, *, threads: int, batch_size: int = 8, max_tokens: int = 512
) -> Iterator[tuple[list[int], Floats]]:
    """Yield (positions, probabilities) by a causal language model: the probability of each label as the answer.

    A label's score is the mean log-probability of its tokens after the prompt, so that length does not count; a softmax
    compares the scores. Raises ValueError with one sentence.
    """
    torch.set_num_threads(threads)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **LOCAL)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, **LOCAL).eval()
    answers = [tokenizer(f" {label}", add_special_tokens=False)["input_ids"] for label in teacher.labels]
    if not all(answers):
        raise ValueError(f"{folder.name} has no tokens for one of the labels; choose another model or other labels.")
    room = max_tokens - max(map(len, answers))
    for positions in models.by_length([len(text) for text in texts], batch_size):
        asked = [tokenizer(teacher.prompt(texts[at]))["input_ids"][-room:] for at in positions]
        scores = torch.stack([_scores(model, asked, answer) for answer in answers], dim=1)
        yield positions, torch.softmax(scores, dim=1).numpy()


def written(
    folder: Path, texts: Sequence[str], teacher: Described, *, threads: int, batch_size: int = 16, max_tokens: int = 512
) -> Iterator[tuple[int, str, int, int]]:
    """Yield (position, answer, tokens in, tokens out) of a causal language model, decoded greedily.

    A model with a chat template is prompted by it, unless the teacher completes: then it continues the template as it
    stands, and its answer ends with the line. The common prefix of all prompts is read once. Raises ValueError with one
    sentence. Sets torch's threads for the process.
    """
    torch.set_num_threads(threads)
    model, tokenizer = models.load_for(transformers.AutoModelForCausalLM, folder)
    rows = prompts(model, tokenizer, texts, teacher, max_tokens)
    prefix = decoding.shared_prefix(model, rows)
    stops = stop_tokens(model, tokenizer, teacher)
    for positions in models.by_length([len(row) for row in rows], batch_size):
        batch = [rows[at] for at in positions]
        answers, _ = decoding.write(model, batch, teacher.max_tokens, stops, min(stops, default=0), prefix)
        for at, row, tokens in zip(positions, batch, answers, strict=True):
            out = min(len(tokens) + 1, teacher.max_tokens)  # the stop token counts too
            yield at, tokenizer.decode(tokens, skip_special_tokens=True), len(row), out


def prompts(model: Any, tokenizer: Any, texts: Sequence[str], teacher: Described, max_tokens: int) -> list[list[int]]:
    """Tokenise the prompt of each text; the end of a long text is cut, never the template's.

    Raises ValueError with one sentence where the template leaves no room for a text.
    """
    room = models.positions(model.config) - teacher.max_tokens
    frame = len(prompt(tokenizer, teacher, ""))
    if frame >= room:
        raise ValueError(
            f"The template takes {frame:,} tokens and an answer {teacher.max_tokens:,}, and the model has room for "
            f"{models.positions(model.config):,}; shorten one of them."
        )
    most = min(max_tokens, room - frame)
    cut = (_shortened(tokenizer, models.speakable(text), most) for text in texts)
    return [prompt(tokenizer, teacher, text)[-room:] for text in cut]


def stop_tokens(model: Any, tokenizer: Any, teacher: Described) -> list[int]:
    """Return the tokens that end an answer; where an answer is one line, all that contain a line break."""
    named = model.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])} - {None}
    if teacher.completes:
        pieces = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
        ends |= {token for token, text in enumerate(pieces) if "\n" in text}
    return sorted(ends)


def _shortened(tokenizer: Any, text: str, most: int) -> str:
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return text if len(ids) <= most else str(tokenizer.decode(ids[:most]))


def prompt(tokenizer: Any, teacher: Described, text: str) -> list[int]:
    words = teacher.prompt(text)
    if teacher.completes or not tokenizer.chat_template:
        return list(tokenizer(words)["input_ids"])
    message = [{"role": "user", "content": words}]
    text = tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _scores(model: Any, prompts: Sequence[list[int]], answer: list[int]) -> torch.Tensor:
    """Compute the mean log-probability of an answer's tokens after each prompt."""
    rows, mask = models.pad(
        [prompt + answer for prompt in prompts], 0
    )  # on the right, where a causal model does not look
    with torch.inference_mode():
        logs = torch.log_softmax(model(input_ids=rows, attention_mask=mask).logits.float(), dim=-1)
    wanted = torch.tensor(answer)
    means = [
        logs[at, len(prompt) - 1 : len(prompt) - 1 + len(answer)].gather(1, wanted[:, None]).mean()
        for at, prompt in enumerate(prompts)
    ]
    return torch.stack(means)
