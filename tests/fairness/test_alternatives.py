import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import optuna
import polars as pl
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from workbench.errors import DataError
from workbench.fairness.alternative_methods import AT_DECISION, METHODS
from workbench.fairness.alternative_plan import Plan, prepare_search
from workbench.fairness.alternatives import ANALYSIS_ONLY, search_alternatives
from workbench.fairness.pareto import pareto_front, recommended
from workbench.statistics.ranking import auc, compare_auc

COLUMNS = ["candidate", "method", "needs_attribute_in_training", "needs_attribute_at_decision", "params"]
NUMBERS = ["search_loss", "search_loss_change", "search_loss_change_high", "search_disparity"]
TRIALS = 12


NAMES = ["income", "proxy", "noise"]
PLAN = Plan(
    names=NAMES,
    monotone=[1, 0, 0],
    constrained=False,
    base={"nthread": 1, "seed": 1, "max_depth": 2},
    rounds=8,
    space={"max_depth": [1, 3], "learning_rate": [0.1, 0.6]},
    orders={"proxy_strength": ["proxy", "income", "noise"]},
    most_left_out=2,
    attribute="group",
    reference_group="a",
    min_applicants=20,
    min_defaults=5,
)


def applicants(size=600, seed=1):
    """Applicants of group b (40%) have as much risk as others; a proxy, however, seems to say otherwise."""
    generator = np.random.default_rng(seed)
    group = np.where(generator.random(size) < 0.4, "b", "a")
    features = generator.normal(size=(size, 3))
    features[:, 1] += 1.5 * (group == "b")
    prob = 1 / (1 + np.exp(0.8 - 1.2 * features[:, 0] - 0.5 * features[:, 1]))
    frame = pl.DataFrame(dict(zip(NAMES, features.T, strict=True)))
    return frame.with_columns(
        applicant_id=pl.Series(np.arange(size)),
        default=pl.Series((generator.random(size) < prob).astype(int)),
        group=pl.Series(group),
        prob_default=pl.Series(prob),
        approved=pl.Series((prob <= np.quantile(prob, 0.7)).astype(int)),
    )


def prepared(plan=PLAN, frame=None):
    rows = applicants() if frame is None else frame
    return prepare_search(rows[:400], rows[400:], plan)


def search(problem=None, trials=TRIALS, **changes):
    return search_alternatives(
        problem or prepared(), **{"trials": trials, "level": 0.95, "seed": 3} | changes
    )


@cache
def undisturbed():
    return search()


def test_every_candidate_is_told_with_what_it_needs():
    table = undisturbed().table
    assert table.columns == [*COLUMNS, *NUMBERS, "on_front"]
    assert table["candidate"].to_list() == list(range(TRIALS + 1))
    for row in table.iter_rows(named=True):
        method = METHODS.get(row["method"], METHODS["features_and_settings"])
        assert row["needs_attribute_in_training"] == method.needs_attribute_in_training
        assert row["needs_attribute_at_decision"] == method.needs_attribute_at_decision
    assert table["params"].n_unique() == TRIALS + 1


def test_the_first_trials_try_each_method_once():
    assert undisturbed().table["method"][1:7].to_list() == list(METHODS)


def test_candidate_0_is_the_champion_on_the_same_rows():
    first = undisturbed().table.row(0, named=True)
    problem = prepared()
    assert (first["method"], first["params"]) == ("champion", "all features, free")
    assert first["search_loss_change"] == first["search_loss_change_high"] == 0
    assert first["search_disparity"] == problem.disparity(problem.champion)


def test_a_candidate_is_judged_on_the_judging_part():
    found, problem = undisturbed(), prepared()
    number = int(found.table.filter(method="reweighing")["candidate"][0])
    told = found.table.row(number, named=True)
    ours, champion = (
        1 / (1 + np.exp(-model.risk(problem.judging)))
        for model in (problem.fit(found.candidates[number]), problem.champion)
    )
    change = compare_auc(problem.judging.default, champion, ours, level=0.9).difference
    assert told["search_loss"] == pytest.approx(1 - auc(problem.judging.default, ours).value)
    assert told["search_loss_change"] == pytest.approx(-change.value)
    assert told["search_loss_change_high"] == pytest.approx(-change.low)  # one-sided at 0.95


def test_the_front_is_that_of_loss_and_disparity():
    table = undisturbed().table
    front = pareto_front(table["search_loss"], table["search_disparity"])
    assert table["on_front"].to_list() == front.tolist()


def test_the_search_finds_less_disparity_where_a_proxy_carries_it():
    number, _ = recommended(undisturbed().table, rule="least_disparity_within_loss", line=0.2)
    champion, found = undisturbed().table[0], undisturbed().table[number]
    assert found["search_disparity"].item() < 0.5 * champion["search_disparity"].item()


def test_forbidden_methods_are_not_tried():
    forbidden = (*AT_DECISION, "reweighing")
    found = search(prepared(replace(PLAN, forbidden=forbidden)))
    assert not set(found.table["method"]) & set(forbidden)
    assert not found.table["needs_attribute_at_decision"].any()


def test_a_search_for_analysis_only_says_so():
    assert undisturbed().notes == ()
    found = search(prepared(replace(PLAN, analysis_only=True)), trials=1)
    assert found.notes == (ANALYSIS_ONLY,)


def test_the_same_seed_gives_the_same_candidates_and_another_one_others():
    again = search(trials=5)
    assert again.table.drop("on_front").equals(undisturbed().table[:6].drop("on_front"))
    assert not search(trials=5, seed=4).table.drop("on_front").equals(again.table.drop("on_front"))


def test_the_journal_of_another_search_is_replaced_and_said(tmp_path):
    journal = tmp_path / "search.journal"
    search(trials=2, journal=journal)
    for changes in (
        {"seed": 4},
        {"level": 0.9},
        {"problem": prepared(replace(PLAN, rounds=PLAN.rounds + 1))},
    ):
        found = search(trials=2, journal=journal, **changes)
        assert found.resumed == 0
        assert found.notes[-1].startswith("search.journal is of another search")


def test_what_the_journal_holds_finished_is_not_done_again(tmp_path):
    journal = tmp_path / "search.journal"
    search(trials=4, journal=journal)
    before = journal.read_bytes().count(FINISHED)
    assert search(trials=4, journal=journal).resumed == 4
    assert journal.read_bytes().count(FINISHED) == before
    found = search(journal=journal)
    assert found.resumed == 4
    assert found.table.equals(undisturbed().table)


FINISHED = b'"state":1'  # of the journal's lines: a trial was judged
KILLED = f"""
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from test_alternatives import search
search(trials={TRIALS}, journal=Path(sys.argv[2]))
"""


def test_killed_in_the_middle_it_ends_with_the_same_bytes(tmp_path):
    journal = tmp_path / "search.journal"
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), str(journal)]
    with subprocess.Popen(command) as process:
        while not journal.exists() or journal.read_bytes().count(FINISHED) < 4:
            assert process.poll() is None, "the search ended by itself"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    found = search(journal=journal)
    assert 4 <= found.resumed < TRIALS
    assert found.table.write_json() == undisturbed().table.write_json()
    assert found.candidates == undisturbed().candidates


def test_whatever_part_of_the_journal_was_written_it_ends_with_the_same_bytes(tmp_path):
    """Cut after each line of the third trial: waiting, running, proposed in part, judged and told."""
    journal = tmp_path / "search.journal"
    whole = search(trials=3, journal=journal).table.write_json()
    written = journal.read_bytes()
    ends = [place + 1 for place, byte in enumerate(written) if byte == ord("\n")]
    late = [end for end in ends if written[:end].count(FINISHED) == 2]
    assert len(late) > 8
    for end in late:
        journal.write_bytes(written[:end])
        found = search(trials=3, journal=journal)
        assert (found.resumed, found.table.write_json()) == (2, whole)


@pytest.mark.parametrize(
    ("changes", "fault"), [({"trials": 0}, "0 trials"), ({"level": 0.5}, "level is 0.5")]
)
def test_a_search_without_trials_or_level_is_refused(changes, fault):
    with pytest.raises(DataError, match=fault):
        search(**changes)


def test_the_front_of_the_table_is_optunas(tmp_path):
    found = search(journal=tmp_path / "search.journal")
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "search.journal")))
    study = optuna.load_study(study_name=None, storage=storage)
    beaten = found.table.filter(pl.col("candidate") > 0)
    ours = pareto_front(beaten["search_loss"], beaten["search_disparity"])
    theirs = {trial.number + 1 for trial in study.best_trials}
    assert set(beaten.filter(pl.Series(ours))["candidate"]) == theirs
