"""How a stranger runs a student with standard tools: a short program for each form in which it ships (text only).

The model card prints the one that fits, a test runs each where this package cannot be imported, and the cold start
of a student is measured by running it. Each defines `predict(text)`, which gives every label's probability.
"""

from __future__ import annotations

TRANSFORMERS = """\
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("model")
model = AutoModelForSequenceClassification.from_pretrained("model")


def predict(text):
    with torch.inference_mode():
        logits = model(**tokenizer(text, truncation=True, return_tensors="pt")).logits[0]
    return dict(zip(model.config.id2label.values(), logits.softmax(0).tolist()))
"""

ONNX = """\
import json, pathlib
import numpy, onnxruntime, tokenizers

folder = pathlib.Path("model")
labels = json.loads((folder / "config.json").read_text())["id2label"]
most = json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"]
tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.enable_truncation(most)
session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


def predict(text):
    ids = numpy.array([tokenizer.encode(text).ids])
    logits = session.run(None, {"input_ids": ids, "attention_mask": numpy.ones_like(ids)})[0][0]
    shares = numpy.exp(logits - logits.max())
    return dict(zip(labels.values(), (shares / shares.sum()).tolist()))
"""

NGRAM = '''\
import functools, json, pathlib, re
import numpy
from safetensors.numpy import load_file

folder = pathlib.Path("model")
settings = json.loads((folder / "config.json").read_text())
row_of = {name: row for row, name in enumerate(json.loads((folder / "ngrams.json").read_text()))}
tensors = load_file(folder / "model.safetensors")  # weight (n-grams, labels), rarity (n-grams,), bias (labels,)


@functools.lru_cache(20_000)  # looking up a word is most of the work, and texts repeat their words
def of_word(word):
    """The rows of a word, and of the letters inside it, its ends marked by < and >, after a #."""
    ends, sizes = f"<{word}>", range(settings["shortest"], settings["longest"] + 1)
    inside = ["#" + ends[at : at + size] for size in sizes for at in range(len(ends) - size + 1)]
    return frozenset(row_of[name] for name in [word, *inside] if name in row_of)


def predict(text):
    words = re.findall(r"\\w+|[^\\w\\s]", text.lower())[: settings["most_words"]]
    pairs = [f"{one} {two}" for one, two in zip(words, words[1:])]
    rows = sorted({row_of[name] for name in pairs if name in row_of}.union(*map(of_word, words)))
    each = tensors["rarity"][rows]
    logits = each @ tensors["weight"][rows] / (numpy.sqrt(each @ each) or 1) + tensors["bias"]
    shares = numpy.exp(logits - logits.max())
    return dict(zip(settings["id2label"].values(), (shares / shares.sum()).tolist()))
'''

BY_FORM = {"transformers": TRANSFORMERS, "onnx": ONNX, "ngram": NGRAM}
