import narwhals as nw
import polars as pl
import pytest

from workbench.data.taiwan import read_source, split_tables
from workbench.engine import choose_engine, missing_for_gpu
from workbench.errors import EngineError
from workbench.features.catalogue import FEATURES
from workbench.features.ledger import build_features
from workbench.params import ROOT

RAPIDS = ("cudf", "cuml")


@pytest.fixture
def without_gpu(monkeypatch, tmp_path):
    """This machine without an NVIDIA driver, if it has one."""
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def with_gpu(monkeypatch, tmp_path):
    """What a machine with a driver and RAPIDS looks like to a search for them."""
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    for name in RAPIDS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)


def test_cpu_is_always_there():
    engine = choose_engine("cpu")
    assert (engine.name, engine.device) == ("cpu", "cpu")
    assert engine.why == "the study asks for it"


def test_auto_without_a_gpu_is_cpu_and_says_why(without_gpu):
    engine = choose_engine("auto")
    assert (engine.name, engine.device) == ("cpu", "cpu")
    assert engine.why == "auto: no NVIDIA driver (nvidia-smi is not on the PATH)"


def test_gpu_without_a_gpu_lists_what_is_missing(without_gpu):
    with pytest.raises(EngineError, match="use engine cpu or auto") as caught:
        choose_engine("gpu")
    assert caught.value.faults == tuple(missing_for_gpu())
    assert "no NVIDIA driver (nvidia-smi is not on the PATH)" in caught.value.faults


def test_every_missing_package_is_listed_with_how_to_get_it(without_gpu):
    missing = missing_for_gpu()
    for name in RAPIDS:
        try:
            __import__(name)
        except ImportError:
            assert f"package {name} is not installed; environment.yml or the extra [gpu] brings it" in missing


@pytest.mark.parametrize("asked", ["gpu", "auto"])
def test_with_a_driver_and_rapids_the_gpu_is_taken(with_gpu, asked):
    assert missing_for_gpu() == []
    engine = choose_engine(asked)
    assert (engine.name, engine.device) == ("gpu", "cuda")


def test_a_driver_without_rapids_is_not_enough(monkeypatch, with_gpu, tmp_path):
    (tmp_path / "cuml" / "__init__.py").unlink()
    (tmp_path / "cuml").rmdir()
    monkeypatch.syspath_prepend(tmp_path)
    if any("cuml" in fault for fault in missing_for_gpu()):
        assert choose_engine("auto").name == "cpu"
        with pytest.raises(EngineError):
            choose_engine("gpu")
    else:
        pytest.skip("cuML is installed here")


def test_the_cpu_engine_opens_a_table_lazily(tmp_path):
    pl.DataFrame({"x": [1, 2]}).write_parquet(tmp_path / "a.parquet")
    frame = choose_engine("cpu").scan(tmp_path / "a.parquet")
    assert isinstance(frame, nw.LazyFrame)
    assert isinstance(frame.to_native(), pl.LazyFrame)
    assert frame.collect("polars").to_native()["x"].to_list() == [1, 2]


@pytest.mark.gpu
@pytest.mark.skipif(bool(missing_for_gpu()), reason="no GPU with RAPIDS here")
def test_the_gpu_gives_the_cpu_s_features(tmp_path):
    tables = split_tables(read_source(ROOT / "data" / "taiwan_credit.parquet"))
    paths = {name: tmp_path / f"{name}.parquet" for name in ("applicants", "statements")}
    for name, path in paths.items():
        getattr(tables, name).write_parquet(path)
    built = {}
    for asked in ("cpu", "gpu"):
        engine = choose_engine(asked)
        frames = [engine.scan(path) for path in paths.values()]
        built[asked] = build_features(*frames, FEATURES).collect("polars").to_native()
    assert built["gpu"]["applicant_id"].to_list() == built["cpu"]["applicant_id"].to_list()
    for feature in FEATURES:
        cpu, gpu = (built[asked][feature.name].fill_nan(None) for asked in ("cpu", "gpu"))
        assert cpu.is_null().equals(gpu.is_null())
        assert gpu.drop_nulls().to_numpy() == pytest.approx(cpu.drop_nulls().to_numpy(), rel=1e-12, abs=1e-12)
