"""The search for the least change that has a declined applicant approved, on all applicants at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from workbench.explanation.fidelity import ROWS, matrix_margin
from workbench.explanation.moves import Bools, Move, Rules
from workbench.scorer import Floats, Scorer

Ints = NDArray[np.int64]
GRID = {2: 12, 3: 6}
"""Values of each feature that are tried when so many change; a single change tries all."""
SWEEPS = 10
"""Times that every change is moved back, at most; three have been enough."""


@dataclass(frozen=True)
class Trials:
    """Changes to try: of the applicants `who` [trials] the `columns` to `values` [trials, changes]."""

    who: Ints
    columns: Ints
    values: Floats

    def of(self, kept: Ints | Bools | slice) -> Trials:
        """Return some of the trials."""
        return Trials(self.who[kept], self.columns[kept], self.values[kept])


@dataclass(frozen=True)
class Search:
    """What may move of the declined applicants' `own` values [applicants, features], and what must hold.

    `broken` [applicants, rules]: the rules that they break as they are; `best` [applicants]: the best score
    that a change which breaks no other has reached, noted as the search goes on.
    """

    scorer: Scorer
    own: Floats
    moves: tuple[Move, ...]
    rules: Rules
    broken: Bools
    best: Floats

    def scores(self, trials: Trials) -> Floats:
        """Return the score of each trial, whether or not it keeps the rules."""
        parts = [
            self.scorer.points(matrix_margin(self.scorer, self._changed(trials.of(part))))
            for part in _slices(trials.who.size, ROWS)
        ]
        found: Floats = np.concatenate(parts) if parts else np.empty(0)
        return found

    def approved(self, trials: Trials, scores: Floats) -> Trials:
        """Return the trials that are approved and break no rule that the applicant kept; note the best."""
        gaining = np.flatnonzero((scores >= self.scorer.cutoff) | (scores > self.best[trials.who]))
        kept = gaining[self._keeps_rules(trials.of(gaining))] if gaining.size else gaining
        np.maximum.at(self.best, trials.who[kept], scores[kept])
        return trials.of(kept[scores[kept] >= self.scorer.cutoff])

    def cheapest(self, trials: Trials) -> Trials:
        """Return each applicant's trial of the least total change in spreads; the first of equal ones."""
        ordered = trials.of(np.lexsort((self.cost(trials).sum(axis=1), trials.who)))
        return ordered.of(np.unique(ordered.who, return_index=True)[1])

    def cost(self, trials: Trials) -> Floats:
        """Return each change in spreads of its feature [trials, changes]."""
        spread = np.ones(self.own.shape[1])
        for move in self.moves:
            spread[move.column] = move.spread
        change = np.abs(trials.values - self.own[trials.who[:, None], trials.columns])
        return np.asarray(change / spread[trials.columns])

    def _changed(self, trials: Trials) -> Floats:
        rows = self.own[trials.who]
        np.put_along_axis(rows, trials.columns, trials.values, axis=1)
        return rows

    def _keeps_rules(self, trials: Trials) -> Bools:
        parts = []
        for part in _slices(trials.who.size, ROWS):
            after = self.rules.broken(self._changed(trials.of(part)))
            parts.append(~(after & ~self.broken[trials.who[part]]).any(axis=1))
        return np.concatenate(parts)


def least_changes(search: Search, most_changes: int) -> list[Trials]:
    """Return the answers by number of features searched, at most `most_changes`, each applicant at most once.

    Fewest features first, among those the least total change; how near to the least `counterfactuals` tells.
    """
    if not search.moves:
        return []
    first, peaks = _single(search)
    found, left = [first], np.setdiff1d(np.arange(len(search.own)), first.who)
    for size in range(2, min(most_changes, len(search.moves)) + 1):
        answer = _closest(search, _several(search, left, peaks, size))
        found.append(answer)
        left = np.setdiff1d(left, answer.who)
    return found


def _single(search: Search) -> tuple[Trials, Floats]:
    """Return the cheapest single changes, and each feature's best value alone [applicants, moves]."""
    approved, peaks = [], np.full((len(search.own), len(search.moves)), np.nan)
    for place, move in enumerate(search.moves):
        options = move.options(search.own[:, move.column])
        who, which = np.nonzero(~np.isnan(options))
        trials = Trials(who, np.full((who.size, 1), move.column), options[who, which][:, None])
        scores = search.scores(trials)
        reached = np.full(options.shape, -np.inf)
        reached[who, which] = scores
        peaks[:, place] = options[np.arange(len(options)), reached.argmax(axis=1)]
        approved.append(search.approved(trials, scores))
    return search.cheapest(_joined(approved, 1)), peaks


def _several(search: Search, left: Ints, peaks: Floats, size: int) -> Trials:
    """Return the cheapest approved trial on the grid of `size` features of each applicant left."""
    options = [move.options(search.own[left, move.column]) for move in search.moves]
    corners, grid = (
        np.stack([_spaced(way, count, peaks[left, place]) for place, way in enumerate(options)], axis=1)
        for count in (2, GRID[size])
    )
    sets = np.array(list(combinations(range(len(search.moves)), size)))
    person = np.repeat(np.arange(left.size), len(sets))
    members = np.tile(sets, (left.size, 1))
    columns = np.array([move.column for move in search.moves])
    enough = np.zeros(person.size, bool)
    for trials, pair in _combined(left[person], columns[members], corners, person, members):
        enough[pair[search.scores(trials) >= search.scorer.cutoff]] = True
    person, members = person[enough], members[enough]
    found = [
        search.cheapest(search.approved(trials, search.scores(trials)))
        for trials, _ in _combined(left[person], columns[members], grid, person, members)
    ]
    return search.cheapest(_joined(found, size))


def _closest(search: Search, answers: Trials) -> Trials:
    """Return the answers with every change made as small as it may be while the others stay."""
    for _ in range(SWEEPS):
        moved = answers
        for place in range(answers.columns.shape[1]):
            for move in search.moves:
                moved = _closer(search, moved, place, move)
        if np.array_equal(moved.values, answers.values):
            break
        answers = moved
    return answers


def _closer(search: Search, answers: Trials, place: int, move: Move) -> Trials:
    rows = np.flatnonzero(answers.columns[:, place] == move.column)
    own, now = search.own[answers.who[rows], move.column], answers.values[rows, place]
    options = np.column_stack([own, move.options(own)])
    row, which = np.nonzero(np.abs(options - own[:, None]) < np.abs(now - own)[:, None])
    trials = answers.of(rows[row])
    values = trials.values.copy()
    values[:, place] = options[row, which]
    closer = Trials(trials.who, trials.columns, values)
    better = search.cheapest(search.approved(closer, search.scores(closer)))
    moved = answers.values.copy()
    moved[np.searchsorted(answers.who, better.who)] = better.values
    return Trials(answers.who, answers.columns, moved)


def _spaced(options: Floats, count: int, peak: Floats) -> Floats:
    """Return the outermost options, ranks evenly between and the peak [applicants, count + 1], else NaN."""
    ordered = np.sort(options, axis=1)
    known = np.sum(~np.isnan(options), axis=1)
    ranks = np.round(np.linspace(0, 1, count) * np.maximum(known - 1, 0)[:, None]).astype(np.int64)
    spaced = np.sort(np.column_stack([np.take_along_axis(ordered, ranks, axis=1), peak]), axis=1)
    spaced[:, 1:][spaced[:, 1:] == spaced[:, :-1]] = np.nan
    return spaced


def _combined(
    who: Ints, columns: Ints, values: Floats, person: Ints, members: Ints
) -> Iterator[tuple[Trials, Ints]]:
    """Yield the trials of all combinations of `values` [applicants, moves, values], and each one's set."""
    size = members.shape[1]
    places = np.array(list(product(range(values.shape[2]), repeat=size)))
    for part in _slices(who.size, max(1, ROWS // len(places))):
        ways = values[person[part, None], members[part]]
        tried = ways[:, np.arange(size), places]
        pair, place = np.nonzero(~np.isnan(tried).any(axis=2))
        index = pair + part.start
        yield Trials(who[index], columns[index], tried[pair, place]), index


def _joined(parts: Sequence[Trials], size: int) -> Trials:
    none = Trials(np.empty(0, int), np.empty((0, size), int), np.empty((0, size)))
    return Trials(
        *(
            np.concatenate([getattr(part, name) for part in (none, *parts)])
            for name in ("who", "columns", "values")
        )
    )


def _slices(total: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
