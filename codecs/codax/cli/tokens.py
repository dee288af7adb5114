"""`codax tokens`: tools for token data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codax.cli.options import Overwrite
from codax.errors import CodaxError
from codax.storage.files import claim_output

tokens_app = typer.Typer(no_args_is_help=True, help="Prepare token data sets for language models.")


@tokens_app.callback()
def _root() -> None:
    pass  # keeps the name of the only command


@tokens_app.command()
def bpe(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Token data set, as codax tokenize writes it.")],
    vocab: Annotated[int, typer.Option(min=1, help="Number of tokens, the codebook's entries included.")],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="JSON file to write; Hugging Face tokenizers reads it too.")
    ],
    overwrite: Overwrite = False,
) -> None:
    """Train acoustic BPE over the first codebook, and report the tokens per second that it saves.

    Every tenth record is not trained on: the report is for these.
    """
    from codax.tokens import TokenDataset
    from codax.tokens.bpe import AcousticBPE, rates

    claim_output(out, folder, overwrite=overwrite)
    records = TokenDataset(folder)
    if len(records) < 10:
        raise CodaxError(f"{folder}: {len(records)} records are too few for acoustic BPE: expected 10 or more")

    def first_codes(tested: bool):
        return (records[i]["codes"][:, 0] for i in range(len(records)) if (i % 10 == 9) == tested)

    trained = AcousticBPE.train(first_codes(False), records.about["codebook_sizes"][0], vocab)
    before, after = rates(trained, first_codes(True), records[0]["frame_rate"])
    trained.save(out)
    saved = 100 * (1 - after / before)
    print(f"{out}: {len(trained)} tokens, {before:.4g} tokens per second become {after:.1f}, {saved:.0f} % fewer")
