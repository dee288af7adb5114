"""`codax probe`: labels that a small network reads from a codec's codes."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from codax.cli.options import MODEL, Overwrite
from codax.errors import CodaxError
from codax.storage.files import claim_output


class ProbeTask(enum.StrEnum):
    """Tasks of `codax probe`."""

    words = "words"
    speaker = "speaker"
    phones = "phones"


def probe_command(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="Speech: a source, as for train.py.")],
    task: Annotated[
        ProbeTask,
        typer.Option(
            help="words: the text of a clip, of few different ones. speaker: who speaks, of known speakers. "
            "phones: the phone of each frame, by forced alignment with the text, or from --labels."
        ),
    ],
    model: Annotated[list[str], typer.Option(metavar="MODEL", help=MODEL)],
    codebooks: Annotated[str, typer.Option(help="Such as 1,2,8. Default: 1, 2, 4, ... and all.")] = "",
    labels: Annotated[
        str | None, typer.Option(metavar="DIR", help="Folder of .TextGrid or .phn files, for --task phones.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=10, help="Use this many clips, evenly spaced.")] = None,
    updates: Annotated[int, typer.Option(min=1, help="Updates of each read-out's training.")] = 800,
    seed: Annotated[int, typer.Option(min=0, help="Of the read-out's weights and its training.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write probe.json and probe.md.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure what a small network reads from a codec's codes, for each number of codebooks.

    The codec stays as it is. Every clip is tested by a network that was trained on others (five folds).
    """
    numbers = _numbers(codebooks)
    if out is not None:
        claim_output(out, spec, *model, overwrite=overwrite)
    from codax.evaluation.probes import probe
    from codax.evaluation.probes.readout import Settings
    from codax.runtime.progress import Progress

    with Progress("probe", probe.count(len(model), numbers), unit="read-outs", brief=True) as progress:
        results = probe.measure(
            spec,
            task.value,
            model,
            codebooks=numbers,
            labels=labels,
            limit=limit,
            settings=Settings(updates=updates, seed=seed),
            progress=progress.advance,
        )
    print(probe.as_text(results))
    if out is not None:
        probe.write(results, out)


def _numbers(text: str) -> list[int] | None:
    try:
        return [int(part) for part in text.split(",")] if text else None
    except ValueError as error:
        raise CodaxError(f"--codebooks: expected whole numbers, got {text}") from error
