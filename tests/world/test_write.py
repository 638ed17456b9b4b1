import multiprocessing

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from workbench.errors import DataError, RunError, WorkbenchError
from workbench.world.write import SOURCES, write_world

TIME, MONEY, TEXT, WHOLE = pl.Datetime("us"), pl.Float64, pl.String, pl.Int64
BILLS = {
    "customer_id": TEXT,
    "due_time": TIME,
    "paid_time": TIME,
    "amount_due": MONEY,
    "amount_paid": MONEY,
    "recorded_time": TIME,
}
SCHEMAS = {
    "applicants": {
        "customer_id": TEXT,
        "application_time": TIME,
        "full_name": TEXT,
        "phone": TEXT,
        "email": TEXT,
        "national_id": TEXT,
        "address": TEXT,
        "sex": TEXT,
        "birth_date": pl.Date,
        "community": TEXT,
        "region": TEXT,
        "handset_tier": WHOLE,
        "declared_income": MONEY,
        "requested_amount": MONEY,
        "consent_social": pl.Boolean,
        "approved_before": WHOLE,
        "default": WHOLE,
        "past_due_60": WHOLE,
        "north_probability": pl.Float64,
        "south_probability": pl.Float64,
    },
    "electricity": BILLS,
    "water": BILLS,
    "airtime": {
        "customer_id": TEXT,
        "msisdn": TEXT,
        "topup_time": TIME,
        "amount": MONEY,
        "recorded_time": TIME,
    },
    "mobile_money": {
        "customer_id": TEXT,
        "txn_time": TIME,
        "direction": TEXT,
        "amount": MONEY,
        "balance": MONEY,
        "recorded_time": TIME,
    },
    "posts": {"customer_id": TEXT, "posted_time": TIME, "text": TEXT, "recorded_time": TIME},
    "bureau": {
        "customer_id": TEXT,
        "recorded_time": TIME,
        "open_accounts": WHOLE,
        "months_worst_delinquency": WHOLE,
        "inquiries_6m": WHOLE,
        "utilisation": WHOLE,
        "bureau_score": WHOLE,
    },
}
RIGHT = {"applicants": 10, "seed": 0, "chunk": 5, "jobs": 1}


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def same(one, other):
    for source in SOURCES:
        assert_frame_equal(getattr(one, source), getattr(other, source))
    for name in ("truth.parquet", "truth.json"):
        assert (one.folder / name).read_bytes() == (other.folder / name).read_bytes()


@pytest.mark.parametrize(("chunk", "jobs"), [(777, 1), (1_000, 1), (2_500, 2)])
def test_content_does_not_depend_on_chunk_or_jobs(world, read, tmp_path, chunk, jobs):
    folder = write_world(tmp_path / "world", applicants=5_000, seed=7, chunk=chunk, jobs=jobs)
    assert len(list((folder / "water").iterdir())) == -(-5_000 // chunk)
    same(world, read(folder))


def test_a_smaller_world_is_the_beginning_of_a_larger_one(world, read, tmp_path):
    small = read(write_world(tmp_path / "world", applicants=1_234, seed=7, jobs=1))
    for source in SOURCES:
        table = getattr(small, source)
        assert_frame_equal(table, getattr(world, source).head(len(table)))
    assert_frame_equal(small.known, world.known.head(1_234))


def test_another_seed_is_another_world(world, read, tmp_path):
    other = read(write_world(tmp_path / "world", applicants=500, seed=8, jobs=1))
    times = world.applicants["application_time"].head(500)
    assert (other.applicants["application_time"] == times).mean() < 0.01


def test_tables_have_their_columns(world):
    for source, schema in SCHEMAS.items():
        assert dict(getattr(world, source).schema) == schema, source


def test_a_part_of_every_source_holds_the_same_applicants(tmp_path):
    folder = write_world(tmp_path / "world", applicants=900, seed=1, chunk=400, jobs=1, clean=True)
    for place, (low, high) in enumerate([(0, 400), (400, 800), (800, 900)]):
        for source in SOURCES:
            number = pl.read_parquet(folder / source / f"part-{place:05}.parquet")["customer_id"].str.slice(1)
            assert number.cast(pl.Int64).is_between(low, high, closed="left").all()
            assert number.is_sorted()


def test_only_named_files_are_left(world):
    parts = [f"{source}/part-00000.parquet" for source in SOURCES]
    assert files(world.folder) == sorted([*parts, "truth.json", "truth.parquet"])


def test_row_counts_are_told_and_about_110_events_an_applicant(world):
    counts = {source: len(getattr(world, source)) for source in SOURCES}
    assert world.truth["rows"] == counts
    assert 100 <= (sum(counts.values()) - counts["applicants"]) / counts["applicants"] <= 120
    assert counts["bureau"] / counts["applicants"] == pytest.approx(1 / 3, abs=0.03)
    assert counts["airtime"] / counts["applicants"] == pytest.approx(40, abs=4)
    assert counts["mobile_money"] / counts["applicants"] == pytest.approx(45, abs=4)


def test_one_applicant_makes_a_world(read, tmp_path):
    alone = read(write_world(tmp_path / "world", applicants=1, seed=0, chunk=1, jobs=2))
    assert len(alone.applicants) == len(alone.known) == 1
    assert alone.truth["outcome"]["oracle_auc"] is None
    for source, schema in SCHEMAS.items():
        assert dict(getattr(alone, source).schema) == schema


def test_an_empty_folder_is_taken_and_progress_told(tmp_path):
    seen = []
    write_world(tmp_path, applicants=10, seed=0, chunk=4, jobs=1, progress=lambda *done: seen.append(done))
    assert seen == [(4, 10), (8, 10), (10, 10)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("applicants", 0),
        ("applicants", -1),
        ("applicants", 100_000_001),
        ("applicants", 2.5),
        ("applicants", True),
        ("seed", -1),
        ("seed", 2**63),
        ("chunk", 0),
        ("jobs", 0),
        ("jobs", 65),
    ],
)
def test_a_number_out_of_range_is_refused(tmp_path, name, value):
    with pytest.raises(DataError) as caught:
        write_world(tmp_path / "world", **(RIGHT | {name: value}))
    assert [fault.split(":")[0] for fault in caught.value.faults] == [name]
    assert str(value) in caught.value.faults[0]
    assert not (tmp_path / "world").exists()


def test_all_faults_come_at_once(tmp_path):
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(DataError) as caught:
        write_world(tmp_path, applicants=0, seed=-1, chunk=0, jobs=0)
    assert len(caught.value.faults) == 5
    assert files(tmp_path) == ["kept.txt"]
    assert (tmp_path / "kept.txt").read_text() == "kept"


def test_a_finished_world_is_not_overwritten(world):
    before = {name: (world.folder / name).stat().st_mtime_ns for name in files(world.folder)}
    with pytest.raises(DataError, match="holds files; right is a folder that is empty"):
        write_world(world.folder, **RIGHT)
    assert {name: (world.folder / name).stat().st_mtime_ns for name in files(world.folder)} == before


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "world").write_text("kept")
    with pytest.raises(DataError, match="is a file"):
        write_world(tmp_path / "world", **RIGHT)
    assert (tmp_path / "world").read_text() == "kept"


def test_a_world_that_was_stopped_has_no_truth_and_is_recognised(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_world(tmp_path, applicants=30, seed=0, chunk=10, jobs=1, progress=stop)
    assert files(tmp_path) == sorted(f"{source}/part-00000.parquet" for source in SOURCES)
    with pytest.raises(WorkbenchError, match=r"not finished \(no truth.json\): remove it"):
        write_world(tmp_path, **RIGHT)


def test_a_process_ended_from_outside_is_told(tmp_path):
    def end_workers(done, total):
        for worker in multiprocessing.active_children():
            worker.kill()

    with pytest.raises(RunError, match="ended from outside") as caught:
        write_world(tmp_path, applicants=20_000, seed=0, chunk=2_000, jobs=2, progress=end_workers)
    assert "smaller chunk or one job" in caught.value.faults[0]
    assert not (tmp_path / "truth.json").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_disk_that_refuses_is_told(tmp_path, jobs):
    (tmp_path / "closed").symlink_to("/proc")
    with pytest.raises(RunError, match="not written") as caught:
        write_world(tmp_path / "closed" / "world", applicants=20, seed=0, chunk=10, jobs=jobs)
    assert caught.value.faults == ("what was there before is unchanged",)
