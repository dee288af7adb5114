"""What the page of examples/browser has, and its rate slider."""

from __future__ import annotations

import numpy as np
from browser import Browser


def result(browser: Browser) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Original, codes and coded sound, as the page has them."""
    original, codes, coded, shape = browser.run(
        "return [[...app.original], [...app.shown.codes], [...app.coded], [app.shown.frames, app.shown.quantizers]]"
    )
    audio = [np.asarray(values, np.float32)[None, :, None] for values in (original, coded)]
    return audio[0], np.asarray(codes, np.int32).reshape(1, *shape), audio[1]


def slide(browser: Browser, quantizers: int) -> None:
    """Moves the rate's slider, and waits for the new sound."""
    browser.run("const e = document.querySelector('#quantizers'); e.value = arguments[0];", quantizers)
    browser.run("document.querySelector('#quantizers').dispatchEvent(new Event('input'));")
    browser.until("app.shown.quantizers === arguments[0]", quantizers)
