"""Run every shard of a folder as a Ray task: `ray job submit --working-dir . -- python ray_shards.py SHARDS`.

Without a cluster it starts Ray on this machine. The nodes share the folder, and have distill-tui installed. A shard
whose node is lost is tried three times; one that is done already is not done again.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ray


@ray.remote(num_cpus=1, max_retries=3)
def work(shard: str) -> int:
    return subprocess.run([sys.executable, "-m", "distill_tui.runs.away", shard], check=False).returncode


def main(folder: Path) -> int:
    ray.init(include_dashboard=False)
    shards = sorted(path.resolve() for path in folder.glob("shard-*") if path.is_dir())
    codes = ray.get([work.remote(str(shard)) for shard in shards])
    failed = [shard.name for shard, code in zip(shards, codes, strict=True) if code]
    sys.stdout.write(f"{len(shards) - len(failed)} of {len(shards)} shards are done\n")
    sys.stdout.writelines(f"failed: {name}\n" for name in failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
