import numpy as np
import polars as pl
import pytest
import xgboost

from workbench.errors import DataError
from workbench.training.boosting import booster_settings, train_champion
from workbench.training.resampling import resampled_margins

SETTINGS = booster_settings([0] * 4, seed=3) | {"max_depth": 3, "learning_rate": 0.2, "nthread": 1}
DRAWN = SETTINGS | {"subsample": 0.7, "colsample_bytree": 0.75}
ROUNDS = 20


def world(size, seed=1):
    """Few distinct values, so that every binning of the features is the same."""
    draw = np.random.default_rng(seed)
    features = draw.integers(0, 8, size=(size, 4)).astype(float)
    risk = -2 + 0.4 * features[:, 0] - 0.2 * features[:, 1]
    return features, (draw.random(size) < 1 / (1 + np.exp(-risk))).astype(float)


FEATURES, DEFAULT = world(1_500)
JUDGED = world(300, seed=2)[0]


def resampled(features=FEATURES, default=DEFAULT, judged=JUDGED, **changes):
    options = {"settings": DRAWN, "rounds": ROUNDS, "resamples": 3, "seed": 5, **changes}
    return resampled_margins(features, default, judged, **options)


FOUND = resampled()


def margin_of(settings, features=FEATURES, default=DEFAULT):
    booster = train_champion(features, default, settings=settings, rounds=ROUNDS, names=list("abcd"))
    return booster.predict(xgboost.DMatrix(JUDGED), output_margin=True)


def test_as_many_boosters_of_each_kind():
    assert FOUND.margins.shape == (6, 300)
    assert FOUND.kinds == ("resample",) * 3 + ("seed",) * 3
    assert len(set(FOUND.seeds)) == 6
    assert np.isfinite(FOUND.margins).all()
    assert np.array_equal(FOUND.of("resample"), FOUND.margins[:3])
    assert np.array_equal(FOUND.of("seed"), FOUND.margins[3:])


def test_no_two_boosters_are_alike():
    assert len({margins.tobytes() for margins in FOUND.margins}) == 6


def test_a_reseeded_booster_is_the_champion_with_that_seed():
    for seed, margins in zip(FOUND.seeds[3:], FOUND.of("seed"), strict=True):
        assert np.array_equal(margins, margin_of(DRAWN | {"seed": seed}).astype(float))


def test_a_resample_is_a_booster_of_the_rows_drawn_with_replacement():
    """The weights are counts: repeating each row as often as it was drawn trains the same booster."""
    found = resampled(settings=SETTINGS)
    for seed, margins in zip(found.seeds[:3], found.of("resample"), strict=True):
        counts = np.random.default_rng(seed).multinomial(1_500, np.full(1_500, 1 / 1_500))
        rows = np.repeat(np.arange(1_500), counts)
        assert np.allclose(margins, margin_of(SETTINGS, FEATURES[rows], DEFAULT[rows]), atol=1e-4)


def test_without_drawing_a_seed_changes_nothing_and_a_resample_does():
    found = resampled(settings=SETTINGS)
    champion = margin_of(SETTINGS).astype(float)
    assert all(np.array_equal(margins, champion) for margins in found.of("seed"))
    assert found.of("resample").std(axis=0).mean() > 0.05


def test_resamples_spread_about_as_samples_do():
    """A dozen other development samples of the same world against a dozen resamples of the first."""
    spread = resampled(settings=SETTINGS, resamples=12).of("resample").std(axis=0).mean()
    others = [margin_of(SETTINGS, *world(1_500, seed=seed)) for seed in range(10, 22)]
    assert 0.75 < spread / np.std(others, axis=0).mean() < 1.4


def test_the_same_seed_gives_the_same_margins_and_another_does_not():
    again = resampled()
    assert np.array_equal(again.margins, FOUND.margins)
    assert again.seeds == FOUND.seeds
    assert not np.array_equal(resampled(seed=6).margins, FOUND.margins)


def test_the_table_has_a_column_for_every_booster():
    ids = pl.Series("applicant_id", [f"a{at}" for at in range(300)])
    table = FOUND.table(ids)
    labels = ["resample_1", "resample_2", "resample_3", "seed_1", "seed_2", "seed_3"]
    assert table.columns == ["applicant_id", *labels]
    assert np.array_equal(table["seed_2"].to_numpy(), FOUND.margins[4])
    models = FOUND.models()
    assert models["model"].to_list() == labels
    assert models["kind"].to_list() == list(FOUND.kinds)
    assert models["seed"].to_list() == list(FOUND.seeds)


def test_the_features_are_binned_once(monkeypatch):
    made = []
    original = xgboost.QuantileDMatrix

    def counted(*args, **kwargs):
        made.append(1)
        return original(*args, **kwargs)

    monkeypatch.setattr(xgboost, "QuantileDMatrix", counted)
    resampled()
    assert len(made) == 1


def test_two_resamples_are_the_fewest():
    assert resampled(resamples=2).margins.shape == (4, 300)
    with pytest.raises(DataError, match="resamples is 1; a spread needs at least 2"):
        resampled(resamples=1)


def test_every_fault_is_told_at_once():
    with pytest.raises(DataError, match="cannot be resampled") as caught:
        resampled(FEATURES[:-1], judged=JUDGED[:, :3], resamples=0)
    assert len(caught.value.faults) == 3
    with pytest.raises(DataError, match="neither 0 nor 1 in 1500 of 1500"):
        resampled(default=DEFAULT + 2)


def test_a_sample_whose_resamples_lose_every_default_is_refused():
    lonely = np.zeros(1_500)
    lonely[7] = 1
    with pytest.raises(DataError, match="resamples hold no good or no default"):
        resampled(default=lonely, resamples=20)


def test_the_boosters_are_kept_and_give_their_margins():
    rows = xgboost.DMatrix(JUDGED)
    table = FOUND.table(pl.Series(range(len(JUDGED))))
    assert list(FOUND.boosters()) == table.columns[1:]
    for name, saved in FOUND.boosters().items():
        booster = xgboost.Booster(model_file=bytearray(saved))
        assert np.array_equal(booster.predict(rows, output_margin=True), table[name].to_numpy())
