"""Low-rank adapters of a language model (Hu et al. 2021), by peft: the folder's own weights are held fixed.

Next to each linear layer W a product BA of rank r is trained. It begins at zero and counts twice, as is usual. What
ships is W + 2BA in the place of W, a plain model of the same size; the adapters alone are kept in the folder `adapter`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from distill_tui.training.starts import NO_PEFT

if TYPE_CHECKING:
    from distill_tui.training.models import Model

ADAPTER = "adapter"  # the folder of the adapters, in that of the student
SETTINGS = "adapter_config.json"


class Adapters:
    """The adapters of a model, which is changed in place: its linear layers have them, and only they are trained."""

    def __init__(self, model: Model, rank: int, seed: int) -> None:
        """Add adapters of a rank to all linear layers but the last; the first of the two matrices is random."""
        try:
            import peft  # an extra
        except ImportError:
            raise ValueError(NO_PEFT) from None
        torch.manual_seed(seed)
        how = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
        self.tuned: Any = peft.get_peft_model(model, how)

    def save_merged(self, folder: Path) -> None:
        """Keep the adapters in the folder, and merge them into the model, which is a plain one afterwards."""
        kept = folder / ADAPTER
        self.tuned.save_pretrained(kept, save_embedding_layers=False)
        (kept / "README.md").unlink(missing_ok=True)
        settings = json.loads((kept / SETTINGS).read_text(encoding="utf-8"))
        settings["base_model_name_or_path"] = None  # a path of this machine; the recipe has the model's digest
        (kept / SETTINGS).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        self.tuned.merge_and_unload(safe_merge=True)
