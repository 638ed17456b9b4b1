"""Whether later applications judge the model, as the reports say it."""

from __future__ import annotations

import polars as pl

from workbench.params import Study
from workbench.reporting.evidence import shown_count
from workbench.reporting.markdown import escape_markdown

_OUT_OF_TIME = "out_of_time"


def out_of_time(samples: pl.DataFrame, study: Study) -> str:
    """Return how many later applications were set apart, or a warning that there are none."""
    later = _applicants(samples, _OUT_OF_TIME)
    if not later:
        title = "No out-of-time sample"
        said = (
            "Every sample is of the same time: nothing here shows how the model ages. A study sets later "
            "applications apart with `data.out_of_time_from`, where its source has application times."
        )
        return f"::: {{.callout-warning}}\n## {title}\n\n{said}\n:::\n"
    number = shown_count(later, study.report.suppress_below)
    return (
        f"Applications from {escape_markdown(study.data.out_of_time_from)} on are the out-of-time sample, "
        f"{number} applicants: nothing was fitted, tuned or calibrated on them.\n"
    )


def _applicants(samples: pl.DataFrame, name: str) -> int:
    return int(samples.filter(sample=name)["applicants"].sum())
