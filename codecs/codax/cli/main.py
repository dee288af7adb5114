"""The `codax` command. Each subcommand imports its dependencies when it runs, so that the others start quickly."""

from __future__ import annotations

import enum
import functools
import json
import os
import signal
import sys
import traceback
from typing import Annotated

import typer

import codax
from codax.cli.coding import EncodeCommand, decode, encode
from codax.cli.compile import compile_command
from codax.cli.completion import completion_command
from codax.cli.convert import convert_command
from codax.cli.data import data_app
from codax.cli.hub import pull_command, push_command
from codax.cli.mushra import mushra_app
from codax.cli.options import MODEL, Overwrite, reject_idle, with_common_options
from codax.cli.pairs import pairs_command
from codax.cli.plan import plan_command
from codax.cli.probe import probe_command
from codax.cli.programs import ForeignCommand, eval_command, train_command
from codax.cli.stream import stream_app
from codax.cli.tokenize import detokenize_command, tokenize_command
from codax.cli.tokens import tokens_app
from codax.cli.visqol import visqol_command
from codax.errors import CodaxError
from codax.runtime import messages
from codax.runtime.program import named_devices
from codax.storage.files import claim_output, discard_unfinished

app = typer.Typer(
    name="codax",
    help="Neural audio codecs: encode, decode, train, evaluate, inspect files, score.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


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
        bool, typer.Option("--version", "-V", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command(cls=EncodeCommand)(encode)
app.command()(decode)
app.command("train", cls=ForeignCommand)(train_command)
app.command("eval", cls=ForeignCommand)(eval_command)
app.command("evaluate-pairs")(pairs_command)


@app.command()
def info(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="A .codax file, an audio file, or a model as --model names it.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Describe a file or a model folder."""
    from codax.cli.info import as_text, describe

    facts = describe(path)
    print(json.dumps(facts) if as_json else as_text(facts))


@app.command("import")
def import_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Folder of EnCodec, SpeechTokenizer, Mimi or DAC, .th, .pth or .safetensors file, or name on the hub.",
        ),
    ],
    target: Annotated[str, typer.Argument(metavar="OUT_DIR", help="Model folder to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Convert a codec or EnCodec's language model to a model folder of codax, without executing any of its code."""
    from codax.interop import models
    from codax.interop.encodec_lm import codec_of, import_lm, is_lm
    from codax.interop.formats import import_model
    from codax.lm.storage import save_lm
    from codax.storage.tensors import read_tensors

    claim_output(target, source, overwrite=overwrite)
    path = models.source(source)
    state = read_tensors(path) if path.is_file() else None
    if state is not None and is_lm(state):
        lm = import_lm(path, state=state)
        save_lm(lm, codec_of(lm.config), target)
        messages.report(f"{target}: language model of {lm.config.codebooks} codebooks, {len(lm.flat())} arrays")
        return
    codec = import_model(path, state)
    codec.save(target)
    messages.report(f"{target}: {codec.model_id}, {len(codec.flat())} arrays")


@app.command("export")
def export_command(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)],
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
    if form is not ExportFormat.safetensors:
        reject_idle(context, "--format safetensors", "half")
    if form is not ExportFormat.onnx:
        reject_idle(context, "--format onnx", "compare")
    claim_output(target, model, overwrite=overwrite)
    report = exporters[form](codax.load(model), target)
    messages.report(f"{target}: {form.value}" + (f", {report}" if report else ""))


app.command("convert")(convert_command)
app.command("pull")(pull_command)
app.command("push")(push_command)
for name, command in {"compile": compile_command, "plan": plan_command}.items():  # with fields of the recipe
    app.command(name, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(command)
app.command("probe")(probe_command)
app.command("tokenize")(tokenize_command)
app.command("detokenize")(detokenize_command)
app.command("visqol")(visqol_command)
app.command("completion")(completion_command)
app.add_typer(data_app, name="data")
app.add_typer(stream_app, name="stream")
app.add_typer(tokens_app, name="tokens")
app.add_typer(mushra_app, name="mushra")


def main() -> None:
    """Runs the command line. Invalid input and problems of the machine give one line on stderr and status 1."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        messages.set_level(messages.NORMAL)
        with named_devices():
            with_common_options(app)(prog_name="codax")
    except CodaxError as error:
        if messages.is_verbose():
            traceback.print_exc()
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
