import copy
from typing import get_args

import pytest
import yaml
from pydantic import ValidationError

from workbench.errors import ParamsError
from workbench.kinds import Issue, MonthIssue
from workbench.model_params import SEARCH_LIMITS
from workbench.params import ROOT, STAGES
from workbench.study import check_study

PROTECTED = ("sex", "age", "education", "marital_status")
JUDGED = ("sex", "age_band", "education", "marital_status")
SMOKE = yaml.safe_load((ROOT / "params" / "smoke.yaml").read_text(encoding="utf-8"))


def check(**changes):
    """The smoke study with values changed, each named section__key."""
    values = copy.deepcopy(SMOKE)
    for name, value in changes.items():
        *sections, key = name.split("__")
        target = values
        for section in sections:
            target = target[section]
        target[key] = value
    return check_study(values, "smoke")


def faults(**changes) -> tuple[str, ...]:
    with pytest.raises(ParamsError) as caught:
        check(**changes)
    return caught.value.faults


def test_every_stage_has_a_section_of_flat_literals():
    """Of a source only what the study says is written out: its other keys have defaults."""
    study = check()
    for stage in STAGES:
        assert study.section(stage) == SMOKE[stage]


def test_a_study_is_frozen():
    study = check()
    with pytest.raises(ValidationError):
        study.note = "other"
    with pytest.raises(ValidationError):
        study.data.seed = 1


LIMITS = [
    ("data__applicants", [0, 1], [-1]),
    ("data__seed", [0, 2**31 - 1], [-1, 2**31]),
    ("data__observation_days", [365], [29, 3661]),
    ("data__performance_days", [1], [0]),
    ("data__late_days", [1], [0]),
    ("data__application_date", ["", "2025-01-31"], ["2025-1-31", "31.01.2025", "today", "2025-02-29"]),
    ("data__extracted_on", ["", "2025-01-31"], ["2025-01", "2025-01-31T00:00", "2025-13-01"]),
    ("data__judged_on", ["2026-01-31"], ["January", "", "2026-04-31"]),
    ("data__out_of_time_from", ["", "2025-07"], ["2025-07-01", "2025", "2025-00"]),
    ("data__on_prohibited", ["stop", "drop", "drop_unread"], ["ignore"]),
    ("data__packs", [[], ["us", "kenya"]], [["US"]]),
    ("features__windows", [[30], [30, 90, 365], [360]], [[], [90, 30], [30, 30], [0]]),
    ("features__topics", [0, 50], [-1, 51]),
    ("features__terms", [50, 100_000], [49, 100_001]),
    ("features__least_applicants", [5], [4]),
    ("data__age_bands", [[30], [30, 31]], [[], [30, 30], [31, 30]]),
    ("features__bins", [2, 50], [1, 51]),
    ("features__level", [0.5, 0.999], [0.499, 1.0]),
    ("features__replicates", [100, 100_000], [99, 100_001]),
    ("features__stability_line", [1e-9], [0, -0.1]),
    ("features__selected", [["late_count"]], [[], ["late_count", "late_count"]]),
    ("training__trials", [1], [0]),
    ("training__folds", [2, 20], [1, 21]),
    ("training__max_rounds", [1], [0]),
    ("training__seconds", [0, 1], [-1]),
    ("training__cross_validation", ["random", "forward"], ["backward"]),
    ("training__winner", ["best", "one_standard_error"], ["first"]),
    ("training__interactions", ["free", "data_category", "source", "alone"], ["none"]),
    ("training__champion", ["most_constrained", "best", "monotone", "additive"], ["scorecard"]),
    ("training__challengers", [[], ["logistic"]], [["logit"], ["logistic", "logistic"]]),
    ("training__tolerance", [0, 0.499], [-0.001, 0.5]),
    ("training__memory", ["in_core", "external"], ["disk"]),
    ("training__batch_rows", [1000], [999]),
    ("training__block_rounds", [1], [0]),
    ("training__calibration", ["simplest", "best", "none", "platt", "beta", "isotonic"], ["probit"]),
    ("training__minimisation_sizes", [[1], [1, 2]], [[], [2, 1], [0], [1, 1]]),
    ("training__resamples", [2, 200], [1, 201]),
    ("training__permutations", [1, 1000], [0, 1001]),
    ("training__suspicious_auc", [0.501, 0.999], [0.5, 1.0]),
    ("training__reject_inference", ["none"], ["augment"]),
    ("training__prudence", [1, 10], [0.99, 10.1]),
    ("training__level", [0.5, 0.999], [0.499, 1.0]),
    ("training__early_stopping_rounds", [1], [0]),
    ("training__min_calibration_defaults", [1], [0]),
    ("training__scorecard_min_information_value", [0], [-0.001]),
    ("training__scorecard_max_bins", [2, 20], [1, 21]),
    ("training__reference_odds", [0.001], [0, -1]),
    ("training__points_to_double_odds", [0.001], [0, -1]),
    ("validation__bands", [2, 50], [1, 51]),
    ("validation__auc_line", [0.501, 0.999], [0.5, 1]),
    ("validation__calibration_slope_lines", [[0.9, 1.1]], [[0.9], [0.8, 0.9, 1.1]]),
    ("validation__segment_defaults", [5], [4]),
    ("validation__weak_spot_depth", [1, 3], [0, 4]),
    ("validation__weak_spot_applicants", [20], [19]),
    ("validation__noise", [[0.1], [0.1, 0.5]], [[], [0.0], [0.2, 0.1], [1.0]]),
    ("validation__review_error", [0.01, 0.5], [0, 1]),
    ("validation__economics__amount", [0.01], [0]),
    ("validation__economics__loss_given_default", [0.01, 1], [0, 1.01]),
    ("validation__economics__income", [0], [-0.1]),
    ("validation__economics__application_cost", [0], [-0.1]),
    ("validation__economics__currency", ["KES"], [""]),
    ("explanation__background_size", [20, 5000], [19, 5001]),
    ("explanation__background_score_range", [0.001], [0]),
    ("explanation__method", ["near_cutoff", "all_applicants", "best_value"], ["shap"]),
    ("explanation__best_value_size", [20, 5000], [19, 5001]),
    ("explanation__reasons_shown", [1, 4], [0, 5]),
    ("explanation__counter_offer_points", [0, 10.5], [-0.1]),
    ("explanation__languages", [[], ["en"], ["en", "sw"]], [["en", "en"]]),
    ("explanation__actionable", [{}, {"late_count": -1}, {"late_count": 0}], [{"late_count": 2}]),
    (
        "explanation__knock_out_rules",
        [{}, {"late": {"feature": "late_count", "at_least": 6.0}}],
        [{"late": {}}],
    ),
    ("explanation__most_changes", [1, 3], [0, 4]),
    ("explanation__counterfactual_applicants", [1], [0]),
    ("explanation__checked_applicants", [20, 100_000], [19, 100_001]),
    ("explanation__dependence_features", [1, 8], [0, 9]),
    ("explanation__beeswarm_features", [1, 20], [0, 21]),
    ("explanation__interaction_pairs", [1, 100], [0, 101]),
    ("explanation__least_applicants", [2], [1]),
    ("explanation__reason_noise", [0.001, 1], [0, 1.001]),
    ("fairness__proxy_line", [0.5, 0.999], [0.499, 1.0]),
    ("explanation__replicates", [100, 100_000], [99, 100_001]),
    ("fairness__air_line", [0.001, 0.999], [0, 1]),
    ("fairness__smd_line", [0.001], [0]),
    ("fairness__min_group_applicants", [1], [0]),
    ("fairness__min_group_defaults", [1], [0]),
    ("fairness__attributes", [["sex", "education"]], [[]]),
    ("fairness__intersection_depth", [1, 4], [0, 5]),
    ("fairness__small_groups", ["suppress", "pool"], ["drop"]),
    ("fairness__bad_approved_cost", [0, 5.5], [-0.1, float("inf")]),
    ("fairness__good_declined_cost", [0, 5.5], [-0.1, float("nan")]),
    ("fairness__approval_rates", [[0.001], [0.5, 0.999]], [[], [0.0], [0.6, 0.5], [1.0]]),
    ("fairness__strata_bins", [2, 20], [1, 21]),
    ("fairness__odds_ratios", [[1.0], [1.0, 2.0]], [[], [0.9], [2.0, 1.0]]),
    ("fairness__mislabelled_shares", [[0.001, 0.999]], [[], [0.0], [1.0]]),
    ("fairness__neighbours", [1, 50], [0, 51]),
    ("fairness__caliper", [0.001], [0]),
    ("fairness__membership_folds", [2, 10], [1, 11]),
    ("fairness__membership_most_applicants", [1_000], [999]),
    ("fairness__alternative_trials", [0, 1_000], [-1, 1_001]),
    ("fairness__alternatives_for", ["", "sex"], ["tribe"]),
    ("fairness__alternatives_left_out", [0], [-1]),
    ("fairness__most_loss", [0, 0.499], [-0.001, 0.5]),
    ("fairness__loss_given_default", [0.001, 1], [0, 1.001]),
    ("scoring__tolerance", [1e-12, 1e-3], [0, 1.1e-3]),
    ("monitoring__bands", [2, 50], [1, 51]),
    ("monitoring__default_rate_line", [0.001, 0.999], [0, 1]),
    ("report__suppress_below", [0], [-1]),
    ("study", ["a", "a" * 40, "a-1_b"], ["", "a" * 41, "Abc", "1a", "a b", "../a"]),
    ("engine", ["auto", "cpu", "gpu", "dask"], ["cuda", "spark"]),
    ("pseudonym_key", ["", "WORKBENCH_KEY", "_k1"], ["1KEY", "$KEY", "a b", "0123456789abcdef!"]),
    ("encryption_key", ["", "ROWS_KEY"], ["-KEY"]),
]


@pytest.mark.parametrize(("name", "right", "wrong"), LIMITS, ids=[name for name, *_ in LIMITS])
def test_both_sides_of_every_limit(name, right, wrong):
    for value in right:
        check(**{name: value})
    for value in wrong:
        (fault,) = faults(**{name: value})
        assert fault.startswith(name.replace("__", "."))


@pytest.mark.parametrize("name", SEARCH_LIMITS)
def test_both_sides_of_every_search_limit(name):
    least, most = SEARCH_LIMITS[name]
    check(**{f"training__{name}": [most, most]})
    for wrong in ([least - 1, most], [most, most + 1], [most, most - 1e-3 * most]):
        pair = [int(value) for value in wrong] if name == "max_depth" else wrong
        (fault,) = faults(**{f"training__{name}": pair})
        assert "a range is [low, high] within" in fault


@pytest.mark.parametrize(
    "shares", [(0.6, 0.15, 0.25), (1 / 3, 1 / 3, 1 / 3), (0.7, 0.1, 0.2), (0.5, 0.25, 0.25 + 5e-10)]
)
def test_shares_that_add_up(shares):
    check(data__development_share=shares[0], data__calibration_share=shares[1], data__holdout_share=shares[2])


@pytest.mark.parametrize("development", [0.59, 0.61, 0.6 + 2e-9])
def test_shares_that_do_not_add_up(development):
    (fault,) = faults(data__development_share=development)
    assert "they must add up to 1" in fault


def test_a_share_of_the_wrong_type_is_one_fault_and_not_a_wrong_sum_as_well():
    assert len(faults(data__development_share="most")) == 1


@pytest.mark.parametrize("name", [*PROTECTED, "age_band"])
def test_a_protected_attribute_is_no_feature(name):
    (fault,) = faults(features__selected=["late_count", name])
    assert f"features.selected: {name}: protected attributes never enter the model" in fault


def test_a_protected_attribute_is_no_declared_feature():
    feature = {"definition": "age", "unit": "years"}
    (fault,) = faults(data__sources__applicants__features={"age": feature})
    assert "age: protected attributes judge the model and never enter it" in fault


def test_protected_attributes_are_columns_of_the_applicants():
    (fault,) = faults(data__protected=[*PROTECTED, "religion"])
    assert "religion: not in the types of the applicants' source" in fault


def test_an_estimated_membership_is_numbers_of_the_applicants_and_has_a_reference_group():
    types = SMOKE["data"]["sources"]["applicants"]["types"] | {"p_a": "number", "p_b": "number"}
    references = SMOKE["fairness"]["reference_groups"] | {"ethnicity": "a"}
    named = {"ethnicity": {"a": "p_a", "b": "p_b"}}
    right = {"data__sources__applicants__types": types, "fairness__reference_groups": references}
    check(**right, data__memberships=named)
    for memberships, said in (
        ({"ethnicity": {"a": "p_a", "b": "p_c"}}, "p_c: no number in the types of the applicants' source"),
        ({"ethnicity": {"a": "p_a", "b": "sex"}}, "sex: no number in the types"),
        ({"ethnicity": {"a": "p_a"}}, "at least 2"),
        ({"sex": {"a": "p_a", "b": "p_b"}}, "sex: already protected"),
        ({"age_band": {"a": "p_a", "b": "p_b"}}, "age_band: already protected"),
        ({"religion": {"a": "p_a", "b": "p_b"}}, "fairness.reference_groups lacks religion"),
    ):
        (fault,) = faults(**right, data__memberships=memberships)
        assert said in fault


@pytest.mark.parametrize("key", ["segments", "other_outcomes"])
def test_what_validation_looks_by_is_a_column_of_the_applicants_and_not_protected(key):
    types = SMOKE["data"]["sources"]["applicants"]["types"] | {"branch": "category"}
    check(data__sources__applicants__types=types, **{f"data__{key}": ["branch"]})
    (fault,) = faults(**{f"data__{key}": ["branch"]})
    assert "branch: not in the types of the applicants' source" in fault
    (fault,) = faults(**{f"data__{key}": ["sex"]})
    assert "sex: a protected attribute is judged by stage fairness alone" in fault


def test_an_outcome_is_no_feature_and_a_segment_may_be_one():
    check(data__segments=["credit_limit"])
    (fault,) = faults(data__other_outcomes=["credit_limit"])
    assert "credit_limit: outcomes judge the model and never enter it" in fault


def test_reject_inference_needs_the_declined():
    check(data__keep_declined=True, training__reject_inference="fuzzy")
    (fault,) = faults(training__reject_inference="fuzzy")
    assert "training.reject_inference needs the declined" in fault


def test_a_thin_file_is_told_from_none():
    check(features__invisible_without=["late_count"], features__thin_feature="late_count")
    (fault,) = faults(features__thin_feature="late_count")
    assert "features.invisible_without is empty" in fault


def test_a_stress_says_times_and_plus():
    check(validation__stress={"downturn": {"late_count": {"plus": 1.0}, "paid_mean": {"times": 0.5}}})
    (fault,) = faults(validation__stress={"downturn": {"late_count": {"minus": 1.0}}})
    assert fault.startswith("validation.stress.downturn.late_count.minus")


@pytest.mark.parametrize("name", ["religion", "age"])
def test_only_protected_attributes_are_judged_and_age_by_its_band(name):
    groups = SMOKE["fairness"]["reference_groups"] | {name: "x"}
    (fault,) = faults(fairness__attributes=[name, "education"], fairness__reference_groups=groups)
    assert f"fairness.attributes: {name} is no protected attribute" in fault
    assert ", ".join(JUDGED) in fault


@pytest.mark.parametrize(
    ("days", "windows", "wrong"),
    [
        (365, [30, 365], []),
        (365, [30, 45], [45]),
        (365, [390], [390]),
        (400, [365, 400], [365]),
        (90, [90, 120], [120]),
        (30, [30], []),
        (3660, [30], []),
    ],
)
def test_windows_are_multiples_of_30_days_or_all_days(days, windows, wrong):
    said = {"data__observation_days": days, "features__windows": windows}
    if wrong:
        assert faults(**said) == (
            f"study: features.windows: {wrong}: multiples of 30 days, or the {days} observation days",
        )
    else:
        check(**said)


@pytest.mark.parametrize(
    ("section", "names"), [("severity", get_args(Issue)), ("quality_lines", get_args(MonthIssue))]
)
def test_every_issue_has_a_severity_and_every_month_s_a_line(section, names):
    whole = SMOKE["data"][section]
    assert set(whole) == set(names)
    for name in names:
        rest = {key: value for key, value in whole.items() if key != name}
        (fault,) = faults(**{f"data__{section}": rest})
        assert fault == f"data.{section}: lacks {name}"


def test_a_line_is_above_zero():
    check(data__quality_lines__volume=0.001)
    assert len(faults(data__quality_lines__volume=0.0)) == 1
    assert len(faults(data__severity__volume="ignore")) == 1


def test_faults_of_sources_name_the_source():
    (fault,) = faults(data__sources__statements__time_zone="Mars")
    assert fault.startswith("data.sources.statements: time_zone Mars: no such zone")
    (fault,) = faults(data__sources__applicants__kind="people")
    assert fault.startswith("data.sources.applicants.kind: received 'people'")
    (fault,) = faults(data__sources__people={**SMOKE["data"]["sources"]["applicants"]})
    assert "2 sources of kind applicants" in fault


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data__seed", True),
        ("data__seed", "1"),
        ("data__seed", 1.0),
        ("training__monotone", 1),
        ("training__monotone", "yes"),
        ("data__reference", 3),
        ("data__truth", 3),
        ("data__sources__applicants__path", 3),
        ("note", None),
        ("validation__level", "0.95"),
        ("training__max_depth", [2, 6.5]),
    ],
)
def test_types_are_strict(name, value):
    (fault,) = faults(**{name: value})
    assert fault.startswith(name.replace("__", "."))


@pytest.mark.parametrize("attribute", JUDGED)
def test_every_attribute_needs_a_reference_group(attribute):
    groups = {
        name: group for name, group in SMOKE["fairness"]["reference_groups"].items() if name != attribute
    }
    (fault,) = faults(fairness__reference_groups=groups)
    assert f"lacks {attribute}" in fault


def test_only_the_attributes_judged_need_a_reference_group():
    few = {"fairness__intersection_depth": 1, "fairness__alternatives_for": "sex"}
    check(fairness__attributes=["sex"], fairness__reference_groups={"sex": "male"}, **few)


def test_attributes_are_crossed_no_deeper_than_there_are():
    one = {"fairness__attributes": ["education"], "fairness__reference_groups": {"education": "other"}}
    check(**one, fairness__intersection_depth=1)
    (fault,) = faults(**one, fairness__intersection_depth=2)
    assert "at most the number of attributes is right" in fault


@pytest.mark.parametrize("name", ["reg_lambda", "min_child_weight"])
def test_a_range_searched_on_a_log_scale_starts_above_zero(name):
    assert len(faults(**{f"training__{name}": [0.0, 5.0]})) == 1


@pytest.mark.parametrize(
    "name",
    [
        "training__cutoff",
        "training__reference_score",
        "training__points_to_double_odds",
        "training__reference_odds",
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_are_finite(name, value):
    assert len(faults(**{name: value})) == 1


@pytest.mark.parametrize("name", ["validation__calibration_slope_lines", "monitoring__stability_lines"])
def test_lines_come_from_low_to_high(name):
    assert len(faults(**{name: [0.25, 0.10]})) == 1


def test_an_attribute_is_judged_once():
    assert len(faults(fairness__attributes=["sex", "sex"])) == 1
