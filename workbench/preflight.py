"""What is known, and refused, before a run starts: its keys, its engine, damage in its folder."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.engine import choose_engine
from workbench.errors import ParamsError, RunError, near_name
from workbench.explanation.text_checks import check_texts
from workbench.features.build import catalogue_of
from workbench.features.catalogue import DeclaredFeature, SourceView, catalogue_table, select_features
from workbench.fingerprint import code_revision, package_versions, source_hashes
from workbench.params import ROOT, STAGES, Study
from workbench.privacy.encryption import open_cipher
from workbench.privacy.pseudonyms import key_check, read_key
from workbench.reason_texts import load_texts
from workbench.reporting.letter_templates import load_template
from workbench.run import MANIFEST, Run, damaged, parts_of
from workbench.store import digest


def refuse_damage(folder: Path, made_again: frozenset[str]) -> None:
    """Refuse a run whose artifacts were edited or truncated; those that are gone are simply made again."""
    if not (folder / MANIFEST).is_file():
        return
    run = Run.open(folder)
    faults = [
        f"{name} {fault}"
        for name, fault in damaged(run).items()
        if fault != "is missing" and run.entry(name)["stage"] not in made_again
    ]
    if faults:
        right = "restore them, make them again with --from STAGE, or choose another folder with --run-id NAME"
        raise RunError(
            f"{run.folder}: {len(faults)} artifact(s) are not as they were written", [*faults, right]
        )


def refuse_other_key(folder: Path, about: Mapping[str, Any]) -> None:
    """Refuse a run whose people have pseudonyms of another key: they could not be joined or forgotten."""
    if not (folder / MANIFEST).is_file():
        return
    known = Run.open(folder).manifest
    if known.get("stages") and known.get("pseudonym_key_check", "") != about["pseudonym_key_check"]:
        right = "set the key the run was made with, or choose another folder with --run-id NAME"
        raise RunError(f"{folder}: the pseudonym key is not the one this run was made with", [right])


def refuse_other_cipher(folder: Path, study: Study, made_again: frozenset[str]) -> None:
    """Refuse a run whose rows the study's encryption key does not open, before a stage is begun again."""
    if not (folder / MANIFEST).is_file():
        return
    run, cipher = Run.open(folder), open_cipher(study.encryption_key)
    if not cipher.variable or run.manifest.get("encryption_key", "") != cipher.variable:
        return
    entries = run.manifest["artifacts"].values()
    rows = [e for e in entries if e["sensitivity"] == "row" and e["stage"] not in made_again]
    for path in (part for entry in rows for part in parts_of(run.folder / entry["path"])):
        if path.is_file():
            cipher.check(path)


def about_run(study: Study) -> dict[str, Any]:
    """Return what the manifest says of a run beside its stages; raises ParamsError or EngineError."""
    engine = choose_engine(study.engine, study.scheduler)
    open_cipher(study.encryption_key)
    return {
        "created": datetime.now(UTC).strftime("%Y-%m-%d"),
        "sources": source_hashes(study),
        "pseudonym_key": study.pseudonym_key,
        "pseudonym_key_check": key_check(read_key(study.pseudonym_key)) if study.pseudonym_key else "",
        "encryption_key": study.encryption_key,
        "code": code_revision(),
        "packages": package_versions(),
        "packages_sha256": digest(package_versions()),
        "engine": {
            "name": engine.name,
            "device": engine.device,
            "why": engine.why,
            "scheduler": engine.scheduler,
        },
        "platform": f"{platform.system()} {platform.machine()}",
        "seeds": {stage: study.section(stage)["seed"] for stage in STAGES if "seed" in study.section(stage)},
    }


def check_tables(study: Study) -> None:
    """Refuse tables that the study is compared with and that are not there."""
    named = {"data.reference": study.data.reference, "data.truth": study.data.truth}
    absent = [
        f"{key}: {path}: no such file" for key, path in named.items() if path and not (ROOT / path).is_file()
    ]
    if absent:
        raise ParamsError(f"{len(absent)} table(s) to compare with are not there", absent)


def check_letters(study: Study) -> None:
    """Refuse sample letters that have no template in the study's first language."""
    for notice in study.report.sample_letters if study.explanation.languages else ():
        load_template(notice, study.explanation.languages[0])


def check_features(study: Study) -> None:
    """Refuse names of features that no source of the study can serve, and names that two of them would make.

    What a source turns out to lack, such as an optional column, is seen when it is read. Refuses as well
    reason texts that lack one of the features, and what else `check_texts` names.
    """
    views = [
        SourceView(
            name,
            source.kind,
            source.data_category,
            bool(source.consent),
            tuple(source.all_types),
            tuple(
                DeclaredFeature(
                    column, f.definition, f.unit, f.monotone, f.data_category or source.data_category
                )
                for column, f in source.features.items()
            ),
        )
        for name, source in study.data.sources.items()
    ]
    made = catalogue_of(
        views,
        windows=study.features.windows,
        observation_days=study.data.observation_days,
        topics=study.features.topics,
    )
    used = select_features(study.features.selected, made)
    if faults := list(_named_elsewhere(study, [feature.name for feature in used])):
        raise ParamsError(f"{len(faults)} name(s) of no feature in use", faults)
    asked = study.explanation
    own = ROOT / asked.reason_texts if asked.reason_texts else None
    check_texts(
        [load_texts(language, own=own) for language in asked.languages],
        catalogue_table(used),
        rules={code: rule.feature for code, rule in asked.knock_out_rules.items()},
        protected=study.data.protected,
    )


def _named_elsewhere(study: Study, used: list[str]) -> Iterator[str]:
    """Tell the names of features, beside those selected, that the study does not use."""
    thin = study.features.thin_feature
    named = {
        "features.invisible_without": study.features.invisible_without,
        "features.thin_feature": [thin] if thin else [],
        "fairness.legitimate": study.fairness.legitimate,
        "explanation.actionable": list(study.explanation.actionable),
        **{
            f"explanation.knock_out_rules.{code}": [rule.feature]
            for code, rule in study.explanation.knock_out_rules.items()
        },
        **{f"validation.stress.{name}": list(changes) for name, changes in study.validation.stress.items()},
    }
    for key, names in named.items():
        for name in names:
            if name not in used:
                yield f"{key}: {name!r} is not in features.selected{near_name(name, used)}"
