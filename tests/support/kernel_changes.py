"""Eight real years of dated texts: the changes of the Linux kernel, as Debian's changelog lists them.

Each change begins with the subsystem that it is about, which is what a teacher says of it. In October 2022 the wireless
drivers began to write `wifi:` first, a subsystem that was not there before: a shift of real traffic, when it really
happened. A change is dated between its upload and the one before, in the order of the list.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from datetime import date, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

CHANGES = Path("/usr/share/doc/linux-libc-dev/changelog.Debian.gz")
LABELS = {
    **dict.fromkeys(("net", "ipv6", "ipv4", "tcp", "vxlan", "bonding", "sctp", "mptcp"), "net"),
    **dict.fromkeys(("alsa", "asoc"), "sound"),
    **{name: name for name in ("usb", "netfilter", "bluetooth", "can", "wifi")},
}
_UPLOAD = re.compile(r"\n(?=\S+ \(.*?\) .*?; urgency=)")
_CHANGE = re.compile(r"^\s+[-*] (.*(?:\n {6,}\S.*)*)", re.M)
_PREFIX = re.compile(r"(?:\[[\w,/ -]+\] )?([A-Za-z0-9_]{2,20})(?:/[\w/]+)?: (.*)")
MOST_DAYS = 28  # between two uploads


def changes(since: str, until: str) -> list[dict[str, str]]:
    """Return the changes of some days as calls of the teacher."""
    return [row for row in _all() if since <= row["time"][:10] < until]


def _all() -> Iterator[dict[str, str]]:
    with gzip.open(CHANGES, "rt", encoding="utf-8", errors="replace") as file:
        uploads = sorted(filter(None, map(_upload, _UPLOAD.split(file.read()))), key=lambda each: each[0])
    before, seen = uploads[0][0] - timedelta(MOST_DAYS), set[str]()
    for day, rows in uploads:
        days = max(1, min(MOST_DAYS, (day - before).days))
        fresh = [row for row in rows if row[1] not in seen]
        for at, (label, text) in enumerate(fresh):
            seen.add(text)
            moment = day - timedelta(days - 1 - at * days // len(fresh))
            yield {"input": text, "teacher_output": label, "segment": "linux", "time": f"{moment}T12:00:00Z"}
        before = day


def _upload(text: str) -> tuple[date, list[tuple[str, str]]] | None:
    signed = re.search(r"\n -- .*?  (.*)$", text, re.M)
    if signed is None:
        return None
    rows = []
    for change in _CHANGE.findall(text):
        found = _PREFIX.match(" ".join(change.split()))
        if found is not None and found[1].lower() in LABELS:
            rows.append((LABELS[found[1].lower()], f"{found[1]}: {found[2]}"))
    return parsedate_to_datetime(signed[1]).date(), rows
