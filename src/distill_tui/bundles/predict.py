"""`python -m distill_tui.bundles.predict BUNDLE (--text TEXT | FILE)`: answer with a bundle's student, from it alone.

One JSON object for each input, in the order of the file; - is standard input, a text a line. It opens models, so it
runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from distill_tui import tasks
from distill_tui.bundles import student as students_of
from distill_tui.bundles import verify
from distill_tui.bundles.student import BundledStudent
from distill_tui.dataset.traces import call_mapping
from distill_tui.dataset.traces.call_mapping import CallMapping
from distill_tui.gates.label_sets import members
from distill_tui.rules.results import Reject
from distill_tui.text import visible
from distill_tui.training import predict, students

STANDARD_INPUT = Path("-")
AT_ONCE = 256  # inputs that are read, answered and printed together


def answers(student: BundledStudent, texts: Iterable[str]) -> Iterator[dict[str, object]]:
    """Answer texts, in their order: the answer, its confidence, and of labels every probability."""
    opened = students.open_folder(student.folder, threads=student.threads, max_tokens=student.max_tokens)
    read, waiting = predict.reading(student.folder), iter(texts)
    while some := list(islice(waiting, AT_ONCE)):
        for text, found in zip(some, opened.ask_all(some), strict=True):
            if student.writes:
                yield {"input": text, "answer": found.text, "confidence": round(found.confidence, 6)}
                continue
            shares = {label: round(float(share), 6) for label, share in zip(student.labels, found, strict=True)}
            (said,), (sure,) = read([found])
            answer = [*members(said)] if tasks.of(student.task).several else said
            yield {"input": text, "answer": answer, "confidence": round(sure, 6), "probabilities": shares}


def inputs(path: Path, mapping: CallMapping, *, several: bool = False) -> Iterator[str]:
    """Read the inputs of a file: each line of a .txt, else the rows that `import` would read. Raises ValueError."""
    if path == STANDARD_INPUT or path.suffix == ".txt":
        given = Path("/dev/stdin") if path == STANDARD_INPUT else path
        with given.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield call_mapping.plain_input(line.rstrip("\n"), mapping)
                else:
                    sys.stderr.write(f"{path.name}:{number}: the line is empty; skipped.\n")
        return
    from distill_tui.dataset import readers  # pyarrow: one text does without

    columns = readers.guess_mapping(path, mapping.template)
    columns = readers.with_sets(columns, path) if several else columns
    for row in readers.read_rows(path, columns, mapping):
        if isinstance(row, Reject):
            sys.stderr.write(f"{path.name}:{row.line}: {row.reason}; skipped.\n")
        else:
            yield row.input


def main(arguments: list[str]) -> int:
    """Answer for the command line. 0 done, 4 what was given cannot be used."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle", type=Path)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--text")
    given = parser.parse_args(arguments)
    try:
        trouble = verify.files_trouble(given.bundle)
        if trouble:
            raise ValueError(trouble)
        student = students_of.read(given.bundle)
        mapping = CallMapping.read(student.calls) if student.calls else call_mapping.DEFAULT
        one = [call_mapping.plain_input(given.text, mapping)] if given.file is None else []
        for found in answers(student, one or inputs(given.file, mapping, several=tasks.of(student.task).several)):
            sys.stdout.write(json.dumps(found, ensure_ascii=True) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{visible(str(error))}\n")
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
