"""What determines a run: the screens edit it, a worker reads it, a bundle keeps it as the recipe.

Standard library and `terms` only; frozen; to and from JSON. Two runs with the same spec, data and thread count
give the same weights.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from distill_tui.terms import StudentKind


@dataclass(frozen=True)
class Spec:
    """How one student is trained."""

    student: StudentKind = StudentKind.LAYERS
    layers: tuple[int, ...] = (0, 5)  # which of the teacher's layers the student starts from (student = layers)
    hidden: int = 128  # width of a student that starts from scratch, or of static embeddings
    depth: int = 2  # layers of a student that starts from scratch
    vocabulary: int = 8192  # the most tokens kept of the teacher's tokenizer, by count in the training rows
    max_tokens: int = 96  # longer inputs are cut
    temperature: float = 2.0  # softens both distributions (Hinton et al. 2015)
    alpha: float = 0.7  # weight of the teacher's soft labels against the hard labels
    learning_rate: float = 6e-4
    batch_size: int = 32
    epochs: int = 2
    patience: int = 2  # epochs without a better validation score before the run stops early
    seed: int = 7
    threads: int = 1  # torch threads; recorded, because latency and bits depend on it

    def to_json(self) -> str:
        """Give the canonical JSON text."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """Read `to_json` back. Raises ValueError with one sentence."""
        return cls.from_mapping(json.loads(text))

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Spec:
        """Build from words and numbers, as a command or a form gives them; unknown names are errors."""
        known = {field.name: field for field in fields(cls)}
        read: dict[str, object] = {}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"A training spec has no '{name}'; it has {', '.join(known)}.")
            read[name] = _read(name, value, getattr(cls, name))
        spec = cls(**read)  # type: ignore[arg-type]
        problem = spec.problem()
        if problem:
            raise ValueError(problem)
        return spec

    def problem(self) -> str | None:
        """Say what makes the spec impossible, in one sentence, or nothing."""
        if not 0 <= self.alpha <= 1:
            return f"alpha is {self.alpha:g}; it is a weight from 0 to 1."
        if not self.temperature > 0:
            return f"temperature is {self.temperature:g}; it must be above 0."
        if not 0 < self.learning_rate < 1:
            return f"learning_rate is {self.learning_rate:g}; it must lie between 0 and 1."
        for name in ("hidden", "depth", "vocabulary", "max_tokens", "batch_size", "epochs", "patience", "threads"):
            if getattr(self, name) < 1:
                return f"{name} is {getattr(self, name)}; it must be 1 or more."
        if self.student is StudentKind.LAYERS and not self.layers:
            return "layers names no layer of the teacher; name at least one, like 0,5."
        return None


def _read(name: str, value: object, example: object) -> object:
    try:
        if isinstance(example, StudentKind):
            return StudentKind(str(value))
        if isinstance(example, tuple):
            parts = value.split(",") if isinstance(value, str) else value
            return tuple(int(part) for part in parts)  # type: ignore[attr-defined]
        return type(example)(str(value))  # type: ignore[call-arg]
    except (TypeError, ValueError):
        kinds = ", ".join(StudentKind) if isinstance(example, StudentKind) else f"a value like {example}"
        raise ValueError(f"'{value}' is no {name}; give {kinds}.") from None
