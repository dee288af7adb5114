"""Warnings of codebooks that collapse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from codax.config import DiscriminatorConfig
from codax.training.alarms import LOGS, CollapseAlarm, DiscriminatorAlarm
from codax.training.reporting import Log
from codax.training.terminal import Terminal
from tiny_run import tiny_config


def line(*coverage: float | None) -> dict:
    return {"codebook/coverage_levels": list(coverage), "codebook/perplexity_levels": [7.0] * len(coverage)}


def test_one_warning_for_each_level_until_it_recovers() -> None:
    alarm = CollapseAlarm(0.1)
    low, high = 0.05, 0.5
    history = [(high, low)] * LOGS + [(low, low)] * LOGS + [(low, high), (low, low), (high, low), (low, low)]
    messages = [alarm.check(step, line(*coverage)) for step, coverage in enumerate(history)]
    assert [len(each) for each in messages] == [0, 0, 1, 0, 0, 1, 0, 0, 0, 1]
    assert messages[2][0].startswith("step 2: codebook 2 collapses: coverage 0.05 in 3 logs in a row")
    assert messages[2][0].endswith("(quantizer.alarm_coverage = 0.1), perplexity 7.0")
    assert "codebook 1" in messages[5][0] and "codebook 2" in messages[9][0]


def test_lines_that_say_nothing_of_a_level_change_nothing() -> None:
    alarm = CollapseAlarm(0.1)
    lines = [line(0.01), {}, line(None), line(0.01), {"loss": 1.0}, line(0.01)]
    assert [len(alarm.check(step, each)) for step, each in enumerate(lines)] == [0, 0, 0, 0, 0, 1]
    never = CollapseAlarm(0.0)
    assert not any(never.check(step, line(0.0)) for step in range(2 * LOGS))


def test_a_resumed_run_neither_repeats_nor_forgets_a_warning() -> None:
    whole, part = CollapseAlarm(0.1), CollapseAlarm(0.1)
    for step in range(LOGS + 3):
        messages = whole.check(step, line(0.01, 0.2))
        assert part.check(step, line(0.01, 0.2)) == messages
        part = CollapseAlarm(0.1, json.loads(json.dumps(part.save())))


def test_the_log_warns_and_saves_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(quantizer__alarm_coverage=0.3)
    saved: dict = {}
    for step in range(1, LOGS + 2):  # stopped after every line
        with Terminal(20) as terminal:
            log = Log(config, tmp_path, terminal, after=step - 1, saved=saved, is_first=True)
            log.add({"codebook/coverage": [0.9, 0.2, 0.4, 0.1], "codebook/perplexity": [9.0, 2.0, 4.0, 1.0]})
            log.report(step)
            saved = json.loads(json.dumps(log.save()))
            log.close()
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 2
    assert err[0].startswith("warning: step 3: codebook 2 collapses: coverage 0.20") and "codebook 4" in err[1]


def test_a_discriminator_that_stays_at_chance_or_is_certain_is_reported_once() -> None:
    config = DiscriminatorConfig(alarm_steps=100)
    whole, part = DiscriminatorAlarm(config, 2.0), DiscriminatorAlarm(config, 2.0)
    losses = [2.0, 1.99, 2.1, 2.0, 1.7, 0.01, 0.0, 0.0, None, 2.0, 2.0, 2.0]
    lines = [{"discriminator/a": loss, "discriminator/b": 1.5, "loss/a": 2.0} for loss in losses]
    messages = []
    for i, each in enumerate(lines):
        messages.append(whole.check(50 * i, each))
        assert part.check(50 * i, each) == messages[-1]
        part = DiscriminatorAlarm(config, 2.0, json.loads(json.dumps(part.save())))
    assert [len(each) for each in messages] == [0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert messages[2] == [
        "step 100: discriminator a has learned nothing: loss 2.100 for 100 steps, and 2 is chance "
        "(discriminator.alarm_steps = 100)"
    ]
    assert "step 350: discriminator a leaves nothing to learn: loss 0.000" in messages[7][0]
    never = DiscriminatorAlarm(DiscriminatorConfig(alarm_steps=0), 2.0)
    assert not any(never.check(1000 * step, lines[0]) for step in range(20))
