"""The forms in which students ship, each with a short program that runs it with standard tools only (text only).

The model card prints the program, a test runs each where this package cannot be imported, and a student's cold start is
measured by running it. Each defines `predict(text)`, which returns every label's probability, or the answer of a
student that writes; of an input that is a pair, `predict(first, second)`.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from distill_tui.tasks import json_shape, normalise

TRANSFORMERS = """\
import json, pathlib
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder = pathlib.Path("model")
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder)
reading = folder / "reading.json"  # where it says so, a longer text is read in windows, and their logits are averaged
windows = reading.is_file() and json.loads(reading.read_text()).get("windows")
room = tokenizer.model_max_length - len(tokenizer("")["input_ids"])
more = {"stride": room // 4, "return_overflowing_tokens": True, "padding": True} if windows else {}


def predict(text, second=None):
    if second and windows:
        text, second = f"{text}\\n{second}", None
    parts = tokenizer(text, second, truncation=True, return_tensors="pt", **more)
    parts.pop("overflow_to_sample_mapping", None)
    with torch.inference_mode():
        logits = model(**parts).logits.mean(0)
    names = model.config.id2label
    return dict(zip([names[number] for number in range(len(names))], logits.softmax(0).tolist()))
"""

ONNX = """\
import json, pathlib
import numpy, onnxruntime, tokenizers

folder = pathlib.Path("model")
names = json.loads((folder / "config.json").read_text())["id2label"]
labels = [names[str(number)] for number in range(len(names))]  # a file may have 10 before 2
most = json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"]
tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
reading = folder / "reading.json"  # where it says so, a longer text is read in windows, and their logits are averaged
windows = reading.is_file() and json.loads(reading.read_text()).get("windows")
room = most - len(tokenizer.encode("").ids)
tokenizer.enable_truncation(most, stride=room // 4 if windows else 0)
session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


def logits_of(part):
    ids = numpy.array([part.ids])
    return session.run(None, {"input_ids": ids, "attention_mask": numpy.ones_like(ids)})[0][0]


def predict(text, second=None):
    if second and windows:
        text, second = f"{text}\\n{second}", None
    whole = tokenizer.encode(text, second)
    parts = [whole, *whole.overflowing] if windows else [whole]
    logits = numpy.mean([logits_of(part) for part in parts], axis=0)
    shares = numpy.exp(logits - logits.max())
    return dict(zip(labels, (shares / shares.sum()).tolist()))
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


def words_in(text, second):
    """The words of a text; of a pair, those of the second marked, then those in both, and how many of ten are."""
    most, cut = settings["most_words"], functools.partial(re.findall, r"\\w+|[^\\w\\s]")
    words, more = cut(text.lower()), cut(second.lower())
    if not more:
        return words[:most]
    words = words[: max(most - len(more), most // 2)]
    more = more[: most - len(words)]
    both = sorted({*words} & {*more})
    shared = [*(f"=:{word}" for word in both), f"={10 * len(both) // len({*more})}"]
    return [*words, *(f"2:{word}" for word in more), *shared]


def predict(text, second=""):
    words = words_in(text, second)
    pairs = [f"{one} {two}" for one, two in zip(words, words[1:])]
    rows = sorted({row_of[name] for name in pairs if name in row_of}.union(*map(of_word, words)))
    each = tensors["rarity"][rows]
    logits = each @ tensors["weight"][rows] / (numpy.sqrt(each @ each) or 1) + tensors["bias"]
    shares = numpy.exp(logits - logits.max())
    names = settings["id2label"]  # the file may have 10 before 2
    return dict(zip([names[str(number)] for number in range(len(names))], (shares / shares.sum()).tolist()))
'''

FROZEN = """\
import json, pathlib
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

folder = pathlib.Path("model")
tokenizer = AutoTokenizer.from_pretrained(folder)
encoder = AutoModel.from_pretrained(folder)
head = load_file(folder / "head.safetensors")
config = json.loads((folder / "config.json").read_text())
labels = [config["id2label"][str(number)] for number in range(len(config["id2label"]))]
reading = folder / "reading.json"  # where it says so, a longer text is read in windows, and their logits are averaged
windows = reading.is_file() and json.loads(reading.read_text()).get("windows")
room = tokenizer.model_max_length - len(tokenizer("")["input_ids"])
more = {"stride": room // 4, "return_overflowing_tokens": True} if windows else {}


def predict(text, second=None):
    if second and windows:
        text, second = f"{text}\\n{second}", None
    parts = tokenizer(text, second, truncation=True, return_token_type_ids=False, **more)["input_ids"]
    with torch.inference_mode():
        logits = torch.stack([logits_of(ids) for ids in (parts if windows else [parts])]).mean(0)
    return dict(zip(labels, logits.softmax(0).tolist()))


def logits_of(ids):
    states = encoder(torch.tensor([ids]))[0][0]  # (tokens, width)
    vector = states[0] if config["reads_first_token"] else states.mean(0)
    if "dense.weight" in head:
        vector = torch.nn.functional.gelu(head["dense.weight"] @ vector + head["dense.bias"])
    return head["classifier.weight"] @ vector + head["classifier.bias"]
"""

TAGGER = (
    inspect.getsource(normalise).partition('"""\n\n')[2]
    + """

import pathlib

import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

folder = pathlib.Path("model")
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForTokenClassification.from_pretrained(folder).requires_grad_(False)
shape = json.loads((folder / "answer.json").read_text())
chosen = [field for field in shape["fields"] if field["reads"] == "choice"]  # from a closed set, by all tokens' votes
marked = [field for field in shape["fields"] if field["reads"] != "choice"]


def read(ids, special):  # the logits of each token; of one that stands in several windows, their mean
    own = (~special).nonzero()[:, 0].tolist()
    head, end = (own[0], own[-1] + 1) if own else (0, len(ids))
    room, starts = tokenizer.model_max_length - head - len(ids) + end if shape.get("windows") else end, [head]
    while starts[-1] + room < end:
        starts.append(starts[-1] + room - room // 4)
    summed, times = torch.zeros(len(ids), model.config.num_labels), torch.zeros(len(ids), 1)
    for start in starts:
        where = [*range(head), *range(start, min(start + room, end)), *range(end, len(ids))]
        summed[where] += model(ids[where][None]).logits[0]
        times[where] += 1
    return summed / times


def predict(*texts):
    text, values = "\\n".join(texts).encode("utf-8", "replace").decode(), {}
    how = {"split_special_tokens": True, "return_tensors": "pt", "truncation": not shape.get("windows")}
    cut = tokenizer(text, **how, return_offsets_mapping=True, return_special_tokens_mask=True)  # none are in a text
    at, special = cut.pop("offset_mapping")[0].tolist(), cut.pop("special_tokens_mask")[0].bool()
    inside = {end for end in range(1, len(text)) if shape["whole"] and text[end - 1 : end + 1].isalnum()}  # of words
    opens, closes = (~special & torch.tensor([ends[side] not in inside for ends in at]) for side in (0, 1))
    logits = read(cut["input_ids"][0], special).double()
    column = 1 + 2 * len(marked)
    shares = logits[:, :column].softmax(-1).clamp_min(1e-9)  # 0: outside; 2k + 1: marked field k begins
    for field in chosen:
        names = ["", *field["choices"]]
        each = logits[:, column : column + len(names)].logsumexp(0)
        values[field["name"]] = names[int(each[1:].argmax()) + 1 if field["always"] else int(each.argmax())]
        column += len(names)
    for field, begin, goes_on in zip(marked, shares.T[1::2], shares.T[2::2]):
        may = [opens, closes]
        if field["reads"]:  # a value of this kind begins, and ends, only where one stands
            spans = found_in(text, field["reads"], field["form"])
            for side, places in enumerate(({first for first, _, _ in spans}, {last - 1 for _, last, _ in spans})):
                may[side] = may[side] & torch.tensor([not places.isdisjoint(range(*ends)) for ends in at])
        neither = (1 - begin - goes_on).clamp_min(1e-9)
        on = (goes_on / neither).log().cumsum(0)
        score, start = ((begin / neither).log().masked_fill(~may[0], -1e9) - on).cummax(0)
        gain, last = (score + on).masked_fill(~may[1], -1e9).max(0)  # the likeliest span; below 0, none is likelier
        ends = (at[start[last]][0], at[last][1]) if gain > (-5e8 if field["always"] else 0) else (0, 0)
        if field["reads"]:
            values[field["name"]] = nearest(text, *ends, field["reads"], field["form"]) or ""
        else:
            values[field["name"]] = getattr(text[slice(*ends)].strip(), field["letters"])()
    if not shape["json"]:
        return values[""]
    pairs = []
    for field in shape["fields"]:
        found, nothing = values[field["name"]], {"missing": None, "null": "null", "empty": '""'}[field["absent"]]
        plain = r"-?(0|[1-9]\\d*)(\\.\\d+)?([eE][-+]?\\d+)?|true|false"
        bare = field["bare"] and re.fullmatch(plain, found)
        said = nothing if not found else found if bare else json.dumps(found, ensure_ascii=False)
        pairs += [(field["name"].split(INSIDE), said)] if said else []
    return nested(pairs) if pairs else "{}"
"""
)

CAUSAL = (
    inspect.getsource(json_shape).partition("import annotations\n\n")[2]
    + """

import pathlib

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = pathlib.Path("model")
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
asked = json.loads((folder / "answer.json").read_text())
before, after = asked["template"].split("{input}", 1)
shape, end = asked.get("shape"), tokenizer.eos_token_id  # the shape of JSON answers, which every answer keeps to
grammar = Grammar(shape) if shape else None
printed = [*range(33, 127), *range(161, 173), *range(174, 256)]  # bytes that the vocabulary writes as they are
hidden = [byte for byte in range(256) if byte not in printed]
known = {**{chr(byte): byte for byte in printed}, **{chr(256 + at): byte for at, byte in enumerate(hidden)}}
special, kept = tokenizer.added_tokens_decoder, {}
pieces = {token: bytes(map(known.get, piece)) for piece, token in tokenizer.get_vocab().items()
          if shape and piece and token not in special}


def tokens(text, **how):
    return tokenizer(text, add_special_tokens=False, **how)["input_ids"] if text else []


def predict(*texts):
    text = "\\n".join(texts).encode("utf-8", "replace").decode()
    middle = tokens(text, split_special_tokens=True)[: asked["max_tokens"]]  # special tokens are plain text
    ids = torch.tensor([[*tokens(before), *middle, *tokens(after)]])

    def possible(row, said):
        state = grammar.walk(grammar.start, b"".join(pieces.get(int(token), b"") for token in said[ids.shape[1] :]))
        if state not in kept:
            found = [token for token, piece in pieces.items() if grammar.walk(state, piece) is not None]
            kept[state] = found or [end]
        return kept[state]

    ends = {"eos_token_id": end, "pad_token_id": end, **({"prefix_allowed_tokens_fn": possible} if shape else {})}
    said = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=asked["answer_tokens"], **ends
    )
    return tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True).strip()
"""
)

CAUSAL_LABELS = """\
import json, pathlib
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = pathlib.Path("model")
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
asked = json.loads((folder / "labels.json").read_text())
before, after = asked["template"].split("{input}", 1)


def tokens(text, **how):
    return tokenizer(text, add_special_tokens=False, **how)["input_ids"] if text else []


def predict(*texts):
    text = "\\n".join(texts).encode("utf-8", "replace").decode()
    middle, most = tokens(text, split_special_tokens=True), asked["max_tokens"]  # special tokens are plain text
    starts = [0]
    while asked.get("windows") and starts[-1] + most < len(middle):  # else what is longer is cut
        starts.append(starts[-1] + most - most // 4)
    logs = torch.tensor([logs_of(middle[start : start + most]) for start in starts]).mean(0) / asked["temperature"]
    return {model.config.id2label[number]: share for number, share in enumerate(logs.softmax(0).tolist())}


def logs_of(middle):
    prompt, logits, logs = [*tokens(before), *middle, *tokens(after)], {}, []
    for label in asked["tokens"]:
        log = 0.0
        for at in range(len(label)):  # only tokens on the way to a label are possible
            path, possible = label[:at], {each[at] for each in asked["tokens"] if each[:at] == label[:at]}
            if len(possible) > 1:
                if tuple(path) not in logits:
                    logits[tuple(path)] = model(torch.tensor([[*prompt, *path]])).logits[0, -1].detach()
                next_one = sorted(possible)
                log += logits[tuple(path)][next_one].log_softmax(0)[next_one.index(label[at])].item()
        logs.append(log)
    return logs
"""


_SOFTMAX = {  # what makes probabilities of logits in a program, and the same for labels that are each for themselves
    "logits.softmax(0).tolist()": "logits.sigmoid().tolist()",
    "shares = numpy.exp(logits - logits.max())": "shares = 1 / (1 + numpy.exp(-logits))",
    "(shares / shares.sum()).tolist()": "shares.tolist()",
}
_ANSWER = """

thresholds = json.loads((folder / "config.json").read_text()).get("thresholds")


def answer(text):
    shares = predict(text)
    least = thresholds or [0.5] * len(shares)  # from which probability on a label is in the answer
    return sorted(label for (label, share), enough in zip(shares.items(), least) if share >= enough)
"""
_MEDIAN = """

def answer(text):
    shares, reached = predict(text), 0  # of the levels, from the lowest; the answer is where half is reached
    for level, share in shares.items():
        reached += share
        if reached >= 0.5 - 1e-9:
            return level
    return level
"""
_MEAN = """

def answer(text):
    shares = predict(text)  # of points of the range, each named with a ~; the answer is their mean
    return sum(float(label[1:]) * share for label, share in shares.items()) / sum(shares.values())
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

    def program_for(self, *, several: bool, scale: str = "") -> str:
        """Return the program; where an answer is a set of labels or a score, it also defines `answer(text)`.

        `scale` is "levels" or "range" for a student of scores.
        """
        if not several:
            return self.program + {"": "", "levels": _MEDIAN, "range": _MEAN}[scale]
        text = self.program
        for softmax, sigmoid in _SOFTMAX.items():
            text = text.replace(softmax, sigmoid)
        return text + _ANSWER


FORMS = {
    "onnx": Form("onnx", ONNX, marker="model.onnx"),
    "ngram": Form("ngram_vocabulary", NGRAM, marker="ngrams.json"),
    "frozen": Form("frozen", FROZEN, marker="head.safetensors"),
    "causal_labels": Form("causal_labels", CAUSAL_LABELS, marker="labels.json"),
    "transformers": Form("encoder", TRANSFORMERS, marker="config.json"),
    "tagger": Form("tagger", TAGGER),
    "causal": Form("causal", CAUSAL),
}
