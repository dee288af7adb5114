"""Results of listeners: reads and checks the page's JSON files, or CSV files with webMUSHRA's columns."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from codax.errors import CodaxError, shown
from codax.listening.manifest import Manifest
from codax.storage import csv_text, strict_json
from codax.storage.files import require_file

FORMAT = "codax-listening-result"
VERSION = 1
_BEFORE = ("session_test_id",)
_AFTER = ("session_uuid", "trial_id", "rating_stimulus", "rating_score", "rating_time", "rating_comment")
RESERVED = (*_BEFORE, "listener", *_AFTER)  # columns that no question of a listener may be named after


@dataclasses.dataclass(frozen=True)
class Rating:
    """One slider: score 0 to 100 of a stimulus ("reference", "anchor35", "anchor70" or a system) of an item."""

    item: str
    stimulus: str
    score: float
    seconds: float = 0.0  # time that the listener spent on the trial
    comment: str = ""


@dataclasses.dataclass(frozen=True)
class Answer:
    """One ABX trial."""

    item: str
    system: str
    correct: bool


@dataclasses.dataclass
class Session:
    """One listener's run through the test."""

    session: str
    listener: str
    path: Path
    questionnaire: dict[str, str] = dataclasses.field(default_factory=dict)
    ratings: list[Rating] = dataclasses.field(default_factory=list)
    answers: list[Answer] = dataclasses.field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.ratings) + len(self.answers)

    def scores(self) -> dict[str, dict[str, float]]:
        """Score by item and stimulus."""
        out: dict[str, dict[str, float]] = {}
        for rating in self.ratings:
            out.setdefault(rating.item, {})[rating.stimulus] = rating.score
        return out


def read_results(paths: Iterable[Path], manifest: Manifest) -> tuple[list[Session], list[str]]:
    """Reads result files, and the .json and .csv files in folders.

    Args:
      paths: files and folders.
      manifest: of their test.

    Returns:
      Sessions with at least one trial, by listener; and notes, one line each.

    Raises:
      CodaxError: a file is not a result of this test; the message names it and the reason.
    """
    sessions: dict[str, Session] = {}
    notes: list[str] = []
    for path in _files(paths):
        for session in _read_file(path, manifest):
            if session.size == 0:
                notes.append(f"{path}: no trial was finished; ignored")
                continue
            known = sessions.get(session.session)
            best = session if known is None else max(known, session, key=lambda s: s.size)
            if known is not None:
                notes.append(f"{path}: the same session as {known.path}; counted once, from {best.path}")
            sessions[session.session] = best
    if not sessions:
        raise CodaxError("no result holds a finished trial")
    out = sorted(sessions.values(), key=lambda s: (_natural(s.listener), s.session))
    trials = len(manifest.items)
    for before, session in zip([None, *out], out, strict=False):
        if before is not None and before.listener == session.listener:
            notes.append(
                f"{session.path}: another session of listener {session.listener}, like {before.path}; both count"
            )
        done = len(session.answers) or len({rating.item for rating in session.ratings})
        if done < trials:
            notes.append(f"{session.path}: {done} of {trials} trials")
    return out, notes


def _files(paths: Iterable[Path]) -> list[Path]:
    out: list[Path] = []
    for path in paths:
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.suffix.lower() in (".json", ".csv"))
            if not files:
                raise CodaxError(f"{path}: holds no .json or .csv results")
            out += files
        else:
            out.append(path)
    return out


def _read_file(path: Path, manifest: Manifest) -> list[Session]:
    require_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CodaxError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise CodaxError(f"{path}: is not text in UTF-8") from error
    if text.lstrip().startswith("{"):
        return [parse_result(path, text, manifest)]
    if path.suffix.lower() == ".json":
        raise CodaxError(f"{path}: is not a result of a listening test")
    try:
        return _from_csv(path, text, manifest)
    except csv.Error as error:
        raise CodaxError(f"{path}: is not CSV ({error})") from error


def parse_result(path: Path, text: str | bytes, manifest: Manifest) -> Session:
    """Reads the JSON of one listener; `path` names it in messages.

    Raises:
      CodaxError: it is not a result of this test; the message has the reason.
    """
    try:
        data = strict_json.parse(text)
    except strict_json.JSONError as error:
        raise CodaxError(f"{path}: is not JSON ({error})") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise CodaxError(f"{path}: is not a result of a listening test")
    if data.get("version") != VERSION:
        raise CodaxError(f"{path}: version {shown(data.get('version'))} of the result; this program reads {VERSION}")
    _check_test(path, str(data.get("test")), manifest)
    try:
        session = Session(
            str(data["session"]),
            str(data["listener"]),
            path,
            {str(key): str(value) for key, value in data["questionnaire"].items()},
        )
        if reserved := sorted(session.questionnaire.keys() & {*RESERVED}):
            raise CodaxError(f"{path}: the question {reserved[0]} has the name of another column")
        answered: set[str] = set()
        for trial in data["trials"]:
            blind, comment, seconds = str(trial["trial"]), str(trial["comment"]), _seconds(trial["seconds"])
            if blind not in manifest.items:
                raise CodaxError(f"{path}: unknown trial {blind:.80}")
            if manifest.kind == "abx":
                if blind in answered:
                    raise CodaxError(f"{path}: trial {blind} is answered twice")
                answered.add(blind)
                session.answers.append(_answer(path, blind, trial["answer"], manifest))
                continue
            for rating in trial["ratings"]:
                _add(session, blind, str(rating["signal"]), rating["score"], seconds, comment, manifest)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CodaxError(f"{path}: damaged result ({type(error).__name__}: {error})") from error
    _check_complete(session, manifest)
    return session


def _from_csv(path: Path, text: str, manifest: Manifest) -> list[Session]:
    columns, *lines = csv_text.read(text) or [[]]
    if missing := [name for name in (*_BEFORE, *_AFTER[:4]) if name not in columns]:
        raise CodaxError(f"{path}: is not a result of a listening test: no column {missing[0]}")
    if manifest.kind != "mushra":
        raise CodaxError(f"{path}: ratings, but {manifest.path} is of an ABX test")
    questions = [name for name in columns if name not in (*_BEFORE, *_AFTER)]
    sessions: dict[str, Session] = {}
    for line in lines:
        row = dict(itertools.zip_longest(columns, line[: len(columns)], fillvalue=""))
        _check_test(path, row["session_test_id"], manifest)
        uuid = row["session_uuid"] or ""
        if uuid not in sessions:
            answers = {name: row[name] or "" for name in questions}
            sessions[uuid] = Session(uuid, answers.pop("listener", "") or uuid, path, answers)
        seconds = _seconds(row.get("rating_time") or 0) / 1000
        comment = row.get("rating_comment") or ""
        _add(sessions[uuid], row["trial_id"], row["rating_stimulus"], row["rating_score"], seconds, comment, manifest)
    for session in sessions.values():
        _check_complete(session, manifest)
    return list(sessions.values())


def _seconds(value: Any) -> float:
    """A recorded time; 0 if it is invalid, because nothing depends on it."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return seconds if 0 <= seconds < 1e9 else 0.0


def _check_test(path: Path, test: str, manifest: Manifest) -> None:
    if test != manifest.test:
        raise CodaxError(f"{path}: belongs to test {test!s:.80}, but {manifest.path} is of test {manifest.test}")


def _add(
    session: Session, trial: str, signal: str, score: object, seconds: float, comment: str, manifest: Manifest
) -> None:
    """Appends a rating; trial and signal are blind ids, or names as in webMUSHRA's files."""
    where = session.path
    if trial in manifest.items:
        item, names = manifest.items[trial], manifest.names[trial]
    elif trial in manifest.items.values():
        item = trial
        names = manifest.names[next(blind for blind, name in manifest.items.items() if name == trial)]
    else:
        raise CodaxError(f"{where}: unknown trial {trial!s:.80}")
    stimulus = names.get(signal, signal)
    if stimulus not in names.values():
        raise CodaxError(f"{where}: unknown signal {signal!s:.80} in trial {trial}")
    try:
        value = float(score)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, OverflowError):
        value = math.nan
    if not 0 <= value <= 100:
        raise CodaxError(f"{where}: score {shown(score)} of signal {signal} in trial {trial}; must be 0 to 100")
    if any(rating.item == item and rating.stimulus == stimulus for rating in session.ratings):
        raise CodaxError(f"{where}: signal {signal} in trial {trial} is rated twice by session {session.session}")
    session.ratings.append(Rating(item, stimulus, value, seconds, comment))


def _answer(path: Path, trial: str, answer: object, manifest: Manifest) -> Answer:
    if answer not in ("a", "b"):
        raise CodaxError(f"{path}: answer {shown(answer)} in trial {trial}; must be a or b")
    system = next(name for name in manifest.names[trial].values() if name != "reference")
    return Answer(manifest.items[trial], system, answer == manifest.keys[trial])


def _check_complete(session: Session, manifest: Manifest) -> None:
    """Raises CodaxError if a trial lacks ratings of some signals."""
    rated = session.scores()
    for blind, item in manifest.items.items():
        missing = set(manifest.names[blind].values()) - set(rated.get(item, {}))
        if manifest.kind == "mushra" and item in rated and missing:
            raise CodaxError(f"{session.path}: trial {blind} lacks a rating of {len(missing)} signals")


def _natural(listener: str) -> tuple[bool, int, str]:
    return (False, int(listener), "") if listener.isdecimal() and len(listener) < 20 else (True, 0, listener)


def to_csv(sessions: Sequence[Session], manifest: Manifest) -> str:
    """All ratings in webMUSHRA's columns, with the names of items and signals; times in ms."""
    questions = list(dict.fromkeys(key for session in sessions for key in session.questionnaire))
    rows: list[list[object]] = [[*_BEFORE, "listener", *questions, *_AFTER]]
    for session in sessions:
        answers = [session.questionnaire.get(key, "") for key in questions]
        for r in sorted(session.ratings, key=lambda r: (r.item, r.stimulus)):
            score = int(r.score) if r.score == int(r.score) else r.score
            row = [session.session, r.item, r.stimulus, score, round(1000 * r.seconds), r.comment]
            rows.append([manifest.test, session.listener, *answers, *row])
    return csv_text.to_csv(rows, end="\r\n")
