"""Checkpoints that survive a kill at any moment: safetensors and a JSON manifest in a folder renamed whole.

No pickle: a checkpoint holds tensors and JSON only.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from distill_tui.training.replace import alone, move_into_place

KEEP = 2  # the newest may be damaged by the disk, so the one before it stays


def save(
    folder: Path, step: int, identity: str, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, object]
) -> str:
    """Write the checkpoint of one step and return its name; the newest two are kept, others in the folder are removed.

    `identity` identifies the run (its spec and data); `facts` are plain JSON values.
    """
    name = f"step-{step:09d}"
    fresh = folder / f".tmp-{name}-{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, fresh / "state.safetensors")
    manifest = {**facts, "step": step, "identity": identity, "sha256": _digest(fresh / "state.safetensors")}
    (fresh / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    move_into_place(fresh, folder / name)
    _forget_others(folder, name)
    return name


def newest(folder: Path, identity: str) -> tuple[dict[str, torch.Tensor], dict[str, object]] | None:
    """Read tensors and facts of this run's newest intact checkpoint, or None; others are skipped."""
    for path in sorted(folder.glob("step-*"), reverse=True):
        facts = _intact(path)
        if facts is not None and facts["identity"] == identity:
            return load_file(path / "state.safetensors"), facts
    return None


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a model's tensors by name; tied tensors under the first of their names only."""
    found: dict[int, str] = {}
    tensors: dict[str, torch.Tensor] = model.state_dict()
    return {name: tensor for name, tensor in tensors.items() if found.setdefault(tensor.data_ptr(), name) == name}


def run_identity(spec: str, description: str, *rows: object) -> str:
    """Return the digest of everything that determines a run, so that no checkpoint of another one is resumed.

    `description` is of the student's tokenizer; `rows` are dataclasses of texts and arrays.
    """
    parts = [spec, str(torch.__version__), description, *map(vars, rows)]
    return hashlib.sha256(json.dumps(parts, default=_array_digest).encode()).hexdigest()


def _array_digest(array: NDArray[np.generic]) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def kept(path: Path, make: Callable[[], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Read tensors from a file, or make them and write it: one process makes them, others wait."""
    with alone(path.parent):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(make(), path.with_suffix(".tmp"))
            path.with_suffix(".tmp").replace(path)
    tensors: dict[str, torch.Tensor] = load_file(path)
    return tensors


def _intact(path: Path) -> dict[str, object] | None:
    try:
        facts = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        return facts if facts["sha256"] == _digest(path / "state.safetensors") and "identity" in facts else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _forget_others(folder: Path, name: str) -> None:
    """Remove old checkpoints, and later ones: those are damaged or of another run, or they would have been resumed.

    A checkpoint is renamed first, so that no partial one has its name; what cannot be removed is left for next time.
    """
    kept = sorted(path.name for path in folder.glob("step-*") if path.name <= name)[-KEEP:]
    for path in list(folder.iterdir()):
        if path.name not in kept and path.name.startswith(("step-", ".tmp-", ".step-")):
            with suppress(OSError):
                shutil.rmtree(path.rename(folder / f".step-{path.name}"))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
