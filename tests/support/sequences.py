"""Tiny models and texts for students that generate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import transformers

from distill_tui.spec import Spec
from distill_tui.training import export, vocabulary
from distill_tui.training.generation import Pairs

STREETS = ("Oak St", "Elm Ave", "Main Street", "Lake Shore Dr", "N State St", "Hill Road", "2nd Ave", "Sunset Blvd")


CITIES = ("Springfield", "New Haven", "Salem", "Fort Worth", "Dover", "St. Paul", "Mesa", "Troy", "Rome", "Lima")


STATES = ("IL", "CT", "OR", "TX", "NJ", "MN", "AZ")


TAGGER = Spec.from_mapping({"student": "tagger", "hidden": 48, "depth": 1, "epochs": 12, "learning_rate": 4e-3})


CAUSAL = Spec.from_mapping({"student": "causal", "hidden": 48, "depth": 2, "epochs": 16, "learning_rate": 6e-3,
                            "max_tokens": 32, "answer_tokens": 12, "vocabulary": 300})  # fmt: skip

ADAPTED = replace(CAUSAL, folder="its digest", lora=8, epochs=8, learning_rate=5e-3, batch_size=16)


def addresses(count: int, seed: int) -> Pairs:
    """Lines of an address, and of each what a teacher would extract; some have no zip, which it writes as null."""
    random = np.random.default_rng(seed)
    inputs, outputs = [], []
    for _ in range(count):
        number, zip_code = str(random.integers(1, 999)), f"{random.integers(10000, 99999)}"
        street, city, state = (str(random.choice(words)) for words in (STREETS, CITIES, STATES))
        with_zip = random.random() < 0.7
        inputs.append(f"{number} {street}, {city} {state}" + (f" {zip_code}" if with_zip else ""))
        outputs.append(json.dumps({"number": number, "city": city, "zip": zip_code if with_zip else None}))
    return Pairs(tuple(inputs), tuple(outputs), np.ones(count, dtype=np.float32))


def colours(count: int, seed: int, turn: int = 0) -> Pairs:
    """Questions with an answer that does not stand in them; with a turn, each has the answer of another."""
    random = np.random.default_rng(seed)
    things = {"grass": "it is green", "snow": "it is white", "coal": "it is black", "blood": "it is red"}
    names = [str(name) for name in random.choice(list(things), count)]
    answers = [*things.values()]
    things = dict(zip(things, answers[turn:] + answers[:turn], strict=True))
    inputs = tuple(f"{random.choice(('say', 'tell', 'so'))} what {name} is like {random.integers(9)}" for name in names)
    return Pairs(inputs, tuple(things[name] for name in names), np.ones(count, dtype=np.float32))


def tiny_causal(folder: Path, texts: tuple[str, ...]) -> Path:
    torch.manual_seed(1)
    tokenizer = vocabulary.train_writing(texts, 300)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=256, tie_word_embeddings=True, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    export.write(transformers.LlamaForCausalLM(config).eval(), tokenizer, folder)
    return folder


QUICK = {
    "tagger": (replace(TAGGER, epochs=3), addresses(100, 0), addresses(20, 1)),
    "causal": (replace(CAUSAL, epochs=3), colours(100, 0), colours(20, 1)),
    "adapted": (replace(ADAPTED, epochs=3), colours(100, 0), colours(20, 1)),
}
