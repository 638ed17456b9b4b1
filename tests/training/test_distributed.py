import os
import signal
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import xgboost
from sklearn.metrics import roc_auc_score

from workbench.errors import DataError, EngineError
from workbench.training import distributed
from workbench.training.boosting import booster_settings, train_booster
from workbench.training.checkpoints import Checkpoints
from workbench.training.distributed import train_distributed
from workbench.training.matrices import in_core_matrix

NAMES = [f"f{place}" for place in range(10)]
SETTINGS = booster_settings([0] * 10, seed=5) | {"max_depth": 3, "learning_rate": 0.1, "subsample": 0.7}
ROUNDS = {"rounds": 100, "block_rounds": 40}


def people(size, seed):
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(size, 10))
    logit = (
        -2
        + features[:, 0]
        + 0.6 * features[:, 1]
        - 0.5 * features[:, 2]
        + features[:, 3] * (features[:, 4] > 0)
    )
    default = (draw.random(size) < 1 / (1 + np.exp(-logit))).astype(float)
    features[draw.random(features.shape) < 0.05] = np.nan
    return features, default


@pytest.fixture(scope="module")
def sample():
    return people(40_000, 1)


@pytest.fixture(scope="module")
def auc_of():
    features, default = people(60_000, 2)
    return lambda booster: roc_auc_score(default, booster.inplace_predict(features))


@pytest.fixture(scope="module")
def auc_in_memory(sample, auc_of):
    matrix = in_core_matrix(*sample, names=NAMES)
    return auc_of(train_booster(matrix, settings=SETTINGS, **ROUNDS).booster)


@pytest.fixture(scope="module")
def cluster():
    import dask
    from distributed import LocalCluster

    options = {"memory_limit": "1GiB", "dashboard_address": "127.0.0.1:0"}
    patient = {"distributed.deploy.lost-worker-timeout": "5 minutes"}  # or a slow restart is given up
    with dask.config.set(patient), LocalCluster(n_workers=2, threads_per_worker=1, **options) as made:
        yield made


@pytest.fixture
def client(cluster):
    from distributed import Client

    with Client(cluster) as made:
        made.wait_for_workers(2, timeout=60)
        yield made


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(distributed, "LOOK_SECONDS", 0.4)


def bytes_of(booster):
    return bytes(booster.save_raw("ubj"))


def kill_when(condition, cluster, seconds=0.5):
    """Kill a worker, as the system does it, some time after a condition holds; return the thread."""

    def kill():
        while not condition():
            time.sleep(0.01)
        time.sleep(seconds)
        os.kill(next(nanny.pid for nanny in cluster.workers.values() if nanny.pid), signal.SIGKILL)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


@pytest.fixture(scope="module")
def undisturbed(cluster, sample):
    from distributed import Client

    with Client(cluster) as client:
        return train_distributed(client, *sample, settings=SETTINGS, **ROUNDS, names=NAMES)


def test_its_auc_is_that_of_training_in_memory(undisturbed, auc_of, auc_in_memory):
    assert undisturbed.booster.num_boosted_rounds() == 100
    assert undisturbed.booster.feature_names is None
    assert (undisturbed.resumed_from, undisturbed.refused) == (0, ())
    assert auc_in_memory > 0.75
    assert abs(auc_of(undisturbed.booster) - auc_in_memory) <= 0.002


def test_a_training_that_was_stopped_goes_on_from_its_checkpoint(client, sample, undisturbed, tmp_path):
    first = undisturbed.booster[:40]
    first.feature_names = NAMES
    checkpoints = Checkpoints(tmp_path, "key")
    checkpoints.save(40, bytes_of(first))
    options = {"settings": SETTINGS, **ROUNDS, "checkpoints": checkpoints, "names": NAMES}
    resumed = train_distributed(client, *sample, **options)
    assert resumed.resumed_from == 40
    assert bytes_of(resumed.booster) == bytes_of(undisturbed.booster)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["100.json", "100.ubj"]
    nobody = SimpleNamespace()  # a finished training needs no worker
    finished = train_distributed(nobody, *sample, **options)
    assert finished.resumed_from == 100
    assert bytes_of(finished.booster) == bytes_of(undisturbed.booster)


def test_workers_whose_memory_is_too_small_are_not_tried(client):
    features = np.broadcast_to(np.float32(0), (2_000_000, 100))  # 763 MiB that are not there
    default = np.broadcast_to(np.float32(0), 2_000_000)
    names = [f"f{place}" for place in range(100)]
    with pytest.raises(EngineError, match="the memory of the workers is too small") as caught:
        train_distributed(client, features, default, settings=SETTINGS, **ROUNDS, names=names)
    assert caught.value.faults == (
        "2 of 2 workers need about 1,066 MiB each; their memory limit is 1,024 MiB",
        "start fewer workers with more memory each, or more machines, or set training.memory to external",
    )


def test_what_xgboost_refuses_is_not_tried_again(client, sample):
    with pytest.raises(xgboost.core.XGBoostError, match="max_depth"):
        train_distributed(client, *sample, settings=SETTINGS | {"max_depth": -1}, **ROUNDS, names=NAMES)


def test_fewer_rows_than_workers(client):
    features, default = np.zeros((1, 10)), np.zeros(1)
    trained = train_distributed(
        client, features, default, settings=SETTINGS, rounds=1, block_rounds=1, names=NAMES
    )
    assert trained.booster.num_boosted_rounds() == 1


def test_rounds_that_are_none(client, sample):
    with pytest.raises(DataError, match="block_rounds is 0"):
        train_distributed(client, *sample, settings=SETTINGS, rounds=5, block_rounds=0, names=NAMES)


def test_a_killed_worker_costs_time_and_not_the_training(
    client, cluster, sample, tmp_path, auc_of, auc_in_memory
):
    before = set(client.nthreads())
    killer = kill_when(lambda: (tmp_path / "40.json").exists(), cluster)
    options = {"settings": SETTINGS, **ROUNDS, "names": NAMES}
    trained = train_distributed(client, *sample, **options, checkpoints=Checkpoints(tmp_path, "key"))
    killer.join(timeout=1)
    assert not killer.is_alive(), "training was over before a worker was killed"
    assert before - set(client.nthreads()), "no worker was lost"
    assert trained.booster.num_boosted_rounds() == 100
    assert abs(auc_of(trained.booster) - auc_in_memory) <= 0.002


def test_workers_that_die_again_and_again_are_given_up(monkeypatch, client, cluster, sample):
    monkeypatch.setattr(distributed, "WORKER_DEATHS", 1)
    killer = kill_when(lambda: True, cluster, seconds=0.3)
    with pytest.raises(EngineError, match="workers died 1 times of the same 2000 rounds") as caught:
        train_distributed(client, *sample, settings=SETTINGS, rounds=2_000, block_rounds=2_000, names=NAMES)
    killer.join()
    assert caught.value.faults == (
        "the memory limit of a worker is 1,024 MiB: start fewer workers, or larger ones",
    )
