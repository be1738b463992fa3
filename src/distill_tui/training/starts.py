"""Why a student cannot start from a folder, or learn from a local teacher, by what the files of the two state.

Asked before a run is queued, and by the worker. Like `folders`, it loads no model; what only a loaded model or the rows
can show is left to the worker.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from distill_tui.spec import STUDENTS, Spec
from distill_tui.terms import StudentKind
from distill_tui.training.folders import architecture, check_causal_folder, settings_of, teacher_labels

# their layers are named "layer.N" and their word embeddings "word_embeddings"
FAMILIES = ("bert", "electra", "roberta", "xlm-roberta", "distilbert")
NO_PEFT = "LoRA needs peft; install it: `pip install 'distill-tui[lora]'`."
CAUSAL = (StudentKind.CAUSAL, StudentKind.CAUSAL_LABELS)
READERS = (StudentKind.STATIC, StudentKind.FROZEN, StudentKind.FOLDER)
ALONE = "give alpha=0 to learn from its answers alone."
Settings = Mapping[str, Any]  # of a model or tokenizer, as its folder holds them
PROMPT = 1  # a prompt has at least one token besides its input


def problem(spec: Spec, start: Path | None, teacher: Path | None, labels: Sequence[str]) -> str | None:
    """Return in one sentence why a student of a spec, or a rung of its ladder, could not be trained, or None.

    `start` is the folder that it names, `teacher` that of a local teacher, and `labels` are the data set's.
    """
    try:
        return next((found for rung in spec.rungs() for found in _problems(rung, start, teacher, labels)), None)
    except ValueError as error:
        return str(error)


def _problems(spec: Spec, start: Path | None, teacher: Path | None, labels: Sequence[str]) -> Iterator[str]:
    begins = start if spec.folder and STUDENTS[spec.student].takes_folder else None
    if spec.lora and find_spec("peft") is None:
        yield NO_PEFT
    if begins is not None:
        yield from _of_start(spec, begins)
    if spec.student is StudentKind.LAYERS and teacher is not None:
        yield from layers_problems(settings_of(teacher), spec)
    if spec.writes and spec.alpha > 0:
        yield from _unlike(spec, teacher, begins)
    elif not spec.writes and teacher is not None:
        yield from labels_problems(spec, labels, teacher)


def _of_start(spec: Spec, start: Path) -> Iterator[str]:
    config, kind = settings_of(start), spec.student
    if kind in CAUSAL:
        if check_causal_folder(start):
            other = "tagger" if spec.writes else "frozen"
            yield (
                f"{start} is a {architecture(start)}, not a causal language model, and a {kind} student starts from "
                f"one; name the folder of such a model, or train student={other}."
            )
            return
        answer, most = spec.answer_tokens if spec.writes else 1, positions(config)
        room = spec.max_tokens + answer + PROMPT
        if spec.max_tokens and most is not None and room > most:
            yield (
                f"max_tokens and answer_tokens make {room} tokens with the prompt, and {start} reads at most {most}; "
                "give less of one of them."
            )
    elif kind in READERS and config.get("is_encoder_decoder"):
        yield (
            f"{start} is a {architecture(start)}, which reads and writes, and a {kind} student starts from an encoder; "
            "name the folder of an encoder."
        )
    if kind is StudentKind.STATIC:
        if _tokenizer(start).get("model", {}).get("type", "WordPiece") != "WordPiece":
            yield no_word_piece(start)
    elif kind not in CAUSAL:
        yield from too_long(spec, start, positions(config))
    if spec.writes and spec.layers:
        yield from _missing(spec, config, str(start))
        whole = spec.layers == tuple(range(_depth(config) or 0))
        if kind is StudentKind.TAGGER and config.get("model_type") not in FAMILIES and not whole:
            yield (
                f"{start} is a {config.get('model_type')}; layers can be taken from {', '.join(FAMILIES)}: give all "
                "its layers, or name another folder."
            )


def layers_problems(config: Settings, spec: Spec) -> Iterator[str]:
    """Yield why a student cannot start from layers of a teacher with this config.json."""
    if config.get("model_type") not in FAMILIES:
        yield (
            f"The teacher is a {config.get('model_type')}; layers can be taken from {', '.join(FAMILIES)}: "
            "choose scratch or static for the student."
        )
        return
    yield from _missing(spec, config, "The teacher")
    yield from too_long(spec, Path("the teacher"), positions(config))


def no_word_piece(start: Path) -> str:
    return (
        f"{start.name} has no WordPiece vocabulary, so a static student cannot take its tokens; name another encoder, "
        "or leave static out of the ladder."
    )


def too_long(spec: Spec, start: Path, most: int | None) -> Iterator[str]:
    if most is not None and spec.max_tokens > most:
        yield f"max_tokens is {spec.max_tokens}, and {start.name} reads at most {most} tokens; give at most {most}."


def labels_problems(spec: Spec, labels: Sequence[str], teacher: Path) -> Iterator[str]:
    """Yield why a student of these labels cannot learn the teacher's probabilities: they are of other labels."""
    theirs = teacher_labels(teacher)
    if spec.distils and sorted(theirs) != sorted(labels):
        yield (
            f"The teacher's labels are {', '.join(theirs)}, and the data set's are {', '.join(labels)}; a student "
            "cannot learn one from the other: import gold with the teacher's labels, or choose another teacher."
        )


def _missing(spec: Spec, config: Settings, name: str) -> Iterator[str]:
    there = _depth(config)
    absent = [layer for layer in spec.layers if there is not None and not 0 <= layer < there]
    if there is not None and absent:
        yield f"{name} has layers 0 to {there - 1}, and the spec asks for layer {absent[0]}; give others."


def _depth(config: Settings) -> int | None:
    names = ("num_hidden_layers", "n_layers", "n_layer")
    return next((config[name] for name in names if isinstance(config.get(name), int)), None)


def positions(config: Settings) -> int | None:
    """Return the most tokens that a model reads at once by its config.json; None where it does not say so."""
    first = 2 if "roberta" in str(config.get("model_type")) else 0  # RoBERTa's family counts from 2
    found = config.get("max_position_embeddings", config.get("n_positions"))
    return found - first if isinstance(found, int) else None


def _unlike(spec: Spec, teacher: Path | None, start: Path | None) -> Iterator[str]:
    """Yield why the probabilities of a teacher that writes cannot be learnt, as far as the files tell."""
    if teacher is None:
        yield no_teacher(spec)
    elif start is not None:
        theirs, ours = _vocabulary(teacher), _vocabulary(start)
        if theirs and ours:
            yield from unlike(spec, theirs, ours)


def no_teacher(spec: Spec) -> str:
    return f"alpha is {spec.alpha:g}, and there is no local teacher whose probabilities could be learnt; {ALONE}"


def unlike(spec: Spec, theirs: Mapping[str, int], ours: Mapping[str, int]) -> Iterator[str]:
    """Yield that the probabilities of the teacher's tokens and of the student's are of different vocabularies."""
    if theirs != ours:
        yield (
            f"alpha is {spec.alpha:g}, and the student's vocabulary of {len(ours):,} tokens is not the teacher's of "
            f"{len(theirs):,}, so their probabilities cannot be compared; {ALONE}"
        )


def _vocabulary(folder: Path) -> dict[str, int]:
    """Read the tokens of a folder with a tokenizer.json and their numbers; empty where it cannot be read so."""
    found = _tokenizer(folder)
    tokens = found.get("model", {}).get("vocab")
    if not isinstance(tokens, dict):
        return {}
    return {**tokens, **{each["content"]: each["id"] for each in found.get("added_tokens", ())}}


def _tokenizer(folder: Path) -> Settings:
    path = folder / "tokenizer.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
