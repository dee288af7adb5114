"""index.html: the page of a listening test, assembled from the files in this folder. It fetches nothing."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

SCRIPTS = ("logic.js", "player.js", "wave.js", "trial.js", "consent.js", "send.js", "page.js")  # in order of execution


def render(content: Mapping[str, Any], audio: Mapping[str, bytes]) -> str:
    """Renders the page.

    Args:
      content: input of the script: kind, test, title, seed, listeners, questions, training, trials.
      audio: blind id -> WAV file; other audio is loaded from the folder audio/ beside the page.
    """
    files = resources.files("codax.listening") / "web"
    parts = {
        "TITLE": html.escape(str(content["title"])),
        "STYLE": (files / "page.css").read_text(encoding="utf-8"),
        # "</script" and "<!--" inside a script would end or hide it.
        "CONTENT": json.dumps(content, ensure_ascii=False).replace("<", "\\u003c"),
        "AUDIO": "\n".join(
            f'<script type="text/plain" id="audio-{blind}">{base64.b64encode(data).decode()}</script>'
            for blind, data in sorted(audio.items())
        ),
        "SCRIPT": "\n".join((files / name).read_text(encoding="utf-8") for name in SCRIPTS),
    }
    text = (files / "page.html").read_text(encoding="utf-8")
    # Split once, so that inserted content cannot contain a placeholder.
    pieces = text.split("@@")
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))


def side_script(blind: str, data: bytes) -> bytes:
    """A script that passes one WAV file to the page; pages opened from disk may load scripts only."""
    return f'codaxAudio("{blind}","{base64.b64encode(data).decode()}");\n'.encode()
