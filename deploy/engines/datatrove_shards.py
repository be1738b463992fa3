"""Run every shard of a folder as a datatrove task: `python datatrove_shards.py SHARDS [WORKERS]`.

The same pipeline runs on a cluster with `SlurmPipelineExecutor(pipeline, tasks=…, time=…, partition=…)` in place of the
local executor. Called again, it does only the shards that are not done.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor


def work(_: Any, rank: int = 0, world_size: int = 1, *, shards: list[str]) -> None:
    """Do one shard. Raises CalledProcessError, so that datatrove does not count the task as completed."""
    subprocess.run([sys.executable, "-m", "distill_tui.runs.away", shards[rank]], check=True)


def main(folder: Path, workers: int = 1) -> None:
    shards = sorted(str(path.resolve()) for path in folder.glob("shard-*") if path.is_dir())
    LocalPipelineExecutor(
        [partial(work, shards=shards)], tasks=len(shards), workers=workers, logging_dir=str(folder / "datatrove")
    ).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
