"""Evaluates systems on utterances with metrics; called by eval.py and at the end of `make train`."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codax.data.noise import SPEC
from codax.data.sources.spec import Utterance
from codax.errors import CodaxError
from codax.evaluation import comparisons, plots, protocols, report
from codax.evaluation.inputs import Setup, prepare
from codax.evaluation.journal import Journal
from codax.evaluation.measuring import Measured, measure
from codax.evaluation.pooling import Pool
from codax.evaluation.results import Results, Row, SystemResult, summarize
from codax.evaluation.systems import CodecSystem, safe_name
from codax.metrics import codebooks
from codax.metrics.recognizers import Recognizer
from codax.runtime import cores, messages
from codax.runtime.program import program
from codax.runtime.progress import Progress
from codax.storage.staging import staged

_POLL_SECONDS = 0.5


def evaluate(
    model: Any,
    data: str,
    out: str | Path | None,
    *,
    kbps: Sequence[float] | None = None,
    quantizers: Sequence[int] | str | None = None,
    metrics: Sequence[str] | None = None,
    baselines: Sequence[str] = (),
    asr: str | Recognizer | None = None,
    limit: int | None = None,
    split: str | None = None,
    seed: int = 0,
    sample_rate: int | None = None,
    labels: str | None = None,
    channels: str | None = None,
    decoded: Sequence[str] = (),
    protocol: str = "",
    denoise: bool = False,
    snr: Sequence[float] = (),
    noise: str = SPEC,
    processes: int = 1,
) -> Results:
    """Runs systems on data, scores them, and writes results, audio, plots and report.

    The original always takes part, as a hidden system. A value that cannot be computed for a file (for example, because
    it is too short for a metric) is omitted from the mean, counted, and named in the results. An interrupted evaluation
    resumes if it is called again with the same arguments and `out`.

    Args:
      model: as for `codax.evaluation.codecs.find_models`; None = baselines only.
      data: a SPEC of `codax.data.sources.spec`.
      out: folder for results.json, per_file.csv, comparisons.csv, the plots, report.html, clips/ and audio/; None =
        nothing is written.
      kbps: rates of the models; None = those in their configs.
      quantizers: the rates as numbers of codebooks, instead of `kbps`; "all" = 1, 2, ...
      metrics: names of `codax.metrics.registry`; None = its default.
      baselines: such as "opus:6".
      asr: a name for `codax.metrics.recognizers.open_recognizer`, or a recogniser; None = "base".
      limit: number of utterances, evenly spaced; None = all.
      split: of the data, if it has splits; None = "test".
      seed: of the bootstrap.
      sample_rate: of the evaluation, in Hz; None = that of the models, else of the decoded files, else 16 kHz.
      labels: folder with phone labels of the utterances (`codax.metrics.phones`); None = forced alignment.
      channels: how models code the channels, a mode of `codax.audio.channels`; None = "each".
      decoded: folders of decoded files of other codecs, FOLDER or NAME=FOLDER (`codax.evaluation.decoded`).
      protocol: name or file of a protocol (`codax.evaluation.protocols`), which must not contradict the arguments;
        "" = none.
      denoise: whether models that can denoise do so too, as further systems.
      snr: signal-to-noise ratios in dB; at each, models and baselines get noisy utterances too.
      noise: the source of that noise, a SPEC or `codax.data.noise.SPEC`.
      processes: number of processes; more than one need `out`, and models and recogniser given by name.

    Raises:
      CodaxError: invalid input, before anything is written; or no signal could be coded.
    """
    fixed = protocols.load(protocol) if protocol else protocols.Protocol()
    options = {"metrics": metrics, "asr": asr, "split": split, "sample_rate": sample_rate, "channels": channels}
    settings = {k: protocols.DEFAULTS.get(k) if v is None else v for k, v in fixed.settings(options).items()}
    arguments = {
        "model": model, "data": data, "kbps": kbps, "quantizers": quantizers, "baselines": baselines, "limit": limit,
        "seed": seed, "labels": labels, "decoded": list(decoded), "protocol": fixed, "denoise": denoise, "snr": snr,
        "noise": noise, **settings,
    }  # fmt: skip
    if processes > 1:
        _check_shared(model, settings["asr"], out)
    messages.detail("evaluating: loading data, models and metrics")
    setup = prepare(**arguments)
    messages.note(f"evaluating: {setup.describe()}")
    for departure in fixed.departures(len(setup.utterances)):
        messages.warn(f"not protocol {fixed.name}: {departure}")
    if out is None:
        return _summarized(setup, _all_measured(setup, None, None), seed)
    with staged(out, setup.fingerprint()) as folder:
        journal = Journal(folder)
        if processes > 1:
            _share(arguments, setup, folder, journal, processes)
        results = _summarized(setup, _all_measured(setup, folder, journal), seed)
        messages.note("evaluating: comparing the systems, and writing plots and report")
        results.write(folder)
        compared = comparisons.compare(results, seed=seed)
        comparisons.write(compared, folder)
        plots.rate_quality(results, folder / "rate_quality.png")
        plots.information_split(results, folder / report.SPLIT)
        report.write(results, folder, compared)
    return results


def _measured(setup: Setup, folder: Path | None, journal: Journal | None, numbers: Sequence[int]) -> Iterator[Measured]:
    """Yields the measurements of the given utterances; those missing in the journal are computed."""
    names = _file_names(setup.utterances)
    for number in numbers:
        if journal is not None and number in journal:
            yield journal.read(number)
            continue
        measured = measure(
            setup.utterances[number], names[number], setup.systems, setup.selection, setup.scorer, folder
        )
        if journal is not None:
            journal.write(number, measured)
        yield measured


def _all_measured(setup: Setup, folder: Path | None, journal: Journal | None) -> Iterator[Measured]:
    """As `_measured`, for all utterances and with a progress display."""
    numbers = range(len(setup.utterances))
    with Progress("evaluating", total=len(numbers), unit="utterances") as progress:
        for measured in _measured(setup, folder, journal, numbers):
            yield measured
            progress.advance()


def _summarized(setup: Setup, measurements: Iterator[Measured], seed: int) -> Results:
    systems, selection, content = setup.systems, setup.selection, setup.content
    rows: dict[str, list[Row]] = {system.key: [] for system in systems}
    histograms: dict[str, np.ndarray] = {}
    pool = Pool(selection.pooled)
    for utterance, measured in zip(setup.utterances, measurements, strict=True):
        pool.add(measured)
        if content is not None:
            content.start(utterance)
        for system, row in zip(systems, measured.rows, strict=True):
            rows[system.key].append(row)
            codes = measured.codes.get(system.key)
            if codes is None or not isinstance(system, CodecSystem):
                continue
            if content is not None:
                content.add(system, codes)
                if content.error:
                    row.errors["pnmi" if selection.phones else "abx"] = content.error
            if selection.codes:
                counts = codebooks.count_codes(codes, system.codebook_size)
                histograms[system.key] = histograms.get(system.key, 0) + counts
    summaries: list[SystemResult] = []
    for system in systems:
        use = None
        if system.key in histograms and isinstance(system, CodecSystem):
            use = codebooks.codebook_use(histograms[system.key], system.frame_rate, miller_madow=True)
        corpus = pool.values(system.key) | (content.values(system.series, seed=seed) if content is not None else {})
        summaries.append(summarize(system, rows[system.key], selection.keys, seed=seed, codebooks=use, corpus=corpus))
    if all("system" in row.errors for system in systems[1:] for row in rows[system.key]):
        first = rows[systems[1].key][0]
        raise CodaxError(f"no signal could be coded; {first.utterance}: {first.errors['system']}")
    return Results(selection.keys, summaries, [row for system in systems for row in rows[system.key]], setup.about)


def _check_shared(model: Any, asr: Any, out: Any) -> None:
    models = model if isinstance(model, list | tuple) else [model]
    if out is None or not isinstance(asr, str) or not all(m is None or isinstance(m, str | Path) for m in models):
        raise CodaxError("several processes need a folder for the results, and models and recogniser given by name")


def _share(arguments: dict[str, Any], setup: Setup, folder: Path, journal: Journal, processes: int) -> None:
    """Divides the utterances among other processes. Raises CodaxError if one of them fails."""
    context = multiprocessing.get_context("spawn")  # a fork of a process that runs JAX may hang
    workers = [
        context.Process(target=_work, args=(arguments, folder, number, processes), daemon=True)
        for number in range(processes)
    ]
    with Progress("evaluating", total=len(setup.utterances), unit="utterances") as progress:
        done = 0
        with _threads(max(1, cores.usable() // processes)):
            for worker in workers:
                worker.start()
        while any(worker.is_alive() for worker in workers):
            time.sleep(_POLL_SECONDS)
            progress.advance(len(journal) - done)
            done = len(journal)
    failed = [worker.exitcode for worker in workers if worker.exitcode]
    if failed:
        raise CodaxError(f"a process of the evaluation failed with status {failed[0]}: see its message above")


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Limits processes started in the block to `count` threads each, so that they do not compete for the cores."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = before or str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]


def _work(arguments: dict[str, Any], folder: Path, number: int, processes: int) -> None:
    """The work of one process: every `processes`th utterance from `number` on."""
    cores.take_share(number, processes)
    with program():
        setup = prepare(**arguments)
        for _ in _measured(setup, folder, Journal(folder), range(number, len(setup.utterances), processes)):
            pass  # the measurements are in the journal


def _file_names(utterances: Sequence[Utterance]) -> list[str]:
    """A safe and unique file name for each utterance."""
    names: list[str] = []
    used: set[str] = set()
    for utterance in utterances:
        stem = safe_name(utterance.id)[:120]
        name, count = stem, 1
        while name.lower() in used:  # some file systems are not case-sensitive
            count += 1
            name = f"{stem}-{count}"
        used.add(name.lower())
        names.append(name)
    return names
