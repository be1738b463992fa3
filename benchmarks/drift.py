"""False alarms and delays of the drift monitor, compared with others on the same streams.

    python benchmarks/drift.py [--nulls 10000] [--shifts 2000] [--peers 1000] [--no-peers]

A life is 2,500 labelled rows. False alarms are counted over lives without drift; delays are rows from the shift (at row
500) to the alarm. `river` (ADWIN and Page-Hinkley, default and tuned to 5% false alarms at 0.10) runs in an
environment of its own, which the first run makes below `build/`, and on the first `--peers` of the same streams.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import shared
from scipy import stats

from distill_tui.monitor import drift

RIVER = "river==0.26.1"
ROWS, CHANGE, HORIZON = 2500, 500, 2500
RATES, RISES = (0.02, 0.05, 0.10, 0.30), (1.5, 2.0, 3.0)
WINDOW = 100


def main() -> None:
    parser = shared.parser(__doc__)
    parser.add_argument("--nulls", type=int, default=10_000, help="lives without drift for each rate")
    parser.add_argument("--shifts", type=int, default=2000, help="lives for each rate and rise")
    parser.add_argument("--peers", type=int, default=1000, help="of them, those that the others see too")
    parser.add_argument("--no-peers", action="store_true", help="leave the others out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs-only", action="store_true", help="only the last part")
    options = parser.parse_args()
    random = np.random.default_rng(options.seed)
    print(f"stated level {drift.LEVEL:.0%} for each life of {ROWS:,} rows; ceiling = rate before the shift\n")
    for rate in () if options.inputs_only else RATES:
        one_rate(random, rate, options)
    if not options.inputs_only:
        ceilings_from_data(random)
        bursts(random)
    inputs(np.random.default_rng((options.seed, 1)))


# --- one rate, several rises ---------------------------------------------------------------------------------------


def one_rate(random: np.random.Generator, rate: float, options: Any) -> None:
    streams = {1.0: random.random((options.nulls, ROWS)) < rate}
    for rise in RISES:
        after = random.random((options.shifts, ROWS))
        streams[rise] = np.where(np.arange(ROWS) < CHANGE, after < rate, after < rise * rate)
    print(f"rate {rate:.2f}{'':24}false alarms   " + "   ".join(f"x{rise:<22}" for rise in RISES))
    line("ours", {rise: ours(each, rate, HORIZON) for rise, each in streams.items()})
    for name, alarms in () if options.no_peers else peers(streams, options.peers):
        line(name, alarms)
    line(f"binomial test of each {WINDOW} rows", {rise: windows(each, rate) for rise, each in streams.items()})
    print()


def ours(stream: Any, limit: float, horizon: int, bets: Any = drift.row_bets) -> Any:
    """Return the row of each life's first alarm (-1: none), all lives at once; a few are checked against `drift`."""
    stakes = np.array(bets(limit))
    lives, rows = stream.shape
    sums, alarm = np.zeros((lives, len(stakes))), np.full(lives, -1)
    for row in range(rows):
        sums = (sums + 1 / horizon) * (1 + stakes * (stream[:, row, None] - limit))
        np.minimum(sums, drift.ENOUGH, out=sums)
        alarm[(alarm < 0) & (sums.mean(axis=1) >= 1 / drift.LEVEL)] = row
    check(stream[:3], limit, horizon, alarm[:3], sums[:3], batches=bets is drift.batch_bets)
    return alarm


def check(stream: Any, limit: float, horizon: int, alarms: Any, sums: Any, *, batches: bool) -> None:
    """See that the program's own monitor raises the same alarms, and ends with the same numbers to the bit."""
    for life, alarm, end in zip(stream, alarms, sums, strict=True):
        monitor = drift.Rates({drift.OVERALL: limit}, horizon, batches=batches)
        for row, share in enumerate(life):
            monitor.add({drift.OVERALL: float(share)}, str(row))
        found = int(monitor.group.alarm) if monitor.group.alarm else -1
        assert found == alarm, (found, alarm)
        assert monitor.group.each[drift.OVERALL].sums == end.tolist()


def windows(stream: Any, limit: float) -> Any:
    """Test each full window of rows by itself, one-sided at 5%: the usual dashboard."""
    counts = stream.reshape(len(stream), -1, WINDOW).sum(axis=2)
    fires = stats.binom.sf(counts - 1, WINDOW, limit) < 0.05
    return np.where(fires.any(axis=1), (fires.argmax(axis=1) + 1) * WINDOW - 1, -1)


def peers(streams: dict[float, Any], most: int) -> Iterable[tuple[str, dict[float, Any]]]:
    """Ask river, in an environment of its own."""
    python = river_python()
    with tempfile.TemporaryDirectory() as folder:
        for rise, each in streams.items():
            np.save(Path(folder) / f"{rise}.npy", each[:most])
        command = [str(python), str(Path(__file__).with_name("drift_peers.py")), folder]
        said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    for name, alarms in said.items():
        yield name, {float(rise): np.array(found) for rise, found in alarms.items()}


def river_python() -> Path:
    return shared.environment("river", [RIVER]) / "bin" / "python"


def line(name: str, alarms: dict[float, Any]) -> None:
    nulls = alarms[1.0]
    cells = [f"{100 * (nulls >= 0).mean():6.2f}% of {len(nulls):<6,}"]
    for rise in RISES:
        found = alarms[rise]
        late = np.where(found < 0, ROWS * 10, found - CHANGE + 1)[~((found >= 0) & (found < CHANGE))]
        share = (late < ROWS * 10).mean() if len(late) else 0.0
        middle, slow = (f"{np.quantile(late, q):.0f}" if share >= q else "-" for q in (0.5, 0.9))
        cells.append(f"{100 * share:3.0f}%, {middle:>4} ({slow:>4})      ")
    print(f"  {name:<32}" + " ".join(cells), flush=True)


# --- what breaks the guarantee, and what mends it --------------------------------------------------------------------


def ceilings_from_data(random: np.random.Generator, rate: float = 0.10, lives: int = 2000) -> None:
    print("the ceiling comes from n rows at the gate, the true rate is 0.10 and does not change: false alarms")
    for rows in (100, 400, 1000):
        seen, stream = random.binomial(rows, rate, lives), random.random((lives, ROWS)) < rate
        limits = {hits: drift.ceiling(int(hits), rows) for hits in set(seen.tolist())}
        point = many(stream, np.maximum(seen, 1) / rows)
        bound = many(stream, np.array([limits[hits] for hits in seen.tolist()]))
        print(f"  n = {rows:<6} at the point estimate {100 * point:5.1f}%   at the 90% bound, ours {100 * bound:4.1f}%")
    print()


def many(stream: Any, limits: Any) -> float:
    """Count false alarms where each life has a ceiling of its own."""
    stakes = np.array([drift.row_bets(float(limit)) for limit in limits])
    sums, fired = np.zeros(stakes.shape), np.zeros(len(stream), dtype=bool)
    for row in range(stream.shape[1]):
        sums = (sums + 1 / HORIZON) * (1 + stakes * (stream[:, row, None] - limits[:, None]))
        fired |= sums.mean(axis=1) >= 1 / drift.LEVEL
    return float(fired.mean())


def bursts(
    random: np.random.Generator, rate: float = 0.10, per_day: int = 20, days: int = 125, lives: int = 2000
) -> None:
    print(f"days differ ({per_day} rows a day, {days} days, mean rate {rate}): false alarms; a doubling from day 25 on")
    for correlation in (0.0, 0.01, 0.03, 0.10):
        fires, delays = {}, []
        for rise in (1.0, 2.0):
            daily = np.full(days, rate) * np.where(np.arange(days) < 25, 1, rise)
            rates = np.broadcast_to(daily, (lives, days))
            if correlation:
                spread = 1 / correlation - 1
                rates = random.beta(rates * spread, (1 - rates) * spread)
            hits = random.binomial(per_day, rates)
            by_day = ours(hits / per_day, rate, days, drift.batch_bets)
            if rise == 1.0:
                order = random.random((lives, days, per_day)).argsort(axis=2)
                rows = (order < hits[:, :, None]).reshape(lives, -1)
                fires = {"rows": (ours(rows, rate, per_day * days) >= 0).mean(), "days": (by_day >= 0).mean()}
            else:
                delays = np.where(by_day < 0, days * 10, by_day - 24)[~((by_day >= 0) & (by_day < 25))]
        print(
            f"  correlation {correlation:.2f}: by row (amber) {100 * fires['rows']:5.1f}%   by day (red) "
            f"{100 * fires['days']:4.1f}%   noticed by day after {np.median(delays):.0f} days"
        )
    print()


def inputs(random: np.random.Generator, calibration: int = 1000, rows: int = 2500) -> None:
    print(f"inputs ({calibration:,} scores at the gate; shift at row 500 of {rows:,}; 1,000 lives without, 300 with)")
    for name, shift, spread in (
        ("nothing", 0.0, 1.0),
        ("0.25 sd", 0.25, 1.0),
        ("0.5 sd", 0.5, 1.0),
        ("1 sd", 1.0, 1.0),
        ("spread x1.5", 0, 1.5),
    ):
        found, tests = [], []
        for _ in range(1000 if name == "nothing" else 300):
            reference, scores = random.normal(size=calibration), random.normal(size=rows)
            scores[CHANGE:] = scores[CHANGE:] * spread + shift
            monitor = drift.Inputs({"score": reference.tolist()}, {"score": 1.0}, HORIZON)
            for row, (score, chance) in enumerate(
                zip(scores.tolist(), (1 - random.random(rows)).tolist(), strict=True)
            ):
                monitor.add({"score": score}, chance, str(row))
                if monitor.group.alarm:
                    break
            found.append(int(monitor.group.alarm or -1))
            weeks = [stats.ks_2samp(scores[at : at + 250], reference).pvalue < 0.05 for at in range(0, rows, 250)]
            tests.append((weeks.index(True) + 1) * 250 - 1 if True in weeks else -1)
        told = []
        for alarms in (np.array(found), np.array(tests)):
            if name == "nothing":
                told.append(f"false alarms {100 * (alarms >= 0).mean():5.1f}%")
            else:
                late = np.where(alarms < 0, 10 * rows, alarms - CHANGE + 1)[~((alarms >= 0) & (alarms < CHANGE))]
                told.append(f"noticed after {np.median(late):5.0f} rows")
        print(f"  {name:<12} ours: {told[0]}   Kolmogorov-Smirnov each 250 rows, p < 0.05: {told[1]}")


if __name__ == "__main__":
    sys.exit(main())
