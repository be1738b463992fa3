"""A student's folder on disk: plain transformers files, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import save_file


def write(model: Any, tokenizer: Any, out: Path) -> None:
    """Write config.json, model.safetensors and the tokenizer to `out`; what was there is replaced in one rename.

    The files are made beside `out`, synced and renamed, so that a crash leaves either the old folder or the new one.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    for left in [*out.parent.glob(f".{out.name}.tmp-*"), *out.parent.glob(f".{out.name}.old-*")]:
        shutil.rmtree(left)  # of a process that was killed
    fresh = out.with_name(f".{out.name}.tmp-{os.getpid()}")
    fresh.mkdir()
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(fresh)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, fresh / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save_pretrained(fresh)
    _name_the_usual_class(fresh / "tokenizer_config.json")
    move_into_place(fresh, out)


def move_into_place(fresh: Path, target: Path) -> None:
    """Sync a finished folder and rename it to `target`, replacing what is there."""
    for path in fresh.iterdir():
        sync(path)
    sync(fresh)
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def sync(path: Path) -> None:
    """Force a file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _name_the_usual_class(path: Path) -> None:
    """Transformers 5 writes a class name that 4 does not know, and both know this one."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
