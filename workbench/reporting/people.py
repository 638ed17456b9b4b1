"""One applicant's page and the letters of a run: row-level, so never written into the run."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import DataError, ParamsError
from workbench.explanation.decisions import rule_reasons, rules_of
from workbench.explanation.reasons import all_applicants, near_cutoff, rank_reasons
from workbench.explanation.shapley import path_dependent
from workbench.explanation.trials import every_method
from workbench.explanation.wording import Wording, fill_texts, unworded, wording
from workbench.params import ROOT, Study
from workbench.privacy.encryption import Cipher, open_cipher
from workbench.reason_texts import load_texts
from workbench.reporting.applicant_page import applicant_page
from workbench.reporting.applicant_view import Explained, applicant_view
from workbench.reporting.letter_batch import change_texts, data_texts, letters_of
from workbench.reporting.letter_formats import Format
from workbench.reporting.letter_templates import load_template
from workbench.reporting.letters import Bureau, write_letters
from workbench.retention import applicant_in_run
from workbench.run import Run, parts_of, run_folder
from workbench.scorer import Scorer, load_scorer
from workbench.store import read_json


def explain(run: Run, applicant_id: int) -> str:
    """Return the page of one applicant of a complete run, self-contained HTML.

    Whoever was not approved and is not in the holdout sample gets reasons as the stage makes them. Raises
    DataError when the applicant is not in the run.
    """
    scorer, study = _scorer(run), run.study
    features, catalogue = _read(run, "features/features"), _read(run, "features/catalogue")
    mine = pl.col("applicant_id") == applicant_id
    one = features.filter(mine)
    if not one.height:
        raise DataError(
            f"{run.run_id}: no such applicant in this run", ["give the id as it is in the source"]
        )
    scores = _read(run, "training/scores")
    reasons = _read(run, "explanation/reasons").filter(mine)
    if not reasons.height and not scores.filter(mine)["approved"][0]:
        frame = features.join(scores, on="applicant_id", maintain_order="left")
        reasons = _reasons(study, scorer, frame, applicant_id, catalogue)
    found = path_dependent(scorer, one, seed=study.explanation.seed)
    changes = _read(run, "explanation/counterfactuals").filter(mine)
    view = applicant_view(
        applicant_id,
        Explained(found.values[0], found.expected, reasons, changes if changes.height else None),
        scorer=scorer,
        features=features,
        scores=scores,
        margins=_read(run, "training/resampled_margins"),
        catalogue=catalogue,
        weights=dict(_read(run, "explanation/importance").select("feature", "importance").iter_rows()),
        level=study.explanation.level,
        run_id=run.run_id,
        notice=study.report.notice,
    )
    return applicant_page(view)


def shown(run: str, applicant: str) -> Any:
    """Return the page of one applicant for a notebook cell; without an applicant, what to do.

    `run`: its folder, or its name in runs/; `applicant`: the id as it is in the source. Raises as `explain`.
    """
    from IPython.display import HTML, Markdown

    if not applicant:
        return Markdown("Name an applicant.")  # type: ignore[no-untyped-call]
    opened = Run.open(run_folder(Path(run)))
    page = explain(opened, applicant_in_run(opened, applicant, ""))
    frame = f'<iframe srcdoc="{escape(page)}" width="100%" height="900" title="One applicant"></iframe>'
    return HTML(f"<div>{frame}</div>")  # type: ignore[no-untyped-call]


def run_letters(
    run: Run,
    folder: Path,
    *,
    notice: str,
    language: str,
    decided_on: date,
    formats: Collection[Format] = ("html", "pdf"),
    fonts: Sequence[Path] = (),
    most: int = 0,
) -> list[Path]:
    """Write a letter for each of the holdout sample who was not approved into a folder, and return the paths.

    `notice`: the jurisdiction whose letter it is; `most`: the first so many by pseudonym, 0 for all. Reasons
    are told in `language`, which the study must name. Raises ParamsError for a language that it does not.
    """
    study, template = run.study, load_template(notice, language)
    if language not in study.explanation.languages:
        known = ", ".join(study.explanation.languages) or "none"
        raise ParamsError(
            f"explanation.languages has no {language}: its reasons were not checked", [f"named are: {known}"]
        )
    decided = _read(run, "explanation/decisions").filter(pl.col("decision") != "approved")
    people = decided.sort("applicant_id").head(most or decided.height)
    wanted = pl.col("applicant_id").is_in(people["applicant_id"].implode())
    features, catalogue = _read(run, "features/features").filter(wanted), _read(run, "features/catalogue")
    words = _wording(study, catalogue, language)
    told, factors = (
        fill_texts(
            _read(run, f"explanation/{name}").filter(wanted),
            features,
            words,
            currency=study.explanation.currency,
        )
        for name in ("reasons", "key_factors")
    )
    changes = _read(run, "explanation/counterfactuals").filter(wanted)
    letters = letters_of(
        told,
        decided=dict(people.select("applicant_id", "decision").iter_rows()),
        decided_on=decided_on,
        data_used=data_texts(catalogue),
        automated=True,
        changes=change_texts(changes, catalogue) if language == "en" and changes.height else None,
    )
    bureau = {
        str(own): Bureau(key_factors=tuple(texts))
        for own, texts in factors.sort("applicant_id", "rank")
        .group_by("applicant_id", maintain_order=True)
        .agg("reason_text")
        .iter_rows()
    }
    complete = [replace(letter, bureau=bureau.get(letter.applicant)) for letter in letters]
    return write_letters(complete, template, study.report.letters, folder, formats=formats, fonts=fonts)


def _read(run: Run, artifact: str) -> pl.DataFrame:
    cipher = open_cipher(run.manifest.get("encryption_key", ""))
    parts, is_row = parts_of(run.checked_path(artifact)), run.entry(artifact)["sensitivity"] == "row"
    return pl.read_parquet(parts, glob=False, **(cipher if is_row else Cipher()).reading)


def _scorer(run: Run) -> Scorer:
    about = read_json(run.checked_path("training/scorer"))
    return load_scorer(run.checked_path("training/champion").read_bytes(), about)


def _wording(study: Study, catalogue: pl.DataFrame, language: str) -> Wording:
    rules = {code: rule.feature for code, rule in study.explanation.knock_out_rules.items()}
    if not language:
        return unworded(catalogue, rules=rules)
    own = ROOT / study.explanation.reason_texts if study.explanation.reason_texts else None
    return wording(load_texts(language, own=own), catalogue, rules=rules)


def _reasons(
    study: Study, scorer: Scorer, frame: pl.DataFrame, applicant_id: int, catalogue: pl.DataFrame
) -> pl.DataFrame:
    """Return the reasons of one applicant by the study's method, in its first language."""
    asked, development = study.explanation, frame.filter(sample="development")
    one = frame.filter(pl.col("applicant_id") == applicant_id)
    declared = {code: rule.model_dump(exclude_defaults=True) for code, rule in asked.knock_out_rules.items()}
    rules = rules_of(declared, scorer.features)
    codes = rule_reasons(one, rules, reasons_shown=asked.reasons_shown)
    if not codes.height:
        drawing = {"size": asked.background_size, "seed": asked.seed}
        score_range = asked.background_score_range
        near = near_cutoff(development, cutoff=scorer.cutoff, score_range=score_range, **drawing)
        drawn = all_applicants(development, **drawing)
        losses = every_method(
            scorer,
            one,
            near=development.filter(pl.col("applicant_id").is_in(near.implode())),
            everybody=development.filter(pl.col("applicant_id").is_in(drawn.implode())),
            approved=development.filter(approved=1),
            families=dict(catalogue.select("feature", "family").iter_rows()),
            size=asked.best_value_size,
            seed=asked.seed,
        )
        codes = rank_reasons(losses[asked.method], one["applicant_id"], reasons_shown=asked.reasons_shown)
    words = _wording(study, catalogue, asked.languages[0] if asked.languages else "")
    return fill_texts(codes, one, words, currency=asked.currency)
