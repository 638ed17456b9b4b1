import os
import signal
import socket
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import narwhals as nw
import polars as pl
import pytest

from workbench import engine as engines
from workbench.engine import Engine, choose_engine, missing_for_gpu
from workbench.errors import EngineError

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


def test_a_file_name_with_brackets_is_one_file(tmp_path):
    path = tmp_path / "part[1].parquet"
    pl.DataFrame({"x": [1]}).write_parquet(path)
    assert choose_engine("cpu").scan(path).collect("polars").to_native()["x"].to_list() == [1]


def test_a_small_table_is_brought_to_the_engine():
    frame = choose_engine("cpu").put(pl.DataFrame({"x": [1, 2]}))
    assert isinstance(frame, nw.LazyFrame)
    assert frame.collect("polars").to_native()["x"].to_list() == [1, 2]


@pytest.mark.parametrize("scheduler", ["", "tcp://127.0.0.1:8786"])
def test_dask_is_taken_when_the_study_asks_for_it(scheduler):
    engine = choose_engine("dask", scheduler)
    assert (engine.name, engine.device, engine.scheduler) == ("dask", "cpu", scheduler)
    assert engine.why == f"the study asks for it, {f'at {scheduler}' if scheduler else 'on this machine'}"


# The same function of many items, here or by workers


def square(item, folder=None):
    """The square of an item, noting in a folder which process made it."""
    if folder:
        time.sleep(0.02)
        (folder / f"{item}-{os.getpid()}-{time.monotonic_ns()}").touch()
    return item * item


def fatal(item, folder):
    """The same, but the first worker that takes item 7 is killed as the system kills one."""
    if item == 7 and not (folder / "killed").exists():
        (folder / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(item, folder)


def deadly(item):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(item):
    raise EngineError("no", [str(item)])


def makers(folder):
    """The processes that worked, and how often each item was made."""
    names = [path.name.split("-") for path in Path(folder).glob("*-*")]
    items = [int(name[0]) for name in names]
    return {int(name[1]) for name in names}, {item: items.count(item) for item in items}


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_without_dask_this_process_does_one_item_after_the_other(name, tmp_path):
    engine = Engine(name, "cpu", "test")
    assert engine.map(partial(square, folder=tmp_path), range(5)) == [0, 1, 4, 9, 16]
    assert makers(tmp_path) == ({os.getpid()}, dict.fromkeys(range(5), 1))
    assert engine.map(square, []) == []


def test_dask_s_workers_do_every_item_once_and_the_order_stays(tmp_path):
    assert Engine("dask", "cpu", "test").map(partial(square, folder=tmp_path), range(40)) == [
        item * item for item in range(40)
    ]
    processes, often = makers(tmp_path)
    assert os.getpid() not in processes
    assert len(processes) > 1 or os.cpu_count() == 1
    assert often == dict.fromkeys(range(40), 1)


def test_a_worker_that_is_killed_costs_time_and_no_result(tmp_path):
    result = Engine("dask", "cpu", "test").map(partial(fatal, folder=tmp_path), range(40))
    assert result == [item * item for item in range(40)]
    assert (tmp_path / "killed").exists()
    assert set(makers(tmp_path)[1]) == set(range(40))


def test_an_item_that_kills_every_worker_is_given_up(monkeypatch):
    monkeypatch.setattr(engines, "WORKER_DEATHS", 0)
    with pytest.raises(EngineError, match="one part ended every worker that tried it") as caught:
        Engine("dask", "cpu", "test").map(deadly, [1])
    assert "more memory" in caught.value.faults[0]


def test_what_a_function_raises_comes_through():
    with pytest.raises(EngineError) as caught:
        Engine("dask", "cpu", "test").map(refuse, [3])
    assert str(caught.value) == "no\n  - 3"


def test_a_cluster_starts_while_the_usual_port_is_taken(tmp_path):
    with socket.socket() as other:
        with suppress(OSError):  # another run's cluster may hold it already
            other.bind(("", 8787))
            other.listen()
        assert Engine("dask", "cpu", "test").map(partial(square, folder=tmp_path), [3, 4]) == [9, 16]


def test_a_scheduler_elsewhere_is_used_and_left_running(tmp_path):
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        engine = Engine("dask", "cpu", "test", cluster.scheduler_address)
        assert engine.map(partial(square, folder=tmp_path), [3, 4]) == [9, 16]
        with Client(cluster) as client:
            workers = client.run(os.getpid)
        assert makers(tmp_path)[0] == set(workers.values())


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://here", "no.such.host.invalid:8786"])
def test_a_scheduler_that_cannot_be_reached(monkeypatch, address):
    monkeypatch.setattr(engines, "SCHEDULER_SECONDS", 1)
    with pytest.raises(EngineError, match=f"scheduler {address}: not reachable") as caught:
        Engine("dask", "cpu", "test", address).map(square, [1])
    assert caught.value.faults == (
        "an address is such as tcp://host:8786; left empty, a cluster on this machine is started",
    )
