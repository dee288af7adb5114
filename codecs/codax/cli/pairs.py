"""`codax evaluate-pairs`: measures decoded files of any codec against the originals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codax.cli.options import Overwrite


def pairs_command(
    originals: Annotated[str, typer.Argument(metavar="REF_DIR", help="The originals: a folder, or any SPEC of data.")],
    decoded: Annotated[
        list[str],
        typer.Argument(
            metavar="DEG_DIR...", help="Decoded files of the same names: a folder for each codec, or NAME=FOLDER."
        ),
    ],
    metrics: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Default: as for codax eval; codax eval --help lists them.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for results.json, per_file.csv, report.html and audio/.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="A protocol of docs/evaluation.md, or a file with one.")] = "",
    asr: Annotated[str | None, typer.Option(help="Speech recogniser, as for codax eval.")] = None,
    sample_rate: Annotated[int, typer.Option(help="Hz of the evaluation; 0 = that of the decoded files.", min=0)] = 0,
    limit: Annotated[int, typer.Option(help="Number of utterances, evenly spaced; 0 = all.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap intervals.", min=0)] = 0,
    processes: Annotated[int, typer.Option(help="Number of processes that share the utterances.", min=1)] = 1,
    overwrite: Overwrite = False,
) -> None:
    """Measure the decoded files of other codecs against the originals, as codax eval measures models.

    A file belongs to the original of the same path below its folder; its extension and sample rate may differ. Files
    are resampled to the rate of the evaluation, and cut or padded to the length of the original; a delay is not
    compensated. Files without a partner are named.
    """
    from codax.cli import evaluation
    from codax.evaluation.codecs import split_name
    from codax.storage.files import claim_output

    evaluation.check_rate(sample_rate)
    if out is not None:
        claim_output(out, originals, *(split_name(spec)[1] for spec in decoded), overwrite=overwrite)
    evaluation.evaluate(
        None,
        originals,
        str(out) if out is not None else None,
        decoded=decoded,
        metrics=metrics.split(",") if metrics is not None else None,
        protocol=protocol,
        asr=asr,
        sample_rate=sample_rate or None,
        limit=limit or None,
        seed=seed,
        processes=processes,
    )
