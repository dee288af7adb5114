"""`codax pull` and `codax push`: models on a Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codax.cli.options import MODEL
from codax.runtime import messages


def pull_command(
    name: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Model on the hub; @REVISION selects a revision.")],
) -> None:
    """Download a model of the hub, or its newest version, so that other commands need no network; print its folder."""
    from codax.interop import models

    print(models.find(name, refresh=True))


def push_command(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)],
    name: Annotated[
        str, typer.Argument(metavar="USER/NAME", help="Repository to write; created if it does not exist.")
    ],
    private: Annotated[bool, typer.Option("--private", help="Create the repository as a private one.")] = False,
    message: Annotated[str, typer.Option(help="Of the commit.")] = "",
    license: Annotated[str, typer.Option(metavar="ID", help="Such as cc-by-4.0. Default: that of its card.")] = "",
    results: Annotated[
        Path | None, typer.Option(metavar="FILE", help="results.json of codax eval, for the card.")
    ] = None,
) -> None:
    """Upload a model with a card to the hub; the token is HF_TOKEN, or that of `hf auth login`."""
    from codax.codec.pushing import push_folder
    from codax.interop import models

    options = {"private": private, "message": message, "license": license, "results": results}
    messages.report(f"{push_folder(models.find(model), name, **options)}: {model} is uploaded")
