"""The student of a bundle: where it lies, how it was trained, and below which confidence a request goes back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from distill_tui.bundles.verify import MANIFEST
from distill_tui.digests import file_digest
from distill_tui.spec import Spec
from distill_tui.tasks.loaders import FORMS
from distill_tui.terms import Task
from distill_tui.training.folders import form


@dataclass(frozen=True)
class BundledStudent:
    """What a program needs to know to answer with a bundle's student."""

    folder: Path  # of the model
    bundle: str  # the digest of the manifest, which names every file of the bundle
    task: Task
    form: str  # a key of `loaders.FORMS`
    labels: tuple[str, ...]  # empty: it writes its answers
    threads: int
    max_tokens: int
    defers_below: float  # confidence, 0 to 1; 0 where the gate sends nothing back
    calls: str = ""  # how calls become its inputs, as the import of its traffic had it; JSON

    @property
    def writes(self) -> bool:
        return FORMS[self.form].writes


def read(bundle: Path) -> BundledStudent:
    """Read the description of a bundle's student; check nothing else of it. Raises ValueError with one sentence."""
    try:
        recipe = json.loads((bundle / "recipe.json").read_text(encoding="utf-8"))
        spec = Spec.from_json(recipe["spec"]).kept(recipe.get("rung", ""))
        labels, below = tuple(map(str, recipe["labels"])), float(recipe.get("deferred_below", 0))
        task, digest, calls = Task(recipe["task"]), file_digest(bundle / MANIFEST), str(recipe.get("calls", ""))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise ValueError(f"{bundle.name} is not a bundle: its manifest or recipe cannot be read.") from None
    folder = bundle / "model"
    return BundledStudent(folder, digest, task, form(folder), labels, spec.threads, spec.max_tokens, below, calls)
