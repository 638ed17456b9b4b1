"""Charts of effects: repeatable, drawn even of little, with the missing apart and the density below."""

import re
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from workbench.explanation.effects import accumulated_effects, partial_dependence
from workbench.explanation.spread import beeswarm_table, dependence_table
from workbench.reporting import explanation_charts as charts

NAMES = [f"mobile_money_late_payment_share_{days}" for days in (30, 90, 365)]


def sample(size=800):
    generator = np.random.default_rng(1)
    columns = generator.normal(size=(size, 3)) * [1.0, 1e6, 1e-3]
    known = pl.Series(generator.random(size) > 0.2)
    frame = pl.DataFrame(columns, schema=NAMES).with_columns(pl.when(known).then(NAMES[0]).alias(NAMES[0]))
    return frame, columns * [1.0, 1e-6, 100.0]


FRAME, VALUES = sample()


def margin(frame):
    return frame[NAMES[0]].fill_null(2.0).to_numpy() + np.tanh(frame[NAMES[1]].to_numpy() / 1e6)


def beeswarm():
    return beeswarm_table(FRAME, VALUES, NAMES, shown=NAMES, least=10)


def dependence():
    return dependence_table(FRAME, VALUES, NAMES, shown=NAMES, least=10, level=0.95)


def effects():
    options = {"shown": NAMES, "least": 10, "level": 0.95, "bins": 8}
    pdp = partial_dependence(margin, FRAME, seed=1, rows=100, **options)
    return pl.concat([accumulated_effects(margin, FRAME, **options), pdp])


DRAWN = {
    "beeswarm": (charts.beeswarm, beeswarm()),
    "dependence": (charts.dependence, dependence()),
    "effects": (charts.effects, effects()),
}
each = pytest.mark.parametrize("name", DRAWN)


def chart_of(name):
    draw, table = DRAWN[name]
    return draw(table)


def bars(axes):
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


@each
def test_the_same_table_gives_the_same_bytes(name):
    first = chart_of(name).svg()
    with mpl.rc_context({"font.size": 20, "axes.grid": True}):
        assert chart_of(name).svg() == first
    assert not re.search(r"(href|src)=\"(?!#)", first.decode())


@each
def test_nothing_is_cut_off(name):
    chart = chart_of(name)
    chart.draw_without_rendering()
    box, (width, height) = chart.get_tightbbox(), chart.get_size_inches()
    assert min(box.x0, box.y0) >= -0.01
    assert (box.x1 <= width + 0.01, box.y1 <= height + 0.01) == (True, True)


@each
def test_an_empty_table_and_one_row_are_drawn(name):
    draw, table = DRAWN[name]
    assert draw(table.clear()).svg().startswith(b"<?xml")
    assert draw(table.head(1)).svg().startswith(b"<?xml")


@each
@pytest.mark.parametrize("fill", [None, 0.0], ids=["null", "zero"])
def test_a_table_without_numbers_is_drawn(name, fill):
    draw, table = DRAWN[name]
    floats = [column for column, kind in table.schema.items() if kind.is_float()]
    empty = table.with_columns(pl.lit(fill, dtype=pl.Float64).alias(column) for column in floats)
    assert draw(empty).svg().startswith(b"<?xml")


@each
def test_counts_that_are_hidden_are_not_needed(name):
    draw, table = DRAWN[name]
    assert draw(table.with_columns(applicants=pl.lit(None, dtype=pl.Int64))).svg().startswith(b"<?xml")


@pytest.mark.parametrize("name", ["dependence", "effects"])
def test_the_numbers_of_a_wide_feature_are_in_full_and_apart(name):
    chart = chart_of(name)
    chart.draw_without_rendering()
    axes = chart.axes[1]
    assert axes.xaxis.get_offset_text().get_text() == ""
    boxes = sorted((label.get_window_extent() for label in axes.get_xticklabels()), key=lambda box: box.x0)
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


@pytest.mark.parametrize("name", ["dependence", "effects"])
def test_the_missing_stand_apart_where_there_are_any(name):
    first, *others = chart_of(name).axes
    assert [text.get_text() for text in first.texts] == ["missing"]
    (text,) = first.texts
    assert text.xy[0] > FRAME[NAMES[0]].quantile(0.95)
    assert not any(axes.texts for axes in others)


def test_a_bin_of_the_swarm_is_as_wide_as_it_has_applicants():
    table = beeswarm()
    drawn = bars(charts.beeswarm(table).axes[0])
    shown = table.drop_nulls("width")
    assert len(drawn) == shown.height
    assert [bar.get_height() for bar in drawn] == pytest.approx((0.9 * shown["width"]).to_list())
    assert [bar.get_x() for bar in drawn] == pytest.approx(shown["low"].to_list())


def test_low_values_are_light_and_high_ones_dark():
    rows = pl.DataFrame(
        {"feature": ["a"] * 3, "bin": [1, 2, 3], "low": [0.0, 1.0, 2.0], "high": [1.0, 2.0, 3.0]}
    ).with_columns(applicants=pl.lit(10), width=pl.lit(1.0), percentile=pl.Series([0.1, 0.9, None]))
    low, high, none = (np.array(bar.get_facecolor()[:3]) for bar in bars(charts.beeswarm(rows).axes[0]))
    assert low.mean() > high.mean()
    assert np.ptp(none) < 0.01


def test_the_density_is_applicants_over_width():
    table = effects().filter(pl.col("feature") == NAMES[2])
    axes = charts.effects(table).axes[0]
    ale = table.filter(curve="ale")
    density = ale["applicants"].to_numpy()[1:] / np.diff(ale["value"])
    heights = np.array([bar.get_height() for bar in bars(axes)])
    assert heights / heights.max() == pytest.approx(density / density.max())


def test_the_colours_keep_their_order_in_grey():
    shades = [to_rgb(charts.LOW_TO_HIGH(share)) for share in np.linspace(0, 1, 21)]
    grey = np.array(shades) @ [0.299, 0.587, 0.114]
    assert (np.diff(grey) < 0).all()
