"""`codax visqol`: scores a degraded file against its reference, or the files of two folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codax.errors import CodaxError
from codax.runtime import messages

if TYPE_CHECKING:
    from codax.metrics.visqol import VisqolResult

# From this rate on, files are treated as full-band audio. Speech codecs use up to 24 kHz, music codecs 44.1 or 48.
_AUDIO_RATE = 32_000  # Hz


def visqol_command(
    ref: Annotated[Path, typer.Argument(metavar="REF", help="The original: an audio file, or a folder.")],
    deg: Annotated[
        Path,
        typer.Argument(
            metavar="DEG", help="The coded or otherwise degraded version, or a folder of files with the same names."
        ),
    ],
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="audio|speech",
            help="Default: the mode of --mapping, else audio if REF has 32 kHz or more, else speech.",
        ),
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option(metavar="exponential|lattice|svr", help="Default: svr for audio, lattice for speech."),
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Model file or folder. Default: from the visqol-python package."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object (per file).")] = False,
    single: Annotated[
        bool, typer.Option("--float32", help="Folders only: in single precision, on an accelerator if there is one.")
    ] = False,
) -> None:
    """Predict the opinion score (MOS-LQO, 1 to 5) of DEG given REF with ViSQOL v3.

    Audio mode uses 48 kHz, speech mode 16 kHz; other rates are resampled. For two folders each file of REF is compared
    with the file of the same name in DEG, and one line of CSV is printed per file; the first file determines the mode.
    """
    if ref.is_dir() and deg.is_dir():
        from codax.metrics.visqol import folders

        chosen = choose_mode(mode, mapping, lambda: _rate(ref / folders.audio_below(ref)[0]))
        options = {"mapping": mapping, "models": models, "dtype": "float32" if single else "float64"}
        folders.print_rows(folders.score_folders(ref, deg, mode=chosen, options=options), as_json=as_json)
        return
    if single:
        raise CodaxError("--float32 is for folders")
    result = score_files(ref, deg, mode=mode, mapping=mapping, models=models)
    if as_json:
        print(json.dumps({"reference": str(ref), "degraded": str(deg)} | as_facts(result)))
    else:
        print(f"MOS-LQO {result.moslqo:.4f}  vnsim {result.vnsim:.4f}  ({result.mode} mode, {result.mapping} mapping)")


def score_files(
    ref: Path, deg: Path, *, mode: str | None = None, mapping: str | None = None, models: Path | None = None
) -> VisqolResult:
    """Reads two files, resamples them if necessary (with a note on stderr) and scores them.

    Raises:
        CodaxError: naming the file and the reason.
    """
    # SciPy takes a moment to load, so other commands do not import it.
    from codax import audio
    from codax.metrics.visqol import NOMINAL_RATES, VisqolError, visqol

    signals = {"reference": audio.read(ref), "degraded": audio.read(deg)}
    paths = {"reference": ref, "degraded": deg}
    mode = choose_mode(mode, mapping, lambda: signals["reference"][1])
    nominal = NOMINAL_RATES.get(mode)
    samples = {}
    for role, (signal, rate) in signals.items():
        if nominal is not None and rate != nominal:
            _note(f"{paths[role]}: resampled from {rate} to {nominal} Hz for {mode} mode")
            signal = audio.resample(signal, rate, nominal)  # noqa: PLW2901
        samples[role] = signal
    if nominal is not None and abs(len(samples["reference"]) - len(samples["degraded"])) > nominal:
        _note(f"{deg}: its length differs from that of {ref} by more than a second")
    try:
        return visqol(
            samples["reference"],
            samples["degraded"],
            nominal or signals["reference"][1],
            mode=mode,  # pyright: ignore[reportArgumentType]
            mapping=mapping,  # pyright: ignore[reportArgumentType]
            models=models,
        )
    except VisqolError as error:
        raise CodaxError(f"{paths[error.role]}: {error}" if error.role else str(error)) from error


def choose_mode(mode: str | None, mapping: str | None, rate: Callable[[], int]) -> str:
    """The requested mode; else that of the mapping; else the one that suits the reference's `rate` in Hz."""
    if mode is not None:
        return mode
    if mapping is not None:
        return "audio" if mapping == "svr" else "speech"
    return "audio" if rate() >= _AUDIO_RATE else "speech"


def as_facts(result: VisqolResult) -> dict[str, Any]:
    """The result as plain values for JSON."""
    return {
        "moslqo": result.moslqo,
        "vnsim": result.vnsim,
        "mode": result.mode,
        "mapping": result.mapping,
        "lag_seconds": result.lag_seconds,
        "centre_frequencies": result.centre_frequencies.tolist(),
        "fvnsim": result.fvnsim.tolist(),
        "fvnsim10": result.fvnsim10.tolist(),
        "fstdnsim": result.fstdnsim.tolist(),
        "fvdegenergy": result.fvdegenergy.tolist(),
        "patches": [
            {
                "similarity": patch.similarity,
                "reference_seconds": [patch.reference_start, patch.reference_end],
                "degraded_seconds": [patch.degraded_start, patch.degraded_end],
            }
            for patch in result.patches
        ],
    }


def _rate(path: Path) -> int:
    """Sample rate in Hz."""
    from codax.audio.decoders import open_stream

    with open_stream(path) as stream:
        return stream.rate


def _note(message: str) -> None:
    messages.note(f"codax: {message}")
