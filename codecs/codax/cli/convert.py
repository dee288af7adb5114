"""`codax convert`: say a recording in the voice of another one."""

from __future__ import annotations

from typing import Annotated

import typer

import codax
from codax.cli.options import Kbps, Model


def convert_command(
    source: Annotated[str, typer.Argument(metavar="IN", help="Audio file: what is said.")],
    voice: Annotated[str, typer.Argument(metavar="VOICE", help="Audio file of the speaker wanted.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="Audio file to write; the extension is the format.")],
    model: Model,
    kbps: Kbps = None,
    content: Annotated[
        int, typer.Option(min=1, help="Codebooks taken of IN, from the first one; the others are VOICE's.")
    ] = 1,
) -> None:
    """Say IN in the voice of VOICE, by swapping levels of a model whose first codebook carries the content."""
    from codax import audio
    from codax.codec.voice_conversion import swap_levels
    from codax.containers.signals import refuse_same

    refuse_same(source, target)
    refuse_same(voice, target)
    signals = [audio.read(path) for path in (source, voice)]  # unreadable files are noticed before the model is loaded
    codec = codax.load(model)
    quantizers = codec.config.quantizers_for(kbps)
    said, speaker = (
        codec.encode(signal[None], sample_rate=rate, num_quantizers=quantizers) for signal, rate in signals
    )
    tokens = swap_levels(said, speaker, content)
    audio.write(target, codec.decode(tokens)[0], tokens.sample_rate)
    print(f"{target}: {tokens.length / tokens.sample_rate:.2f} s, {content} of {quantizers} codebooks of {source}")
