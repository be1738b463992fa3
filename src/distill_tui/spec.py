"""What determines a run: the screens edit it, a worker reads it, a bundle keeps it as the recipe.

Standard library and `terms` only; frozen; to and from JSON. Two runs with the same spec, data and thread count
give the same weights. A spec trains one student, or climbs a ladder of them, cheapest first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum

from distill_tui.terms import Control, Export, StudentKind

# What suits each kind where nothing else is said; found by trial on short texts, and any of it can be given.
RECIPES: dict[StudentKind, dict[str, object]] = {
    StudentKind.NGRAM: {"learning_rate": 0.01, "epochs": 8, "batch_size": 64, "temperature": 1.0},
    StudentKind.STATIC: {"learning_rate": 3e-3, "epochs": 6, "hidden": 256},
    StudentKind.SCRATCH: {"learning_rate": 1e-3, "epochs": 4},
    StudentKind.LAYERS: {},
    StudentKind.FOLDER: {},
}
_COST = list(RECIPES)  # cheapest first


@dataclass(frozen=True)
class Spec:
    """How one student is trained, and what is trained beside it to compare it with."""

    student: StudentKind = StudentKind.LAYERS
    folder: str = ""  # the model that a student of kind folder starts from: its digest, once the run is queued
    layers: tuple[int, ...] = (0, 5)  # which of the teacher's layers the student starts from (student = layers)
    hidden: int = 128  # width of a student that starts from scratch, or of static embeddings
    depth: int = 2  # layers of a student that starts from scratch
    vocabulary: int = 8192  # the most tokens kept of the teacher's tokenizer, by count in the training rows
    max_tokens: int = 96  # longer inputs are cut
    temperature: float = 2.0  # softens both distributions (Hinton et al. 2015)
    alpha: float = 0.7  # weight of the teacher's soft labels against the hard labels
    logit_mse: float = 0.0  # weight of the squared distance from the teacher's logits
    hidden_cosine: float = 0.0  # weight of the distance from the teacher's hidden states; for students of its layers
    learning_rate: float = 6e-4
    batch_size: int = 32
    epochs: int = 2
    patience: int = 2  # epochs without a better validation score before the run stops early
    seed: int = 7
    threads: int = 1  # torch threads; recorded, because latency and bits depend on it
    ladder: tuple[str, ...] = ()  # students to try, like "ngram", "static", "layers 0 5"; empty: the one above
    enough: float = 0.97  # the share of the teacher's validation score at which the climb stops
    export: Export = Export.SAFETENSORS  # the form that ships, and that the gate judges
    controls: tuple[Control, ...] = (Control.HARD,)  # the same student without the teacher's soft labels
    probe: bool = False  # also train on a quarter and a half of the rows, to see whether more data would help

    def to_json(self) -> str:
        """Give the canonical JSON text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Read `to_json` back. Raises ValueError with one sentence."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("A training spec is a JSON object, and this is no JSON.") from None
        if not isinstance(values, dict):
            raise ValueError("A training spec is a JSON object of names and values.")
        return cls.from_mapping(values)

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Spec:
        """Build from words and numbers, as a command or a form gives them; unknown names are errors."""
        known = {field.name: field for field in fields(cls)}
        read: dict[str, object] = {}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"A training spec has no {name[:60]!r}; it has {', '.join(known)}.")
            read[name] = _read(name, value, getattr(cls, name))
        kind = read.get("student", cls.student)
        spec = cls(**(RECIPES[kind] | read))  # type: ignore[index, arg-type]
        problem = spec.problem()
        if problem:
            raise ValueError(problem)
        return spec

    @property
    def distils(self) -> bool:
        """Whether anything of the teacher is learnt from beyond labels."""
        return self.alpha > 0 or self.logit_mse > 0 or self.hidden_cosine > 0

    @property
    def soft_terms(self) -> tuple[str, ...]:
        """The weights above zero that need the teacher's probabilities."""
        return tuple(name for name in ("alpha", "logit_mse") if getattr(self, name) > 0)

    @property
    def needs_layers(self) -> bool:
        """Whether a student of it starts from layers of the teacher."""
        return any(rung.student is StudentKind.LAYERS for rung in self.rungs())

    @property
    def rung(self) -> str:
        """The words for this student in a ladder."""
        layers = " ".join(map(str, self.layers)) if self.student is StudentKind.LAYERS else ""
        return f"{self.student} {layers}".strip()

    def rungs(self) -> tuple[Spec, ...]:
        """Give the specs of the ladder, cheapest first; without a ladder, the one student."""
        if not self.ladder:
            return (self,)
        found = [replace(_rung(self, words), ladder=()) for words in self.ladder]
        return tuple(sorted(found, key=lambda one: (_COST.index(one.student), len(one.layers))))

    def kept(self, rung: str) -> Spec:
        """Give the spec of the one student that a run kept, by the words of its rung; its other arms are left out."""
        chosen = next((one for one in self.rungs() if one.rung == rung), self.rungs()[0])
        return replace(chosen, controls=(), probe=False)

    def control(self, control: Control) -> Spec:
        """Give the spec of a control arm: the same student on hard labels only. Which labels is for the rows to say."""
        alone = {"alpha": 0.0, "logit_mse": 0.0, "hidden_cosine": 0.0, "controls": (), "probe": False}
        return replace(self, **alone)  # type: ignore[arg-type]

    def problem(self) -> str | None:
        """Say what makes the spec impossible, in one sentence, or nothing."""
        return self._out_of_range() or self._contradiction() or _ladder_problem(self)

    def _out_of_range(self) -> str | None:
        if not 0 <= self.alpha <= 1:
            return f"alpha is {self.alpha:g}; it is a weight from 0 to 1."
        if not self.temperature > 0:
            return f"temperature is {self.temperature:g}; it must be above 0."
        if not 0 < self.learning_rate < 1:
            return f"learning_rate is {self.learning_rate:g}; it must lie between 0 and 1."
        if not 0 < self.enough <= 1:
            return f"enough is {self.enough:g}; it is a share of the teacher's score, above 0 and at most 1."
        for name in ("logit_mse", "hidden_cosine"):
            if not 0 <= getattr(self, name) <= 1000:
                return f"{name} is {getattr(self, name):g}; it is a weight from 0 to 1000."
        for name in ("hidden", "depth", "vocabulary", "max_tokens", "batch_size", "epochs", "patience", "threads"):
            if getattr(self, name) < 1:
                return f"{name} is {getattr(self, name)}; it must be 1 or more."
        return None

    def _contradiction(self) -> str | None:
        if self.student is StudentKind.LAYERS and not self.layers:
            return "layers names no layer of the teacher; name at least one, like 0,5."
        if self.student is StudentKind.FOLDER and not self.folder:
            return "A student of kind folder starts from a local model; name its folder, like folder=models/mini."
        if self.hidden_cosine > 0 and self.student is not StudentKind.LAYERS and not self.ladder:
            return (
                f"hidden_cosine is {self.hidden_cosine:g}, and no layer of a {self.student} student corresponds to one "
                "of the teacher's; give hidden_cosine=0, or train a student of the teacher's layers."
            )
        return None


def _rung(spec: Spec, words: str) -> Spec:
    """Read one rung, like "static" or "layers 0 5": that kind's recipe over the spec that names the ladder."""
    kind, *layers = words.split()
    chosen: dict[str, object] = {"student": StudentKind(kind), **RECIPES[StudentKind(kind)]}
    if layers:
        chosen["layers"] = tuple(int(layer) for layer in layers)
    if chosen["student"] is not StudentKind.LAYERS:
        chosen["hidden_cosine"] = 0.0
    return replace(spec, **chosen)  # type: ignore[arg-type]


def _ladder_problem(spec: Spec) -> str | None:
    for words in spec.ladder:
        try:
            rung = _rung(spec, words)
        except (ValueError, IndexError):
            kinds = ", ".join(StudentKind)
            return f"'{words}' is no rung; write a kind ({kinds}), and for layers their numbers, like 'layers 0 5'."
        if rung.student is not StudentKind.LAYERS and len(words.split()) > 1:
            return f"'{words}' is no rung; only layers takes numbers."
        problem = rung._out_of_range() or rung._contradiction()
        if problem:
            return f"The rung '{words}' cannot be trained: {problem}"
    return None


def _read(name: str, value: object, example: object) -> object:
    try:
        if isinstance(example, bool):
            return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]
        if isinstance(example, tuple):
            parts = value.split(",") if isinstance(value, str) else value
            words = [str(part).strip() for part in parts]  # type: ignore[attr-defined]
            return tuple(_PARTS[name](word) for word in words if word)
        return type(example)(str(value))  # type: ignore[call-arg]
    except (TypeError, ValueError, KeyError):
        words_of = Control if name == "controls" else type(example)
        kinds = ", ".join(words_of) if issubclass(words_of, StrEnum) else f"a value like {example}"
        raise ValueError(f"'{value}' is no {name}; give {kinds}.") from None


_PARTS: dict[str, Callable[[str], object]] = {"layers": int, "ladder": str, "controls": Control}
