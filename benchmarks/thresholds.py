"""How often a deferral threshold keeps its share on the next rows: with headroom, next to the way without.

    python benchmarks/thresholds.py CACHE [--trials 40] [--ladder 'ngram, static'] [--share 0.2] [--draws 2000]

Without headroom a threshold is the confidence below which just the share of the validation rows lies, of the same rows
that stopped the training and chose the rung. With headroom it is fixed on a third of them, chosen by digest, which did
neither, so that the share is kept on the next rows with a chance of 95%.

The simulation draws confidences of several laws. On real data each trial draws training, validation and next rows of
vader_rated by whole documents (fetched once into CACHE, see sample_projects/feedback_sentiment), climbs the ladder
twice, and counts how many of the next rows each threshold sends back.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import shared

# isort: split
import fetch
import numpy as np

from distill_tui.dataset.row_identity import input_digest
from distill_tui.gates import aside
from distill_tui.gates.deferred import calibration_rows, threshold, with_headroom
from distill_tui.gates.record import CERTAIN
from distill_tui.gates.statistics import share_at_least, share_at_most
from distill_tui.spec import Spec
from distill_tui.terms import Control
from distill_tui.training import predict
from distill_tui.training.classification import LabelRows
from distill_tui.training.examples import Examples
from distill_tui.training.ladder import Climb

CHANCE, NEXT = 0.95, 1_000
TRAINING, VALIDATION = 1_500, 900
SPEC = {"alpha": 0.0, "hidden": 64, "epochs": 6, "controls": ""}
Draw = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--ladder", default="ngram, static")
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--draws", type=int, default=2_000)
    options = parser.parse_args()
    simulated(options.draws)
    real(options.cache, options.trials, options.share, options.ladder)


def told(name: str, held: Sequence[bool], back: Sequence[float]) -> None:
    kept, count = sum(held), len(held)
    low, high = share_at_least(kept, count, 0.025), share_at_most(kept, count, 0.025)
    text = f"kept {kept:,} of {count:,} times, {100 * kept / count:.1f}% (95% CI {100 * low:.1f} to {100 * high:.1f})"
    print(f"  {name}: {text}; sent back {100 * np.mean(back):.1f}% on average", flush=True)


# --- simulation -------------------------------------------------------------------------------------------------------


def independent(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    return (CERTAIN * random.beta(5, 1, count)).astype(int), np.arange(count)


def tied(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return confidences of which many are equal, as a student gives that saw few features."""
    return 500 * random.integers(8, 21, count), np.arange(count)


def grouped(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows in groups of five whose confidences go together."""
    groups = np.arange(count) // 5
    centre = random.normal(0, 1, groups.max() + 1)[groups]
    logit = 2 + centre + random.normal(0, 1, count)
    return (CERTAIN / (1 + np.exp(-logit))).astype(int), groups


def simulated(draws: int) -> None:
    laws: dict[str, Draw] = {"independent": independent, "many equal": tied, "groups of five": grouped}
    for law, draw in laws.items():
        for rows, share in ((300, 0.05), (300, 0.2), (1_500, 0.2)):
            random = np.random.default_rng(1)
            ways: dict[str, tuple[list[bool], list[float]]] = {"without": ([], []), "headroom": ([], [])}
            for _ in range(draws):
                sure, group = draw(random, rows)
                later, _ = draw(random, NEXT)
                third = slice(0, rows // 3)
                found = with_headroom(sure[third].tolist(), group[third].tolist(), share, NEXT, CHANCE)
                below = {"without": threshold(sure.tolist(), share), "headroom": found or 0}
                for way, (held, back) in ways.items():
                    measured = float((later < below[way]).mean())
                    held.append(measured <= share)
                    back.append(measured)
            print(f"simulated, {law}: {rows:,} validation rows, {100 * share:g}% at most, {NEXT:,} next rows")
            for way, found_ in ways.items():
                told(way, *found_)


# --- real data --------------------------------------------------------------------------------------------------------


def real(cache: Path, trials: int, share: float, ladder: str) -> None:
    path = fetch.fetch(cache, print)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    ways: dict[str, tuple[list[bool], list[float]]] = {"without": ([], []), "headroom": ([], [])}
    print(
        f"vader_rated: {TRAINING:,} training, {VALIDATION:,} validation, {NEXT:,} next rows, {100 * share:g}% at most"
    )
    for trial in range(trials):
        training, validation, later = parts(rows, np.random.default_rng(trial))
        spec = Spec.from_mapping(SPEC | {"ladder": ladder, "seed": trial})
        for way, (held, back) in ways.items():
            least, aside.LEAST = aside.LEAST, aside.LEAST if way == "headroom" else 10**9
            try:
                below, sure = trained(training, validation, later, spec, share, headroom=way == "headroom")
            finally:
                aside.LEAST = least
            measured = float((sure < below).mean())
            held.append(measured <= share)
            back.append(measured)
        print(f"  trial {trial + 1}: " + ", ".join(f"{way} {100 * each[1][-1]:.1f}%" for way, each in ways.items()))
    for way, found in ways.items():
        told(way, *found)


def parts(rows: list[dict[str, Any]], random: np.random.Generator) -> list[list[dict[str, Any]]]:
    """Draw whole documents into three parts."""
    documents: dict[str, list[dict[str, Any]]] = {}
    for number, row in enumerate(rows):
        documents.setdefault(row["group"] or f"row {number}", []).append(row)
    names, found, wanted = list(documents), [[]], [TRAINING, VALIDATION, NEXT]  # type: list[str], list[list[Any]], list[int]
    for at in random.permutation(len(names)):
        if len(found[-1]) >= wanted[len(found) - 1]:
            if len(found) == len(wanted):
                break
            found.append([])
        found[-1] += documents[names[at]]
    return found


def examples(rows: list[dict[str, Any]]) -> Examples:
    labels = np.array([fetch.LABELS.index(row["gold"]) for row in rows])
    return Examples(tuple(row["input"] for row in rows), labels, None, np.ones(len(rows), dtype=np.float32))


def trained(
    training: list[dict[str, Any]],
    validation: list[dict[str, Any]],
    later: list[dict[str, Any]],
    spec: Spec,
    share: float,
    *,
    headroom: bool,
) -> tuple[int, np.ndarray]:
    """Climb the ladder; return the threshold of the kept student, and how sure it is of the next rows."""
    folder = Path(tempfile.mkdtemp(prefix="thresholds-"))
    try:
        checked, taught = examples(validation), examples(training)
        known = LabelRows(
            tuple(fetch.LABELS), taught, {Control.HARD: taught}, checked, checked.labels, np.full(len(validation), -1)
        )
        climb = Climb(spec, known, teacher=None, start=None, folder=folder)
        for _ in climb.steps():
            pass
        kept = climb.kept
        answers = predict.predictions(kept.folder, [row["input"] for row in later], kept.spec)
        sure, next_sure = (np.rint(CERTAIN * each.max(axis=1)).astype(int) for each in (kept.predictions, answers))
        if not headroom:
            return threshold(sure.tolist(), share), next_sure
        chosen = calibration_rows([aside.key(input_digest(row["input"])) for row in validation], len(validation))
        names = {
            name: number for number, name in enumerate(dict.fromkeys(row["group"] or row["id"] for row in validation))
        }
        group = [names[validation[row]["group"] or validation[row]["id"]] for row in chosen]
        return with_headroom([int(sure[row]) for row in chosen], group, share, NEXT, CHANCE) or 0, next_sure
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
