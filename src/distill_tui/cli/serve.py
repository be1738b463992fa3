"""Commands that answer with a student: `predict` from a bundle alone, the mode of a gateway, folders of bundles."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from distill_tui import actions
from distill_tui.bundles import export
from distill_tui.bundles import gguf as gguf_of
from distill_tui.cli.call import Call, InputError, UsageError, reading
from distill_tui.cli.exits import BAD_INPUT, DONE, PROGRAM
from distill_tui.cli.options import AT_LEAST_1, FILE, OneOf, command, option_of, play, stacked
from distill_tui.dataset import frozen
from distill_tui.rules import requests, restored
from distill_tui.rules.objection import Refused
from distill_tui.serving import command as command_of
from distill_tui.terms import Action, KeptContent, OnObjection, ServingMode, Split, TeacherFault
from distill_tui.text import visible

if TYPE_CHECKING:
    from distill_tui.rules.serving_mode import Serving
    from distill_tui.serving.retention import Keep
    from distill_tui.serving.server import Served

settings = stacked(
    click.option(
        "--percent", metavar="N", type=int, help="in a canary: the percentage of inputs that the student answers"
    ),
    click.option("--content", type=OneOf(KeptContent), help="what the served log keeps (at first full)"),
    click.option(
        "--audit-share",
        metavar="SHARE",
        help="the share of the student's requests that the teacher gets too (at first 0.02)",
    ),
    click.option("--on-fault", type=OneOf(TeacherFault), help="what answers where the teacher fails (at first fail)"),
    click.option(
        "--on-objection",
        type=OneOf(OnObjection),
        help="what happens where the validator objects to the live student (at first fall-back)",
    ),
)


def asked(
    mode: ServingMode, reason: str, was: Serving | None, *, audit_share: str | None, **words: Any
) -> requests.ServeMode:
    """Return the mode that the options ask for; what is not given stays as it `was`. Raises UsageError."""
    now = requests.ServeMode(mode) if was is None else was.kept(mode)
    given = {name: value for name, value in words.items() if value is not None}
    if audit_share is not None:
        try:
            given["audit_share"] = Decimal(audit_share)
        except InvalidOperation:
            raise UsageError("--audit-share is a share like 0.02.") from None
    return replace(now, reason=reason, **given)


# --- answer from a bundle --------------------------------------------------------------------------------------------


@command("predict", "Answer one text, or every input of a file, with a bundle's student: no project is needed.")
@click.argument("bundle", metavar="BUNDLE", type=FILE, help="the bundle's folder")
@click.argument(
    "text",
    metavar="TEXT|FILE",
    help="a text; or a file: .txt, a text a line, or one that `import` reads; - reads lines of standard input",
)
def predict(call: Call, bundle: str, text: str) -> int:
    """Open the model in a process of its own. One line an input; with --json one JSON object a line."""
    if not Path(bundle).is_dir():
        raise InputError(f"{Path(bundle).name} is not a folder; name the folder of a bundle.")
    if not _is_file(text) and not text[-1:].isspace() and FILE_NAME.fullmatch(text):
        raise InputError(
            f"There is no file {text}. Check the path; for a text that reads like this, end it with a space."
        )
    what = [text] if text == "-" or _is_file(text) else ["--text", text]
    words = [sys.executable, "-m", "distill_tui.bundles.predict", bundle, *what]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if call.json:
                sys.stdout.write(line)
                continue
            found = json.loads(line)
            said = found["answer"]
            said = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
            sys.stdout.write(f"{visible(said)}\t{100 * found['confidence']:.1f}%\n")
    return BAD_INPUT if process.returncode else DONE


FILE_NAME = re.compile(r"\S+\.(txt|csv|tsv|json|jsonl|ndjson|parquet)(\.(gz|bz2|xz|zst|lz4))?", re.IGNORECASE)


def _is_file(word: str) -> bool:
    try:
        return Path(word).is_file()
    except (OSError, ValueError):  # a text that no file could be named by
        return False


# --- the gateway -----------------------------------------------------------------------------------------------------


@command("serve", "Serve plays, or one bundle, at an HTTP address: OpenAI's formats, typed decisions, TEI.")
@click.argument("what", metavar="PLAY…|BUNDLE", nargs=-1, required=True, help="codes of plays, or a bundle's folder")
@click.option("--mode", type=OneOf(ServingMode), help="set this mode first; for a bundle alone: its mode")
@settings
@click.option("--teacher", metavar="URL", help="the teacher's base URL, ending in /v1; its key: DISTILL_TEACHER_KEY")
@click.option("--teacher-timeout", metavar="SECONDS", type=float, default=60.0, help="how long to wait for the teacher")
@click.option("--signer", metavar="FINGERPRINT", help="for a bundle alone: the key that must have signed it")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", help="the address; any other needs tokens")
@click.option("--port", metavar="N", type=click.IntRange(1, 65535), default=8080, help="the port")
@click.option("--tokens", metavar="FILE", type=FILE, help="tokens, one a line, mode 600 (or DISTILL_GATEWAY_TOKENS)")
@click.option("--processes", metavar="N", type=AT_LEAST_1, default=1, help="processes of each student")
@click.option(
    "--observe-every",
    metavar="SECONDS",
    type=click.FloatRange(min=1),
    default=86_400.0,
    help="hand the audit channel's new pairs to `observe` this often",
)
@click.option("--max-body", metavar="BYTES", type=AT_LEAST_1, default=4_000_000, help="the largest request")
@click.option("--served-log", metavar="DIR", type=FILE, help="for a bundle alone: where requests are recorded")
@click.option(
    "--keep-days",
    metavar="N",
    type=click.FloatRange(min=0),
    help="delete segments of the served log that are older, once taken (default 90, for a bundle alone none; 0: none)",
)
@click.option(
    "--keep-gb",
    metavar="N",
    type=click.FloatRange(min=0),
    help="delete the oldest beyond this size, once taken (default 20, for a bundle alone none; 0: none)",
)
def serve(
    call: Call,
    what: tuple[str, ...],
    mode: ServingMode | None,
    teacher: str | None,
    signer: str | None,
    served_log: str | None,
    keep_days: float | None,
    keep_gb: float | None,
    **more: Any,
) -> None:
    own = {name: more.pop(name) for name in ("percent", "content", "audit_share", "on_fault", "on_objection")}
    with reading():
        if len(what) == 1 and (Path(what[0]) / "manifest.json").is_file():
            wanted = asked(mode or ServingMode.CASCADE, "", None, **own)
            kept = command_of.keep(keep_days, keep_gb, alone=True)
            log = Path(served_log) if served_log else None
            served = [command_of.bundle(Path(what[0]), signer, wanted, log, kept)]
        elif signer or served_log:
            raise UsageError("--signer and --served-log are for a bundle alone.")
        else:
            kept = command_of.keep(keep_days, keep_gb, alone=False)
            if mode is None and (set_alone := [name for name, value in own.items() if value is not None]):
                raise UsageError(f"--{set_alone[0].replace('_', '-')} of a play is set with its --mode.")
            served = [_of_play(call, each, mode, own, kept) for each in what]
            teacher = teacher or command_of.teacher_of(call.project, call.dossier())
        call.close()
        command_of.run(served, teacher or "", more, call.talk)


def _of_play(call: Call, code: str, mode: ServingMode | None, own: Mapping[str, Any], kept: Keep) -> Served:
    call.play = code
    call.__dict__.pop("play_id", None)
    reasons = list(restored.read_only(Action.SERVE_MODE, call.dossier().project))
    if reasons:
        raise Refused(reasons)
    if mode is not None:
        actions.set_mode(*call.about, asked(mode, "", call.dossier().serving, **own))
    return command_of.play(call.path, call.dossier().code, kept)


# --- the mode of a gateway -------------------------------------------------------------------------------------------


@command(Action.SERVE_MODE)
@play
@click.argument(
    "mode",
    metavar="MODE",
    type=OneOf(ServingMode),
    help="capture, shadow, canary, cascade, or suspended (the off switch: the teacher answers all)",
)
@settings
@click.option("-m", "--message", metavar="TEXT", default="", show_default=False, help="the reason, for the log")
def serve_mode(call: Call, mode: ServingMode, message: str, **words: Any) -> None:
    actions.set_mode(*call.about, asked(mode, message, call.dossier().serving, **words))
    serving = call.dossier().serving
    assert serving is not None
    call.done(f"{call.play} is served as {serving.words}.", [serving.words], mode=mode.value, entry=serving.seq)


# --- a bundle's folder -----------------------------------------------------------------------------------------------


@command("bundle export", "Copy a shipped bundle into a folder with a human name: its play and its round.")
@play
@click.argument("folder", metavar="DIR", type=FILE, help="where the folder is made, like `bundles`")
@click.option("--bundle", metavar="N", type=int, help="its number, as `live` shows it (default: the live one)")
@click.option(
    "--gguf", metavar="COMMAND", help="also make a GGUF of its language model, with llama.cpp's convert_hf_to_gguf.py"
)
@option_of("--gguf", "--gguf-type", metavar="TYPE", default="f16", help="for a GGUF: the converter's --outtype")
@option_of(
    "--gguf",
    "--runtime",
    metavar="COMMAND",
    default="",
    show_default=False,
    help="for a GGUF: the server that must load it, with llama-server's options (default: the one that is installed)",
)
@option_of(
    "--gguf", "--rows", metavar="N", type=AT_LEAST_1, default=100, help="for a GGUF: validation rows that it answers"
)
@option_of(
    "--gguf",
    "--least",
    metavar="SHARE",
    default="0.99",
    help="for a GGUF: the share of them that it answers as the student does",
)
def bundle_export(
    call: Call, folder: str, bundle: int | None, gguf: str | None, gguf_type: str, runtime: str, rows: int, least: str
) -> None:
    wanted = None if gguf is None else gguf_of.Wanted(gguf, gguf_type, runtime, rows, _share(least))
    exported(call, Path(folder), bundle, wanted)


def _share(text: str) -> Decimal:
    try:
        share = Decimal(text)
    except InvalidOperation:
        share = Decimal(-1)
    if not 0 <= share <= 1:
        raise UsageError(f"--least is {visible(text)}; it is a share from 0 to 1, like 0.99.")
    return share


def exported(call: Call, into: Path, number: int | None, wanted: gguf_of.Wanted | None) -> None:
    """Copy a bundle of the play, with a GGUF file next to it where one is wanted. Raises InputError, UsageError."""
    dossier = call.dossier()
    bundle = dossier.live if number is None else next((b for b in dossier.bundles if b.id == number), None)
    if bundle is None and number is None:
        raise InputError(f"No student of {call.play} has shipped yet; `{PROGRAM} ship {call.play}` ships one.")
    if bundle is None:
        raise UsageError(f"Bundle {number} does not exist; bundles: {', '.join(str(b.id) for b in dossier.bundles)}.")
    trouble = call.project.artifacts.trouble(bundle.digest)
    if trouble:
        raise InputError(trouble)
    source, name = call.project.artifacts.path(bundle.digest), export.name_of(dossier.play.name, bundle.round)
    file, known, there = into / f"{name}.gguf", dict[str, Any](), (into / name).exists()
    with reading():
        target = export.export(source, into, name)
        if wanted is not None:
            try:
                made = gguf_of.make(target, _validation_texts(call, source, wanted.rows), wanted, file)
            except ValueError:
                if not there:
                    shutil.rmtree(target)
                raise
            known["gguf"] = {"file": str(file), **made}
    call.talk(f"Answer with it: `{PROGRAM} predict {target} TEXT`.")
    lines = [str(target), *([str(file), known["gguf"]["statement"]] if known else [])]
    call.data({"bundle": bundle.id, "digest": bundle.digest, "folder": str(target), **known}, [*map(visible, lines)])


def _validation_texts(call: Call, bundle: Path, rows: int) -> list[str]:
    """Read the inputs of some validation rows of the data set that a bundle's student was trained on."""
    digest = json.loads((bundle / "recipe.json").read_text(encoding="utf-8"))["data"]
    data = next((each for each in call.dossier().data_sets if each.digest == digest), None)
    if data is None:
        raise InputError("The data set that this bundle's student was trained on is not in the project.")
    trouble = call.project.artifacts.trouble(data.artifact)
    if trouble:
        raise InputError(trouble)
    found = frozen.load(call.project.artifacts.path(data.artifact), Split.VALIDATION)
    return [text for _, text in sorted(zip(found.digests, found.inputs, strict=True))][:rows]
