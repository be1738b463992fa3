"""Data parallelism: the processes that train one student under `accelerate launch`; without it, this process alone.

Each process has the whole student and all rows, takes its shard of every batch and adds its gradients to those of the
others, so that all of them keep the same weights to the bit. Only the main one writes. In a process that was not
launched so, accelerate is not imported and nothing here has an effect.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from distill_tui.training.ranks import LAUNCHED


@cache
def join() -> ProcessGroup:
    """Join the launched processes, once. Raises ValueError with one sentence where their precision is unsupported."""
    if LAUNCHED not in os.environ:
        return ProcessGroup()
    import accelerate  # an extra

    accelerator = accelerate.Accelerator()
    if accelerator.mixed_precision not in ("no", "bf16"):
        raise ValueError(f"--mixed_precision {accelerator.mixed_precision} needs gradient scaling; give bf16.")
    return ProcessGroup(accelerator)


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a launch, as the training loop sees them; alone, every method leaves things as they are."""

    accelerator: Any = None

    @property
    def is_distributed(self) -> bool:
        return self.accelerator is not None and self.accelerator.num_processes > 1

    @property
    def is_main(self) -> bool:
        return self.accelerator is None or self.accelerator.is_main_process

    @property
    def device(self) -> torch.device:
        return torch.device("cpu") if self.accelerator is None else self.accelerator.device

    @property
    def fingerprint(self) -> str:
        """What weights depend on besides the run: a checkpoint of another launch is not resumed."""
        group = self.accelerator
        if group is None:
            return ""
        found = f" {group.num_processes} {group.device.type} {group.mixed_precision} {self._backend}"
        return "" if found == " 1 cpu no NO" else found

    @property
    def _backend(self) -> str:
        return str(self.accelerator.state.dynamo_plugin.backend.name)

    def compile(self, model: torch.nn.Module) -> None:
        """Compile the model where the launch asks for it (`--dynamo_backend inductor`)."""
        if self.accelerator is not None and self._backend != "NO":
            model.compile(**self.accelerator.state.dynamo_plugin.to_kwargs())

    def shard(self, batch: Sequence[int]) -> list[int]:
        """Return this process's rows of a batch: every n-th, so that all get texts of similar length; maybe none."""
        group = self.accelerator
        return list(batch[group.process_index :: group.num_processes] if self.is_distributed else batch)

    def autocast(self) -> AbstractContextManager[object]:
        """Compute in half precision where the launch asks for it (`--mixed_precision bf16`)."""
        return nullcontext() if self.accelerator is None else self.accelerator.autocast()

    def seed_step(self, seed: int, step: int) -> None:
        """Seed a step's random numbers by its number, so that no process's generator state needs to be kept.

        A single process on a CPU keeps its generator state in the checkpoint instead.
        """
        if self.accelerator is not None and (self.is_distributed or self.accelerator.device.type != "cpu"):
            sequence = np.random.SeedSequence((seed, step, self.accelerator.process_index))
            torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))

    def sum_gradients(self, weights: Sequence[torch.nn.Parameter]) -> None:
        """Replace each weight's gradient by the sum over all processes; one that has none anywhere stays without."""
        if not self.is_distributed:
            return
        present = torch.tensor([float(weight.grad is not None) for weight in weights], device=self.device)
        gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
        flat = torch.cat([present, *(gradient.flatten() for gradient in gradients)])
        sizes = [len(present), *(gradient.numel() for gradient in gradients)]
        summed = self.accelerator.reduce(flat, reduction="sum").split(sizes)
        for weight, gradient, anywhere in zip(weights, summed[1:], summed[0].tolist(), strict=True):
            weight.grad = gradient.view_as(weight) if anywhere else None

    def sum_numbers(self, numbers: Sequence[float]) -> list[float]:
        if not self.is_distributed:
            return list(numbers)
        own = torch.tensor(numbers, dtype=torch.float64, device=self.device)
        summed: list[float] = self.accelerator.reduce(own, reduction="sum").tolist()
        return summed

    def broadcast(self, number: float | None) -> float | None:
        """Return the main process's number in every process."""
        present, value = self.sum_numbers([number is not None and self.is_main, (number or 0.0) * self.is_main])
        return value if present else None

    def barrier(self) -> None:
        if self.is_distributed:
            self.accelerator.wait_for_everyone()

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Run the block in the main process first; the others then find its work done."""
        with nullcontext() if self.accelerator is None else self.accelerator.main_process_first():
            yield
