"""Teachers that are models on this machine: label probabilities or written answers, batch by batch.

A teacher is asked at its own length: a text is cut only where the model, or the choice of the teacher, reads no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers

from distill_tui.gates.cut import Cut
from distill_tui.teachers.description import Described
from distill_tui.terms import TeacherSource
from distill_tui.text import PAIR, in_a_row, pair_of
from distill_tui.training import decoding, models
from distill_tui.training.arrays import OVERLAP
from distill_tui.training.folders import reads_windows, several, teacher_labels
from distill_tui.training.models import Floats

TOKENS = 8_192  # of a batch, padding included: they bound its memory
GAP = " … "  # in a prompt, in the place of what was cut

if TYPE_CHECKING:
    from distill_tui.training.models import Config, Model, Tokenizer


def label(
    folder: Path, texts: Sequence[str], *, threads: int, batch_size: int = 32
) -> Iterator[tuple[list[int], Floats]]:
    """Yield (positions in `texts`, probabilities (batch, labels) float32) until every text is labelled.

    Texts of similar length go together, the longest first. Columns follow `teacher_labels(folder)`; where an output is
    not finite, its row is NaN. Raises ValueError with one sentence where the folder is not a local safetensors
    classifier. Sets torch's threads for the process.
    """
    torch.set_num_threads(threads)
    model, tokenizer = models.load(folder)
    window, sets = models.window_of(folder, tokenizer), several(folder)
    rows = models.tokenise(tokenizer, texts) if window is None else models.whole(tokenizer, texts)
    for positions in models.by_length([len(row) for row in rows], batch_size, TOKENS):
        with torch.inference_mode():
            logits = models.pooled(model, [rows[at] for at in positions], window)
        yield positions, _shares(logits, sets=sets)


def _shares(logits: torch.Tensor, *, sets: bool = False) -> Floats:
    """Compute probabilities, NaN in every row with an output that is not finite; of sets, of each label by itself."""
    finite = torch.isfinite(logits).all(dim=-1, keepdim=True)
    found = torch.sigmoid(logits.float()) if sets else torch.softmax(logits.float(), dim=-1)
    shares: Floats = found.masked_fill(~finite, torch.nan).numpy()
    return shares


def zero_shot(
    folder: Path, texts: Sequence[str], teacher: Described, *, threads: int, batch_size: int = 16
) -> Iterator[tuple[list[int], Floats]]:
    """Yield (positions, probabilities) by entailment: how much each text entails the template with each label in it.

    The folder is an NLI classifier, one of whose labels begins with `entail`; the entailment logits of the labels are
    compared by a softmax (Yin, Hay and Roth 2019), or where an answer is a set, each label's with its contradiction.
    In windows, their mean counts. Raises ValueError with one sentence.
    """
    torch.set_num_threads(threads)
    entails, against = entailment(folder), contradiction(folder) if teacher.several else None
    model, tokenizer = models.load(folder)
    _lower(tokenizer, teacher)
    claims = _claims(teacher)
    for positions in models.by_length([len(text) for text in texts], batch_size):
        batch, pair_of = _pairs(tokenizer, [models.speakable(texts[at]) for at in positions], claims, teacher)
        at_once = max(1, TOKENS // batch["input_ids"].shape[1])
        columns = zip(*(column.split(at_once) for column in batch.values()), strict=True)
        pairs = [dict(zip(batch, parts, strict=True)) for parts in columns]
        with torch.inference_mode():
            found = torch.cat([model(**part).logits for part in pairs])
        logits = found[:, entails] if against is None else found[:, entails] - found[:, against]
        yield positions, _shares(_means(logits, pair_of).reshape(len(positions), len(claims)), sets=teacher.several)


def _pairs(
    tokenizer: Tokenizer, texts: Sequence[str], claims: list[str], teacher: Described
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Tokenise each text with each claim; return the columns, and of each row the pair that it is a window of."""
    more: dict[str, object] = {}
    if teacher.windows:
        room = _premise_room(tokenizer, teacher)
        more = {"stride": room // OVERLAP, "return_overflowing_tokens": True}
    batch = tokenizer([text for text in texts for _ in claims], claims * len(texts), truncation="only_first",
                      max_length=tokenizer.model_max_length, padding=True, return_tensors="pt", **more)  # fmt: skip
    columns = dict(batch)
    pair_of = columns.pop("overflow_to_sample_mapping", torch.arange(len(texts) * len(claims)))
    return columns, pair_of


def _means(values: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    """Average values by the number of what each belongs to, 0 to n - 1."""
    counts = torch.bincount(of)
    return torch.zeros(len(counts)).index_add(0, of, values.float()) / counts


def _premise_room(tokenizer: Tokenizer, teacher: Described) -> int:
    """Return the most tokens of a text that fit next to the longest claim. Raises ValueError where none do."""
    longest = max(len(tokenizer("", claim)["input_ids"]) for claim in _claims(teacher))
    room = int(tokenizer.model_max_length) - longest
    if room < OVERLAP:
        raise ValueError(
            f"The template with a label takes {longest:,} tokens, and the model reads {tokenizer.model_max_length:,}; "
            "shorten the template, or raise --max-tokens."
        )
    return room


def entailment(folder: Path) -> int:
    """Return the output of an NLI classifier that is entailment. Raises ValueError where there is none."""
    names = [name.casefold() for name in teacher_labels(folder)]
    entails = next((at for at, name in enumerate(names) if name.startswith("entail")), None)
    if entails is None:
        raise ValueError(f"{folder.name} is not an NLI model: none of its labels begins with “entail”; choose another.")
    return entails


def contradiction(folder: Path) -> int:
    """Return the output of an NLI classifier that is contradiction, or of two outputs the other one than entailment."""
    names = [name.casefold() for name in teacher_labels(folder)]
    against = next((at for at, name in enumerate(names) if name.startswith("contra")), None)
    if against is None and len(names) == 2:
        against = 1 - entailment(folder)
    if against is None:
        raise ValueError(f"{folder.name} has no label that begins with “contra”, so it cannot judge labels one by one.")
    return against


def prompted(
    folder: Path, texts: Sequence[str], teacher: Described, *, threads: int, batch_size: int = 8
) -> Iterator[tuple[list[int], Floats]]:
    """Yield (positions, probabilities) by a causal language model: the probability of each label as the answer.

    A label's score is the mean log-probability of its tokens after the prompt, so that length does not count; a softmax
    compares the scores. Of a long text the middle is cut, never the template's head or tail; in windows nothing is, and
    the mean of a label's scores counts. Raises ValueError with one sentence.
    """
    torch.set_num_threads(threads)
    model, tokenizer = models.load_for(transformers.AutoModelForCausalLM, folder)
    answers = _label_tokens(tokenizer, teacher, folder.name)
    prompts = [rows for rows, _ in _prompts(model.config, tokenizer, teacher, texts)]
    for positions in models.by_length([sum(map(len, rows)) for rows in prompts], batch_size, TOKENS):
        asked = [row for at in positions for row in prompts[at]]
        which = torch.tensor([n for n, at in enumerate(positions) for _ in prompts[at]])
        at_once = max(1, TOKENS // max(map(len, asked)))
        parts = [asked[start : start + at_once] for start in range(0, len(asked), at_once)]
        scores = [torch.cat([_scores(model, part, answer) for part in parts]) for answer in answers]
        yield positions, _shares(torch.stack([_means(each, which) for each in scores], dim=1))


def written(
    folder: Path, texts: Sequence[str], teacher: Described, *, threads: int, batch_size: int = 16
) -> Iterator[tuple[int, str, int, int]]:
    """Yield (position, answer, tokens in, tokens out) of a causal language model, decoded greedily.

    A model with a chat template is prompted by it, unless the teacher completes: then it continues the template as it
    stands, and its answer ends with the line. The common prefix of all prompts is read once. Raises ValueError with one
    sentence, also where an output is not finite. Sets torch's threads for the process.
    """
    torch.set_num_threads(threads)
    model, tokenizer = models.load_for(transformers.AutoModelForCausalLM, folder)
    rows = prompts(model, tokenizer, texts, teacher)
    prefix = decoding.shared_prefix(model, rows)
    stops = stop_tokens(model, tokenizer, teacher)
    for positions in models.by_length([len(row) for row in rows], batch_size, 2 * TOKENS):
        batch = [rows[at] for at in positions]
        answers, _ = decoding.write(model, batch, teacher.max_tokens, stops, min(stops, default=0), prefix)
        for at, row, tokens in zip(positions, batch, answers, strict=True):
            out = min(len(tokens) + 1, teacher.max_tokens)  # the stop token counts too
            yield at, tokenizer.decode(tokens, skip_special_tokens=True), len(row), out


def prompts(model: Model, tokenizer: Tokenizer, texts: Sequence[str], teacher: Described) -> list[list[int]]:
    """Tokenise the prompt of each text; the middle of a long text is cut, never the template's head or tail.

    Raises ValueError with one sentence where the template leaves no room for a text.
    """
    return [rows[0] for rows, _ in _prompts(model.config, tokenizer, teacher, texts)]


def cut(folder: Path, texts: Sequence[str], teacher: Described | None) -> Cut:
    """Count what a teacher of this folder does not read of these texts, without its weights."""
    tokenizer, config = models.reader(folder)
    if teacher is None:
        return models.cut(tokenizer, texts, windows=reads_windows(folder))
    if teacher.source is TeacherSource.ZERO_SHOT:
        _lower(tokenizer, teacher)
        ends = len(tokenizer("")["input_ids"])
        return models.cut(tokenizer, texts, _premise_room(tokenizer, teacher) + ends, windows=teacher.windows)
    found = [(sum(map(len, rows)), lost) for rows, lost in _prompts(config, tokenizer, teacher, texts)]
    return Cut.of([kept + lost for kept, lost in found], [lost for _, lost in found])


def _claims(teacher: Described) -> list[str]:
    return [teacher.template.replace("{label}", label) for label in teacher.labels]


def _lower(tokenizer: Tokenizer, teacher: Described) -> None:
    """Lower what is read at once to what the choice of the teacher asks for."""
    if teacher.reads:
        tokenizer.model_max_length = min(tokenizer.model_max_length, teacher.reads)


def _label_tokens(tokenizer: Tokenizer, teacher: Described, name: str) -> list[list[int]]:
    answers = [list(tokenizer(f" {label}", add_special_tokens=False)["input_ids"]) for label in teacher.labels]
    if not all(answers):
        raise ValueError(f"{name} has no tokens for one of the labels; choose another model or other labels.")
    return answers


def _prompts(
    config: Config, tokenizer: Tokenizer, teacher: Described, texts: Sequence[str]
) -> Iterator[tuple[list[list[int]], int]]:
    """Yield the prompt of each text, or of each window of it, and how many tokens of the text do not fit.

    Raises ValueError with one sentence where the template leaves no room for a text.
    """

    def make(text: str) -> list[int]:
        return prompt(tokenizer, teacher, text) if teacher.writes else plain_prompt(tokenizer, teacher, text)

    whole, answer = models.positions(config), teacher.max_tokens
    if not teacher.writes:
        answer = max(map(len, _label_tokens(tokenizer, teacher, "The model")))
    room = min(whole - answer, teacher.reads or whole)
    frame = len(make(""))
    if frame >= room:
        raise ValueError(
            f"The template takes {frame:,} tokens and an answer {answer:,}, and the model has room for "
            f"{min(whole, room + answer):,}; shorten one of them."
        )
    for text in texts:
        spoken = text.encode("utf-8", "replace").decode()
        if teacher.windows:
            yield _windowed(tokenizer, make, spoken, room), 0
        else:
            tokens, lost = _fitted(tokenizer, make, spoken, room)
            yield [tokens], lost


def _fitted(tokenizer: Tokenizer, make: Callable[[str], list[int]], text: str, room: int) -> tuple[list[int], int]:
    """Cut the middle of a text until its prompt fits; return the prompt, and how many tokens of the text were cut.

    Of a pair the longer part is cut first.
    """
    tokens = make(text)
    if len(tokens) <= room:
        return tokens, 0
    whole = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in pair_of(text) or (text,)]
    kept = [*map(len, whole)]
    while len(tokens) > room and any(kept):
        longest, over = max(range(len(kept)), key=kept.__getitem__), len(tokens) - room
        even = (sum(kept) - over) // len(kept)
        kept[longest] = max(0, min(kept[longest] - 1, max(kept[longest] - over, even)))
        tokens = make(PAIR.join(_ends(tokenizer, ids, most) for ids, most in zip(whole, kept, strict=True)))
    return tokens, sum(map(len, whole)) - sum(kept)


def _ends(tokenizer: Tokenizer, ids: list[int], most: int) -> str:
    """Return the first and the last of these tokens as a text, so many in all."""
    if most >= len(ids) or not most:
        return _text(tokenizer, ids[:most])
    return GAP.join(_text(tokenizer, each) for each in (ids[: most - most // 2], ids[len(ids) - most // 2 :]))


def _windowed(tokenizer: Tokenizer, make: Callable[[str], list[int]], text: str, room: int) -> list[list[int]]:
    """Make a prompt of each window of a text; a quarter of each window is in the next one too."""
    text = in_a_row(text)
    tokens = make(text)
    if len(tokens) <= room:
        return [tokens]
    ids, parts, start = tokenizer(text, add_special_tokens=False)["input_ids"], [], 0
    while True:
        size = room - len(make(""))
        tokens = make(_text(tokenizer, ids[start : start + size]))
        while len(tokens) > room and size > 1:  # a piece of a text may have more tokens than in the text
            size = max(1, size - (len(tokens) - room))
            tokens = make(_text(tokenizer, ids[start : start + size]))
        parts.append(tokens)
        if start + size >= len(ids):
            return parts
        start += max(1, size - size // OVERLAP)


def _text(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False))


def stop_tokens(model: Model, tokenizer: Tokenizer, teacher: Described) -> list[int]:
    """Return the tokens that end an answer; where an answer is one line, all that contain a line break."""
    named = model.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])} - {None}
    if teacher.completes:
        pieces = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
        ends |= {token for token, text in enumerate(pieces) if "\n" in text}
    return sorted(ends)


def plain_prompt(tokenizer: Tokenizer, teacher: Described, text: str) -> list[int]:
    return list(tokenizer(teacher.prompt(text))["input_ids"])


def prompt(tokenizer: Tokenizer, teacher: Described, text: str) -> list[int]:
    if teacher.completes or not tokenizer.chat_template:
        return plain_prompt(tokenizer, teacher, text)
    message = [{"role": "user", "content": teacher.prompt(text)}]
    text = tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _scores(model: Model, prompts: Sequence[list[int]], answer: list[int]) -> torch.Tensor:
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
