"""The model repository of a GPU server: the layout and names that Triton asks for, and the model."""

import json

import numpy as np
import xgboost

from tests.pipeline.running import call_here, command, refused
from tests.scoring.making import NAMES, applicants, frozen, matrix_of
from workbench.scorer import load_calibration
from workbench.scoring.bundle import unpack


def test_the_repository_holds_the_champion(bundle, tmp_path):
    done = call_here(command("triton", bundle, "-o", tmp_path / "models"))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "models" / "champion"
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert files == ["1/xgboost.ubj", "config.pbtxt", "scorer.json"]
    config = (folder / "config.pbtxt").read_text()
    for words in (
        'backend: "fil"',
        f"dims: [ {len(NAMES)} ]",
        'string_value: "xgboost_ubj"',
        '"predict_proba"',
    ):
        assert words in config
    assert config.count("[") == config.count("]")
    assert config.count("{") == config.count("}")
    about = json.loads((folder / "scorer.json").read_text())
    assert about["features"] == list(NAMES)
    assert about["bundle_sha256"] == unpack(bundle.read_bytes())[1]
    booster = xgboost.Booster(model_file=folder / "1" / "xgboost.ubj")
    rows = matrix_of(applicants().head(200))
    given = booster.predict(xgboost.DMatrix(rows)).astype(float)
    calibrated = load_calibration(about["calibration"]).prob_default(np.log(given / (1 - given)))
    assert np.abs(calibrated - frozen().prob_default(rows)).max() <= 1e-6


def test_nothing_is_overwritten(bundle, tmp_path):
    call_here(command("triton", bundle, "-o", tmp_path))
    before = (tmp_path / "champion" / "scorer.json").read_bytes()
    refused(call_here(command("triton", bundle, "-o", tmp_path)), "is there already")
    assert (tmp_path / "champion" / "scorer.json").read_bytes() == before
