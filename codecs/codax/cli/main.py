"""The `codax` command. Each subcommand imports its dependencies when it runs, so that the others start quickly."""

from __future__ import annotations

import enum
import functools
import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand

import codax
from codax.cli.convert import convert_command
from codax.cli.data import data_app
from codax.cli.mushra import mushra_app
from codax.cli.options import Kbps, Model, Overwrite
from codax.cli.plan import plan_command
from codax.cli.probe import probe_command
from codax.cli.stream import stream_app
from codax.cli.tokenize import detokenize_command, tokenize_command
from codax.cli.tokens import tokens_app
from codax.cli.visqol import visqol_command
from codax.codec import shipped
from codax.errors import CodaxError
from codax.runtime.program import named_devices
from codax.storage.files import claim_output, discard_unfinished

app = typer.Typer(
    name="codax",
    help="Neural audio codecs: encode, decode, inspect files, score.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


_LM = Annotated[
    str | None,
    typer.Option("--lm", metavar="DIR", help="Language model of the codes. Default: MODEL/lm, if it exists."),
]


class Entropy(enum.StrEnum):
    """Entropy coders of `codax encode`."""

    adaptive = "adaptive"
    lm = "lm"
    best = "best"  # lm if the model has one


class Channels(enum.StrEnum):
    """How `codax encode` codes the channels of a file."""

    each = "each"
    mix = "mix"
    mid_side = "mid-side"


class Damage(enum.StrEnum):
    """How `codax decode` handles damaged blocks of entropy-coded codes."""

    refuse = "refuse"
    conceal = "conceal"


class ExportFormat(enum.StrEnum):
    """Formats of `codax export`."""

    huggingface = "huggingface"
    speechtokenizer = "speechtokenizer"
    kyutai = "kyutai"
    safetensors = "safetensors"
    onnx = "onnx"
    stablehlo = "stablehlo"


def _version(value: bool) -> None:
    if value:
        print(f"codax {codax.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


class _EncodeCommand(TyperCommand):
    """A command whose option --entropy may be given without a value, which typer does not support."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        values = [mode.value for mode in Entropy]
        for i, (argument, following) in enumerate(itertools.pairwise([*args, ""])):
            if argument == "--entropy" and following not in values:
                args[i] = f"--entropy={Entropy.best.value}"
        return super().parse_args(ctx, args)


@app.command(cls=_EncodeCommand)
def encode(
    source: Annotated[str, typer.Argument(metavar="IN", help="Audio file of any format, rate and channel count.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="Container to write: NAME.codax, or NAME.ecdc.")],
    model: Model = shipped.DEFAULT,
    kbps: Kbps = None,
    denoise: Annotated[bool, typer.Option("--denoise", help="Remove noise, with a model trained for it.")] = False,
    entropy: Annotated[
        Entropy | None,
        typer.Option(
            "--entropy",
            help="Make .codax files smaller, with adaptive frequencies or a language model. Default value: best.",
        ),
    ] = None,
    lm: _LM = None,
    beam: Annotated[
        int | None,
        typer.Option(min=1, help="Beam width of the codebook search: better and slower. Default: the model's."),
    ] = None,
    channels: Annotated[
        Channels | None,
        typer.Option(
            help="each: every channel at the rate; mix: their mean, decoded to one channel; mid-side: mean and "
            "difference of two. Equal channels are coded once. Default: each, or the model's number in .ecdc files.",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Encode an audio file to a .codax file, or with an EnCodec model to EnCodec's .ecdc format."""
    from codax import audio
    from codax.containers.whole_files import SUFFIXES, encode_file
    from codax.runtime.progress import Progress

    claim_output(target, source, overwrite=overwrite, suffixes=SUFFIXES)
    seconds = audio.info(source).seconds  # reports an unreadable file before the model is loaded
    codec = codax.load(model, beam=beam)
    with Progress("encode", seconds, unit="s", brief=True) as progress:
        report = encode_file(
            source,
            target,
            model=codec,
            kbps=kbps,
            denoise=denoise,
            entropy=entropy.value if entropy else None,
            lm=lm,
            channels=channels.value if channels else None,
            progress=progress.reach,
        )
    print(f"{target}: {_summary(report)}")


@app.command()
def decode(
    source: Annotated[str, typer.Argument(metavar="IN", help="Container made by `codax encode`, or .ecdc file.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="Audio file to write; the extension sets the format.")],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Model folder or name; required for .ecdc files. Default: found by the hash in the container.",
        ),
    ] = None,
    lm: _LM = None,
    damaged: Annotated[
        Damage, typer.Option(help="Handling of damaged blocks in entropy-coded files; conceal: output silence.")
    ] = Damage.refuse,
    overwrite: Overwrite = False,
) -> None:
    """Decode a .codax file to an audio file of the original rate, channel count and length; or an .ecdc file."""
    from codax.containers.whole_files import decode_file, seconds_in
    from codax.runtime.progress import Progress

    claim_output(target, source, overwrite=overwrite)
    conceal = damaged is Damage.conceal
    seconds = seconds_in(source, conceal=conceal)  # reports a damaged file before JAX is imported
    with Progress("decode", seconds, unit="s", brief=True) as progress:
        report = decode_file(source, target, model=model, lm=lm, conceal=conceal, progress=progress.reach)
    if report.damage:
        print(f"codax: {source}: damaged in {report.damage}: silent there", file=sys.stderr)
    print(f"{target}: {_summary(report)}")


@app.command()
def info(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A .codax file, a model folder or an audio file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Describe a file or a model folder."""
    from codax.cli.info import as_text, describe

    facts = describe(Path(path))
    print(json.dumps(facts) if as_json else as_text(facts))


@app.command("import")
def import_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="Folder of EnCodec, SpeechTokenizer, Mimi or DAC, or .th, .pth or .safetensors file."
        ),
    ],
    target: Annotated[str, typer.Argument(metavar="OUT_DIR", help="Model folder to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Convert a codec or EnCodec's language model to a model folder of codax, without executing any of its code."""
    from codax.interop.encodec_lm import codec_of, import_lm, is_lm
    from codax.interop.formats import import_model
    from codax.lm.storage import save_lm
    from codax.storage.tensors import read_tensors

    claim_output(target, source, overwrite=overwrite)
    state = read_tensors(Path(source)) if Path(source).is_file() else None
    if state is not None and is_lm(state):
        lm = import_lm(source, state=state)
        save_lm(lm, codec_of(lm.config), target)
        print(f"{target}: language model of {lm.config.codebooks} codebooks, {len(lm.flat())} arrays")
        return
    codec = import_model(source, state)
    codec.save(target)
    print(f"{target}: {codec.model_id}, {len(codec.flat())} arrays")


@app.command("export")
def export_command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model folder, or the name of a shipped model.")],
    target: Annotated[str, typer.Argument(metavar="OUT_DIR", help="Folder to write.")],
    form: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="huggingface: for transformers' EncodecModel, MimiModel or DacModel; speechtokenizer: config.json and "
            "SpeechTokenizer.pt; kyutai: mimi.safetensors and mimi_config.json; safetensors: a model folder of codax; "
            "onnx, stablehlo: programs that run without codax.",
        ),
    ] = ExportFormat.huggingface,
    compare: Annotated[
        bool, typer.Option("--compare/--no-compare", help="Run ONNX programs and compare them with JAX first.")
    ] = True,
    half: Annotated[bool, typer.Option("--half", help="safetensors: 16-bit floats, half the size.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Export a model for another project, or for use without codax."""
    from codax.codec.codec import Codec
    from codax.deploy.onnx_files import export_onnx
    from codax.deploy.stablehlo import export_stablehlo
    from codax.interop.formats import export_huggingface, export_kyutai
    from codax.interop.speechtokenizer import export_speechtokenizer

    exporters = {
        ExportFormat.huggingface: export_huggingface,
        ExportFormat.speechtokenizer: export_speechtokenizer,
        ExportFormat.kyutai: export_kyutai,
        ExportFormat.safetensors: functools.partial(Codec.save, half=half),
        ExportFormat.onnx: functools.partial(export_onnx, compare=compare),
        ExportFormat.stablehlo: export_stablehlo,
    }
    if half and form is not ExportFormat.safetensors:
        raise CodaxError(f"--half: --format {form.value} writes 32-bit floats")
    claim_output(target, model, overwrite=overwrite)
    report = exporters[form](codax.load(model), target)
    print(f"{target}: {form.value}" + (f", {report}" if report else ""))


app.command("convert")(convert_command)
app.command("plan", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(plan_command)
app.command("probe")(probe_command)
app.command("tokenize")(tokenize_command)
app.command("detokenize")(detokenize_command)
app.command("visqol")(visqol_command)
app.add_typer(data_app, name="data")
app.add_typer(stream_app, name="stream")
app.add_typer(tokens_app, name="tokens")
app.add_typer(mushra_app, name="mushra")


def _summary(report) -> str:
    rates = f"{report.rates}, " if report.rates else ""
    return (
        f"{report.seconds:.2f} s, {report.file_bytes:,} bytes, {report.kbps:.2f} kbps, {rates}"
        f"{report.real_time_factor:.1f}x real time"
    )


def main() -> None:
    """Runs the command line. Invalid input and problems of the machine give one line on stderr and status 1."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        with named_devices():
            app()
    except CodaxError as error:
        _fail(str(error))
    except BrokenPipeError:
        # The reader of our output is closed; Python would report it again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error))
    except MemoryError:
        _fail("not enough memory")
    except KeyboardInterrupt:
        sys.exit(130)


def _terminate(number: int, frame: object) -> None:
    """Exits immediately and removes the unfinished output. An exception could get lost in a library's callback."""
    discard_unfinished()
    os._exit(128 + number)


def _fail(message: str) -> None:
    print(f"codax: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
