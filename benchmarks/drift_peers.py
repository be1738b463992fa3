"""The other side of `drift.py`: river's detectors on the streams of a folder; prints {detector: {file: [alarm, ...]}}.

Runs in an environment with river and numpy only. An alarm is the row of the first detection, -1 where there is none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from river import drift

DETECTORS: dict[str, Callable[[], Any]] = {
    "ADWIN, default (0.002)": lambda: drift.ADWIN(delta=0.002),
    "ADWIN, tuned (0.17)": lambda: drift.ADWIN(delta=0.17),
    "Page-Hinkley, default (0.005, 50)": lambda: drift.PageHinkley(delta=0.005, threshold=50.0, mode="up"),
    "Page-Hinkley, tuned (0.02, 14.5)": lambda: drift.PageHinkley(delta=0.02, threshold=14.5, mode="up"),
}


def first(detector: Any, rows: list[float]) -> int:
    for number, row in enumerate(rows):
        detector.update(row)
        if detector.drift_detected:
            return number
    return -1


def main() -> None:
    streams = {path.stem: np.load(path).astype(float) for path in sorted(Path(sys.argv[1]).glob("*.npy"))}
    found = {
        name: {stem: [first(make(), life.tolist()) for life in lives] for stem, lives in streams.items()}
        for name, make in DETECTORS.items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
