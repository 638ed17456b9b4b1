"""The plan of the house, held by reading the sources: who imports whom, and one name in six places."""

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from workbench.params import ROOT, STAGES, Study
from workbench.pipeline import AFTER

try:
    import tomllib
except ImportError:  # pragma: no cover
    pytest.skip("needs Python 3.11", allow_module_level=True)

PACKAGE = ROOT / "workbench"
# From the bottom up. A module imports from its own layer, where nothing goes in circles, or from below.
LAYERS = (
    ("errors", "kinds", "verify_bundle"),
    ("sources", "yaml_reader", "engine", "privacy", "fields"),
    ("model_params", "report_params"),
    ("params",),
    (
        "study",
        "requirements",
        "packs",
        "outlines",
        "statements",
        "lines",
        "reason_texts",
        "finding_rules",
        "finding_register",
        "own_findings",
    ),
    ("statistics", "store", "private", "facts", "scorer", "journal"),
    ("run",),
    ("stage", "retention", "provenance", "world"),
    STAGES,
    ("reporting", "rollout"),
    ("fingerprint", "kernels", "execute", "preflight"),
    ("pipeline", "profile", "roles", "template"),
    ("progress", "doctor", "rerun", "serving"),
    ("watch",),
    (
        "commands",
        "evidence_commands",
        "rollout_commands",
        "serving_commands",
        "watch_commands",
    ),
    ("cli",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
EVERY_STAGE = {"errors", "kinds", "params", "statistics", "scorer"}
NEEDS = {
    "data": {"sources", "privacy", "packs"},
    "features": {"engine", "privacy"},
    "explanation": {"reason_texts"},
    "training": {"engine", "journal", "store"},
    "fairness": {"journal"},
}
# Where the rows of the stages come from and go to; all other modules of the stages take data and return data.
OPENERS = {"data/reading.py", "data/parts.py", "data/intake.py", "features/assembly.py"}
OPENERS |= {"training/checkpoints.py"}  # what a killed training goes on from
CALCULATION = sorted(path for stage in STAGES for path in (PACKAGE / stage).rglob("*.py"))
FILE_CALLS = re.compile(
    r"^(open|print|input)$|^(read|scan|write|sink)_|^(load|savefig|save_model|to_parquet)$"
)
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    return str(path.relative_to(PACKAGE))


def unit_of(path):
    """The module or the package of a file, as the layers name it."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(tree):
    """Every imported name with its dots: `from a.b import c` is a.b.c."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(path):
    return {name.split(".")[1] for name in imported(tree_of(path)) if name.startswith("workbench.")}


def called(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            yield name, node.lineno


def test_every_module_has_its_layer():
    units = {unit_of(path) for path in modules()} - {"__init__"}
    assert units == set(LEVEL)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_imports_go_one_way(path):
    unit = unit_of(path)
    upward = [name for name in own_imports(path) if LEVEL[name] > LEVEL.get(unit, -1)]
    assert upward == []


def test_no_imports_in_circles():
    graph = {}
    for path in modules():
        graph.setdefault(unit_of(path), set()).update(own_imports(path) - {unit_of(path)})
    settled = set()
    while set(graph) - settled:
        free = {unit for unit in set(graph) - settled if graph[unit] <= settled}
        assert free, f"in circles: {sorted(set(graph) - settled)}"
        settled |= free


@pytest.mark.parametrize("path", CALCULATION, ids=name_of)
def test_no_stage_package_imports_another(path):
    assert own_imports(path) & (set(STAGES) - {unit_of(path)}) == set()


@pytest.mark.parametrize("path", CALCULATION, ids=name_of)
def test_calculations_take_data_and_return_data(path):
    names = set(imported(tree_of(path)))
    unit = unit_of(path)
    assert own_imports(path) <= EVERY_STAGE | NEEDS.get(unit, set()) | {unit}
    assert not {"workbench.params.Study", "workbench.params.ROOT"} & names
    assert not any(name.split(".")[0] in ("matplotlib", "papermill", "rich", "typer") for name in names)
    calls = [(name, line) for name, line in called(tree_of(path)) if FILE_CALLS.search(name)]
    assert bool(calls) == (name_of(path) in OPENERS), calls
    assert not {"print", "input"} & {name for name, _ in calls}


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_module_is_longer_than_300_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_the_package_stays_a_helper():
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in modules()) <= 45_000


def test_nothing_imports_a_pickle():
    for path in (*modules(), *(ROOT / "benchmarks").rglob("*.py")):
        assert not {name.split(".")[0] for name in imported(tree_of(path))} & PICKLES, path
    for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                tree = ast.parse("".join(cell["source"]))
                assert not {name.split(".")[0] for name in imported(tree)} & PICKLES, path


# One name, six places


def notebooks():
    return sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def parameters_of(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    source = next("".join(c["source"]) for c in cells if "parameters" in c["metadata"].get("tags", []))
    return [node.targets[0].id for node in ast.parse(source).body]


def test_the_notebooks_are_numbered_in_the_order_of_the_stages():
    assert [path.stem for path in notebooks()] == [f"{n:02}_{s}" for n, s in enumerate(STAGES, 1)]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_one_name_in_six_places(stage):
    assert (PACKAGE / stage / "__init__.py").is_file()
    assert stage in Study.model_fields
    assert (ROOT / "reports" / "model_risk" / f"{stage}.qmd").is_file()
    assert any(path.stem[3:] == stage for path in notebooks())
    has_modules = any(path.stem != "__init__" for path in (PACKAGE / stage).glob("*.py"))
    assert not has_modules or any((ROOT / "tests" / stage).glob("test_*.py")), "no tests"
    assert stage in AFTER


def test_the_sections_of_a_study_are_the_stages_in_order():
    sections = [name for name in Study.model_fields if name in STAGES]
    others = {"study", "note", "engine", "scheduler", "pseudonym_key", "encryption_key", "report"}
    assert set(Study.model_fields) - set(sections) == others
    assert tuple(sections) == STAGES
    assert tuple(AFTER) == STAGES
    for stage, needed in AFTER.items():
        assert all(STAGES.index(name) < STAGES.index(stage) for name in needed)


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_section_has_the_keys_of_its_notebook(path):
    stage = path.stem[3:]
    section = Study.model_fields[stage].annotation
    assert parameters_of(path) == ["run", *section.model_fields]


@pytest.mark.parametrize("path", sorted((ROOT / "params").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_study_in_the_repository_is_whole(path):
    from workbench.study import load_study

    study = load_study(path)
    assert study.study == path.stem
    assert list(yaml.safe_load(path.read_text(encoding="utf-8"))) == list(Study.model_fields)


# Dependencies


@cache
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def ranges():
    """The range of every package that pyproject names, wherever it does."""
    groups = [project()["dependencies"], *project()["optional-dependencies"].values()]
    found = [Requirement(text) for group in groups for text in group]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in found}


def pins(name):
    """Every pin of a requirements file with its number of hashes."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            words = line.split(" #")[0].split()
            marker = " ".join(word for word in words if not word.startswith("--hash="))
            yield Requirement(marker), [word for word in words if word.startswith("--hash=")]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-setup.txt"])
def test_pins_are_exact_hashed_and_without_an_address(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|-e|--index|--extra-index|--find|--trusted)", text, re.MULTILINE)
    found = list(pins(name))
    assert found
    for requirement, hashed in found:
        assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
        assert hashed, requirement
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", word) for word in hashed), requirement


def test_pins_are_inside_the_ranges_and_none_is_missing():
    pinned = {canonicalize_name(r.name): str(r.specifier)[2:] for r, _ in pins("requirements.txt")}
    extras = project()["optional-dependencies"]
    asked = [Requirement(text) for text in (*project()["dependencies"], *extras["cpu"], *extras["dev"])]
    for requirement in asked:
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(pinned[name], prereleases=True), requirement


ELSEWHERE = {"python", "cudf", "cuml", "cuda-version", "quarto", "pip"}


def conda():
    """The packages of environment.yml: name and range, from conda's part and from pip's."""
    path = ROOT / "environment.yml"
    if not path.is_file():
        pytest.skip("there is no environment.yml")
    dependencies = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    inner = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    words = [entry for entry in dependencies if isinstance(entry, str)] + [w for part in inner for w in part]
    parts = [re.fullmatch(r"([A-Za-z0-9_.-]+?)([<>=!~].*)?", word) for word in words if word[0] != "-"]
    return {canonicalize_name(match[1]): match[2] or "" for match in parts}


def test_the_conda_environment_has_the_ranges_of_pyproject():
    ours, theirs = ranges(), conda()
    for name, text in theirs.items():
        if name not in ELSEWHERE:
            assert SpecifierSet(text) == ours[name], name


def test_the_conda_environment_has_everything_that_is_needed():
    needed = {canonicalize_name(Requirement(text).name) for text in project()["dependencies"]}
    assert needed - set(conda()) == set()


def test_the_conda_environment_has_the_same_rapids():
    found = conda()
    for name in ("cudf", "cuml"):
        release = found[name].lstrip("=").removesuffix(".*")
        assert ranges()[f"{name}-cu12"].contains(f"{release}.0"), name
    assert found["cuda-version"].lstrip("=").startswith("12")
    assert SpecifierSet(project()["requires-python"]).contains(found["python"].lstrip("=") + ".0")


def test_the_gpu_extra_and_the_cpu_extra_want_the_same_xgboost():
    assert ranges()["xgboost"] == ranges()["xgboost-cpu"]


def test_the_tests_mirror_the_package():
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name[0] not in "._"}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= packages | {"published", "pipeline"}


def test_published_examples_are_cited():
    for path in (ROOT / "tests" / "published").glob("*.csv"):
        assert Path(path).read_text(encoding="utf-8").startswith("#"), path
