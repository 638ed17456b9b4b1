"""What this machine has for the workbench, and how to get what it lacks."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator

from workbench.engine import choose_engine, missing_for_gpu
from workbench.fingerprint import package_versions
from workbench.params import ROOT

Finding = tuple[str, str, str]


def findings() -> Iterator[Finding]:
    """Yield name, state and advice (empty where nothing is missing)."""
    yield "python", platform.python_version(), ""
    yield "machine", f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}", ""
    engine = choose_engine("auto")
    yield "engine", f"auto picks {engine.name} ({engine.why})", ""
    missing = missing_for_gpu()
    yield "gpu", "ready" if not missing else "; ".join(missing), _gpu_advice(missing)
    yield _quarto()
    yield _pandoc()
    chromium = shutil.which("chromium")
    yield (
        "chromium",
        chromium or "not found",
        "" if chromium else "only tests use it: apt-get install chromium",
    )
    yield "dask", f"{package_versions()['dask']}; never picked by auto, a study asks for it", ""
    for name in ("polars", "xgboost", "shap", "fairlearn", "papermill", "typst"):
        yield name, package_versions()[name], ""
    free = shutil.disk_usage(ROOT).free // 2**30
    yield "disk", f"{free} GiB free", "" if free else "a run needs about 0.1 GiB"


def _gpu_advice(missing: list[str]) -> str:
    return "optional; environment.yml brings RAPIDS where there is an NVIDIA GPU" if missing else ""


def _quarto() -> Finding:
    quarto = shutil.which("quarto")
    if quarto is None:
        advice = "optional; the embedded renderer (Pandoc and Typst) is used. To get it: https://quarto.org"
        return "quarto", "not found", advice
    done = subprocess.run([quarto, "--version"], capture_output=True, text=True, check=False)
    return "quarto", done.stdout.strip(), ""


def _pandoc() -> Finding:
    import pypandoc

    return "pandoc", str(pypandoc.get_pandoc_version()), ""
