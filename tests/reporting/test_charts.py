"""Charts: repeatable, and drawn even of little."""

import re
from itertools import pairwise

import matplotlib as mpl
import polars as pl
import pytest

from tests.pipeline.running import shared_run
from workbench.reporting import charts
from workbench.reporting.disclosure import shown_frames
from workbench.reporting.figures import FIGURES
from workbench.run import Run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return Run.open(shared_run(tmp_path_factory))


def table_of(run, name):
    artifact = FIGURES[name].artifact
    return shown_frames(run, [artifact])[artifact]


def drawn(run, name):
    """The figure of the run's report, which another process has drawn."""
    return (run.folder / "report" / "source" / "model_risk" / "figures" / f"{name}.svg").read_bytes()


each_figure = pytest.mark.parametrize("name", list(FIGURES))


@each_figure
def test_the_same_table_gives_the_same_bytes(finished, name):
    table, study = table_of(finished, name), finished.study
    with mpl.rc_context({"font.size": 20, "axes.grid": True}):
        assert FIGURES[name].draw(table, study).svg() == drawn(finished, name)


@each_figure
def test_a_chart_fetches_nothing_and_has_text_without_braces(finished, name):
    svg = drawn(finished, name).decode()
    assert not re.search(r"(href|src)=\"(?!#)", svg)
    assert "<script" not in svg
    assert "@import" not in svg


@each_figure
@pytest.mark.parametrize("fill", [None, 0.0], ids=["null", "zero"])
def test_a_table_without_numbers_is_drawn(finished, name, fill):
    table = table_of(finished, name)
    floats = [column for column, kind in table.schema.items() if kind.is_float()]
    empty = table.with_columns(pl.lit(fill, dtype=pl.Float64).alias(column) for column in floats)
    assert FIGURES[name].draw(empty, finished.study).svg().startswith(b"<?xml")


@each_figure
def test_an_empty_table_is_drawn(finished, name):
    empty = table_of(finished, name).head(0)
    assert FIGURES[name].draw(empty, finished.study).svg().startswith(b"<?xml")


@each_figure
def test_a_table_of_one_row_is_drawn(finished, name):
    assert FIGURES[name].draw(table_of(finished, name).head(1), finished.study).svg().startswith(b"<?xml")


def test_labels_are_text_and_no_mathematics():
    """A dollar sign in a label of the data begins mathematics in Matplotlib."""
    table = pl.DataFrame(
        {
            "attribute": ["income", "income"],
            "group": ["$1 to $2", r"\frac{a}{b$ <b>"],
            "value": [0.9, 0.7],
            "low": [0.8, None],
            "high": [1.0, None],
            "judged": [True, False],
        }
    )
    svg = charts.ratios(table, line=0.8).svg().decode()
    assert "$1 to $2" in svg.replace("<!-- ", "").replace(" -->", "")


def test_a_chart_shows_itself_as_a_picture(finished):
    picture = FIGURES["roc"].draw(table_of(finished, "roc"), finished.study)._repr_png_()
    assert picture.startswith(b"\x89PNG")


def ranked(rows):
    """The three tables of rankings with so many features."""
    names = [f"mobile_money_late_share_{i}" for i in range(rows)]
    values = [float(i + 1) for i in range(rows)]
    numbers = {"low": values, "high": values, "iv_low": values, "iv_high": values, "noise": values}
    numbers |= {"information_value": values, "stability": values}
    return pl.DataFrame({"feature": names, "name": names, **numbers})


RANKINGS = {
    "strongest": charts.feature_strength,
    "largest": lambda table: charts.stability(table, lines=[0.1, 0.25]),
}


@pytest.mark.parametrize("which", RANKINGS)
@pytest.mark.parametrize("rows", [29, 30, 31, 129])
def test_a_ranking_that_is_cut_says_so(which, rows):
    chart = RANKINGS[which](ranked(rows))
    title = f"The 30 {which} of {rows}" if rows > 30 else ""
    assert chart.get_suptitle() == title
    labels = [label.get_text() for label in chart.axes[0].get_yticklabels()]
    assert len(labels) == min(rows, 30)
    assert labels[-1] == f"mobile money late share {rows - 1}"


@pytest.mark.parametrize("which", RANKINGS)
def test_the_labels_of_a_long_ranking_do_not_lie_on_each_other(which):
    chart = RANKINGS[which](ranked(129))
    chart.canvas.draw()
    boxes = sorted(label.get_window_extent().y0 for label in chart.axes[0].get_yticklabels())
    height = chart.axes[0].get_yticklabels()[0].get_window_extent().height
    gaps = [above - below for below, above in pairwise(boxes)]
    assert min(gaps) >= height * 0.95
