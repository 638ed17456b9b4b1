from pathlib import Path

import pytest
import yaml

from workbench.errors import ParamsError
from workbench.params import ROOT, STAGES, Study
from workbench.study import check_study, load_study

SMOKE = ROOT / "params" / "smoke.yaml"
TEXT = SMOKE.read_text(encoding="utf-8")


def error(path: Path, *overrides: str) -> ParamsError:
    with pytest.raises(ParamsError) as caught:
        load_study(path, overrides)
    return caught.value


def error_of(tmp_path: Path, text: str | bytes) -> ParamsError:
    path = tmp_path / "study.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return error(path)


@pytest.mark.parametrize("path", sorted((ROOT / "params").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_of_the_repository_loads(path):
    study = load_study(path)
    assert study.study == path.stem


def test_a_study_comes_back_as_it_was_written():
    assert load_study(SMOKE).model_dump(exclude_defaults=True) == yaml.safe_load(TEXT)


def test_a_missing_file_lists_the_studies_beside_it():
    caught = error(ROOT / "params" / "taiwann.yaml")
    assert "no such file" in caught.summary
    assert "taiwan.yaml" in caught.faults[0]
    assert "smoke.yaml" in caught.faults[0]


def test_a_missing_file_in_an_empty_folder(tmp_path):
    assert error(tmp_path / "a.yaml").faults == ("studies in that folder: none",)


@pytest.mark.parametrize(
    "text", ["a: [1", "a: b: c", "\ta: 1", "a: \x00", b"\xff\xfe\x00\x01", "a: !!python/name:x y"]
)
def test_what_is_not_yaml(tmp_path, text):
    caught = error_of(tmp_path, text)
    assert "not readable as YAML" in caught.summary
    assert len(caught.faults) == 1


@pytest.mark.parametrize(("text", "kind"), [("", "NoneType"), ("- a", "list"), ("word", "str"), ("3", "int")])
def test_what_is_not_a_mapping(tmp_path, text, kind):
    assert f"holds {kind}; a study is a mapping of sections" in error_of(tmp_path, text).summary


def test_repeated_keys_are_refused_with_their_line(tmp_path):
    caught = error_of(tmp_path, "study: a\nnote: b\nstudy: c\n")
    assert "key 'study' appears twice, the second time in line 3" in caught.faults[0]


def test_repeated_keys_inside_a_section_are_refused(tmp_path):
    caught = error_of(tmp_path, TEXT.replace("  applicants: 2000", "  seed: 1\n  applicants: 2000"))
    assert "key 'seed' appears twice" in caught.faults[0]


def test_a_key_that_is_a_list_is_refused(tmp_path):
    assert "not readable as YAML" in error_of(tmp_path, "? [a, b]\n: 1\n").summary


def test_a_key_that_is_a_number_is_refused(tmp_path):
    assert "1: received 1; keys should be strings" in error_of(tmp_path, "1: a\n" + TEXT).faults


def test_all_faults_come_at_once(tmp_path):
    text = TEXT.replace("seed: 2005", "sead: 2005").replace("air_line: 0.80", "air_line: 80")
    text = text.replace("on_prohibited: stop", "on_prohibited: maybe").replace("trials: 3", "trials: many")
    caught = error_of(tmp_path, text)
    assert caught.summary.endswith("5 fault(s) in the parameters; nothing was run")
    found = "\n".join(caught.faults)
    assert "data.sead: unknown key (did you mean seed?)" in found
    assert "data.seed: missing; every key is written out in params/taiwan.yaml" in found
    assert "data.on_prohibited: received 'maybe'; input should be 'stop', 'drop' or 'drop_unread'" in found
    assert "fairness.air_line: received 80; input should be less than 1" in found
    assert "training.trials: received 'many'; input should be a valid integer" in found


def test_a_missing_section_is_one_fault():
    values = yaml.safe_load(TEXT)
    del values["fairness"]
    with pytest.raises(ParamsError) as caught:
        check_study(values, "x")
    assert caught.value.faults == ("fairness: missing; every key is written out in params/taiwan.yaml",)


@pytest.mark.parametrize("section", STAGES)
def test_every_missing_key_of_a_section_is_named(section):
    values = yaml.safe_load(TEXT)
    keys = list(values[section])
    values[section] = {}
    with pytest.raises(ParamsError) as caught:
        check_study(values, "x")
    assert [fault.split(":")[0] for fault in caught.value.faults] == [f"{section}.{key}" for key in keys]


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("dta.seed=1", "dta: unknown key (did you mean data?)"),
        ("training.cutof=1", "training.cutof: unknown key (did you mean cutoff?)"),
        ("data.zzz=1", "data.zzz: unknown key"),
        ("data.sources.applicants.pth=x", "data.sources.applicants.pth: unknown key (did you mean path?)"),
        (
            "data.sources.applicants.contract.default={minimun: 0}",
            "data.sources.applicants.contract.default.minimun: unknown key (did you mean minimum?)",
        ),
        (
            "data.sources.statements.wide.colums={}",
            "data.sources.statements.wide.colums: unknown key (did you mean columns?)",
        ),
    ],
)
def test_unknown_keys_get_their_near_names(override, fault):
    assert error(SMOKE, override).faults == (fault,)


def test_overrides_change_what_they_name_and_nothing_else():
    study = load_study(SMOKE, ["fairness.air_line=0.9", "note=other", "training.max_depth=[3, 4]"])
    values = yaml.safe_load(TEXT)
    values["fairness"]["air_line"], values["note"], values["training"]["max_depth"] = 0.9, "other", [3, 4]
    assert study.model_dump(exclude_defaults=True) == values


def test_the_last_of_two_overrides_counts():
    assert load_study(SMOKE, ["data.seed=1", "data.seed=2"]).data.seed == 2


def test_an_override_may_hold_an_equals_sign_and_spaces():
    assert load_study(SMOKE, [" note = a=b"]).note == "a=b"


def test_an_override_reaches_into_a_section_of_a_section():
    assert (
        load_study(SMOKE, ["fairness.reference_groups.sex=female"]).fairness.reference_groups["sex"]
        == "female"
    )


@pytest.mark.parametrize("override", ["nothing", "=1", ".a=1", "a.=1", "a..b=1", ""])
def test_an_override_without_key_or_value_shows_how(override):
    caught = error(SMOKE, override)
    assert "received no key=value" in caught.summary
    assert caught.faults == ("write it as --set fairness.air_line=0.8",)


@pytest.mark.parametrize("override", ["data.seed.x=1", "study.x=1", "features.selected.x=1"])
def test_an_override_below_a_value_is_refused(override):
    assert f"{override.rsplit('.', 1)[0]} is no section" in error(SMOKE, override).summary


def test_an_override_that_is_not_yaml_is_refused():
    caught = error(SMOKE, "training.max_depth=[1, 2")
    assert "the value is not YAML" in caught.summary


def test_an_override_is_checked_like_the_file():
    assert error(SMOKE, "data.seed=-1").faults[0].startswith("data.seed: received -1; ")
    assert error(SMOKE, "data.seed=").faults == ("data.seed: received None; input should be a valid integer",)


def test_an_override_with_repeated_keys_is_refused():
    groups = "{sex: male, sex: female, age_band: 30 to 39, education: university, marital_status: married}"
    assert "appears twice" in str(error(SMOKE, f"fairness.reference_groups={groups}"))


def test_a_mapping_where_a_text_belongs_names_the_key():
    assert error(SMOKE, "report.owner=a: b").faults[0].startswith("report.owner: ")


def test_a_study_checked_as_a_mapping_is_the_same():
    assert isinstance(check_study(yaml.safe_load(TEXT), "x"), Study)
    assert check_study(yaml.safe_load(TEXT), "x") == load_study(SMOKE)
