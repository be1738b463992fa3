"""Open traffic wherever it lies: one file, several, a folder, a glob or an archive; compressed or not.

Compression is recognised by its first bytes: gzip, bz2, xz, zstd, lz4. A zip or tar archive is read member by member,
as a stream. Names inside archives and folders are names only: no path is followed out of them.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from glob import has_magic
from pathlib import Path
from typing import Any, BinaryIO, cast

Source = Path | Sequence[Path]

MOST_MEMBERS = 200  # of a compressed tar: each is read from the archive's beginning
PEEKED = 65_536  # bytes that decide what a file is
_SKIPPED = ("_", ".")  # first characters of names that are not data: _SUCCESS, .part-0.crc
_SKIPPED_ENDINGS = (".crc", ".md", ".sha256")
_PACKED_ENDINGS = (".gz", ".bz2", ".xz", ".zst", ".zstd", ".lz4")
FORMATS = "JSONL, JSON, CSV, Parquet, an archive or a folder of these, or a folder that `datasets` saved"


class BadInput(ValueError):
    """A given file or setting cannot be used; the message names what, where and the cure."""


@dataclass(frozen=True)
class Part:
    """One file of traffic, one member of an archive, or one split of a folder that `datasets` saved."""

    path: Path
    member: str = ""
    inside: str = ""  # where its records stand in a JSON text that holds two kinds
    within: str = ""  # its folders, where another part has the same name, like `2026-11-02/`

    @property
    def name(self) -> str:
        return self.within + (f"{self.path.name}:{self.member}" if self.member else self.path.name)

    @property
    def ending(self) -> str:
        """The suffix of the name, without that of a compression."""
        name = Path(self.member or self.path.name)
        name = Path(name.stem) if name.suffix.casefold() in _PACKED_ENDINGS else name
        return name.suffix.casefold()


def paths_of(source: Source) -> list[Path]:
    """Return the files, or saved `datasets` folders, of a source: globs and folders are expanded. Raises BadInput."""
    found: list[Path] = []
    for given in [source] if isinstance(source, Path) else source:
        matched = _matching(given) if has_magic(str(given)) and not given.exists() else [given]
        if not matched:
            raise BadInput(f"No file matches {given}.")
        for path in matched:
            found += _files_in(path) if path.is_dir() and not is_saved(path) else [path]
    return list(dict.fromkeys(found))


def _matching(pattern: Path) -> list[Path]:
    root = Path(pattern.anchor)
    return sorted(root.glob(str(pattern.relative_to(pattern.anchor) if pattern.anchor else pattern)))


def _files_in(folder: Path) -> list[Path]:
    """List the files of a folder and its folders by name, without links and marker files. Raises BadInput."""
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if not path.is_symlink()
        and path.is_file()
        and not any(each.startswith(_SKIPPED) for each in path.relative_to(folder).parts)
        and path.suffix.casefold() not in _SKIPPED_ENDINGS
        and path.stat().st_size
    ]
    if not found:
        raise BadInput(f"{folder.name} is a folder without files of traffic. Give {FORMATS}.")
    return found


def source_name(source: Source) -> str:
    """Name a source in one word or two: the file, the folder, or the first of several files."""
    given = [source] if isinstance(source, Path) else list(source)
    if len(given) == 1:
        return given[0].name or str(given[0])
    return f"{given[0].name} and {len(given) - 1:,} more"


def parts_of(source: Source) -> list[Part]:
    """Return the parts of a source in their order, archives opened. Raises BadInput."""
    parts = [part for path in paths_of(source) for part in _members(path)]
    names = Counter(part.name for part in parts)
    if len(names) == len(parts):
        return parts
    top = os.path.commonpath([part.path.absolute().parent for part in parts])
    within = {part.path: f"{part.path.absolute().parent.relative_to(top).as_posix()}/" for part in parts}
    return [
        replace(part, within=within[part.path].removeprefix("./")) if names[part.name] > 1 else part for part in parts
    ]


def _members(path: Path) -> list[Part]:
    if path.is_dir():
        splits = _splits_of(path)
        return [Part(path / split, within=f"{path.name}/") for split in splits] if splits else [Part(path)]
    if not path.is_file():
        raise BadInput(f"{path.name} is not a file. Give {FORMATS}.")
    kind = _archive(path)
    if kind == "zip":
        return [Part(path, name) for name in _zip_names(path)]
    if kind == "tar":
        return [Part(path, name) for name in _tar_names(path)]
    return [Part(path)]


def _archive(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if start in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    try:
        with reading(Part(path)) as stream:
            return "tar" if stream.read(512)[257:262] == b"ustar" else ""
    except BadInput:
        return ""  # damaged: reading it raises


def _is_data(name: str) -> bool:
    plain = Path(name)
    hidden = any(each.startswith(_SKIPPED) for each in plain.parts)
    return not hidden and plain.suffix.casefold() not in _SKIPPED_ENDINGS


def _zip_names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as packed:
            infos = [each for each in packed.infolist() if not each.is_dir() and each.file_size]
    except (zipfile.BadZipFile, OSError) as error:
        raise BadInput(f"{path.name} is a damaged zip file ({error}). Write it again.") from error
    if any(each.filename == "[Content_Types].xml" for each in infos):
        raise BadInput(f"{path.name} is an Office file. Save its sheet as CSV (UTF-8).")
    if any(each.flag_bits & 1 for each in infos):
        raise BadInput(f"{path.name} is encrypted. Unpack it first, and name the folder.")
    return _some([each.filename for each in infos if _is_data(each.filename)], path)


def _tar_names(path: Path) -> list[str]:
    with _tar(path) as packed:
        names = [each.name for each in packed if each.isreg() and each.size and _is_data(each.name)]
    if len(names) > MOST_MEMBERS:
        raise BadInput(f"{path.name} holds {len(names):,} files. Unpack it, and name the folder.")
    return _some(names, path)


def _some(names: list[str], path: Path) -> list[str]:
    if not names:
        raise BadInput(f"{path.name} is an archive without files of traffic. Give {FORMATS}.")
    return sorted(names)


@contextmanager
def _tar(path: Path) -> Iterator[tarfile.TarFile]:
    with (
        _damaged(path.name, "archive"),
        reading(Part(path)) as stream,
        tarfile.open(fileobj=stream, mode="r|") as packed,
    ):
        yield packed


@contextmanager
def reading(part: Part) -> Iterator[BinaryIO]:
    """Open a part for its bytes, decompressed. Raises BadInput for damaged files."""
    with _raw(part) as raw:
        stream = io.BufferedReader(cast(Any, raw))
        packing = _packing(stream.peek(6))
        with _damaged(part.name, packing):
            yield _decompressed(stream, packing)


@contextmanager
def _raw(part: Part) -> Iterator[BinaryIO]:
    if not part.member:
        with part.path.open("rb") as file:
            yield file
    elif zipfile.is_zipfile(part.path):
        with _damaged(part.name, "zip"), zipfile.ZipFile(part.path) as archive, archive.open(part.member) as file:
            yield cast(BinaryIO, file)
    else:
        with _tar(part.path) as packed:
            member = next((each for each in packed if each.name == part.member and each.isreg()), None)
            inside = packed.extractfile(member) if member is not None else None
            if inside is None:
                raise BadInput(f"{part.name} is gone from its archive. Import it again.")
            yield cast(BinaryIO, inside)


_MAGIC = {
    "gzip": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\x00", "zstd": b"\x28\xb5\x2f\xfd", "lz4": b"\x04\x22\x4d\x18",
}  # fmt: skip


def _packing(start: bytes) -> str:
    return next((word for word, magic in _MAGIC.items() if start.startswith(magic)), "")


def _decompressed(stream: io.BufferedReader, packing: str) -> BinaryIO:
    if packing == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=stream))
    if packing == "bz2":
        return cast(BinaryIO, bz2.BZ2File(stream))
    if packing == "xz":
        return cast(BinaryIO, lzma.LZMAFile(stream))
    if packing:
        import pyarrow as pa

        return cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(stream, "r"), packing)))
    return cast(BinaryIO, stream)


@contextmanager
def _damaged(name: str, word: str) -> Iterator[None]:
    """Word the error of a damaged file."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise BadInput(f"{name} is damaged {word} ({error}). Compress it again.") from error
    except OSError as error:
        if not word or error.errno is not None:
            raise
        raise BadInput(f"{name} is damaged {word} ({error}). Compress it again.") from error


def is_packed(part: Part) -> bool:
    """Whether a part's bytes are not a plain file, so that they cannot be read from their end."""
    with _raw(part) as raw:
        return bool(part.member or _packing(raw.read(6)))


# --- what a part is


def kind_of(part: Part) -> str:
    """Return `jsonl`, `json` (a list or one long object), `csv`, `parquet` or `saved`, by the first bytes.

    Raises BadInput.
    """
    if part.path.is_dir():
        saved_parts(part.path)
        return "saved"
    with reading(part) as file:
        start = file.read(PEEKED)
    if not start.strip():
        raise BadInput(f"{part.name} is empty. Give a file with at least one row.")
    if start.startswith(b"PAR1"):
        return "parquet"
    _check_text(part, start)
    if part.ending in (".csv", ".tsv"):
        return "csv"
    body = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if item_prefix(body) is not None:
        return "json"
    if body[:1] == b"{" or part.ending in (".jsonl", ".ndjson"):
        return "jsonl"
    raise BadInput(
        f"{part.name} is neither JSONL, CSV nor Parquet. Name it .jsonl or .csv if it is; if it is packed in another "
        f"way, unpack it first. What is read: {FORMATS}."
    )


_OTHERS = (  # first bytes, what the file is, and what to do with it
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "Unpack it, and name the folder"),
    (b"Rar!", "a RAR archive", "Unpack it, and name the folder"),
    (b"\x1f\x9d", "compressed by compress", "Decompress it with uncompress"),
    (b"\xff\x06\x00\x00sNaPpY", "compressed by snappy", "Decompress it, or use gzip or zstd"),
    (b"\x1f\x8b", "compressed twice", "Decompress it once"),
    (b"ARROW1", "an Arrow (Feather) file", "Write it as Parquet"),
    (b"ORC", "an ORC file", "Write it as Parquet"),
    (b"Obj\x01", "an Avro file", "Write it as Parquet or JSONL"),
    (b"\x89HDF", "an HDF5 file", "Write it as Parquet"),
    (b"SQLite format 3", "an SQLite database", "Export its table as CSV"),
    (b"\x80", "a pickle or another binary file, which is never opened", "Write it as Parquet or JSONL"),
    (b"%PDF", "a PDF", "Take it out, and give the data as CSV or JSONL"),
    (b"\x89PNG", "an image", "Take it out"),
    (b"\xff\xd8\xff", "an image", "Take it out"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Save its sheet as CSV (UTF-8)"),
    (b"<", "HTML or XML", "Export the data as CSV or JSONL"),
)
_BOMS = ((b"\xff\xfe\x00\x00", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))


def _check_text(part: Part, start: bytes) -> None:
    """Reject what is known not to be text in UTF-8, by its first bytes, with the cure. Raises BadInput."""
    name = part.name
    for mark, encoding in _BOMS:
        if start.startswith(mark):
            raise BadInput(f"{name} is {encoding}. Save it as UTF-8: `iconv -f {encoding} -t UTF-8` converts it.")
    for mark, what, cure in _OTHERS:
        if start.startswith(mark) and (mark != b"<" or part.ending not in (".csv", ".tsv")):
            raise BadInput(f"{name} is {what}. {cure}. What is read: {FORMATS}.")
    if start[1:4:2] == b"\0\0" or start[:3:2] == b"\0\0":
        little = "LE" if start[1:2] == b"\0" else "BE"
        raise BadInput(f"{name} looks like UTF-16 without a mark: `iconv -f UTF-16{little} -t UTF-8` converts it.")


SPANS_IN, LOGS_IN = "resourceSpans.item.scopeSpans.item.spans.item", "resourceLogs.item.scopeLogs.item.logRecords.item"
OTHER_OTLP = {SPANS_IN: (b'"resourceLogs"', LOGS_IN), LOGS_IN: (b'"resourceSpans"', SPANS_IN)}
BOTH_WITHIN = 1 << 23  # bytes of OTLP that are searched for the other kind of record
_WHOLES = (
    (re.compile(rb'"resourceSpans"\s*:\s*\['), SPANS_IN),
    (re.compile(rb'"resourceLogs"\s*:\s*\['), LOGS_IN),
)
_PAGE = re.compile(rb'^\{(?:\s*"\w{1,30}"\s*:\s*(?:"[^"\\]*"|true|false|null|\d+)\s*,)*\s*"data"\s*:\s*\[')
_LIST = re.compile(rb'"object"\s*:\s*"list"')
_COMPLETION = re.compile(rb'"object"\s*:\s*"chat\.completion"|"choices"\s*:\s*\[')
_MESSAGES = re.compile(rb'"id"\s*:\s*"chatcmpl')  # of one completion: such a page is one record
_SPREAD = re.compile(rb'^\{\s*\n\s*"')  # an object that is written over several lines


def item_prefix(start: bytes) -> str | None:
    """Return where the records stand in a JSON text that does not have one on each line; "" for the object itself."""
    if start[:1] == b"[":
        return "item"
    for pattern, prefix in _WHOLES:
        if start[:1] == b"{" and pattern.search(start[:4096]):
            return prefix
    page = _PAGE.match(start[:4096])
    if page and _COMPLETION.search(start):
        return "data.item"
    if page and _MESSAGES.search(start):
        return "" if _SPREAD.match(start) else None
    empty = page and start[page.end() :].lstrip().startswith(b"]")
    if page and _LIST.search(start[:4096] if empty else page[0]):
        return "data.item"
    if _SPREAD.match(start):
        spread = re.search(rb'^\s{1,8}"(data|items|traces|observations|runs|spans)"\s*:\s*\[', start, re.MULTILINE)
        return f"{spread[1].decode()}.item" if spread else ""
    return None


def by_record(part: Part) -> list[Part]:
    """Split a file of OTLP that holds spans and log records into one part for each. Raises BadInput."""
    if part.path.is_dir():
        return [part]
    with reading(part) as file:
        start = file.read(PEEKED)
        here = item_prefix(start.removeprefix(b"\xef\xbb\xbf").lstrip()) or ""
        if here not in OTHER_OTLP:
            return [part]
        name, other = OTHER_OTLP[here]
        both = name in start + file.read(BOTH_WITHIN)
    return [replace(part, inside=each) for each in (here, other)] if both else [part]


def is_saved(folder: Path) -> bool:
    """Whether a folder was written by `save_to_disk`."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def saved_parts(folder: Path) -> list[Path]:
    """List the Arrow files of every split in a folder written by `save_to_disk`. Raises BadInput."""
    if splits := _splits_of(folder):
        return [part for split in splits for part in saved_parts(folder / split)]
    files = _json_object(folder / "state.json").get("_data_files")
    names = [file.get("filename") for file in files if isinstance(file, dict)] if isinstance(files, list) else None
    parts = [folder / name for name in _plain_names(names, folder)]
    for part in parts:
        if part.is_symlink() or not part.is_file():
            raise BadInput(f"{folder.name} names {part.name!r}, which is not a file in it. Save the set again.")
    return parts


def _splits_of(folder: Path) -> list[str]:
    """Return the splits of a saved folder that has several. Raises BadInput."""
    if not (folder / "dataset_dict.json").is_file():
        return []
    return _plain_names(_json_object(folder / "dataset_dict.json").get("splits"), folder)


def _plain_names(names: object, folder: Path) -> list[str]:
    """Check that these are names of files in a folder, not paths out of it."""
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names) or not names:
        raise BadInput(f"{folder.name} does not list its files. Save the set again.")
    for name in names:
        if Path(name).name != name or (folder / name).is_symlink():
            raise BadInput(f"{folder.name} names {name[:40]!r}, which is not a plain name. Save the set again.")
    return names


def _json_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError):
        value = None
    if not isinstance(value, dict):
        raise BadInput(f"{path.parent.name}: {path.name} is not readable JSON. Save the set again.")
    return value


def class_names(folder: Path) -> dict[str, list[str]]:
    """Read the class names of each column of class numbers in a saved set."""
    features = (
        _json_object(folder / "dataset_info.json").get("features") if (folder / "dataset_info.json").is_file() else None
    )
    found = features.items() if isinstance(features, dict) else ()
    labels = {
        name: each.get("names") for name, each in found if isinstance(each, dict) and each.get("_type") == "ClassLabel"
    }
    return {name: [str(word) for word in words] for name, words in labels.items() if isinstance(words, list)}
