"""The processes that learn one student together: one as a rule; one on a GPU, or several, under `accelerate launch`.

Each process has the whole student and all rows, takes its part of every batch and adds its gradients to those of the
others, so that all of them keep the same weights to the bit. Only the first one writes. In a process that was not
launched so, accelerate is not imported and nothing here does anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

LAUNCHED = "ACCELERATE_MIXED_PRECISION"  # what `accelerate launch` sets for each process that it starts


def rank() -> int:
    """Number this process among those that were launched together, from 0; known before anything is imported."""
    return int(os.environ.get("RANK", "0")) if LAUNCHED in os.environ else 0


def count() -> int:
    """Say how many processes were launched together."""
    return int(os.environ.get("WORLD_SIZE", "1")) if LAUNCHED in os.environ else 1


@cache
def here() -> Processes:
    """Join the others, once. Raises ValueError with one sentence where this cannot be."""
    if LAUNCHED not in os.environ:
        return Processes()
    import accelerate

    joined = accelerate.Accelerator()
    if joined.mixed_precision not in ("no", "bf16"):
        raise ValueError(
            f"Launched with --mixed_precision {joined.mixed_precision}, whose gradients would need scaling; give bf16."
        )
    return Processes(joined)


@dataclass(frozen=True)
class Processes:
    """The others, as the loop sees them; alone, every deed leaves things as they are."""

    accelerator: Any = None

    @property
    def several(self) -> bool:
        """Whether there is more than this one."""
        return self.accelerator is not None and self.accelerator.num_processes > 1

    @property
    def writes(self) -> bool:
        """Whether this is the one that writes."""
        return self.accelerator is None or self.accelerator.is_main_process

    @property
    def device(self) -> Any:
        """Where the student is trained."""
        return "cpu" if self.accelerator is None else self.accelerator.device

    @property
    def mark(self) -> str:
        """Tell what weights depend on besides the run: a checkpoint of other processes is not gone on from."""
        joined = self.accelerator
        if joined is None or (joined.num_processes == 1 and joined.device.type == "cpu" and not self._apart):
            return ""
        return f" {joined.num_processes} {joined.device.type} {joined.mixed_precision} {self._backend}"

    @property
    def _apart(self) -> bool:
        return bool(self.accelerator.mixed_precision != "no" or self._backend != "NO")

    @property
    def _backend(self) -> str:
        return str(self.accelerator.state.dynamo_plugin.backend.name)

    def hasten(self, model: Any) -> None:
        """Have a model compiled where the launch asks for it (`--dynamo_backend inductor`)."""
        if self.accelerator is not None and self._backend != "NO":
            model.compile(**self.accelerator.state.dynamo_plugin.to_kwargs())

    def part(self, batch: Sequence[int]) -> list[int]:
        """Give this process's rows of a batch: every so-manieth, so that all get texts of like length; maybe none."""
        return list(batch[self.accelerator.process_index :: self.accelerator.num_processes] if self.several else batch)

    def precision(self) -> AbstractContextManager[Any]:
        """Run what is inside in half precision where the launch asks for it (`--mixed_precision bf16`)."""
        return nullcontext() if self.accelerator is None else self.accelerator.autocast()

    def draw(self, seed: int, step: int) -> None:
        """Begin a step's random numbers anew from its place, so that no process's generator needs to be kept.

        Alone on a processor the generator's state is in the checkpoint, and runs on from step to step.
        """
        if self.accelerator is not None and (self.several or self.accelerator.device.type != "cpu"):
            import numpy as np
            import torch

            place = np.random.SeedSequence((seed, step, self.accelerator.process_index))
            torch.manual_seed(int(place.generate_state(1, np.uint64)[0]))

    def add_up(self, weights: Sequence[Any]) -> None:
        """Give each weight the sum of all processes' gradients; one that has none anywhere stays without."""
        if not self.several:
            return
        import torch

        there = torch.tensor([float(weight.grad is not None) for weight in weights], device=self.device)
        slopes = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        flat = torch.cat([there, *(slope.flatten() for slope in slopes)])
        summed = self.accelerator.reduce(flat, reduction="sum").split([len(there), *(each.numel() for each in slopes)])
        for weight, slope, some in zip(weights, summed[1:], summed[0].tolist(), strict=True):
            weight.grad = slope.view_as(weight) if some else None

    def total(self, numbers: Sequence[float]) -> list[float]:
        """Add up numbers over all processes."""
        if not self.several:
            return list(numbers)
        import torch

        own = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        summed: list[float] = self.accelerator.reduce(own, reduction="sum").tolist()
        return summed

    def agree(self, number: float | None) -> float | None:
        """Give every process the number that the first one has."""
        there, told = self.total([number is not None and self.writes, (number or 0.0) * self.writes])
        return told if there else None

    def meet(self) -> None:
        """Wait until all have come here."""
        if self.several:
            self.accelerator.wait_for_everyone()

    @contextmanager
    def first(self) -> Iterator[None]:
        """Let the first process do what is inside before the others do, who find it done."""
        with nullcontext() if self.accelerator is None else self.accelerator.main_process_first():
            yield
