"""Three ways to the same margin: XGBoost for many applicants, ONNX Runtime for one, XGBoost on a GPU."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from workbench.errors import DataError
from workbench.scorer import Floats
from workbench.scoring.forest import Singles

EngineName = Literal["xgboost", "onnx", "cuda"]
OPSET = 15  # of ONNX; the newest that onnxmltools converts to
INPUT = "features"


def onnx_of(booster: Any, features: int) -> bytes:
    """Return a booster of binary log-odds as an ONNX model: `features` [n, features] float32 in, margins out.

    Missing values are NaN. The second output [n, 2] holds the margin in its column 1.
    """
    from onnxmltools.convert import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    model = convert_xgboost(
        booster, initial_types=[(INPUT, FloatTensorType([None, features]))], target_opset=OPSET
    )
    model.graph.name = "champion"
    for attribute in model.graph.node[0].attribute:
        if attribute.name == "post_transform":
            attribute.s = b"NONE"  # the margin itself: a float32 PD has lost digits near 0 and 1
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def onnx_session(model: bytes) -> Any:
    """Return an ONNX Runtime session on one thread: one applicant is too little work for two."""
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return InferenceSession(model, options, providers=["CPUExecutionProvider"])


def onnx_margin(session: Any, matrix: Singles) -> Floats:
    """Return margins [applicants] of a matrix [applicants, features]: log-odds of default."""
    scores = session.run(None, {INPUT: matrix})[1]
    margin: Floats = scores[:, 1].astype(np.float64)
    return margin


def xgboost_margin(booster: Any, matrix: Singles) -> Floats:
    """Return margins [applicants] by XGBoost on the processor, without a copy of the matrix."""
    return np.asarray(booster.inplace_predict(matrix, predict_type="margin"), dtype=np.float64)


def cuda_margin(booster: Any, matrix: Singles) -> Floats:
    """Return margins [applicants] by XGBoost on the GPU that the booster is set to."""
    from xgboost import DMatrix

    return np.asarray(booster.predict(DMatrix(matrix), output_margin=True), dtype=np.float64)


def on_cuda(booster: Any) -> Any:
    """Return a copy of the booster that predicts on the GPU."""
    copy = booster.copy()
    copy.set_param({"device": "cuda"})
    return copy


def largest_gap(first: Floats, second: Floats) -> float:
    """Return the largest difference between two columns of PDs; 0: they agree. NaN is a fault."""
    if np.isnan(first).any() or np.isnan(second).any():
        raise DataError("a PD is not a number", ["every applicant's PD is in (0, 1)"])
    return float(np.abs(first - second).max(initial=0.0))
