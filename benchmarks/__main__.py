"""`make bench`: what the workbench does against what a user would pick instead, in one run, as ratios."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from benchmarks.cases import CASES, Case
from benchmarks.measure import measure


def chosen(words: list[str]) -> list[Case]:
    """Return the cases whose names hold all the words of the command line: every case without words."""
    return [case for case in CASES if all(word in case.name for word in words)]


def main() -> None:
    table = Table(title="The workbench against what a user would pick instead")
    for name in ("case", "ours", "s", "MiB", "instead", "s", "MiB", "times faster"):
        table.add_column(name, justify="left" if name in ("case", "ours", "instead") else "right")
    console = Console(width=160)
    for case in chosen(sys.argv[1:]):
        print(f"measuring: {case.name}", file=sys.stderr, flush=True)
        ours, theirs = measure(case.ours), measure(case.instead)
        theirs_seconds = theirs.seconds * case.scale
        table.add_row(
            case.name,
            case.ours_name,
            f"{ours.seconds:.3f}",
            f"{ours.peak_mib:,}",
            case.instead_name,
            f"{theirs_seconds:.3f}",
            f"{theirs.peak_mib:,}",
            f"{theirs_seconds / ours.seconds:,.1f}",
        )
    console.print(table)
    console.print(
        "Best of three, each side in a process of its own; MiB is the process's peak, imports included."
    )


if __name__ == "__main__":
    main()
