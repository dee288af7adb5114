"""`codax data`: builds shards of audio, and describes sources."""

from __future__ import annotations

import enum
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from codax.cli.options import given, reject_idle
from codax.config import Config, DataConfig, TeacherConfig
from codax.errors import CodaxError
from codax.storage.files import claim_output

data_app = typer.Typer(no_args_is_help=True, help="Build and inspect training data.")

_SPEC_HELP = "'starter' (or 'starter:en'), a folder of audio, a manifest (.jsonl, .csv, .tsv), or ArrayRecord shards."


class Engine(enum.StrEnum):
    """Engines of `codax data build`."""

    threads = "threads"
    beam = "beam"


@data_app.command(context_settings={"allow_extra_args": True})
def build(
    context: typer.Context,
    spec: Annotated[
        str, typer.Argument(help=f"{_SPEC_HELP} Or tar files (WebDataset) or a parquet dataset, as a quoted glob.")
    ] = "starter",
    out: Annotated[Path | None, typer.Option(help="Folder for the shards; the starter corpus has its own.")] = None,
    sample_rate: Annotated[int, typer.Option(min=1000, help="Hz of the shards.")] = 24_000,
    max_seconds: Annotated[
        float, typer.Option(min=1.0, help="Longer files are cut into records of this length.")
    ] = 30.0,
    shard_mb: Annotated[int, typer.Option(min=1, help="Maximum size of a shard in megabytes.")] = 256,
    engine: Annotated[
        Engine, typer.Option(help="threads: this machine. beam: Apache Beam; its options follow after --.")
    ] = Engine.threads,
    runner: Annotated[
        str, typer.Option(help="Beam runner: DirectRunner (this machine), FlinkRunner, SparkRunner, DataflowRunner.")
    ] = "DirectRunner",
    cache_dir: Annotated[str, typer.Option(help="Cache folder; default: $CODAX_CACHE or ~/.cache/codax.")] = "",
    teacher: Annotated[
        str, typer.Option(help="Also store features of wakehubert, an .onnx file, or a folder with HuBERT or WavLM.")
    ] = "",
    layer: Annotated[int, typer.Option(min=-1, help="Hidden layer to store; -1: the mean of all.")] = -1,
    delay_seconds: Annotated[
        float, typer.Option(min=0.0, help="Delay of the features of an .onnx file, in seconds.")
    ] = 0.0,
    pool: Annotated[int, typer.Option(min=1, help="Number of features averaged into one (see docs).")] = 1,
    part: Annotated[
        str, typer.Option(help="Build features only for this part of the shards, such as 1/4 ... 4/4.")
    ] = "",
) -> None:
    """Decode, check and resample a source once, into ArrayRecord shards with a manifest.

    With --teacher the teacher's features are stored beside the shards. If the shards exist, only missing features are
    computed: run the same command again after an interruption, or in several processes with a --part each. An
    interrupted build of shards also resumes when the same command is run again.
    """
    from codax.data import manifest
    from codax.data.shards import plan
    from codax.data.shards.build import build_shards, check_options
    from codax.data.starter import corpus

    if spec.startswith("-") or (context.args and engine is not Engine.beam):
        raise CodaxError("codax data build: options after -- are Beam's: they need a SOURCE and --engine beam")
    if out is None:
        reject_idle(context, "--out", "max_seconds", "shard_mb", "engine", "runner")
    if engine is not Engine.beam:
        reject_idle(context, "--engine beam", "runner")
    if not teacher:
        reject_idle(context, "--teacher", "layer", "pool", "delay_seconds", "part")
    if teacher == TeacherConfig.source or teacher.endswith(".onnx"):
        reject_idle(context, "a folder with HuBERT or WavLM as --teacher", "layer")
    features = TeacherConfig(teacher or TeacherConfig.source, layer, delay_seconds=delay_seconds, pool=pool)
    Config(teacher=features).validate().refuse_idle()
    workers = None
    if engine is Engine.beam:
        from codax.data.shards import apache_beam

        workers = apache_beam.engine(runner, context.args)
    if out is None:
        if spec != "starter" or teacher:
            raise CodaxError("codax data build: give a folder for the shards with --out")
        if sample_rate not in corpus.RATES:
            raise CodaxError(
                f"codax data build: the starter corpus has {' and '.join(map(str, corpus.RATES))} Hz; "
                "give --out for other rates"
            )
        path = corpus.build(sample_rate, cache_dir)
        typer.echo(corpus.summary(path.parent))
    elif teacher and (out / manifest.NAME).is_file():
        path = out / manifest.NAME
        check_options(out, given(context, "spec", "sample_rate", "max_seconds", "shard_mb"))
    elif part:
        raise CodaxError(f"{out}: holds no shards yet: run codax data build without --part first")
    else:
        if not (out / plan.WORK).is_dir():  # an unfinished build resumes
            claim_output(out, spec, overwrite=None)
        config = DataConfig(cache_dir=cache_dir)
        path = build_shards(
            spec,
            out,
            sample_rate=sample_rate,
            max_seconds=max_seconds,
            shard_mb=shard_mb,
            config=config,
            engine=workers,
        )
    if teacher and out is not None:
        from codax.teachers.stored_features import build_features

        path = build_features(out, features, part or "1/1", workers)
    typer.echo(str(path))


@data_app.command()
def inspect(
    spec: Annotated[str, typer.Argument(help=_SPEC_HELP)],
    rows: Annotated[int, typer.Option(min=0, help="Examples to list.")] = 5,
    sample_rate: Annotated[int, typer.Option(min=1000, help="Rate at which the starter corpus is opened.")] = 16_000,
    cache_dir: Annotated[str, typer.Option(help="Cache folder; default: $CODAX_CACHE or ~/.cache/codax.")] = "",
) -> None:
    """Describe a source: examples, hours, rates, languages, splits, and skipped files."""
    from codax.data.sources.spec import open_source

    source = open_source(spec, sample_rate=sample_rate, config=DataConfig(cache_dir=cache_dir))
    lengths = sorted(entry.seconds for entry in source)
    typer.echo(f"source       {spec}")
    typer.echo(f"examples     {len(source)}, {source.seconds / 3600:.2f} h")
    typer.echo(f"seconds      {lengths[0]:.2f} to {lengths[-1]:.2f}, median {lengths[len(lengths) // 2]:.2f}")
    typer.echo(f"rates        {_counts(Counter(f'{entry.sample_rate} Hz' for entry in source))}")
    typer.echo(f"channels     {_counts(Counter(str(entry.channels) for entry in source))}")
    for name in ("split", "language", "speaker", "licence"):
        values = Counter(getattr(entry, name) for entry in source)
        if set(values) != {""}:
            typer.echo(f"{name:12} {_counts(values)}")
    typer.echo(f"with text    {sum(bool(entry.text) for entry in source)}")
    if len(source.skipped):
        typer.echo(f"skipped      {source.skipped.describe()}")
    for entry in source.entries[:rows]:
        typer.echo(f"  {entry.id}  {entry.seconds:.2f} s  {entry.text}".rstrip())


def _counts(values: Counter[str]) -> str:
    return ", ".join(f"{name or '(none)'}: {count}" for name, count in values.most_common(12))
