"""The form of every notebook; their numbers are held by nbval."""

import ast
import json
import re
from functools import cache, partial
from types import SimpleNamespace

import nbformat
import polars as pl
import pytest
import yaml

from workbench.errors import DataError
from workbench.fingerprint import notebook_path
from workbench.params import ROOT, STAGES, Study
from workbench.stage import Stage

NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
SMOKE = yaml.safe_load((ROOT / "params" / "smoke.yaml").read_text(encoding="utf-8"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@cache
def cells_of(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def code_of(path):
    return [cell for cell in cells_of(path) if cell["cell_type"] == "code"]


def source_of(cell):
    return "".join(cell["source"])


def tags_of(cell):
    return cell["metadata"].get("tags", [])


def outputs_of(path):
    """Every output as text: its type, and all that it shows."""
    for cell in code_of(path):
        for output in cell["outputs"]:
            data = output.get("data", {})
            shown = {kind: "".join(text) for kind, text in data.items() if not kind.startswith("image/")}
            yield output["output_type"], shown | {"stream": "".join(output.get("text", ""))}


def test_there_are_eight():
    assert len(NOTEBOOKS) == 8


@every_notebook
def test_the_title_is_a_question(path):
    first = cells_of(path)[0]
    assert first["cell_type"] == "markdown"
    title = source_of(first).splitlines()[0]
    assert re.fullmatch(r"# .+\?", title)
    assert {"Reads", "writes", "Answers:"} <= set(source_of(first).replace(";", " ").split())


@every_notebook
def test_the_parameters_are_the_smoke_study(path):
    cell = code_of(path)[0]
    assert tags_of(cell) == ["parameters"]
    values = {}
    for node in ast.parse(source_of(cell)).body:
        assert isinstance(node, ast.Assign)
        assert len(node.targets) == 1
        values[node.targets[0].id] = ast.literal_eval(node.value)
    assert values == {"run": "", **SMOKE[path.stem[3:]]}
    assert list(values) == ["run", *SMOKE[path.stem[3:]]]
    for name, value in values.items():
        expected = SMOKE[path.stem[3:]].get(name, "")
        assert type(value) is type(expected), name


@every_notebook
def test_the_setup_cell_opens_the_stage(path):
    cell = code_of(path)[1]
    assert tags_of(cell) == ["setup"]
    assert f'stage = open_stage("{path.stem[3:]}", run)' in source_of(cell)
    others = [other for other in code_of(path)[2:] if {"parameters", "setup"} & set(tags_of(other))]
    assert others == []


@every_notebook
def test_imports_stand_in_the_setup_cell(path):
    for cell in [cell for cell in code_of(path) if "setup" not in tags_of(cell)]:
        imports = [
            n for n in ast.walk(ast.parse(source_of(cell))) if isinstance(n, ast.Import | ast.ImportFrom)
        ]
        assert imports == []


@every_notebook
def test_it_can_be_read_on_a_few_screens(path):
    assert 8 <= len(code_of(path)) <= 30
    long = {
        source_of(cell).splitlines()[0]: len(source_of(cell).splitlines())
        for cell in code_of(path)
        if not {"parameters", "setup"} & set(tags_of(cell)) and len(source_of(cell).splitlines()) > 12
    }
    assert long == {}


@every_notebook
def test_cells_say_one_thing_with_library_calls(path):
    forbidden = (
        ast.For | ast.While | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda | ast.Try
    )
    for cell in code_of(path):
        found = [node for node in ast.walk(ast.parse(source_of(cell))) if isinstance(node, forbidden)]
        assert found == [], source_of(cell)


@every_notebook
def test_no_path_no_warnings_filter_no_magic(path):
    for cell in code_of(path):
        source = source_of(cell)
        texts = [n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant)]
        assert not [text for text in texts if isinstance(text, str) and re.match(r"[/~]|[A-Za-z]:\\", text)]
        assert "warnings" not in source
        assert not re.search(r"^\s*[%!]", source, re.MULTILINE)


@every_notebook
def test_it_checks_and_closes(path):
    sources = [source_of(cell) for cell in code_of(path)]
    assert sum("stage.check(" in source for source in sources) == 1
    assert sum("stage.close()" in source for source in sources) == 1
    assert sources[-1].splitlines()[-1] == "stage.close()"
    assert "stage.check(" in sources[-2]
    assert any("stage.save_" in source for source in sources[:-2])


@every_notebook
def test_it_ends_with_what_is_known_and_what_is_not(path):
    told = [source_of(cell) for cell in cells_of(path) if cell["cell_type"] == "markdown"]
    assert "## What is known now, and what is not" in told[-1]
    assert "Not known:" in told[-1]


@every_notebook
def test_code_cells_are_explained(path):
    """A text before every call, or every few: never four code cells in a row."""
    kinds = "".join(cell["cell_type"][0] for cell in cells_of(path))
    assert "cccc" not in kinds


@every_notebook
def test_it_is_committed_as_it_ran(path):
    code = code_of(path)
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert sum(bool(cell["outputs"]) for cell in code) >= len(code) // 2
    assert "error" not in {kind for kind, _ in outputs_of(path)}
    streams = [line for _, shown in outputs_of(path) for line in shown["stream"].splitlines()]
    assert [line for line in streams if not line.endswith("; running it first")] == [], "warnings or prints"
    assert not any("papermill" in cell["metadata"] for cell in cells_of(path))


@every_notebook
def test_marked_cells_have_outputs(path):
    for cell in code_of(path):
        if "nbval-check-output" in tags_of(cell):
            assert cell["outputs"], source_of(cell)


@every_notebook
def test_no_output_shows_an_applicant(path):
    for _, shown in outputs_of(path):
        headers = re.findall(r"<th>(.*?)</th>", shown.get("text/html", ""))
        assert not [name for name in headers if "applicant_id" in name]
        lines = shown.get("text/plain", "").splitlines()
        tables = [lines[i + 1] for i, line in enumerate(lines[:-1]) if line.startswith("┌")]
        assert not [line for line in tables if "applicant_id" in line]


@every_notebook
def test_no_output_tells_where_it_ran(path):
    for _, shown in outputs_of(path):
        for text in shown.values():
            assert str(ROOT) not in text
            assert "/home/" not in text


@pytest.mark.parametrize("stage", STAGES)
def test_every_parameter_is_used(stage):
    """A parameter that nothing reads would promise an effect that it does not have."""
    notebook = nbformat.read(notebook_path(stage), as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    code = "\n".join(cell.source for cell in cells if "parameters" not in cell.metadata.get("tags", []))
    names = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    assert set(Study.model_fields[stage].annotation.model_fields) - names == set()


# The checks of the training notebook


def check_training(names, cutoff, *, holds=True):
    """Run the notebook's cell of checks on scores from 400 to 500 and a study's own protected attributes."""
    stage = SimpleNamespace(name="training", read_json=lambda _: {"protected": ["age", "age_band", "tribe"]})
    stage.check = partial(Stage.check, stage)
    scores = pl.DataFrame({"score": range(400, 501)}).with_columns(prob_default=0.9 - pl.col("score") / 1000)
    scores = scores.with_columns(approved=(pl.col("score") >= cutoff).cast(pl.Int64))
    cell = source_of(code_of(ROOT / "notebooks" / "03_training.ipynb")[-2])
    verified = pl.DataFrame({"holds": [True, holds]})
    exec(cell, {"stage": stage, "scores": scores, "names": names, "cutoff": cutoff, "verified": verified})


def test_a_direction_that_the_champion_breaks_stops_the_run():
    with pytest.raises(DataError) as caught:
        check_training(["late_count"], 450, holds=False)
    assert caught.value.faults == ("the champion keeps every direction that it must",)


@pytest.mark.parametrize("cutoff", [401, 500])
def test_a_study_in_order_passes_its_checks(cutoff):
    check_training(["late_count", "sex"], cutoff)


@pytest.mark.parametrize("name", ["tribe", "age", "age_band"])
def test_a_protected_attribute_of_the_study_is_no_feature(name):
    with pytest.raises(DataError, match="1 of 5 checks failed") as caught:
        check_training(["late_count", name], 450)
    assert caught.value.faults == ("no protected attribute is a feature",)


@pytest.mark.parametrize("cutoff", [400, 501])
def test_a_cutoff_outside_the_scores_is_told_where_they_are(cutoff):
    with pytest.raises(DataError) as caught:
        check_training(["late_count"], cutoff)
    advice = f"98 of 100 scores are from 401 to 499; set training.cutoff (now {cutoff}) between them"
    assert caught.value.faults == (f"someone is approved and someone declined: {advice}",)


def test_the_notebook_of_one_applicant_keeps_nobody_s_page():
    cells = code_of(ROOT / "notebooks" / "applicant.ipynb")
    assert 'applicant = ""' in source_of(cells[0])
    shown = [data for _, data in outputs_of(ROOT / "notebooks" / "applicant.ipynb")]
    assert all(data["text/markdown"] == "Name an applicant." and "text/html" not in data for data in shown)
