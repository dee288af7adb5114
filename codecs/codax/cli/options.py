"""Options shared by several commands."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str, typer.Option("--model", metavar="MODEL", help="Model folder, or the name of a shipped model.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files, which are otherwise kept.")]
Kbps = Annotated[
    float | None,
    typer.Option(help="Kilobits per second and stream (channel, for a mono model). Default: the model's highest."),
]
