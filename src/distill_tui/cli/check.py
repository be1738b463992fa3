"""Commands that check and copy: the log, bundles, stored verdicts, the machine; backups."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from distill_tui import actions
from distill_tui.bundles import verify as bundle_check
from distill_tui.cli.call import Call, InputError, UsageError, plain_objections
from distill_tui.cli.exits import DONE, FAILED
from distill_tui.cli.options import FILE, command, reason
from distill_tui.reports import text
from distill_tui.rules import permission
from distill_tui.rules.objection import Refused
from distill_tui.store import backup as backups
from distill_tui.store import disks, exposure, queries, verdicts
from distill_tui.store import doctor as doctors
from distill_tui.store import prune as pruning
from distill_tui.terms import Action
from distill_tui.text import visible

SHOWN = 20  # troubles in words; the others are counted


@command(
    "audit verify",
    "Check the log's chain, the guards of the file, and that the log continues what you saw; exit 1 if not.",
)
def audit_verify(call: Call) -> int:
    dossier = call.project.project_dossier()
    back = [dossier.read_only, exposure.trouble(call.path)]
    troubles = list(dict.fromkeys([*queries.untrustworthy(call.project), *filter(None, back)]))
    whole = (
        f"{dossier.audit_size} entries, head {dossier.audit_head}: the tables are what it says, and the chain is whole."
    )
    call.data(
        {
            "entries": dossier.audit_size,
            "head": dossier.audit_head,
            "trouble": troubles[0] if troubles else None,
            "troubles": troubles,
        },
        [] if troubles else [whole],
    )
    for trouble in troubles[:SHOWN]:
        call.talk(trouble)
    if len(troubles) > SHOWN:
        call.talk(f"{len(troubles) - SHOWN} more; --json lists all.")
    return FAILED if troubles else DONE


@command(Action.REPAIR)
def audit_repair(call: Call) -> None:
    changed = call.project.repair(call.identify)
    call.data({"changed": changed}, [visible(each) for each in changed] or ["The tables are what the log says."])


@command(Action.ACCEPT_RESTORED)
@reason
def audit_accept(call: Call, message: str) -> None:
    actions.accept_restored(call.project, call.actor, message)
    dossier = call.project.project_dossier()
    waits = dossier.read_only
    call.talk(waits or "Accepted: from now on the project goes on from this file.")
    call.data({"accepted": not waits, "waiting": list(dossier.lineage.waiting)})


@command(
    "verify",
    "Check a bundle's digests, verdict and signature; without a bundle, recompute every stored verdict "
    "of the project. Exit 1 if anything is wrong.",
)
@click.argument(
    "bundle",
    metavar="[BUNDLE]",
    type=FILE,
    required=False,
    help="the bundle's folder (default: the project's own verdicts)",
)
@click.option("--signer", metavar="FINGERPRINT", help="the key that must have signed")
@click.option("--roster", metavar="DIGEST", help="the digest of the roster that you trust, as `roster show` prints it")
def verify(call: Call, bundle: str | None, signer: str | None, roster: str | None) -> int:
    if bundle is None:
        return _verify_verdicts(call)
    folder = Path(bundle)
    if not folder.is_dir():
        raise InputError(f"{folder.name} is not a folder; name the folder of a bundle.")
    found = bundle_check.verify_bundle(folder, signer, roster)
    for problem in found.problems:
        call.talk(problem.sentence)
    lines = [visible(f"{name}: {value}") for name, value in found.facts.items()]
    whole = [] if found.problems else ["The bundle is whole."]
    call.data({"problems": plain_objections(found.problems), "facts": found.facts}, [*lines, *whole])
    return FAILED if found.problems else DONE


def _verify_verdicts(call: Call) -> int:
    """Recompute every stored verdict, and check the chain that they are logged in."""
    found = list(verdicts.check(call.project))
    chain = call.project.project_dossier(thorough=True).audit_trouble
    troubles = [*(each.trouble for each in found if each.trouble), *([chain] if chain else [])]
    for trouble in troubles:
        call.talk(trouble)
    whole = [] if troubles else [f"{len(found)} stored verdicts are reproduced, and the log's chain is whole."]
    call.data({"verdicts": [asdict(each) for each in found], "chain": chain or None}, whole)
    return FAILED if troubles else DONE


@command("backup", "Copy the project at one moment, while others write; exit 1 if the copied project is damaged.")
@click.argument("file", metavar="FILE", type=FILE, help="the new project file; its artifacts are copied next to it")
def backup(call: Call, file: str) -> int:
    target = Path(file)
    copied = backups.backup(call.project, target)
    size = f"{copied.artifacts} artifacts, {copied.bytes / 1e6:,.1f} MB"
    lines = [visible(f"{target.name}: {copied.entries} entries, head {copied.head}; {size}.")]
    call.data({"file": str(target)} | {name: getattr(copied, name) for name in copied.__slots__}, lines)
    if copied.trouble:
        call.talk(f"It was copied as it is, but the project is damaged: {copied.trouble}")
    return FAILED if copied.trouble else DONE


@command("prune", "Show which work files of ended runs can go, and how much they are; with --delete, delete them.")
@click.option("--delete", "deletes", is_flag=True, help="delete them for good")
def prune(call: Call, deletes: bool) -> None:
    files = list(pruning.found(call.project))
    if deletes:
        reasons = list(permission.unenrolled(call.project.project_dossier(), call.actor))
        if reasons:
            raise Refused(reasons)
        for each in files:
            pruning.delete(each)
    rows = [(str(each.run), each.play, disks.in_words(each.bytes)) for each in files]
    value = {"deleted": deletes, "bytes": sum(each.bytes for each in files), "runs": [each.run for each in files]}
    call.data(value, text.table(("RUN", "PLAY", "SIZE"), rows, plain=call.plain) if files else ())
    total = f"{disks.in_words(sum(each.bytes for each in files))} of work files of {len(files)} ended runs"
    if not files:
        call.talk("No ended run has work files.")
    elif deletes:
        call.talk(f"{total} are deleted. Artifacts, logs and what can be resumed stay.")
    else:
        call.talk(f"{total} can go: add --delete.")


@command("doctor", "Check this machine and the project file; exit 1 if anything is wrong.")
def doctor(call: Call) -> int:
    try:
        path = call.path
    except UsageError as error:
        call.talk(str(error))
        findings = doctors.machine()
    else:
        findings = [*doctors.machine(), *doctors.file(path)]
    return call.checked(findings)
