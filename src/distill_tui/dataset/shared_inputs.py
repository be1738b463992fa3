"""Compare the inputs of several files: those that more than one has, and splits that are read as one. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from distill_tui.dataset.row_identity import normalise
from distill_tui.tasks.label_map import alike

MOST = 100_000  # different inputs that are kept, of 8 bytes each and their file
_SPLIT = re.compile(
    r"(?:^|[/:._-])(train|test|valid|dev|eval|held[_-]?out)(?:ing|ation)?(?=$|[/:._-])|(?:^|[/:._-])(val)(?=$|[/:._-])",
    re.IGNORECASE,
)


def split_of(file: str) -> str:
    """Return the split that a file's name states, like `train`; empty for none."""
    found = _SPLIT.search(file)
    word = (found[1] or found[2]).casefold() if found else ""
    return "valid" if word == "val" else word


@dataclass
class SharedInputs:
    """The inputs that several files of one source have."""

    kept: dict[bytes, tuple[str, str | None]] = field(default_factory=dict)  # input → its first file, its gold there
    files: dict[str, str] = field(default_factory=dict)  # file → the split that its name states
    across: set[bytes] = field(default_factory=set)  # inputs in more than one split
    differ: set[bytes] = field(default_factory=set)  # inputs whose gold differs between files
    first: str = ""  # such a case
    all_kept: bool = True

    def add(self, file: str, text: str, gold: str | None) -> None:
        """Compare a row with those of the files before it."""
        split = self.files.get(file)
        if split is None:
            split = self.files[file] = split_of(file)
        key = blake2b(normalise(text).encode(), digest_size=8).digest()
        before, gold_before = self.kept.get(key, ("", None))
        if not before:
            if len(self.kept) < MOST:
                self.kept[key] = file, gold
            else:
                self.all_kept = False
        elif before != file:
            if split and self.files[before] and self.files[before] != split:
                self.across.add(key)
            if gold is not None and gold_before is not None and not alike(gold, gold_before):
                self.differ.add(key)
                self.first = self.first or f"the first is “{gold_before}” in {before} and “{gold}” in {file}"
            elif gold_before is None:
                self.kept[key] = before, gold

    def sentences(self, named: int = 4) -> Sequence[str]:
        """Word what a person who gave several files should know of them."""
        at_least = "" if self.all_kept else "at least "
        found = []
        splits = [file for file, split in self.files.items() if split]
        if len({self.files[file] for file in splits}) > 1:
            names = ", ".join(splits[:named]) + (f" and {len(splits) - named:,} more" if len(splits) > named else "")
            both = f" {at_least}{len(self.across):,} inputs are in more than one of them." if self.across else ""
            found.append(
                f"{names} are read as one: held-out rows are drawn by the gate's rule, not by file."
                f"{both[:2].upper()}{both[2:]}"
            )
        if self.differ:
            counted = f"{at_least}{len(self.differ):,} inputs that several files have"
            found.append(
                f"Of {counted}, the gold differs; {self.first}. The more frequent label counts, of a tie none."
            )
        return found
