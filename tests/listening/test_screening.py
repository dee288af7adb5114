"""Listeners of known bias, and who each rule drops."""

import pytest
from codax.errors import CodaxError
from codax.listening.screening import screen

ITEMS = [f"item{i}" for i in range(20)]
GOOD = {"reference": 98.0, "anchor70": 50.0, "anchor35": 20.0, "codec": 70.0}


def listener(**changes: tuple[int, float]) -> dict[str, dict[str, float]]:
    """A good listener but for the first trials: anchor70=(4, 95) rates that anchor 95 in four of 20."""
    trials = {item: dict(GOOD) for item in ITEMS}
    for stimulus, (count, score) in changes.items():
        for item in ITEMS[:count]:
            trials[item][stimulus] = score
    return trials


def panel(**odd: dict[str, dict[str, float]]) -> dict[str, dict[str, dict[str, float]]]:
    return {f"good{i}": listener() for i in range(10)} | odd


def dropped(rule: str, scores) -> dict[str, str]:
    return {entry.listener: entry.reason for entry in screen(scores, rule)}


def test_bs1534():
    actual = dropped(
        "bs1534",
        panel(
            reference_3=listener(reference=(3, 89)),  # 15 % is not more than 15 %
            reference_4=listener(reference=(4, 89.9)),
            reference_at_90=listener(reference=(20, 90)),
            anchor_3=listener(anchor70=(3, 91)),
            anchor_4=listener(anchor70=(4, 91)),
            anchor_at_90=listener(anchor70=(20, 90)),
            low_anchor=listener(anchor35=(20, 100)),
        ),
    )
    assert actual == {
        "reference_4": "hidden reference below 90 in 4 of 20 trials, more than 15 %",
        "anchor_4": "7 kHz anchor above 90 in 4 of 20 trials, more than 15 %",
    }


def test_bs1534_hard_items_do_not_count():
    deaf = {f"deaf{i}": listener(anchor70=(4, 95)) for i in range(4)}  # 4 of 14: more than 25 %
    assert dropped("bs1534", panel(**deaf)) == {}
    worse = listener(anchor70=(7, 95))  # of the 16 items that count, 3 are wrong: 18.75 %
    assert list(dropped("bs1534", panel(**deaf, worse=worse))) == ["worse"]
    # 3 of 12 listeners are 25 %, not more: the items count, and the three go.
    few = {f"deaf{i}": listener(anchor70=(4, 95)) for i in range(3)}
    scores = {name: trials for name, trials in panel(**few).items() if name != "good0"}
    assert len(scores) == 12
    assert list(dropped("bs1534", scores)) == list(few)


def test_encodec():
    actual = dropped(
        "encodec",
        panel(
            reference_3=listener(reference=(3, 80)),
            reference_4=listener(reference=(4, 80)),  # 20 %: at least
            anchor_10=listener(anchor35=(10, 81)),  # 50 % is not more than 50 %
            anchor_11=listener(anchor35=(11, 81)),
            anchor_at_80=listener(anchor35=(20, 80)),
            mid_anchor=listener(anchor70=(20, 100)),
        ),
    )
    assert list(actual) == ["reference_4", "anchor_11"]


def test_usac():
    actual = dropped(
        "usac",
        panel(
            reference=listener(reference=(1, 89)),
            mid=listener(anchor70=(1, 99)),
            low=listener(anchor35=(1, 51)),
            equal=listener(anchor70=(20, 98), anchor35=(20, 98)),
        ),
    )
    assert actual == {
        "reference": "item item0: hidden reference at 89, below 90",
        "mid": "item item0: 7 kHz anchor at 99 above the hidden reference at 98",
        "low": "item item0: 3.5 kHz anchor at 51 above the 7 kHz anchor at 50",
    }


def test_none():
    assert dropped("none", panel(worst=listener(reference=(20, 0)))) == {}


def test_errors():
    with pytest.raises(CodaxError, match="--screening strict: must be one of bs1534"):
        screen({}, "strict")
    with pytest.raises(CodaxError, match="needs anchor70, which item x does not have"):
        screen({"a": {"x": {"reference": 95, "anchor35": 10}}}, "bs1534")
