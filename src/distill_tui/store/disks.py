"""The disk of a folder: the kind of its file system and its free space (standard library only).

SQLite's write-ahead log is shared memory, which no network file system carries from one machine to another: two
machines that write one file there destroy it, and locks of one host are not always kept either.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

NETWORK = frozenset(
    """9p afs beegfs ceph cifs coda glusterfs gpfs lustre ncpfs nfs nfs4 smb2 smb3 smbfs
    fuse.ceph fuse.gcsfuse fuse.glusterfs fuse.rclone fuse.s3fs fuse.sshfs""".split()  # noqa: SIM905
)
MOUNTS = Path("/proc/self/mounts")
LEAST = 200_000_000  # bytes below which nothing large should be begun


def kind(path: Path) -> str:
    """Return the file system of a path, as the system names it; empty if unknown."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    where, found, longest = os.path.realpath(path), "", -1
    for words in (line.split(" ") for line in lines):
        if len(words) >= 3:
            point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), words[1])
            inside = where == point or where.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= longest:  # the newest mount of the longest point is the one that shows
                found, longest = words[2], len(point)
    return found


def network(path: Path) -> str:
    """Return the kind of a path's network file system; empty if it is local."""
    name = kind(path)
    return name if name in NETWORK else ""


def free(folder: Path) -> int:
    """Return how many bytes are free in a folder."""
    return shutil.disk_usage(folder).free


def in_words(size: int) -> str:
    """Format a number of bytes: 512 MB, 68.7 GB."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"
