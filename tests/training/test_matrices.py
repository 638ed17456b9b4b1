import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xgboost
from sklearn.metrics import roc_auc_score

from workbench.errors import DataError
from workbench.training.boosting import booster_settings, train_booster
from workbench.training.checkpoints import Checkpoints
from workbench.training.matrices import Batches, external_matrix, in_core_matrix

ROWS, WIDTH = 60_000, 20
NAMES = [f"f{place}" for place in range(WIDTH)]
SETTINGS = booster_settings([0] * WIDTH, seed=5) | {
    "max_depth": 4,
    "learning_rate": 0.1,
    "subsample": 0.7,
    "colsample_bytree": 0.5,
}


def people(size, seed, width=WIDTH):
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(size, width))
    logit = (
        -2
        + features[:, 0]
        + 0.6 * features[:, 1]
        - 0.5 * features[:, 2]
        + features[:, 3] * (features[:, 4] > 0)
    )
    default = (draw.random(size) < 1 / (1 + np.exp(-logit))).astype(float)
    features[draw.random(features.shape) < 0.05] = np.nan
    features[:, 5] = np.round(features[:, 5])  # few values, many of them the same
    return features, default


def parquet(path, features, default, rows_in_group=7_000):
    frame = pl.DataFrame(features, schema=NAMES[: features.shape[1]]).fill_nan(None)
    frame = frame.with_columns(default=pl.Series(default.astype(int)))
    frame.write_parquet(path, row_group_size=rows_in_group)
    return pl.scan_parquet(path)


@pytest.fixture(scope="module")
def sample():
    return people(ROWS, 1)


@pytest.fixture(scope="module")
def frame(sample, tmp_path_factory):
    return parquet(tmp_path_factory.mktemp("sample") / "sample.parquet", *sample)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "small.parquet"
    return parquet(path, *people(2_500, 2), rows_in_group=400)


def bytes_of(booster):
    return bytes(booster.save_raw("ubj"))


def trained(matrix, rounds=20, checkpoints=None):
    return train_booster(matrix, settings=SETTINGS, rounds=rounds, block_rounds=8, checkpoints=checkpoints)


# Batches


@pytest.mark.parametrize("rows", [1, 400, 999, 2_500, 10_000])
def test_batches_are_the_rows_in_their_order_as_often_as_asked(small, rows):
    whole = small.head(30).collect() if rows == 1 else small.collect()
    batches = Batches(whole.lazy() if rows == 1 else small, NAMES, rows)
    wanted = whole.select(NAMES).cast(pl.Float32).fill_null(np.nan).to_numpy()
    for _ in range(2):
        parts = list(batches)
        assert [len(features) for features, _ in parts[:-1]] == [rows] * (len(parts) - 1)
        assert {part.dtype for both in parts for part in both} == {np.dtype(np.float32)}
        assert np.array_equal(np.concatenate([features for features, _ in parts]), wanted, equal_nan=True)
        assert np.array_equal(np.concatenate([default for _, default in parts]), whole["default"].to_numpy())


def test_batches_take_the_features_in_the_order_of_the_names(small):
    names = ["f3", "f0"]
    features, _ = next(iter(Batches(small, names, 50)))
    assert np.array_equal(
        features, small.select(names).head(50).collect().cast(pl.Float32).to_numpy(), equal_nan=True
    )


# In memory


def test_in_memory_it_is_xgboost_s_own_matrix(sample):
    features, default = sample
    plain = xgboost.train(SETTINGS, xgboost.QuantileDMatrix(features, default, feature_names=NAMES), 8)
    plain.feature_names = None
    matrix = in_core_matrix(features, default, names=NAMES)
    assert matrix.feature_names == NAMES
    assert bytes_of(trained(matrix, rounds=8).booster) == bytes_of(plain)


# Pages on the disk


@pytest.fixture(scope="module")
def auc_of():
    features, default = people(ROWS, 3)
    return lambda matrix: roc_auc_score(default, trained(matrix, rounds=60).booster.inplace_predict(features))


@pytest.fixture(scope="module")
def auc_in_memory(sample, auc_of):
    return auc_of(in_core_matrix(*sample, names=NAMES))


@pytest.mark.parametrize("sample_rows", [2_000, 50_000])
def test_the_auc_of_external_training_is_that_of_training_in_memory(
    frame, tmp_path, auc_of, auc_in_memory, sample_rows
):
    batches = Batches(frame, NAMES, 9_000)
    matrix = external_matrix(batches, cache=tmp_path, names=NAMES, sample_rows=sample_rows)
    assert auc_in_memory > 0.75
    assert abs(auc_of(matrix) - auc_in_memory) <= 0.002


def cuts(matrix):
    return [part.tobytes() for part in matrix.get_quantile_cut()]


def test_where_the_sample_is_everyone_the_bins_are_those_in_memory(small, tmp_path):
    matrix = external_matrix(Batches(small, NAMES, 700), cache=tmp_path, names=NAMES)
    features, default = people(2_500, 2)
    assert cuts(matrix) == cuts(in_core_matrix(features, default, names=NAMES))


def test_the_size_of_the_batches_does_not_move_the_bins(small, tmp_path):
    found = {
        tuple(
            cuts(
                external_matrix(
                    Batches(small, NAMES, rows), cache=tmp_path / str(rows), names=NAMES, sample_rows=1_000
                )
            )
        )
        for rows in (1_250, 333, 100)
    }
    assert len(found) == 1


def test_external_training_resumes_to_the_same_bytes_with_the_matrix_built_again(frame, tmp_path):
    def matrix(name):
        return external_matrix(Batches(frame, NAMES, 9_000), cache=tmp_path / name, names=NAMES)

    undisturbed = bytes_of(trained(matrix("undisturbed")).booster)
    partly = trained(matrix("partly"), rounds=8).booster
    partly.feature_names = NAMES
    checkpoints = Checkpoints(tmp_path / "kept", "key")
    checkpoints.save(8, bytes_of(partly))
    resumed = trained(matrix("resumed"), checkpoints=checkpoints)
    assert resumed.resumed_from == 8
    assert bytes_of(resumed.booster) == undisturbed


def test_pages_lie_in_the_cache_and_go_with_the_matrix(small, tmp_path):
    cache = tmp_path / "not" / "there yet"
    matrix = external_matrix(Batches(small, NAMES, 700), cache=cache, names=NAMES)
    trained(matrix)
    assert sum(path.stat().st_size for path in cache.iterdir()) > 2_500 * WIDTH
    del matrix
    cache.rmdir()


def test_batches_that_can_be_read_only_once(tmp_path):
    batches = iter([(np.zeros((4, 2), np.float32), np.zeros(4, np.float32))])
    with pytest.raises(DataError, match="can be read only once"):
        external_matrix(batches, cache=tmp_path, names=["a", "b"])


def test_batches_without_rows(small, tmp_path):
    for batches in ([], Batches(small.head(0), NAMES, 10)):
        with pytest.raises(DataError, match="hold no rows"):
            external_matrix(batches, cache=tmp_path, names=NAMES)


def test_batches_of_other_features(tmp_path):
    batches = [(np.zeros((4, 3), np.float32), np.zeros(4, np.float32))]
    with pytest.raises(DataError) as caught:
        external_matrix(batches, cache=tmp_path, names=["a", "b"])
    assert caught.value.faults == ("a batch has 3 features; 2 are needed",)


def test_what_reading_raises_comes_through(tmp_path):
    class Torn:
        passes = 0

        def __iter__(self):
            self.passes += 1
            yield np.ones((4, 1), np.float32), np.array([0, 1, 0, 1], np.float32)
            if self.passes > 1:
                raise DataError("part 7 is damaged")

    with pytest.raises(DataError, match="part 7 is damaged"):
        external_matrix(Torn(), cache=tmp_path, names=["a"])


# More than memory holds

MEBIBYTE = 2**20
CAP, MANY, WIDE = 740, 4_000_000, 200  # MiB; rows and features: 3,052 MiB in single precision
CAPPED = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, ({CAP * MEBIBYTE}, {CAP * MEBIBYTE}))
from pathlib import Path
import numpy as np, polars as pl
from workbench.training.boosting import booster_settings, train_booster
from workbench.training.matrices import Batches, external_matrix, in_core_matrix
memory, path, cache = sys.argv[1:]
frame, names = pl.scan_parquet(path), [f"f{{place}}" for place in range({WIDE})]
if memory == "external":
    matrix = external_matrix(Batches(frame, names, 10_000), cache=Path(cache), names=names)
else:
    features = np.empty(({MANY}, {WIDE}), dtype=np.float32)
    default = np.empty({MANY}, dtype=np.float32)
    for place, (part, outcome) in enumerate(Batches(frame, names, 10_000)):
        rows = slice(place * 10_000, place * 10_000 + len(part))
        features[rows], default[rows] = part, outcome
    matrix = in_core_matrix(features, default, names=names)
settings = booster_settings([0] * {WIDE}, seed=1) | {{"max_depth": 3, "subsample": 0.8}}
trained = train_booster(matrix, settings=settings, rounds=4, block_rounds=2)
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print("rounds", trained.booster.num_boosted_rounds(), "resident", status["VmHWM"].strip())
"""


def write_many(path):
    """Write the rows part by part, in small whole numbers."""
    import pyarrow.parquet

    draw, rows = np.random.default_rng(0), 20_000
    names = [f"f{place}" for place in range(WIDE)]
    writer = None
    for _ in range(MANY // rows):
        features = draw.integers(0, 64, (rows, WIDE), dtype=np.uint8)
        logit = -2 + (features[:, 0] - 31.5) / 20 + (features[:, 1] > 31) * (features[:, 2] - 31.5) / 20
        default = (draw.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.uint8)
        table = pl.DataFrame(features, schema=names).with_columns(default=pl.Series(default)).to_arrow()
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=rows)
    writer.close()


@pytest.mark.scale
def test_external_memory_trains_four_times_what_memory_may_hold(tmp_path):
    assert MANY * WIDE * 4 >= 4 * CAP * MEBIBYTE
    write_many(tmp_path / "many.parquet")
    # Stacks and arenas of threads count against the cap, used or not: few of them, on any machine.
    few = {
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "2",
        "POLARS_MAX_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }

    def capped(memory):
        words = [sys.executable, "-c", CAPPED, memory, tmp_path / "many.parquet", tmp_path / "cache"]
        return subprocess.run(
            [str(word) for word in words],
            capture_output=True,
            text=True,
            env=os.environ | few,
            cwd=Path(__file__).parents[2],
        )

    in_memory, external = capped("in_core"), capped("external")
    assert in_memory.returncode != 0
    assert "rounds" not in in_memory.stdout
    assert external.returncode == 0, external.stderr[-2_000:]
    assert "rounds 4" in external.stdout
