"""What an importing worker does: read a file of traffic into one Parquet file of known columns, and record it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from distill_tui import tasks
from distill_tui.dataset import frozen, traffic
from distill_tui.dataset.duplicates import near_duplicates
from distill_tui.dataset.readers import HOW, ColumnMapping
from distill_tui.dataset.traces.call_mapping import DEFAULT, CallMapping
from distill_tui.digests import canonical
from distill_tui.rules import entities, labels
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.requests import ImportTraffic, WorkerReport
from distill_tui.rules.results import NO_NAMES, ImportReport, TakenVariations, encode
from distill_tui.runs.claim import Claim
from distill_tui.store import tables
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.json_columns import stored
from distill_tui.store.project import Change
from distill_tui.terms import Action, RunStatus, Split


def run(claimed: Claim, dossier: PlayDossier) -> None:
    """Import the files that the run's spec names; what the rules refuse is not kept.

    `variations` of the spec describes those that a teacher wrote, of which none may belong with a held-out row.
    """
    artifacts, spec = claimed.project.artifacts, stored(claimed.run.spec, f"the spec of run {claimed.id}")
    source, mapping, variations = (
        [Path(each) for each in spec["sources"]],
        ColumnMapping(**spec["mapping"]),
        spec.get("variations"),
    )
    calls, answers_of, name = spec.get("calls"), spec.get("answers_of", ""), spec["name"]
    columns = _stored_mapping(mapping, calls, answers_of)
    with claimed.scratch() as scratch:
        out = scratch / "traffic.parquet"
        how = CallMapping.read(calls) if calls else DEFAULT
        report = traffic.import_traffic(source, mapping, out, claimed.progress(), calls=how, answers_of=answers_of)
        report = replace(report, file_name=name)
        request = _request(report, spec["most_rejects"], canonical(columns).decode(), answers_of, claimed.fence)
        claimed.ask_first(Action.IMPORT_TRAFFIC, request)
        leaks = held_out_in(artifacts, dossier, out)
        request = replace(request, held_out=leaks, variations=variations is not None)
        claimed.ask_first(Action.IMPORT_TRAFFIC, request)
        artifact, rejects = artifacts.store(out), out.with_suffix(".rejects.jsonl")
        of, scale = tasks.of(dossier.play.task), labels.scale_of(dossier.play)
        report = replace(
            report,
            names=NO_NAMES if (scale is not None and scale.ranged) or not of.has_labels else report.names,
            rejects_file=artifacts.store(rejects) if rejects.exists() else "",
            held_out=leaks,
            variations=TakenVariations(**variations | {"varied": tuple(variations["varied"])}) if variations else None,
        )

    def edit(change: Change, row: entities.Run) -> None:
        change.session.add(
            tables.Traffic(
                play_id=row.play_id,
                round=change.play.round,
                name=name,
                source_digest=request.source_digest,
                artifact=artifact,
                mapping=request.mapping,
                rows=report.rows,
                rejects=report.rejects,
                report=encode(report),
                imported_at=change.at,
            )
        )
        row.artifact, row.message = artifact, f"{report.rows:,} rows, {report.rejects:,} left out"
        row.step = row.total = report.rows + report.rejects
        change.detail |= {"name": name, "rows": report.rows, "rejects": report.rejects, "traffic": artifact}
        change.detail |= {"most_rejects": str(spec["most_rejects"]), "mapping": columns, "held_out": leaks}

    claimed.end(Action.IMPORT_TRAFFIC, RunStatus.FINISHED, edit, request)


def _request(
    report: ImportReport, most_rejects: float, mapping: str, answers_of: str, worker: WorkerReport
) -> ImportTraffic:
    return ImportTraffic(
        name=report.file_name,
        source_digest=f"sha256:{report.source_digest.removeprefix('sha256:')}",
        mapping=mapping,
        rows=report.rows,
        rejects=report.rejects,
        most_rejects=most_rejects,
        reasons=report.reasons,
        models=report.models,
        answers_of=answers_of,
        worker=worker,
    )


def _stored_mapping(mapping: ColumnMapping, calls: str | None, answers_of: str) -> dict[str, object]:
    """Return how a source was read, as the project keeps it."""
    how = {name: value for name in HOW if (value := getattr(mapping, name))}
    columns: dict[str, object] = {**mapping.named(), **how}
    columns |= {"calls": json.loads(calls)} if calls else {}
    return columns | ({"answers_of": answers_of} if answers_of else {})


def held_out_in(artifacts: Artifacts, dossier: PlayDossier, path: Path) -> dict[str, int]:
    """Count the inputs of a new file that belong with held-out rows of an earlier round: they train nothing.

    `same` are held out already, `near` are near duplicates of one, `group` share one's group; each input counts once,
    under the first that fits. Empty where nothing is held out yet.
    """
    before = next((d for d in reversed(dossier.data_sets) if d.frozen_at), None)
    if before is None:
        return {}
    sealed = frozen.load(artifacts.path(before.artifact), Split.HELD_OUT)
    known, groups = set(sealed.digests), {group for group in sealed.groups if group is not None}
    new = {row["input_digest"]: row for row in traffic.rows([path], ("input_digest", "input", "group"))}
    others = [row for digest, row in new.items() if digest not in known]
    clusters = near_duplicates([*sealed.inputs, *(row["input"] for row in others)])
    touched = set(clusters[: len(sealed)])
    near = [cluster in touched for cluster in clusters[len(sealed) :]]
    grouped = sum(row["group"] in groups and not close for row, close in zip(others, near, strict=True))
    return {"same": len(new) - len(others), "near": sum(near), "group": grouped}
