"""The champion as a model repository of Triton's FIL backend, for scoring on a GPU server."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from workbench.errors import RunError
from workbench.serving.opening import OpenedBundle

MODEL, VERSION = "champion", "1"
MOST_ROWS = 32_768


def export_repository(opened: OpenedBundle, target: Path) -> Path:
    """Write `target`/champion: config.pbtxt, 1/xgboost.ubj and scorer.json; return its folder.

    Triton takes float32 features in the order of scorer.json, NaN for missing, and returns the booster's own
    PD; scorer.json holds the calibration that makes it the scorer's PD, the scale, the cutoff and the
    bundle's SHA-256. Contract, rules and reasons stay with the workbench. Raises RunError when something is
    there.

    Source: Triton FIL backend, model configuration.
    """
    folder = target / MODEL
    if folder.exists():
        raise RunError(f"{folder}: is there already", ["name an empty folder, or remove it first"])
    target.mkdir(parents=True, exist_ok=True)
    scorer = opened.frozen.scorer
    about = scorer.as_dict() | {"bundle_sha256": opened.sha256, "output": "prob_default before calibration"}
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        made = Path(scratch) / MODEL
        (made / VERSION).mkdir(parents=True)
        (made / VERSION / "xgboost.ubj").write_bytes(bytes(scorer.booster.save_raw("ubj")))
        (made / "config.pbtxt").write_text(_config(len(scorer.features)), encoding="utf-8")
        (made / "scorer.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        made.rename(folder)
    return folder


def _config(features: int) -> str:
    """Return the model's configuration as Protobuf text."""
    parameters = {"model_type": "xgboost_ubj", "output_class": "true", "predict_proba": "true"}
    told = ",\n".join(
        f'  {{ key: "{key}" value: {{ string_value: "{value}" }} }}' for key, value in parameters.items()
    )
    return f"""name: "{MODEL}"
backend: "fil"
max_batch_size: {MOST_ROWS}
input [ {{ name: "input__0" data_type: TYPE_FP32 dims: [ {features} ] }} ]
output [ {{ name: "output__0" data_type: TYPE_FP32 dims: [ 1 ] }} ]
instance_group [ {{ kind: KIND_AUTO }} ]
dynamic_batching {{ }}
parameters [
{told}
]
"""
