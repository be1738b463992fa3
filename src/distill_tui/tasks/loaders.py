"""The forms in which students ship, each with a short program that runs it with standard tools only (text only).

The model card prints the program, a test runs each where this package cannot be imported, and a student's cold start is
measured by running it. Each defines `predict(text)`, which returns every label's probability, or the answer of a
student that writes.
"""

from __future__ import annotations

from dataclasses import dataclass

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

TAGGER = """\
import json, pathlib, re
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

folder = pathlib.Path("model")
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForTokenClassification.from_pretrained(folder).requires_grad_(False)
shape = json.loads((folder / "answer.json").read_text())


def predict(text):
    text, answer, more = text.encode("utf-8", "replace").decode(), [], ("offsets_mapping", "special_tokens_mask")
    how = {"truncation": True, "split_special_tokens": True, "return_tensors": "pt"}  # special tokens are plain text
    cut = tokenizer(text, **how, **{f"return_{name}": True for name in more})
    at, special = cut.pop("offset_mapping")[0].tolist(), cut.pop("special_tokens_mask")[0].bool()
    inside = {end for end in range(1, len(text)) if shape["whole"] and text[end - 1 : end + 1].isalnum()}  # of words
    opens, closes = (~special & torch.tensor([ends[side] not in inside for ends in at]) for side in (0, 1))
    shares = model(**cut).logits[0].double().softmax(-1).clamp_min(1e-9)  # 0: outside; 2k + 1: field k begins
    for field, begin, goes_on in zip(shape["fields"], shares.T[1::2], shares.T[2::2]):
        neither = (1 - begin - goes_on).clamp_min(1e-9)
        on = (goes_on / neither).log().cumsum(0)
        score, start = ((begin / neither).log().masked_fill(~opens, -1e9) - on).cummax(0)
        gain, last = (score + on).masked_fill(~closes, -1e9).max(0)  # the likeliest span; below 0, none is likelier
        found = text[at[start[last]][0] : at[last][1]].strip() if gain > (-5e8 if field["always"] else 0) else ""
        value = getattr(found, field["letters"])()
        number = field["bare"] and re.fullmatch(r"-?(0|[1-9]\\d*)(\\.\\d+)?([eE][-+]?\\d+)?", found)
        nothing = {"missing": None, "null": "null", "empty": '""'}[field["absent"]]
        answer.append(nothing if not found else found if number else json.dumps(value, ensure_ascii=False))
    pairs = [(json.dumps(f["name"], ensure_ascii=False), said) for f, said in zip(shape["fields"], answer) if said]
    return "{" + ", ".join(f"{name}: {said}" for name, said in pairs) + "}" if shape["json"] else value
"""

CAUSAL = """\
import json, pathlib
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = pathlib.Path("model")
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
asked = json.loads((folder / "answer.json").read_text())
before, after = asked["template"].split("{input}", 1)


def tokens(text, **how):
    return tokenizer(text, add_special_tokens=False, **how)["input_ids"] if text else []


def predict(text):
    text = text.encode("utf-8", "replace").decode()
    middle = tokens(text, split_special_tokens=True)[: asked["max_tokens"]]  # special tokens are plain text
    ids = torch.tensor([[*tokens(before), *middle, *tokens(after)]])
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.eos_token_id}
    said = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=asked["answer_tokens"], **ends
    )
    return tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True).strip()
"""


@dataclass(frozen=True)
class Form:
    """A form in which a student ships."""

    module: str  # the module of `training.students` that opens such a folder
    program: str
    marker: str = ""  # the file that identifies it; a student that writes names its form in answer.json

    @property
    def writes(self) -> bool:
        return not self.marker


FORMS = {
    "onnx": Form("onnx", ONNX, marker="model.onnx"),
    "ngram": Form("ngram", NGRAM, marker="ngrams.json"),
    "transformers": Form("encoder", TRANSFORMERS, marker="config.json"),
    "tagger": Form("tagger", TAGGER),
    "causal": Form("causal", CAUSAL),
}
