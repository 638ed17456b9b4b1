"""The rules of findings: checked as a whole, and every criticism has a rule or a reason."""

import pytest
import yaml

from workbench import finding_rules
from workbench.errors import ParamsError
from workbench.finding_rules import RULES, Condition, load_finding_rules


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """Reads the rules with something changed in them and returns the faults."""
    values = yaml.safe_load(RULES.read_text(encoding="utf-8"))

    def faults(change):
        change(values)
        path = tmp_path / "findings.yaml"
        path.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
        monkeypatch.setattr(finding_rules, "RULES", path)
        with pytest.raises(ParamsError) as caught:
            load_finding_rules()
        return caught.value.faults

    return faults


def test_every_criticism_has_a_rule_or_a_reason():
    rules = load_finding_rules()
    assert list(rules.criticisms) == list(range(1, 31))
    seen = {number for rule in rules.rules.values() for number in rule.criticism}
    assert seen | set(rules.not_seen) == set(rules.criticisms)
    assert len(rules.rules) > 40


def test_all_faults_are_told_at_once(changed):
    def change(values):
        values["rules"]["F01"]["severity"] = "grave"
        values["rules"]["F02"]["ownr"] = "validator"
        del values["rules"]["F03"]["effect"]

    faults = changed(change)
    assert len(faults) == 3
    assert "rules.F01.severity: received 'grave'" in faults[0]
    assert "rules.F02.ownr: unknown key (did you mean owner?)" in " ".join(faults)
    assert "rules.F03.effect: missing" in faults


def test_a_criticism_without_rule_or_reason_is_told(changed):
    (fault,) = changed(lambda values: values["not_seen"].pop(next(iter(values["not_seen"]))))
    assert "has no rule; say in not_seen why" in fault


@pytest.mark.parametrize(
    "condition", [{"column": "value"}, {"above": 1, "below": 2}, {"above": "twice"}, {"above": "fact"}]
)
def test_a_condition_is_one_test_of_one_column(condition):
    with pytest.raises(ValueError, match=r"condition has a column and one of|is right"):
        Condition.model_validate(condition)
