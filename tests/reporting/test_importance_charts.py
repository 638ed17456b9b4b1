"""Charts of importance: repeatable, drawn even of little, and readable with long names."""

import re
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from matplotlib.colors import to_rgb

from workbench.explanation.importance import importance_table, interaction_table, scorecard_comparison
from workbench.explanation.steadiness import importance_spread, model_importance
from workbench.reporting import importance_charts as charts

LONG = "mobile_money_late_payment_share_365"


def names_of(count):
    return [f"{LONG}_{at}" for at in range(count)]


def shap(count, seed=1):
    return np.random.default_rng(seed).normal(size=(60, count)) * (count - np.arange(count))


def importance(count):
    return importance_table(shap(count), names_of(count), level=0.95, replicates=50, seed=1)


def interactions(count):
    names = names_of(count)
    pairs = [*pairwise(names), (names[0], names[-1])]
    return interaction_table(shap(count), pairs, shap(count), level=0.95, replicates=50, seed=1)


def steadiness(count):
    champion = model_importance(shap(count), names_of(count), kind="champion", model="")
    others = [
        model_importance(shap(count, seed), names_of(count), kind=kind, model=str(seed))
        for kind in ("seed", "resample", "month")
        for seed in (1, 2, 3)
    ]
    return importance_spread(champion, pl.concat(others))


def scorecard(count):
    points = pl.DataFrame(
        {
            "characteristic": names_of(count),
            "attribute": ["below 1"] * count,
            "applicants": [10] * count,
            "points": [1.0] * count,
        }
    )
    whole = pl.concat([points, points.with_columns(points=pl.lit(9.0), attribute=pl.lit("1 and above"))])
    return scorecard_comparison(whole, importance(count), dict.fromkeys(names_of(count), 1))


DRAWN = {
    "importance": (charts.importance, importance),
    "interactions": (charts.interactions, interactions),
    "steadiness": (charts.steadiness, steadiness),
    "scorecard_shares": (charts.scorecard_shares, scorecard),
}
each = pytest.mark.parametrize("name", DRAWN)


def chart_of(name, count):
    draw, table = DRAWN[name]
    return draw(table(count))


def labels_of(chart):
    return [label.get_text() for label in chart.axes[0].get_yticklabels()]


@each
def test_the_same_table_gives_the_same_bytes(name):
    draw, table = DRAWN[name]
    first = draw(table(5)).svg()
    with mpl.rc_context({"font.size": 20, "axes.grid": True}):
        assert draw(table(5)).svg() == first
    assert not re.search(r"(href|src)=\"(?!#)", first.decode())


@each
@pytest.mark.parametrize("count", [3, 50])
def test_nothing_is_cut_off_and_labels_do_not_lie_on_each_other(name, count):
    chart = chart_of(name, count)
    chart.draw_without_rendering()
    box, (width, height) = chart.get_tightbbox(), chart.get_size_inches()
    assert min(box.x0, box.y0) >= -0.01
    assert (box.x1 <= width + 0.01, box.y1 <= height + 0.01) == (True, True)
    boxes = [label.get_window_extent() for label in chart.axes[0].get_yticklabels()]
    places = sorted(one.y0 for one in boxes)
    assert min(np.diff(places), default=99) >= boxes[0].height * 0.95


@each
def test_a_ranking_that_is_cut_says_so(name):
    shown = 30 if name in ("importance", "scorecard_shares") else charts.FEW
    titles = [chart_of(name, count).axes[0].get_title(loc="left") for count in (shown, shown + 1)]
    assert titles[0] == ""
    assert re.fullmatch(rf"The {shown} .* of {shown + 1}", titles[1])


@each
def test_an_empty_table_and_one_row_are_drawn(name):
    draw, table = DRAWN[name]
    assert draw(table(3).clear()).svg().startswith(b"<?xml")
    assert draw(table(3).head(1)).svg().startswith(b"<?xml")


@each
@pytest.mark.parametrize("fill", [None, 0.0], ids=["null", "zero"])
def test_a_table_without_numbers_is_drawn(name, fill):
    draw, table = DRAWN[name]
    floats = [column for column, kind in table(4).schema.items() if kind.is_float()]
    empty = table(4).with_columns(pl.lit(fill, dtype=pl.Float64).alias(column) for column in floats)
    assert draw(empty).svg().startswith(b"<?xml")


@each
def test_a_name_is_text_and_no_mathematics(name):
    draw, table = DRAWN[name]
    strange = table(3).with_columns(pl.col("feature").replace(f"{LONG}_0", r"a$\frac{1}$b"))
    labels = [
        *labels_of(draw(strange)),
        *(label.get_text() for label in draw(strange).axes[0].get_xticklabels()),
    ]
    assert any(r"a\$\frac{1}\$b" in label for label in labels)


def test_the_most_important_is_on_top_and_what_is_not_used_is_not_drawn():
    values = np.hstack([shap(3), np.zeros((60, 1))])
    table = importance_table(values, ["a", "b", "c", "unused"], level=0.95, replicates=50, seed=1)
    chart = charts.importance(table)
    assert labels_of(chart) == ["a", "b", "c"]
    assert chart.axes[0].yaxis_inverted()


def test_ranks_stand_beside_their_features():
    table = importance(4).with_columns(rank_low=pl.Series([1, 2, 2, 4]), rank_high=pl.Series([1, 3, 3, 4]))
    chart = charts.importance(table)
    (right,) = chart.axes[0].child_axes
    assert [label.get_text() for label in right.get_yticklabels()] == ["1", "2 to 3", "2 to 3", "4"]


def test_every_pair_is_drawn_once_with_its_value():
    table = interactions(5)
    chart = charts.interactions(table)
    assert sorted(text.get_text() for text in chart.axes[0].texts) == sorted(
        f"{value:.2g}" for value in table["interaction"]
    )


def test_a_feature_that_goes_the_other_way_is_named():
    table = scorecard(3).with_columns(same_direction=pl.Series([True, False, None]))
    labels = labels_of(charts.scorecard_shares(table))
    assert [label.endswith("(other direction)") for label in labels].count(True) == 1


def test_the_scale_of_the_map_keeps_its_order_in_grey():
    shades = [to_rgb(charts.WEAK_TO_STRONG(share)) for share in np.linspace(0, 1, 21)]
    grey = np.array(shades) @ [0.299, 0.587, 0.114]
    assert (np.diff(grey) < 0).all()
