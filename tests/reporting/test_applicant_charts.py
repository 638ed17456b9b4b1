"""The waterfall of one applicant: it adds up, also where it is cut, and says what it shows."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.reporting.applicant_charts import REST, signed, waterfall, waterfall_steps, waterfall_text


def families(*points: float) -> pl.DataFrame:
    names = [f"family_{number}" for number in range(len(points))]
    return pl.DataFrame({"family": names, "points": points}, {"family": pl.String, "points": pl.Float64})


ABOUT = {"base_score": 520.0, "score": 507.0, "cutoff": 512.0}


def test_steps_come_largest_first():
    assert waterfall_steps(families(1.0, -14.0, 2.0)).rows() == [
        ("family_1", -14.0),
        ("family_2", 2.0),
        ("family_0", 1.0),
    ]


@pytest.mark.parametrize(("count", "rest"), [(10, False), (11, True)])
def test_more_than_ten_families_are_cut_to_ten_steps(count, rest):
    steps = waterfall_steps(families(*map(float, range(1, count + 1))))
    assert steps.height == 10
    assert (REST in steps["family"]) is rest


@given(st.lists(st.floats(-100, 100), max_size=20))
def test_the_steps_add_up_to_all_points(points):
    assert waterfall_steps(families(*points))["points"].sum() == pytest.approx(sum(points), abs=1e-9)


def drawn(axes):
    """The bars and the marks of a waterfall: (place, from, to) and (place, value)."""
    bars = [
        (round(bar.get_y() + bar.get_height() / 2), bar.get_x(), bar.get_x() + bar.get_width())
        for bar in axes.patches
    ]
    marks = [(line.get_ydata()[0], line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "D"]
    return bars, marks


def test_each_bar_starts_where_the_one_before_ends():
    (axes,) = waterfall(families(1.0, -14.0), **ABOUT).axes
    bars, marks = drawn(axes)
    assert bars == [(1, 520.0, 506.0), (2, 506.0, 507.0)]
    assert marks == [(0, 520.0), (3, 507.0)]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "base score",
        "family 1",
        "family 0",
        "score",
    ]


def test_nothing_is_cut_off_at_the_edges():
    (axes,) = waterfall(families(1.0, -14.0), **ABOUT).axes
    low, high = axes.get_xlim()
    assert low < 506.0
    assert high > 520.0


def test_the_same_table_gives_the_same_bytes_and_fetches_nothing():
    first = waterfall(families(1.0, -14.0), **ABOUT).svg()
    assert waterfall(families(1.0, -14.0), **ABOUT).svg() == first
    assert b"<script" not in first


def test_names_with_markup_are_drawn_as_they_are():
    table = pl.DataFrame({"family": ["$x$", "<b>&", "\\frac{"], "points": [1.0, 2.0, 3.0]})
    chart = waterfall(table, **ABOUT)
    assert chart.svg()
    assert "$x$" in [label.get_text() for label in chart.axes[0].get_yticklabels()]


def test_without_families_it_says_so():
    assert waterfall(families(), **ABOUT).svg()
    assert waterfall_text(families(), **ABOUT).endswith("Points by family: none.")


def test_the_text_tells_what_the_picture_shows():
    assert waterfall_text(families(1.0, -14.0), **ABOUT) == (
        "Waterfall from the base score 520.0 to the score 507.0; the cutoff is 512. "
        "Points by family: family_1 −14.0, family_0 +1.0."
    )


@pytest.mark.parametrize(
    ("points", "text"), [(0.05, "+0.1"), (0.049, "0.0"), (-0.049, "0.0"), (-0.051, "−0.1"), (12.0, "+12.0")]
)
def test_what_rounds_to_nothing_has_no_sign(points, text):
    assert signed(points) == text
