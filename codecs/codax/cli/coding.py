"""`codax encode` and `codax decode`: a file, or many files with one model."""

from __future__ import annotations

import enum
import functools
import itertools
import time
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

import codax
from codax.cli import many
from codax.cli.options import Kbps, Model, Overwrite
from codax.codec import shipped
from codax.runtime import messages

_MOST_MODELS = 4  # that stay in memory; containers of many models may be decoded together
_LM = Annotated[
    str | None,
    typer.Option("--lm", metavar="DIR", help="Language model of the codes. Default: MODEL/lm, if it exists."),
]
_Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Read the files below folders; their paths are kept in OUT_DIR.")
]
_JOBS = 2  # while one file is read, resampled and written, another is coded
_Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Number of files to code at the same time.")]


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


class EncodeCommand(TyperCommand):
    """A command whose option --entropy may be given without a value, which typer does not support."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        values = [mode.value for mode in Entropy]
        for i, (argument, following) in enumerate(itertools.pairwise([*args, ""])):
            if argument == "--entropy" and following not in values:
                args[i] = f"--entropy={Entropy.best.value}"
        return super().parse_args(ctx, args)


def encode(
    context: typer.Context,
    sources: Annotated[
        list[str], typer.Argument(metavar="IN...", help="Audio files of any format, rate and channel count; - = stdin.")
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="OUT", help="Container to write: NAME.codax, or NAME.ecdc; - = stdout. Or a folder for containers."
        ),
    ],
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
    recursive: _Recursive = False,
    suffix: Annotated[
        str, typer.Option(metavar=".codax|.ecdc", help="Format of the containers in a folder or on stdout.")
    ] = ".codax",
    jobs: _Jobs = _JOBS,
    overwrite: Overwrite = False,
) -> None:
    """Encode audio files to .codax files, or with an EnCodec model to EnCodec's .ecdc format."""
    from codax import audio
    from codax.containers.whole_files import SUFFIXES, encode_file

    load = functools.cache(lambda: _loaded(model, beam=beam))
    options: dict[str, Any] = {"kbps": kbps, "denoise": denoise, "lm": lm}
    options |= {"entropy": entropy and entropy.value, "channels": channels and channels.value}
    coding = many.Coding(
        verb="encode",
        suffixes=SUFFIXES,
        suffix=suffix,
        seconds=lambda source: audio.info(source).seconds,
        code=lambda source, target, progress: encode_file(source, target, model=load(), progress=progress, **options),
        below=audio.files_below,
        prepare=load,
        overwrite=overwrite,
    )
    many.run(context, coding, sources, target, recursive=recursive, jobs=jobs)


def decode(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(metavar="IN...", help="Containers made by `codax encode`, or .ecdc files; - = stdin."),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="OUT",
            help="Audio file to write; the extension sets the format; - = stdout. Or a folder for audio files.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="As for encode; required for .ecdc files. Default: found by the hash in the container.",
        ),
    ] = None,
    lm: _LM = None,
    damaged: Annotated[
        Damage, typer.Option(help="Handling of damaged blocks in entropy-coded files; conceal: output silence.")
    ] = Damage.refuse,
    recursive: _Recursive = False,
    suffix: Annotated[
        str, typer.Option(metavar=".wav|.flac|...", help="Format of the audio in a folder or on stdout.")
    ] = ".wav",
    jobs: _Jobs = _JOBS,
    overwrite: Overwrite = False,
) -> None:
    """Decode containers to audio files of the original rate, channel count and length."""
    from codax.audio.writing import SUFFIXES
    from codax.containers.whole_files import decode_file, files_below, seconds_in

    conceal, load = damaged is Damage.conceal, functools.lru_cache(_MOST_MODELS)(_loaded)
    options: dict[str, Any] = {"model": model, "lm": lm, "conceal": conceal, "load": load}
    coding = many.Coding(
        verb="decode",
        suffixes=SUFFIXES,
        suffix=suffix,
        seconds=functools.partial(seconds_in, conceal=conceal),  # before JAX is imported
        code=lambda source, target, progress: decode_file(source, target, progress=progress, **options),
        below=files_below,
        prepare=lambda: model is not None and load(model),
        overwrite=overwrite,
    )
    many.run(context, coding, sources, target, recursive=recursive, jobs=jobs)


def _loaded(model: str, beam: int | None = None) -> Any:
    """Loads a model; a verbose program describes it."""
    began = time.monotonic()
    codec = codax.load(model, beam=beam)
    messages.detail(f"{codec!r}, loaded in {time.monotonic() - began:.1f} s")
    return codec
