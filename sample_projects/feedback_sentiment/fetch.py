"""Fetches the data of this sample: 23,703 short texts, each rated by at least 15 people.

The texts come out of the source package of vaderSentiment 3.3.2, which the package installer of this Python
downloads; this repository holds none of them. `python fetch.py FOLDER` does it by hand. Read the cautions in
README.md before you publish anything made from these rows.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from distill_tui.dataset.records import BadInput

PACKAGE = "vaderSentiment==3.3.2"
PACKAGE_DIGEST = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
TRAFFIC_DIGEST = "a2688a21f9ec48d2d919b8d28d9100c317ca0d6d8b45778a045943d4466540b5"
LABELS = ("negative", "neutral", "positive")

# segment -> (the stem of its two files, whether an id like 12_3 names a document, the rows that it must have)
SEGMENTS = {
    "tweet": ("tweets", False, 4_200),
    "amazon": ("amazonReviewSnippets", True, 3_708),
    "movie": ("movieReviewSnippets", False, 10_605),
    "nyt": ("nytEditorialSnippets", True, 5_190),
}

SOURCE = f"""# Where traffic.jsonl comes from

Package: {PACKAGE}, source distribution, SHA-256 {PACKAGE_DIGEST}
Member: {INNER_ARCHIVE}
Licence of the package: MIT (C.J. Hutto)
Cite: C.J. Hutto and Eric Gilbert, VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media
Text, ICWSM 2014.

Caution: the package is MIT, but its authors did not write the texts: they are tweet-like texts, Amazon and film
reviews, and sentences of New York Times editorials. Use them to try the program; do not publish them, and ask
the person responsible for rights in your organisation before you ship a model trained on them. Leaving out the segment
`nyt` is the careful choice. The texts are unmoderated and some are offensive.

Fields: id; input; gold (`negative` where the mean rating is -0.5 or less, `positive` where it is 0.5 or more, else
`neutral`); votes (how many people rated); shares (of them: rated below 0, 0, above 0); segment; group (the review
or the article that the sentence is of; null for tweets and film reviews, whose documents are not named).
"""


def fetch(folder: Path, report: Callable[[str], None]) -> Path:
    """Write `traffic.jsonl` and `SOURCE.md` into `folder`, unless they are there, and give the path of the traffic.

    Raises BadInput where the package cannot be had or is not what it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    traffic = folder / "traffic.jsonl"
    if traffic.is_file() and hashlib.sha256(traffic.read_bytes()).hexdigest() == TRAFFIC_DIGEST:
        report(f"{traffic.name} is already here.")
    else:
        report(f"Downloading the source package of {PACKAGE} (2.5 MB).")
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows(download())]
        content = "".join(lines).encode()
        if hashlib.sha256(content).hexdigest() != TRAFFIC_DIGEST:
            raise BadInput(f"The rows of {PACKAGE} are not those that this sample was made for; update the sample.")
        _write(traffic, content)
        report(f"Wrote {len(lines):,} rows to {traffic.name}.")
    _write(folder / "SOURCE.md", SOURCE.encode())
    return traffic


def download(package: str = PACKAGE, digest: str = PACKAGE_DIGEST, *, wheel: bool = False) -> bytes:
    """Return a source package or a wheel, checked against its pinned digest before anything in it is run or read."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text(f"{package} --hash=sha256:{digest}\n", encoding="utf-8")
        name = package.partition("==")[0]  # of this one alone: what it is built with may come built
        form = "--only-binary" if wheel else "--no-binary"
        options = ["--no-deps", form, name, "--require-hashes", "-r", str(wanted), "-d", folder]
        command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", *options]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        found = list(Path(folder).glob("*.whl" if wheel else "*.tar.gz"))
        if done.returncode or not found:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or [done.stderr.strip()]
            reason = said[-1].removeprefix("ERROR:").strip()[-300:].rstrip(".")
            raise BadInput(f"pip could not download {package} ({reason}); check the network and pip's configuration.")
        return found[0].read_bytes()


def rows(package: bytes) -> Iterator[dict[str, object]]:
    """Yield every rated text of the package, segment by segment, in the order of its files.

    Gold is taken from the ratings themselves: for 199 tweets the file of texts states an older mean, though never
    one that falls in another class.
    """
    members = _members(package)
    for segment, (stem, documented, expected) in SEGMENTS.items():
        ratings = {fields[0]: json.loads(fields[3]) for fields in _lines(members, f"{stem}_anonDataRatings.txt", 4)}
        texts = _lines(members, f"{stem}_GroundTruth.txt", 3)
        if len(texts) != expected or {fields[0] for fields in texts} != set(ratings):
            raise BadInput(
                f"{stem}_GroundTruth.txt has {len(texts):,} texts and {len(ratings):,} ratings where {expected:,} of"
                f" each were expected; {PACKAGE} is not the package that this sample was made for."
            )
        for number, _, text in texts:
            votes = ratings[number]
            yield {
                "id": f"{segment}-{number}",
                "input": text,
                "gold": gold(votes),
                "votes": len(votes),
                "shares": shares(votes),
                "segment": segment,
                "group": f"{segment}-{number.partition('_')[0]}" if documented else None,
            }


def gold(votes: list[int]) -> str:
    """Name the class of the mean rating; in whole numbers, so that rounding decides nothing at a mean of one half."""
    if 2 * sum(votes) >= len(votes):
        return "positive"
    return "negative" if 2 * sum(votes) <= -len(votes) else "neutral"


def shares(votes: list[int]) -> dict[str, float]:
    """Return the share of people who rated below 0, 0 and above 0: a soft label that people made."""
    signs = Counter((vote > 0) - (vote < 0) for vote in votes)
    return {label: round(signs[sign] / len(votes), 6) for label, sign in zip(LABELS, (-1, 0, 1), strict=True)}


def _members(package: bytes) -> dict[str, bytes]:
    """Read the inner archive in memory: no name in an archive ever becomes a path on this disk."""
    try:
        with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as outer:
            held = outer.extractfile(INNER_ARCHIVE)
            inner_bytes = held.read() if held else b""
        with tarfile.open(fileobj=io.BytesIO(inner_bytes), mode="r:gz") as inner:
            files = [(member, inner.extractfile(member)) for member in inner.getmembers() if member.isreg()]
            return {member.name.rpartition("/")[2]: file.read() for member, file in files if file}
    except (KeyError, tarfile.TarError, EOFError, OSError) as error:
        raise BadInput(f"{PACKAGE} has no readable {INNER_ARCHIVE} ({error}); download it again.") from error


def _lines(members: dict[str, bytes], name: str, fields: int) -> list[list[str]]:
    """Split a tab-separated member; the files are UTF-8 with CRLF, and one begins with a byte-order mark."""
    if name not in members:
        raise BadInput(f"{PACKAGE} holds no {name}; it is not the package that this sample was made for.")
    lines = [line.split("\t") for line in members[name].decode("utf-8-sig").split("\r\n") if line]
    for number, line in enumerate(lines, 1):
        if len(line) != fields:
            raise BadInput(f"{name}, line {number}, has {len(line)} fields where {fields} were expected.")
    return lines


def _write(path: Path, content: bytes) -> None:
    """Replace a file whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python fetch.py FOLDER")
    try:
        print(fetch(Path(sys.argv[1]), print))
    except BadInput as refusal:
        sys.exit(str(refusal))
