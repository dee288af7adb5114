"""`codax tokenize` and `codax detokenize`."""

from __future__ import annotations

import enum
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codax.cli.options import Kbps, Model, Overwrite
from codax.codec import shipped
from codax.config import DataConfig
from codax.errors import CodaxError
from codax.runtime import messages
from codax.storage.files import claim_output

if TYPE_CHECKING:
    from codax.codec.codec import Codec
    from codax.tokens.dataset import TokenDataset


class TokenFormat(enum.StrEnum):
    """Formats of `codax tokenize`."""

    parquet = "parquet"
    arrayrecord = "arrayrecord"


def tokenize_command(
    spec: Annotated[
        str,
        typer.Argument(
            metavar="SPEC",
            help="'starter' (or 'starter:en'), a folder of audio, a manifest, ArrayRecord shards, or tar files or a "
            "parquet dataset of audio, as a quoted glob.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the shards and dataset.json.")],
    model: Model = shipped.DEFAULT,
    kbps: Kbps = None,
    codebooks: Annotated[int | None, typer.Option(min=1, help="Codebooks to keep, instead of --kbps.")] = None,
    form: Annotated[TokenFormat, typer.Option("--format", help="Of the shards.")] = TokenFormat.parquet,
    shard_mb: Annotated[int, typer.Option(min=1, help="16-bit audio of a shard, in megabytes.")] = 64,
    max_seconds: Annotated[
        float, typer.Option(min=1.0, help="Longer files become records of this length, coded independently.")
    ] = 300.0,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads. Default: one per core.")] = None,
    beam: Annotated[int | None, typer.Option(min=1, help="Beam width of the codebook search.")] = None,
    cache_dir: Annotated[str, typer.Option(help="Cache folder; default: $CODAX_CACHE or ~/.cache/codax.")] = "",
) -> None:
    """Encode a source into shards of tokens, for training language models.

    An interrupted command resumes when it is run again.
    """
    import codax
    from codax.containers import origin
    from codax.data.shards import plan
    from codax.tokens.build import build_tokens
    from codax.tokens.dataset import read_about

    if not (out / plan.WORK).is_dir():  # an unfinished one resumes
        claim_output(out, spec, overwrite=None)
    codec, began = codax.load(model, beam=beam), time.monotonic()
    path = build_tokens(
        spec,
        out,
        codec,
        kbps=kbps,
        num_quantizers=codebooks,
        form=form.value,
        max_seconds=max_seconds,
        shard_mb=shard_mb,
        workers=workers,
        config=DataConfig(cache_dir=cache_dir),
    )
    origin.remember(codec)
    about, seconds = read_about(out), time.monotonic() - began
    skipped = sum(group["count"] for group in about["skipped"].values())
    messages.report(
        f"{path}: {about['records']:,} records, {about['hours']:.2f} h, {about['tokens']:,} tokens, {skipped} skipped, "
        f"{about['hours'] * 3600 / seconds:.0f}x real time"
    )


def detokenize_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Token data set made by `codax tokenize`.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the WAV files, ID.wav.")],
    model: Annotated[
        str,
        typer.Option(metavar="MODEL", help="Default: the model that made the data set, as `codax decode` finds it."),
    ] = "",
    ids: Annotated[str, typer.Option(help="Decode these only, comma-separated.")] = "",
    split: Annotated[str | None, typer.Option(help="Decode this split only.")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Decode a token data set to WAV files."""
    from codax.tokens.dataset import TokenDataset

    dataset = TokenDataset(folder, split)
    claim_output(out, str(folder), overwrite=overwrite)
    messages.report(f"{out}: {_decode(dataset, out, model, set(ids.split(',')) - {''}):,} files")


def _decode(dataset: TokenDataset, out: Path, model: str, ids: set[str]) -> int:
    """Writes a WAV file for each record; returns their number."""
    import codax
    from codax import audio
    from codax.data.sources.entries import relative_id
    from codax.runtime import cores
    from codax.runtime.progress import Progress
    from codax.runtime.tasks import in_order
    from codax.tokens.decoding import decoder_for

    chosen = _chosen(dataset, ids)
    decode = decoder_for(dataset, codax.load(model) if model else _maker(dataset))
    files: dict[str, str] = {}  # name of the file -> id

    def write(record: dict[str, Any], name: str) -> None:
        out.mkdir(parents=True, exist_ok=True)
        audio.write(out / f"{name}.wav", decode(record), record["sample_rate"])

    def tasks() -> Iterator[Callable[[], None]]:
        for i in chosen:
            record = dataset[i]
            if (name := relative_id(record["id"] + ".x")) in files:
                raise CodaxError(
                    f"{dataset.folder}: ids {files[name]!r} and {record['id']!r} give one file, {name}.wav"
                )
            files[name] = record["id"]
            yield functools.partial(write, record, name)

    workers = cores.usable()
    with (
        Progress("detokenize", len(chosen), unit="records", brief=True) as progress,
        ThreadPoolExecutor(workers) as pool,
    ):
        for _ in in_order(pool, tasks(), running=workers + 1, ahead=1024):
            progress.advance()
    return len(files)


def _maker(dataset: TokenDataset) -> Codec:
    """Loads the model that made a data set. Raises CodaxError: it is not known on this machine."""
    from codax.codec.loading import load
    from codax.containers import origin

    name, digest = dataset.about["model"], bytes.fromhex(dataset.about["hash"])
    codec, _ = origin.search(
        origin.known(digest, lambda other: other == name), lambda codec: codec.hash == digest, load
    )
    if codec is not None:
        return codec
    raise CodaxError(
        f"{dataset.folder}: has tokens of model {name} with hash {digest.hex()}, which is not found: name it (--model)"
    )


def _chosen(dataset: TokenDataset, ids: set[str]) -> Sequence[int]:
    """Returns the indices of the records with these ids, or of all. Raises CodaxError: an id does not occur."""
    if not ids:
        return range(len(dataset))
    places = {record["id"]: i for i, record in enumerate(dataset) if record["id"] in ids}
    if missing := ids - places.keys():
        raise CodaxError(f"{dataset.folder}: has no record {', '.join(sorted(missing)[:3])}")
    return sorted(places.values())
