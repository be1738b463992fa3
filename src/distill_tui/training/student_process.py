"""`python -m distill_tui.training.student_process FOLDER THREADS MAX_TOKENS`: answer texts that come in on a pipe.

The gateway starts it, so that a model never runs in its event loop. A frame is four bytes of length, big-endian, and
JSON: texts in, as a list; out as many `[answer, confidence, probabilities]`, or one sentence of what is wrong. The
first frame out is the list of labels. It ends when its standard input does.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any, BinaryIO

from distill_tui.tasks.loaders import FORMS
from distill_tui.training import predict, students
from distill_tui.training.folders import form, teacher_labels


def main(folder: Path, threads: int, max_tokens: int) -> None:
    taken = os.fdopen(os.dup(sys.stdout.fileno()), "wb")  # what a library prints must not be taken for a frame
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    writes = FORMS[form(folder)].writes
    labels = () if writes else teacher_labels(folder)
    opened = students.open_folder(folder, threads=threads, max_tokens=max_tokens)
    read = predict.reading(folder)
    opened.ask_all(["warm up"])
    gc.collect()
    gc.freeze()  # a collection that walks through all of torch would hold up a request
    send(taken, list(labels))
    while (texts := receive(sys.stdin.buffer)) is not None:
        try:
            found = opened.ask_all(texts)
        except Exception as error:  # one text must not end what answers all others
            send(taken, f"{type(error).__name__}: {error}")
            continue
        shares = [[]] * len(found) if writes else [[round(float(share), 6) for share in each] for each in found]
        said = [each.text for each in found] if writes else None
        answers, confidence = read(found)
        send(taken, [list(each) for each in zip(said or answers, confidence, shares, strict=True)])


def send(file: BinaryIO, value: object) -> None:
    content = json.dumps(value).encode()
    file.write(len(content).to_bytes(4, "big") + content)
    file.flush()


def receive(file: BinaryIO) -> Any:
    """Read a frame; None at the end."""
    head = file.read(4)
    if len(head) < 4:
        return None
    return json.loads(file.read(int.from_bytes(head, "big")))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
