"""`codax mushra`: builds the page of a listening test, serves it, and analyses the results of listeners."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from codax.cli.options import Overwrite, reject_idle
from codax.errors import CodaxError
from codax.runtime import messages
from codax.storage.files import claim_output

mushra_app = typer.Typer(no_args_is_help=True, help="Listening tests: MUSHRA (ITU-R BS.1534-3) and ABX.")


class Kind(enum.StrEnum):
    """Kinds of tests."""

    mushra = "mushra"
    abx = "abx"


@mushra_app.command()
def build(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for index.html and manifest.json.")],
    more: Annotated[list[str] | None, typer.Argument(metavar="[NAME=DIR]...", help="More systems.")] = None,
    reference: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the originals.")] = None,
    systems: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=DIR", help="Systems: each with the originals' files, coded and decoded."),
    ] = None,
    evaluation: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Use the originals and systems in the output of eval.py.")
    ] = None,
    kind: Annotated[Kind, typer.Option(help="mushra: rate all systems; abx: tell a system from the original.")] = (
        Kind.mushra
    ),
    title: Annotated[str, typer.Option(help="Shown to listeners; must not name a system.")] = "Listening test",
    seed: Annotated[int, typer.Option(min=0, help="Seed of blind ids and orders.")] = 0,
    items: Annotated[int | None, typer.Option(min=1, help="Number of items to use. Default: all.")] = None,
    training: Annotated[int, typer.Option(min=0, help="Training trials, whose ratings are dropped.")] = 1,
    listeners: Annotated[int, typer.Option(min=1, help="Planned number of listeners; they are numbered from 1.")] = 20,
    repeats: Annotated[int, typer.Option(min=1, help="ABX: trials of each item and system.")] = 1,
    questionnaire: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Questions before the test, as JSON. Default: headphones and experience."),
    ] = None,
    lufs_tolerance: Annotated[
        float, typer.Option(min=0.0, help="Maximum loudness difference between a system and the original, in LU.")
    ] = 0.5,
    match_loudness: Annotated[
        bool | None,
        typer.Option(
            "--match-loudness/--no-match-loudness",
            help="Adjust systems of another loudness to the original's. Default: with --evaluation, since a codec may "
            "make its output softer.",
        ),
    ] = None,
    embed: Annotated[
        bool, typer.Option("--embed/--side-folder", help="Audio inside the page, or in a folder beside it.")
    ] = True,
    overwrite: Overwrite = False,
) -> None:
    """Build a page that runs in any browser without a server, and the manifest that identifies its signals.

    Keep manifest.json private: it names the signals, which the page knows by blind ids only.
    """
    from codax.listening.build import Plan, Rules
    from codax.listening.build import build as build_test
    from codax.listening.questionnaire import read_questions

    if kind is not Kind.abx:
        reject_idle(context, "--kind abx", "repeats")
    folders: dict[str, Path] = {}
    kbps: dict[str, float] = {}
    if evaluation is not None:
        from codax.listening.material import rates_of_evaluation, systems_of_evaluation

        if reference is not None:
            raise CodaxError("--reference: --evaluation already provides the originals")
        reference, folders = systems_of_evaluation(evaluation)
        kbps = rates_of_evaluation(evaluation)
    if reference is None:
        raise CodaxError("--reference: give the folder of the originals, or --evaluation DIR")
    for text in [*(systems or []), *(more or [])]:
        name, separator, folder = text.partition("=")
        if not (name and separator and folder):
            raise CodaxError(f"--systems {text}: must be NAME=DIR")
        if name in folders:
            raise CodaxError(f"--systems {text}: {name} is given twice")
        folders[name] = Path(folder)
    claim_output(out, reference, *folders.values(), overwrite=overwrite)
    rules = Rules(lufs_tolerance, evaluation is not None if match_loudness is None else match_loudness)
    questions = None if questionnaire is None else read_questions(questionnaire)
    plan = Plan(kind.value, title, seed, embed, training, listeners, items, repeats, questions)
    built = build_test(reference, folders, out, plan, rules, kbps=kbps)
    for warning in _shortened(built.warnings):
        messages.warn(warning)
    size = (out / "index.html").stat().st_size
    print(
        f"{out / 'index.html'}: {len(built.manifest['trials'])} trials, {len(folders)} systems, {size / 1e6:.1f} MB, "
        f"test {built.manifest['test']}"
    )


def _shortened(warnings: list[str]) -> list[str]:
    """The warnings, with one line for all signals whose loudness was compensated, unless the program is verbose."""
    compensated = [warning for warning in warnings if warning.endswith("; compensated")]
    if messages.is_verbose() or len(compensated) < 2:
        return warnings
    others = [warning for warning in warnings if warning not in compensated]
    return [*others, f"{len(compensated)} signals have their original's loudness now; --verbose lists them"]


@mushra_app.command()
def serve(
    test: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `codax mushra build` wrote.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results, one file for each listener.")],
    host: Annotated[
        str, typer.Option(help="Address to serve; 0.0.0.0 serves the whole network, without encryption.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
) -> None:
    """Serve the page of a test and collect the results of its listeners, until Ctrl-C.

    Listeners can read the page and its audio only: neither manifest.json nor the results have an address.
    """
    from codax.listening.server import Server

    with Server(test, out, (host, port), lambda line: print(line, flush=True)) as server:
        print(f"{server.url}: test {server.manifest.test}; results go to {out}", flush=True)
        server.serve_forever()


class Screening(enum.StrEnum):
    """Rules that drop listeners."""

    bs1534 = "bs1534"
    encodec = "encodec"
    usac = "usac"
    none = "none"


class Correction(enum.StrEnum):
    """Corrections for multiple comparisons."""

    hochberg = "hochberg"
    holm = "holm"


@mushra_app.command()
def analyze(
    context: typer.Context,
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS...", help="JSON or CSV files, or folders of them.")],
    manifest: Annotated[Path, typer.Option(metavar="FILE", help="manifest.json of the test.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for analysis.json, mushra.csv and plots.")],
    screening: Annotated[
        Screening,
        typer.Option(help="Which listeners are dropped: by BS.1534-3, as for EnCodec, as for MPEG USAC, or none."),
    ] = Screening.bs1534,
    correction: Annotated[Correction, typer.Option(help="Correction for multiple comparisons.")] = Correction.hochberg,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the permutation tests.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Merge results, drop listeners by a rule, and compare the systems."""
    from codax.cli.listening_tables import show
    from codax.listening.analysis import analyze as analyze_results
    from codax.listening.manifest import read_manifest

    claim_output(out, *results, overwrite=overwrite)
    test = read_manifest(manifest)
    if test.kind != "mushra":
        reject_idle(context, "the manifest of a MUSHRA test", "screening", "seed")
    analysis = analyze_results(results, test, out, screening=screening.value, correction=correction.value, seed=seed)
    for note in analysis.notes:
        messages.note(f"codax: {note}")
    show(analysis)
    for name in ("analysis.json", "report.html"):
        print(out / name)
