"""The plots as data, and their geometry in the report."""

import pytest
from codax.evaluation.charts import Chart, ticks
from codax.evaluation.panels import Line, Panel, Point
from codax.evaluation.statistics import Interval


def panel(*values, key="snr", original=None):
    points = tuple(Point(f"system {i}", i + 1.0, value) for i, value in enumerate(values))
    return Panel(key, "measured kbps of the files", (Line("system", 0, points),), original, 1.06 * len(values))


def test_the_axis_has_intervals_and_an_original_that_is_near():
    low, high = panel(Interval(1, 0, 2, 8, 8), Interval(3, 2, 4, 8, 8), original=6.0).range
    assert low < 0 and high > 6
    assert panel(Interval(3, 2, 4, 8, 8), original=4.5).original_note == ""


@pytest.mark.parametrize(("original", "side"), [(100.0, "above"), (-100.0, "below")])
def test_an_original_far_away_is_written_and_not_drawn(original, side):
    far = panel(Interval(1, 0, 2, 8, 8), Interval(3, 2, 4, 8, 8), original=original)
    assert far.original_note == f"original: {original:.1f}, {side} this range"
    assert -1 < far.range[0] < far.range[1] < 5


def test_shares_begin_at_0_and_equal_values_have_a_range():
    assert panel(Interval(10, 8, 12, 8, 8), key="wer").range[0] == 0
    low, high = panel(Interval(3, 3, 3, 8, 8)).range
    assert low < 3 < high
    low, high = panel(Interval(0, 0, 0, 8, 8), key="wer", original=0.0).range
    assert low < high


@pytest.mark.parametrize(("low", "high"), [(0, 6.37), (0.78, 1.01), (-31, 14), (0, 1e-3), (2, 2.000001), (0, 12345)])
def test_ticks_are_round_numbers_in_range(low, high):
    made = ticks(low, high)
    assert 2 <= len(made) <= 6
    assert all(low - 1e-9 <= value <= high + 1e-9 for value, _ in made)
    assert len({text for _, text in made}) == len(made)
    assert [float(text) for _, text in made] == pytest.approx(
        [value for value, _ in made], abs=1e-9 * abs(high) + 1e-12
    )


def test_places_and_words_of_points():
    chart = Chart(panel(Interval(1, 0, 2, 7, 8), Interval(3, 3, 3, 8, 8)))
    assert (chart.x(0), chart.x(2.12)) == (chart.left, chart.right)
    low, high = chart.panel.range
    assert (chart.y(low), chart.y(high)) == (chart.bottom, chart.top)
    first, second = (chart.describe(point) for point in chart.panel.lines[0].points)
    assert first == "system 0: 1.0; 0.0 to 2.0; 7 of 8; 1 measured kbps of the files"
    assert second == "system 1: 3.0; 2 measured kbps of the files"
