"""A real Slurm of one node on loopback (Debian's slurm-wlm and munge; root)."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import needs

CONF = """ClusterName=test
SlurmctldHost={node}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={slurmd}
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmUser=root
SlurmdUser=root
ReturnToService=2
MpiDefault=none
JobRequeue=1
NodeName={node} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes={node} Default=YES MaxTime=INFINITE State=UP
"""


def configured(folder: Path) -> Path:
    """Write the configuration of a Slurm on free ports; nothing of it runs yet."""
    port, node = random.randrange(20_000, 40_000), socket.gethostname().split(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(node=node, port=port, slurmd=port + 1, folder=folder, cpus=os.cpu_count()))
    return conf


@contextmanager
def running(folder: Path) -> Iterator[Path]:
    """Run slurmctld and slurmd, with SLURM_CONF set for this process and its children; yield the configuration."""
    needs.program("sbatch")
    needs.program("munged")
    if os.geteuid() != 0:
        needs.missing("sbatch")
    if subprocess.run("munge -n | unmunge", shell=True, capture_output=True, check=False).returncode:
        for name in ("/run/munge", "/var/log/munge", "/var/lib/munge"):
            Path(name).mkdir(parents=True, exist_ok=True)
            shutil.chown(name, "munge", "munge")
        subprocess.run(["runuser", "-u", "munge", "--", needs.program("munged")], check=True)
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    conf = configured(folder)
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(conf)
    try:
        for name in ("slurmctld", "slurmd"):
            subprocess.run([needs.program(name)], check=False, capture_output=True)
        _until_idle(folder)
        yield conf
    finally:
        subprocess.run(["scancel", "--user", "root"], check=False, capture_output=True)
        for name in ("slurmd", "slurmctld"):
            stop(folder, name)
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before


def _until_idle(folder: Path) -> None:
    """Wait for the node; skip where Slurm is installed and cannot run, as in some containers."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        done = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=False)
        if done.stdout.strip() in ("idle", "mixed"):
            return
        time.sleep(0.2)
    lines = [line for log in sorted(folder.glob("*.log")) for line in log.read_text().splitlines() if "error" in line]
    pytest.skip(f"{needs.MARK}sbatch (installed, but its node does not come up: {' '.join(lines[-1:])})")


def stop(folder: Path, name: str, signal: str = "TERM") -> None:
    """Stop one of the daemons."""
    pid = folder / f"{name}.pid"
    if pid.exists():
        subprocess.run(["kill", f"-{signal}", pid.read_text().strip()], check=False, capture_output=True)
