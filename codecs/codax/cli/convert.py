"""`codax convert`: converts the voice of a recording to that of another speaker."""

from __future__ import annotations

from typing import Annotated

import typer

import codax
from codax.cli.options import Kbps, Model, Overwrite
from codax.runtime import messages


def convert_command(
    source: Annotated[str, typer.Argument(metavar="IN", help="Audio file with the content.")],
    voice: Annotated[str, typer.Argument(metavar="VOICE", help="Audio file of the target speaker.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="Audio file to write; the extension sets the format.")],
    model: Model,
    kbps: Kbps = None,
    content: Annotated[
        int, typer.Option(min=1, help="Number of codebooks taken from IN, from the first; the others are VOICE's.")
    ] = 1,
    overwrite: Overwrite = False,
) -> None:
    """Convert the voice of IN to that of VOICE, by swapping levels of a model whose first codebook carries content."""
    from codax import audio
    from codax.codec.voice_conversion import check_content, swap_levels
    from codax.storage.files import claim_output

    claim_output(target, source, voice, overwrite=overwrite)
    signals = [audio.read(path) for path in (source, voice)]  # reports unreadable files before loading the model
    codec = codax.load(model)
    check_content(codec.config, f"model {codec.model_id}")
    quantizers = codec.config.quantizers_for(kbps)
    utterance, speaker = (
        codec.encode(signal[None], sample_rate=rate, num_quantizers=quantizers) for signal, rate in signals
    )
    tokens = swap_levels(utterance, speaker, content)
    audio.write(target, codec.decode(tokens)[0], tokens.sample_rate)
    messages.report(
        f"{target}: {tokens.length / tokens.sample_rate:.2f} s, {content} of {quantizers} codebooks of {source}"
    )
