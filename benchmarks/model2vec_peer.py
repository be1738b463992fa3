"""The other side of `headline.py`: a model2vec classifier on the same rows; run as `python model2vec_peer.py JOB.json`.

It learns the teacher's labels, because it cannot learn probabilities from a record, and stops by the same validation
rows. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from model2vec import StaticModel
from model2vec.distill import distill
from model2vec.train import StaticModelForClassification

TIMED = 300  # requests, one at a time


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(1)
    started, base = time.process_time(), Path(job["base"])
    if not base.exists():
        distill(job["encoder"], pca_dims=job["columns"]).save_pretrained(str(base))
    made, started = time.process_time() - started, time.process_time()
    student = StaticModelForClassification.from_static_model(model=StaticModel.from_pretrained(str(base)))
    validation = {"X_val": job["validation"], "y_val": job["validation_labels"]}
    student.fit(job["train"], job["labels"], **validation, device="cpu", random_seed=job["seed"])
    took = time.process_time() - started
    pipeline, folder = student.to_pipeline(), Path(job["out"])
    pipeline.save_pretrained(str(folder))
    shares = np.zeros((len(job["held_out"]), job["classes"]), dtype=np.float32)
    shares[:, [int(name) for name in pipeline.classes_]] = pipeline.predict_proba(job["held_out"])
    np.save(folder / "shares.npy", shares)
    print(json.dumps({
        "seconds": round(took, 1), "made": round(made, 1), "parameters": parameters(student),
        "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".npy"),
        "us": timed(pipeline, job["held_out"]),
    }))  # fmt: skip


def parameters(student: Any) -> int:
    return int(sum(weight.numel() for weight in student.parameters() if weight.is_floating_point()))


def timed(pipeline: Any, texts: list[str]) -> list[float]:
    times = []
    for at in range(TIMED + 20):
        began = time.perf_counter_ns()
        pipeline.predict_proba([texts[at % len(texts)]])
        times.append((time.perf_counter_ns() - began) / 1000)
    return [float(each) for each in np.quantile(times[20:], [0.5, 0.95, 0.99])]


if __name__ == "__main__":
    main()
