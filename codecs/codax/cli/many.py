"""Many files in one command: the files below folders, their outputs, threads, failures and the summary."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from codax.cli.options import reject_idle
from codax.cli.pipes import PIPE, whole_files
from codax.errors import CodaxError
from codax.runtime import messages
from codax.runtime.progress import Progress
from codax.storage.files import claim_output, discard_unfinished

if TYPE_CHECKING:
    from codax.containers.signals import Report


@dataclasses.dataclass(frozen=True)
class Task:
    """A file to read, and the file to write."""

    source: str
    target: str


@dataclasses.dataclass(frozen=True)
class Result:
    """A report, or the reason why there is none."""

    task: Task
    report: Report | None = None
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Coding:
    """What a command does with its files.

    Attributes:
      verb: "encode" or "decode".
      suffixes: of the files that it writes.
      suffix: of the files that it writes to a folder or to stdout.
      seconds: returns the seconds of audio in a file that it reads; CodaxError if the file is damaged.
      code: codes a file (source, target, progress).
      below: lists the files below a folder.
      prepare: loads the model of several files before the first of them.
      overwrite: whether existing files may be replaced.
    """

    verb: str
    suffixes: Sequence[str]
    suffix: str
    seconds: Callable[[str], float]
    code: Callable[[str, str, Callable[[float], None]], Report]
    below: Callable[[Path], list[Path]]
    prepare: Callable[[], object]
    overwrite: bool

    def claim(self, task: Task) -> None:
        """Checks the output of a task before any work. Raises CodaxError."""
        if task.target != PIPE:
            suffixes = self.suffixes if self.verb == "encode" else ()  # the writer of audio names what it cannot write
            claim_output(task.target, task.source, overwrite=self.overwrite, suffixes=suffixes)


def run(
    context: typer.Context, coding: Coding, sources: Sequence[str], out: str, *, recursive: bool, jobs: int
) -> None:
    """Codes `IN OUT` or `IN... OUT_DIR` and reports it.

    Args:
      context: of the command line.
      coding: the command.
      sources: the inputs.
      out: the output.
      recursive: whether inputs may be folders.
      jobs: number of files that are coded at the same time.

    Raises:
      CodaxError: the paths are invalid, an option has no effect, or the only file cannot be coded.
      SystemExit: with status 1, if one of several files failed.
    """
    if coding.suffix not in coding.suffixes:
        raise CodaxError(f"--suffix: {coding.suffix} is not one of {', '.join(sorted(coding.suffixes))}")
    tasks, folder = tasks_of(coding, sources, out, recursive=recursive)
    if folder is None:
        reject_idle(context, "a folder as OUT", "jobs", *(["suffix"] if out != PIPE else []))
        _run_one(coding, tasks[0])
    else:
        _run_many(coding, tasks, folder, jobs)


def tasks_of(coding: Coding, sources: Sequence[str], out: str, *, recursive: bool) -> tuple[list[Task], Path | None]:
    """Returns the tasks of `IN OUT` or `IN... OUT_DIR`, and the folder, or None for a single named output.

    The output is a folder if several files are read, if it ends with a slash, or if it is an existing folder. The
    files below a folder keep their paths relative to it.

    Raises:
      CodaxError: naming an input that cannot be one, or two that have the same output.
    """
    folders = [source for source in sources if os.path.isdir(source)]
    if folders and not recursive:
        raise CodaxError(f"{folders[0]}: is a folder; --recursive reads the files below it")
    is_folder = out.endswith(os.sep) or (os.path.isdir(out) and not out.lower().endswith(tuple(coding.suffixes)))
    if len(sources) == 1 and not folders and not is_folder:
        return [Task(sources[0], out)], None
    if PIPE in (*sources, out):
        raise CodaxError(f"{PIPE}: stdin and stdout are single files: expected IN OUT")
    tasks: dict[str, Task] = {}
    for source in sources:
        root = Path(source)
        files = list(coding.below(root)) if source in folders else [root]
        if not files:
            raise CodaxError(f"{source}: no such files below this folder")
        for path in files:
            name = path.relative_to(root) if source in folders else Path(path.name)
            target = str((Path(out) / name).with_suffix(coding.suffix))
            if target in tasks:
                raise CodaxError(f"{path} and {tasks[target].source}: both would be written to {target}")
            tasks[target] = Task(str(path), target)
    return list(tasks.values()), Path(out)


def _run_one(coding: Coding, task: Task) -> None:
    coding.claim(task)
    with whole_files(task.source, task.target, coding.suffix) as (source, target):
        seconds = coding.seconds(source)  # reports an unreadable file before a model is loaded
        with Progress(coding.verb, seconds, unit="s", brief=True) as progress:
            report = coding.code(source, target, progress.reach)
    _warn_of_damage(task, report)
    messages.report(f"{task.target}: {report.summary}", to_stderr=task.target == PIPE)


def _run_many(coding: Coding, tasks: Sequence[Task], folder: Path, jobs: int) -> None:
    """Codes files and prints a summary. Those that failed are named at the end and do not stop the others."""
    from codax.containers.signals import Report

    coding.prepare()
    began, results = time.monotonic(), []
    with Progress(coding.verb, len(tasks), brief=True) as progress:
        for result in _results(coding, tasks, jobs):
            results.append(result)
            if result.report is not None and messages.is_verbose():
                progress.say(f"{result.task.target}: {result.report.summary}")
            progress.advance()
    failures = [result for result in results if result.report is None]
    for result in results:
        if result.report is None:
            messages.warn(" ".join(result.error.split()))
        else:
            _warn_of_damage(result.task, result.report)
    if reports := [result.report for result in results if result.report is not None]:
        total = Report.total(reports, time.monotonic() - began)
        messages.report(f"{folder}: {len(reports)} file{'s' * (len(reports) > 1)}, {total.summary}")
    if failures:
        messages.warn(f"{len(failures)} of {len(tasks)} files failed")
        sys.exit(1)


def _warn_of_damage(task: Task, report: Report) -> None:
    if report.damage:
        source = "stdin" if task.source == PIPE else task.source
        messages.warn(f"{source}: damaged in {report.damage}: silent there")


def _results(coding: Coding, tasks: Sequence[Task], jobs: int) -> Iterator[Result]:
    """Yields the results in order. The first file is coded alone, so that programs are compiled once."""

    def attempt(task: Task) -> Result:
        try:
            coding.claim(task)
            Path(task.target).parent.mkdir(parents=True, exist_ok=True)
            return Result(task, coding.code(task.source, task.target, lambda seconds: None))
        except CodaxError as error:
            return Result(task, error=str(error))
        except OSError as error:
            return Result(task, error=f"{error.filename or task.source}: {error.strerror or error}")
        except MemoryError:
            return Result(task, error=f"{task.source}: not enough memory")

    if jobs == 1:
        yield from map(attempt, tasks)
        return
    try:
        yield from map(attempt, tasks[:1])
        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(attempt, tasks[1:])
    except KeyboardInterrupt:  # the pool would wait for the files that are being coded
        discard_unfinished()
        os._exit(130)
