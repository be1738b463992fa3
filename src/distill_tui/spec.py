"""What determines a run: the screens edit it, a worker reads it, a bundle keeps it as the recipe.

Standard library and `terms` only; frozen; to and from JSON. Two runs with the same spec, data and thread count
give the same weights. A spec trains one student, or climbs a ladder of them, cheapest first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum

from distill_tui.digests import sorted_json
from distill_tui.terms import Control, Export, StudentKind

# What suits each kind where nothing else is said; found by trial on short texts, and any of it can be given.
RECIPES: dict[StudentKind, dict[str, object]] = {
    StudentKind.NGRAM: {"learning_rate": 0.01, "epochs": 8, "batch_size": 64, "temperature": 1.0},
    StudentKind.STATIC: {"learning_rate": 3e-3, "epochs": 6, "hidden": 256},
    StudentKind.SCRATCH: {"learning_rate": 1e-3, "epochs": 4},
    StudentKind.LAYERS: {},
    StudentKind.FOLDER: {},
    StudentKind.TAGGER: {"learning_rate": 1e-3, "epochs": 20, "patience": 5, "vocabulary": 512},
    StudentKind.CAUSAL: {"learning_rate": 1e-3, "epochs": 20, "patience": 5, "vocabulary": 2048},
}
# Where nothing else is said, students that generate learn from the teacher's texts alone, in all layers of a folder.
GENERATING: dict[str, object] = {"alpha": 0.0, "layers": (), "controls": (Control.GOLD,)}
_COST = list(RECIPES)  # cheapest first
LAYERED = (StudentKind.LAYERS, StudentKind.TAGGER, StudentKind.CAUSAL)  # kinds whose rung may name layers
COUNTS = (
    *("hidden", "depth", "vocabulary", "max_tokens", "answer_tokens"),
    *("batch_size", "epochs", "patience", "threads"),
)
LATER: dict[str, object] = {"answer_tokens": 64}  # fields that the first release had not, with their defaults


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
    answer_tokens: int = 64  # the most tokens of an answer that is written
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
        """Give the canonical JSON text; what came later than the first release is in it where it is not the default."""
        values = {name: value for name, value in asdict(self).items() if name not in LATER or value != LATER[name]}
        return sorted_json(values)

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
        first = _kinds(read.get("ladder", ()))[:1] or [cls.student]  # type: ignore[arg-type]
        kind = read.setdefault("student", first[0] if first[0].generates else cls.student)
        recipe = RECIPES[kind] | (GENERATING if kind.generates else {})  # type: ignore[index, attr-defined]
        spec = cls(**(recipe | read))  # type: ignore[arg-type]
        problem = spec.problem()
        if problem:
            raise ValueError(problem)
        return spec

    @property
    def distils(self) -> bool:
        """Whether anything of the teacher is learnt from beyond labels: its texts are, by students that generate."""
        return self.generates or self.alpha > 0 or self.logit_mse > 0 or self.hidden_cosine > 0

    @property
    def soft_terms(self) -> tuple[str, ...]:
        """The weights above zero that need the teacher's probabilities."""
        return tuple(name for name in ("alpha", "logit_mse") if getattr(self, name) > 0)

    @property
    def generates(self) -> bool:
        """Whether its students answer with a text rather than with a label."""
        return self.student.generates if not self.ladder else any(kind.generates for kind in _kinds(self.ladder))

    @property
    def needs_layers(self) -> bool:
        """Whether a student of it starts from layers of the teacher."""
        return any(rung.student is StudentKind.LAYERS for rung in self.rungs())

    @property
    def rung(self) -> str:
        """The words for this student in a ladder."""
        layers = " ".join(map(str, self.layers)) if self.student in LAYERED else ""
        whole = "folder" if self.student.generates and self.folder else ""
        return f"{self.student} {layers or whole}".strip()

    def rungs(self) -> tuple[Spec, ...]:
        """Give the specs of the ladder, cheapest first; without a ladder, the one student."""
        if not self.ladder:
            return (self,)
        found = [replace(_rung(self, words), ladder=()) for words in self.ladder]
        return tuple(sorted(found, key=lambda one: one._cost))

    @property
    def _cost(self) -> tuple[int, bool, int]:
        """Order by what a student costs to run: its kind, whether it has all layers of a folder, how many it has."""
        return _COST.index(self.student), bool(self.folder) and not self.layers, len(self.layers)

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
        for name in COUNTS:
            if getattr(self, name) < 1:
                return f"{name} is {getattr(self, name)}; it must be 1 or more."
        return None

    def _contradiction(self) -> str | None:
        if self.student is StudentKind.LAYERS and not self.layers:
            return "layers names no layer of the teacher; name at least one, like 0,5."
        if self.student is StudentKind.FOLDER and not self.folder:
            return "A student of kind folder starts from a local model; name its folder, like folder=models/mini."
        if self.student.generates:
            return self._unfit_to_generate()
        if self.hidden_cosine > 0 and self.student is not StudentKind.LAYERS and not self.ladder:
            return (
                f"hidden_cosine is {self.hidden_cosine:g}, and no layer of a {self.student} student corresponds to one "
                "of the teacher's; give hidden_cosine=0, or train a student of the teacher's layers."
            )
        return None

    def _unfit_to_generate(self) -> str | None:
        kind = self.student
        if self.layers and not self.folder:
            return f"layers are of a local model, and a {kind} without one starts from random weights; name its folder."
        if self.alpha > 0 and kind is StudentKind.TAGGER:
            return f"alpha is {self.alpha:g}, and a tagger learns from the teacher's texts alone; give alpha=0."
        for name in ("logit_mse", "hidden_cosine"):
            if getattr(self, name) > 0:
                return f"{name} is {getattr(self, name):g}, and a {kind} does not learn by it; give {name}=0."
        if self.export is not Export.SAFETENSORS:
            return f"A {kind} ships as safetensors; {self.export} is for classifiers."
        return None


def _kinds(ladder: Sequence[str]) -> list[StudentKind]:
    """Name the kinds in a ladder; what is none is left to `_ladder_problem`."""
    first = [words.split()[0] for words in ladder if words.split()]
    return [StudentKind(word) for word in first if word in list(StudentKind)]


def _rung(spec: Spec, words: str) -> Spec:
    """Read one rung, like "static" or "layers 0 5": that kind's recipe over the spec that names the ladder.

    A kind that generates starts from the folder where its rung says so: "causal folder", "causal 0 5".
    """
    name, *layers = words.split()
    kind = StudentKind(name)
    chosen: dict[str, object] = {"student": kind, **RECIPES[kind]}
    if kind.generates:
        chosen |= {"layers": ()} | ({} if layers else {"folder": ""})
        layers = [] if layers == ["folder"] else layers
    if kind is StudentKind.TAGGER:
        chosen["alpha"] = 0.0
    if layers:
        chosen["layers"] = tuple(int(layer) for layer in layers)
    if kind is not StudentKind.LAYERS:
        chosen["hidden_cosine"] = 0.0
    return replace(spec, **chosen)  # type: ignore[arg-type]


def _ladder_problem(spec: Spec) -> str | None:
    for words in spec.ladder:
        try:
            rung = _rung(spec, words)
        except (ValueError, IndexError):
            kinds = ", ".join(StudentKind)
            return f"'{words}' is no rung; write a kind ({kinds}), and for layers their numbers, like 'layers 0 5'."
        if rung.student not in LAYERED and len(words.split()) > 1:
            return f"'{words}' is no rung; only {', '.join(LAYERED)} take numbers."
        problem = rung._out_of_range() or rung._contradiction()
        if problem:
            return f"The rung '{words}' cannot be trained: {problem}"
    if len({kind.generates for kind in _kinds(spec.ladder)}) > 1:
        words, labels = (", ".join(kind for kind in StudentKind if kind.generates is each) for each in (True, False))
        return f"A ladder has rungs of one task: {words} write an answer, and {labels} choose a label."
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
