"""Whether later applicants judge the model, as the reports say it."""

import polars as pl
import pytest

from workbench.params import ROOT
from workbench.reporting.out_of_time import out_of_time
from workbench.study import load_study


def study(*overrides):
    return load_study(ROOT / "params" / "smoke.yaml", overrides)


def samples(later=0):
    names = ["development", "calibration", "holdout"] + ["out_of_time"] * (later > 0)
    return pl.DataFrame({"sample": names, "applicants": [100, 50, 50, later][: len(names)]})


def test_a_page_without_later_applications_warns():
    shown = out_of_time(samples(), study())
    assert shown.startswith("::: {.callout-warning}\n## No out-of-time sample")


@pytest.mark.parametrize(("later", "shown"), [(9, "fewer than 10"), (300, "300")])
def test_a_page_with_later_applications_counts_them(later, shown):
    said = out_of_time(samples(later), study("data.out_of_time_from=2025-07"))
    assert "callout" not in said
    assert "from 2025-07 on" in said
    assert f"{shown} applicants" in said
