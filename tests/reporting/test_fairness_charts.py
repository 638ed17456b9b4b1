"""Charts of group differences: repeatable, drawn even of little, and silent on who is too few."""

import polars as pl
import pytest

from workbench.reporting import fairness_charts as charts

LINE = 0.8
GROUPS = ("under_30", "30_to_39", "62_and_over")


def cutoffs():
    row = {
        "attribute": "age_band", "metric": "adverse_impact_ratio", "method": "percentile", "judged": True,
        "value": 0.9, "low": 0.8, "high": 1.0, "band_low": 0.7, "band_high": 1.1,
    }  # fmt: skip
    rows = [row | {"group": group, "approval_rate": rate} for group in GROUPS for rate in (0.5, 0.7, 0.9)]
    return pl.DataFrame(rows)


def distributions(sizes=(40, 60, 4)):
    rows = [
        {"attribute": "age_band", "group": group, "bin": at + 1, "applicants": size // 4,
         "score_up_to": None if at == 3 else 500.0 + at, "cumulative_share": (at + 1) / 4}
        for group, size in zip(GROUPS, sizes, strict=True) for at in range(4)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def calibration(size=40):
    rows = [
        {"attribute": "sex", "group": group, "band": band, "applicants": size,
         "expected_default_rate": band / 10, "observed_default_rate": band / 9, "low": band / 12,
         "high": band / 7}
        for group in ("female", "male") for band in (1, 2, 3)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def disparity(sizes=(-0.035, 0.01)):
    rows = [
        {"attribute": "sex", "group": group, "of": of, "feature": feature, "contribution": size * scale,
         "low": size * scale - 0.01, "high": size * scale + 0.01}
        for group, scale in (("female", 1), ("other", 2)) for of in ("selection", "margin")
        for feature, size in zip(("late_count", "paid_mean"), sizes, strict=True)
    ]  # fmt: skip
    return pl.DataFrame(rows)


def given_outcome():
    row = {"attribute": "sex", "feature": "late_count", "given_outcome": 0.6, "for_default": 0.7}
    return pl.DataFrame([row, row | {"feature": "paid_mean", "given_outcome": None}])


def candidates():
    rows = [
        (0, "champion", False, 0.20, 0.09, False),
        (1, "reweighing", False, 0.21, 0.05, True),
        (2, "group_thresholds", True, 0.22, 0.01, True),
    ]
    names = [
        "candidate",
        "method",
        "needs_attribute_at_decision",
        "search_loss",
        "search_disparity",
        "on_front",
    ]
    return pl.DataFrame(rows, schema=names, orient="row")


DRAWN = {
    "cutoffs": (lambda table: charts.cutoffs(table, line=LINE), cutoffs()),
    "distributions": (lambda table: charts.distributions(table, below=10), distributions()),
    "calibration": (lambda table: charts.calibration(table, below=10), calibration()),
    "carried": (charts.carried, disparity()),
    "stand_ins": (charts.stand_ins, given_outcome()),
    "alternatives": (charts.alternatives, candidates()),
}
each = pytest.mark.parametrize("name", DRAWN)


def chart_of(name, change=lambda table: table):
    draw, table = DRAWN[name]
    return draw(change(table))


def legend_of(axes):
    return [label.get_text() for label in axes.get_legend().get_texts()]


def says_nothing(chart):
    return [text.get_text() for text in chart.axes[0].texts] == ["nothing to draw: the table has no rows"]


@each
def test_the_same_table_gives_the_same_bytes(name):
    assert chart_of(name).svg() == chart_of(name).svg()


@each
def test_a_table_without_rows_says_so(name):
    assert says_nothing(chart_of(name, lambda table: table.clear()))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("cutoffs", lambda table: table.with_columns(judged=pl.lit(value=False))),
        ("distributions", lambda table: table.with_columns(applicants=1)),
        ("calibration", lambda table: table.with_columns(applicants=9)),
        ("carried", lambda table: table.filter(pl.col("of") == "margin")),
        ("stand_ins", lambda table: table.with_columns(for_default=pl.lit(None, pl.Float64))),
    ],
)
def test_rows_that_may_not_be_drawn_leave_nothing(name, change):
    assert says_nothing(chart_of(name, change))


@pytest.mark.parametrize(("below", "shown"), [(4, 3), (5, 2), (41, 1)])
def test_scores_of_few_people_are_not_drawn(below, shown):
    chart = charts.distributions(distributions(), below=below)
    assert len(legend_of(chart.axes[0])) == len(chart.axes[0].lines) == shown


def test_the_last_open_bin_counts_towards_a_group_s_size():
    chart = charts.distributions(distributions((8, 12, 4)), below=12)
    assert legend_of(chart.axes[0]) == ["30 to 39"]


def test_groups_that_are_not_judged_and_the_reference_are_not_drawn_over_cutoffs():
    table = cutoffs().with_columns(
        judged=pl.col("group") != "62_and_over",
        method=pl.when(pl.col("group") == "30_to_39").then(pl.lit("by definition")).otherwise("method"),
    )
    assert legend_of(charts.cutoffs(table, line=LINE).axes[0]) == ["under 30"]


def test_the_widest_difference_is_drawn_and_its_parts_add_up_to_it():
    axes = charts.carried(disparity()).axes[0]
    *parts, total = [bar.get_width() for bar in axes.patches]
    assert "other" in axes.get_title(loc="left")
    assert sum(parts) == pytest.approx(total)
    assert total == pytest.approx(2 * (-0.035 + 0.01))


def test_ticks_between_whole_percents_are_labelled_as_they_are():
    axes = charts.carried(disparity()).axes[0]
    axes.set_xticks([-0.025, -0.015, 0.0])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["−2.5%", "−1.5%", "0.0%"]


def test_methods_that_need_the_attribute_at_the_decision_have_open_marks():
    chart = charts.alternatives(candidates())
    faces = {line.get_label(): line.get_markerfacecolor() for line in chart.axes[0].lines}
    assert faces["group thresholds"] == "white"
    assert faces["reweighing"] != "white"
    front = next(line for line in chart.axes[0].lines if line.get_label() == "front")
    assert list(front.get_xdata()) == [0.21, 0.22]
