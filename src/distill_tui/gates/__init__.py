"""What success means, fixed beforehand; what an evaluation measured; and what the one says of the other.

A `Gate` is written, locked by its digest, and never changes. A `Record` is everything that an evaluation measured, in
integers and strings, so that anybody can compute the verdicts again. `judge` puts one against the other: a criterion
holds only where the whole interval is on the right side, and a point estimate never decides.

Pure: no file, no play, no person. Standard library, `terms`, `statistics` and `economics` only. Callers come in here.
Each file imports only from files before it in this list: `wording`, `canonical`, `gate`, `problems`, `written`,
`compare`, `record`, `deferred`, `judgement`, `quality`, `measures`, `judging`, `power`, `progress`.
"""

from distill_tui.gates.compare import Line, compare
from distill_tui.gates.deferred import chosen, handed_back, sent_back, threshold, together, unusable
from distill_tui.gates.gate import (
    ALL,
    BASELINES,
    EVERY_SEGMENT,
    METHODS_NOW,
    P95,
    QUALITY,
    ROW_SCORES,
    SEGMENT,
    Criterion,
    Gate,
    RowScore,
    default_gate,
)
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.judging import judge, methods, passed
from distill_tui.gates.power import ASSUMED_DISCORDANCE, PowerNote, power
from distill_tui.gates.problems import problems
from distill_tui.gates.progress import Progress, progress
from distill_tui.gates.record import CERTAIN, SUBJECTS, TIMED, TOGETHER, Record
from distill_tui.gates.written import digest, from_json, from_toml, to_json, to_toml

__all__ = [
    "ALL",
    "ASSUMED_DISCORDANCE",
    "BASELINES",
    "CERTAIN",
    "EVERY_SEGMENT",
    "METHODS_NOW",
    "P95",
    "QUALITY",
    "ROW_SCORES",
    "SEGMENT",
    "SUBJECTS",
    "TIMED",
    "TOGETHER",
    "Criterion",
    "Gate",
    "Judgement",
    "Line",
    "PowerNote",
    "Progress",
    "Record",
    "RowScore",
    "chosen",
    "compare",
    "default_gate",
    "digest",
    "from_json",
    "from_toml",
    "handed_back",
    "judge",
    "methods",
    "passed",
    "power",
    "problems",
    "progress",
    "sent_back",
    "threshold",
    "to_json",
    "to_toml",
    "together",
    "unusable",
]
