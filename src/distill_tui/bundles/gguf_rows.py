"""`python -m distill_tui.bundles.gguf_rows BUNDLE TEXTS OUT`: what a bundle's model reads and answers.

TEXTS is a JSON list; OUT gets for each text its tokens, those of the whole prompt, and the answer. It opens models, so
it runs in a process of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tokenizers

from distill_tui.bundles import student as students_of
from distill_tui.text import visible
from distill_tui.training import models, predict, students


def main(arguments: list[str]) -> int:
    """0 done, 4 what was given cannot be used."""
    bundle, given, out = map(Path, arguments)
    try:
        student = students_of.read(bundle)
        texts = [models.speakable(text) for text in json.loads(given.read_text(encoding="utf-8"))]
        opened = students.open_folder(student.folder, threads=student.threads, max_tokens=student.max_tokens)
        plain = tokenizers.Tokenizer.from_file(str(student.folder / "tokenizer.json"))
        plain.no_truncation()
        plain.encode_special_tokens = True
        prompts = opened.prepare(texts)
        answers, _ = predict.reading(student.folder)(opened.run_all(prompts))
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{visible(str(error))}\n")
        return 4
    rows = [
        {"text": text, "read": plain.encode(text, add_special_tokens=False).ids, "prompt": [*prompt], "answer": answer}
        for text, prompt, answer in zip(texts, prompts, answers, strict=True)
    ]
    out.write_text(json.dumps(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
