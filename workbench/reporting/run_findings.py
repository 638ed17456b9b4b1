"""What a run finds against itself and what people decided: recorded once, and told from the record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl

from workbench.errors import RunError
from workbench.finding_rules import FindingRules, load_finding_rules
from workbench.own_findings import OwnFindings, load_own_findings
from workbench.packs import load_packs
from workbench.params import STAGES
from workbench.reporting.disclosure import shown_facts
from workbench.reporting.documents import names_in
from workbench.reporting.finding_pages import as_json, finding_pages, findings_record, opinion_page
from workbench.reporting.finding_states import finding_states, latest_day, updated_register
from workbench.reporting.finding_tables import artifact_rows, finding_tables
from workbench.reporting.findings import Judge
from workbench.reporting.requirement_pages import matrix_of
from workbench.run import Run
from workbench.statements import load_statements
from workbench.store import digest

REGISTER = "findings"


@dataclass(frozen=True)
class RunFindings:
    """The findings of a run, as `finding_states` returns them, its matrix, and the day of the record."""

    frame: pl.DataFrame
    matrix: pl.DataFrame
    rules: FindingRules
    own: OwnFindings
    as_of: date
    run_id: str

    def pages(self) -> dict[str, str]:
        """Return the generated pages about findings."""
        pages = finding_pages(self.frame, self.rules, self.as_of)
        return pages | {"opinion": opinion_page(self.own.opinion)}

    def records(self) -> dict[str, Any]:
        """Return what gates read, by the name of its file: the findings, and the evidence matrix."""
        return {
            "findings": findings_record(self.frame, self.as_of, self.run_id),
            "requirements": as_json(self.matrix),
        }


def findings_of(run: Run) -> RunFindings:
    """Return the findings of a run as its register knows them.

    Raises:
        RunError: a closing or acceptance whose evidence is no fact or artifact of the run.
    """
    manifest, case = run.manifest, _Case.of(run)
    register = manifest.get(REGISTER, [])
    as_of = latest_day(manifest["created"], register)
    frame = finding_states(register, case.raised, case.own, case.rules.due_days, as_of)
    return RunFindings(frame, case.matrix, case.rules, case.own, as_of, run.run_id)


def record_findings(run: Run, today: date) -> None:
    """Write into the manifest's register what this run raises and what is closed; nothing changes twice.

    The first record of a run begins with the register of the run that `report.previous_run` names.
    """
    case, label = _Case.of(run), _label(run)
    known = run.manifest.get(REGISTER) or _earlier(run)
    register = updated_register(
        known, case.raised, case.own, case.judge, case.rules, run=label, on=today.isoformat()
    )
    run.update(lambda manifest: manifest.update({REGISTER: register}))


@dataclass(frozen=True)
class _Case:
    """What the findings of a run are judged by, and what its rules raise."""

    rules: FindingRules
    own: OwnFindings
    matrix: pl.DataFrame
    judge: Judge
    raised: pl.DataFrame

    @classmethod
    def of(cls, run: Run) -> _Case:
        study, manifest, facts = run.study, run.manifest, shown_facts(run)
        rules, own, names = load_finding_rules(), load_own_findings(study), names_in(manifest)
        if faults := own.evidence_faults({*names, *(fact["id"] for fact in facts)}):
            raise RunError(f"{study.report.findings_from}: evidence that the run does not have", faults)
        matrix = matrix_of(study, names, facts)
        tables = finding_tables(
            facts,
            study,
            manifest,
            packs=load_packs(study.data.packs),
            matrix=matrix,
            statements=load_statements(study),
            own=own,
            permission=pl.read_parquet(run.checked_path("data/permission")),
        )
        day, below = date.fromisoformat(study.data.judged_on), study.report.suppress_below
        judge = Judge(tables | artifact_rows(run, rules), day, below)
        return cls(rules, own, matrix, judge, judge.raise_findings(rules))


def _label(run: Run) -> str:
    """Return a name for these results of a run: other facts in the same folder are another run of it."""
    known = run.manifest["artifacts"]
    return f"{run.run_id} {digest([known[f'{stage}/facts']['sha256'] for stage in STAGES])[:8]}"


def _earlier(run: Run) -> list[dict[str, Any]]:
    name = run.study.report.previous_run
    if not name:
        return []
    register: list[dict[str, Any]] = Run.open(run.folder.parent / name).manifest.get(REGISTER, [])
    return register
