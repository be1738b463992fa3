"""What determines a training run: the screens edit it, a worker reads it, a bundle keeps it as the recipe.

Standard library and `terms` only; frozen; to and from JSON. Two runs with the same spec, data and thread count have the
same weights. A spec trains one student, or climbs a ladder of them, cheapest first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum

from distill_tui.digests import sorted_json
from distill_tui.terms import Control, Export, StudentKind


@dataclass(frozen=True)
class StudentTraits:
    """What a spec needs to know about a kind of student; `training.students` has the rest."""

    recipe: Mapping[str, object] = field(default_factory=dict)  # defaults, found by trial on short texts
    exports: tuple[Export, ...] = (Export.SAFETENSORS, Export.ONNX_INT8)  # the forms in which it can ship
    takes_layers: bool = False  # whether a rung may name layers
    reads_windows: bool = True  # whether it can read a longer input in windows
    learns_probabilities: bool = True  # whether the teacher's probabilities can be learnt, not only its answers
    takes_folder: bool = False  # whether it can start from a local model folder
    needs_folder: bool = False  # whether it can start from nothing else
    takes_adapters: bool = False  # whether low-rank adapters of a folder's model can be trained instead of its weights
    fastest: Export = Export.SAFETENSORS  # of its forms, the one that answers fastest


# students that write their answers learn the teacher's answers alone by default, in all layers of a folder
_WRITES = {"alpha": 0.0, "layers": (), "controls": (Control.GOLD,), "learning_rate": 1e-3, "epochs": 20, "patience": 5}
STUDENTS: dict[StudentKind, StudentTraits] = {  # cheapest first
    StudentKind.NGRAM: StudentTraits(
        {"learning_rate": 0.01, "epochs": 8, "batch_size": 64, "temperature": 1.0}, exports=(), reads_windows=False
    ),
    StudentKind.STATIC: StudentTraits(
        {"learning_rate": 3e-3, "epochs": 6, "hidden": 256}, takes_folder=True, fastest=Export.ONNX_INT8
    ),
    StudentKind.SCRATCH: StudentTraits({"learning_rate": 1e-3, "epochs": 4}),
    StudentKind.LAYERS: StudentTraits(takes_layers=True),
    StudentKind.FROZEN: StudentTraits(
        {"learning_rate": 1e-3, "epochs": 30, "patience": 5, "batch_size": 64, "temperature": 1.0, "hidden": 256},
        takes_folder=True,
        needs_folder=True,
        fastest=Export.ONNX_INT8,
    ),
    StudentKind.FOLDER: StudentTraits(takes_folder=True, needs_folder=True),
    StudentKind.CAUSAL_LABELS: StudentTraits(
        {"layers": (), "learning_rate": 1e-4, "batch_size": 16, "epochs": 3},
        exports=(),
        takes_folder=True,
        needs_folder=True,
        takes_adapters=True,
    ),
    StudentKind.TAGGER: StudentTraits(
        _WRITES | {"vocabulary": 512}, (), takes_layers=True, learns_probabilities=False, takes_folder=True
    ),
    StudentKind.CAUSAL: StudentTraits(
        _WRITES | {"vocabulary": 2048}, (), True, False, takes_folder=True, takes_adapters=True
    ),
}
# adapters start at no change of a model that is trained already: they need few epochs
LORA: dict[str, object] = {"learning_rate": 5e-4, "batch_size": 16, "epochs": 3, "patience": 1}
MOST_RANK = 256
_COST = list(STUDENTS)
LAYERED = [kind for kind, student in STUDENTS.items() if student.takes_layers]
COUNTS = (
    *("hidden", "depth", "vocabulary", "answer_tokens"),
    *("batch_size", "epochs", "patience", "threads"),
)
# fields that the first release did not have, with their defaults
LATER: dict[str, object] = {"answer_tokens": 64, "windows": False, "seeds": 0, "lora": 0}
MOST_SEEDS = 20


@dataclass(frozen=True)
class Spec:
    """How one student is trained, and which students are trained to compare it with."""

    student: StudentKind = StudentKind.LAYERS
    folder: str = ""  # the local model that a student starts from: its digest, once the run is queued
    layers: tuple[int, ...] = (0, 5)  # which of the teacher's layers the student starts from (student = layers)
    lora: int = 0  # rank of adapters that are trained instead of the folder's weights, and merged at the end; 0: none
    hidden: int = 128  # width of a student that starts from scratch, of static embeddings, or of a frozen one's head
    depth: int = 2  # layers of a student that starts from scratch, or of a frozen one's head
    vocabulary: int = 8192  # the most tokens kept of the teacher's tokenizer, by count in the training rows
    max_tokens: int = 0  # longer inputs are cut; 0: what 99% of the training rows need, as far as the student can read
    windows: bool = False  # longer inputs are read in windows of max_tokens, whose logits are averaged; nothing is cut
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
    seeds: int = 0  # also train it with so many other seeds, to see how much of a score is the seed's
    probe: bool = False  # also train on a quarter and a half of the rows, to see whether more data would help

    def to_json(self) -> str:
        """Write canonical JSON; fields that came after the first release only where they are not the default."""
        values = {name: value for name, value in asdict(self).items() if name not in LATER or value != LATER[name]}
        return sorted_json(values)

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Read `to_json` back. Raises ValueError with one sentence."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("A training spec is a JSON object, and this is not JSON.") from None
        if not isinstance(values, dict):
            raise ValueError("A training spec is a JSON object of names and values.")
        return cls.from_mapping(values)

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Spec:
        """Read words and numbers of a command or a form; unknown names are errors."""
        known = {field.name: field for field in fields(cls)}
        read: dict[str, object] = {}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"A training spec has no {name[:60]!r}; it has {', '.join(known)}.")
            read[name] = _read(name, value, getattr(cls, name))
        first = _kinds(read.get("ladder", ()))[:1] or [cls.student]  # type: ignore[arg-type]
        read.setdefault("export", Export.FASTEST)
        kind = read.setdefault("student", first[0] if first[0].writes is not cls.student.writes else cls.student)
        usual = dict(STUDENTS[kind].recipe) | (LORA if read.get("lora") else {})  # type: ignore[index]
        spec = cls(**(usual | read))  # type: ignore[arg-type]
        problem = spec.problem()
        if problem:
            raise ValueError(problem)
        return spec

    @property
    def ships(self) -> Export:
        """The form that its student ships in, and is judged in."""
        traits = STUDENTS[self.student]
        if self.export is Export.FASTEST:
            return traits.fastest
        return self.export if self.export in traits.exports else Export.SAFETENSORS

    @property
    def distils(self) -> bool:
        """Whether more of the teacher is learnt than labels: its written answers, or its probabilities."""
        return self.writes or self.alpha > 0 or self.logit_mse > 0 or self.hidden_cosine > 0

    @property
    def soft_terms(self) -> tuple[str, ...]:
        """The weights above zero that need the teacher's probabilities."""
        return tuple(name for name in ("alpha", "logit_mse") if getattr(self, name) > 0)

    @property
    def writes(self) -> bool:
        """Whether its students write their answers; `problem` rejects a ladder of both kinds."""
        return next(iter(_kinds(self.ladder)), self.student).writes

    @property
    def needs_layers(self) -> bool:
        """Whether a student of it starts from layers of the teacher."""
        return any(rung.student is StudentKind.LAYERS for rung in self.rungs())

    @property
    def rung(self) -> str:
        """The words for this student in a ladder."""
        layers = " ".join(map(str, self.layers)) if self.student in LAYERED else ""
        whole = "folder" if self.student.writes and self.folder else ""
        return f"{self.student} {layers or whole}".strip()

    def rungs(self) -> tuple[Spec, ...]:
        """Return the specs of the ladder, cheapest first; without a ladder, the one student."""
        if not self.ladder:
            return (self,)
        found = [replace(_rung(self, words), ladder=()) for words in self.ladder]
        return tuple(sorted(found, key=lambda one: one._cost))

    @property
    def _cost(self) -> tuple[int, bool, int]:
        """The order by serving cost: its kind, whether it has all layers of a folder, how many layers."""
        return _COST.index(self.student), bool(self.folder) and not self.layers, len(self.layers)

    def kept(self, rung: str) -> Spec:
        """Return the spec of the one student that a run kept, by its rung; without the other arms' fields."""
        chosen = next((one for one in self.rungs() if one.rung == rung), self.rungs()[0])
        folder = chosen.folder if STUDENTS[chosen.student].takes_folder else ""
        return replace(chosen, folder=folder, controls=(), seeds=0, probe=False)

    def control(self, control: Control) -> Spec:
        """Return the spec of a control arm: the same student on hard labels only; the rows choose which."""
        alone = {"alpha": 0.0, "logit_mse": 0.0, "hidden_cosine": 0.0, "controls": (), "seeds": 0, "probe": False}
        return replace(self, **alone)  # type: ignore[arg-type]

    def problem(self) -> str | None:
        """Return in one sentence why the spec is impossible, or None."""
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
        if self.max_tokens < 0:
            return f"max_tokens is {self.max_tokens}; it must be 1 or more, or 0 to fit the training rows."
        if not 0 <= self.seeds <= MOST_SEEDS:
            return f"seeds is {self.seeds}; it is a number of further trainings from 0 to {MOST_SEEDS}."
        if not 0 <= self.lora <= MOST_RANK:
            return f"lora is {self.lora}; it is the rank of adapters from 1 to {MOST_RANK}, or 0 to train all weights."
        for name in COUNTS:
            if getattr(self, name) < 1:
                return f"{name} is {getattr(self, name)}; it must be 1 or more."
        return None

    def _contradiction(self) -> str | None:
        if self.student is StudentKind.LAYERS and not self.layers:
            return "layers is empty; name at least one layer of the teacher, like 0,5."
        if STUDENTS[self.student].needs_folder and not self.folder:
            return (
                f"A student of kind {self.student} starts from a local model; name its folder, like folder=models/mini."
            )
        if self.windows and not self.ladder and not STUDENTS[self.student].reads_windows:
            return (
                f"A {self.student} student cannot read in windows; give windows=false and raise max_tokens, or train "
                "another kind."
            )
        if self.windows and self.hidden_cosine > 0:
            return "Hidden states are of whole inputs, and windows=true reads them in parts; give hidden_cosine=0."
        if self.lora and not self.ladder and (problem := self._adapter_problem()):
            return problem
        if self.student.writes:
            return self._writing_problem()
        if self.hidden_cosine > 0 and self.student is not StudentKind.LAYERS and not self.ladder:
            return (
                f"hidden_cosine is {self.hidden_cosine:g}, and no layer of a {self.student} student corresponds to one "
                "of the teacher's; give hidden_cosine=0, or train a student of the teacher's layers."
            )
        return None

    def _adapter_problem(self) -> str | None:
        if not STUDENTS[self.student].takes_adapters:
            kinds = " or ".join(f"student={kind}" for kind, traits in STUDENTS.items() if traits.takes_adapters)
            none = f"lora is {self.lora}, and students of kind {self.student} have no adapters"
            return f"{none}; give lora=0, or {kinds} with a folder."
        if not self.folder:
            return (
                f"Adapters are trained next to the weights of a model, and a {self.student} without a folder starts "
                "from random weights; name its folder, or give lora=0."
            )
        return None

    def _writing_problem(self) -> str | None:
        kind = self.student
        if self.layers and not self.folder:
            return f"layers are of a local model, and a {kind} without one starts from random weights; name its folder."
        if self.alpha > 0 and not STUDENTS[kind].learns_probabilities:
            return f"alpha is {self.alpha:g}, and a {kind} learns from the teacher's texts alone; give alpha=0."
        for name in ("logit_mse", "hidden_cosine"):
            if getattr(self, name) > 0:
                return f"{name} is {getattr(self, name):g}, and a {kind} does not learn by it; give {name}=0."
        if self.export is Export.ONNX_INT8 and self.export not in STUDENTS[kind].exports:
            return f"A {kind} ships as safetensors; {self.export} is for classifiers."
        return None


def _kinds(ladder: Sequence[str]) -> list[StudentKind]:
    """Return the kinds in a ladder; `_ladder_problem` reports words that are not kinds."""
    first = [words.split()[0] for words in ladder if words.split()]
    return [StudentKind(word) for word in first if word in list(StudentKind)]


def _rung(spec: Spec, words: str) -> Spec:
    """Read one rung, like "static" or "layers 0 5": that kind's recipe over the spec that names the ladder.

    A kind that writes starts from the folder where its rung names it or its layers: "causal folder", "causal 0 5".
    """
    name, *layers = words.split()
    kind = StudentKind(name)
    chosen = {"student": kind, **STUDENTS[kind].recipe}
    if kind.writes:
        for name in ("alpha", "controls"):  # the ladder's own
            del chosen[name]
        chosen |= {"layers": ()} | ({} if layers else {"folder": ""})
        layers = [] if layers == ["folder"] else layers
    if not STUDENTS[kind].learns_probabilities:
        chosen["alpha"] = 0.0
    if layers:
        chosen["layers"] = tuple(int(layer) for layer in layers)
    if kind is not StudentKind.LAYERS:
        chosen["hidden_cosine"] = 0.0
    if spec.windows and not STUDENTS[kind].reads_windows:
        chosen |= {"windows": False, "max_tokens": 0}  # max_tokens was the length of a window
    if spec.lora and STUDENTS[kind].takes_adapters and chosen.get("folder", spec.folder):
        chosen |= LORA
    else:
        chosen["lora"] = 0
    return replace(spec, **chosen)  # type: ignore[arg-type]


def _ladder_problem(spec: Spec) -> str | None:
    for words in spec.ladder:
        try:
            rung = _rung(spec, words)
        except (ValueError, IndexError):
            kinds = ", ".join(StudentKind)
            return f"'{words}' is not a rung; write a kind ({kinds}), and for layers their numbers, like 'layers 0 5'."
        if rung.student not in LAYERED and len(words.split()) > 1:
            return f"'{words}' is not a rung; only {', '.join(LAYERED)} take numbers."
        problem = rung._out_of_range() or rung._contradiction()
        if problem:
            return f"The rung '{words}' cannot be trained: {problem}"
    if spec.ladder and spec.lora and not any(rung.lora for rung in spec.rungs()):
        return (
            f"lora is {spec.lora}, and no rung of this ladder has adapters; give lora=0, or name a folder and a rung "
            "that starts from it, like 'causal folder'."
        )
    if len({kind.writes for kind in _kinds(spec.ladder)}) > 1:
        choosing, writing = (", ".join(kind for kind in STUDENTS if kind.writes is writes) for writes in (False, True))
        return f"A ladder has rungs of one task: {choosing} give labels; {writing} write texts."
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
        raise ValueError(f"{name} cannot be '{value}'; give {kinds}.") from None


_PARTS: dict[str, Callable[[str], object]] = {"layers": int, "ladder": str, "controls": Control}
