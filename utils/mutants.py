#!/usr/bin/env python
"""Do the fast tests notice when the code is wrong?  utils/mutants.py --jobs 2

Breaks the package in one place at a time, as listed in utils/mutants.yaml, and runs the tests that
mirror the broken module. The working tree stays as it is: everything happens in copies of it. Tests
that fail without a mutant are named and left out, since they would notice everything.
"""

import argparse
import re
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mutants_judge import Report, copy_repository, judge
from mutants_tree import Mutant, MutantError, load_mutants, mutated_source

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".yaml")


def main() -> None:
    """Print the table; exit with 1 where too many mutants survive or the list is out of date."""
    args = build_parser().parse_args()
    # An exit by exception ends the tests that run; a plain SIGTERM would leave them behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    mutants = chosen_mutants(args.only)
    if args.list:
        sys.exit(list_mutants(ROOT, mutants) > 0)

    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        # One state of the code for all mutants, whatever is edited meanwhile.
        copied = Path(folder)
        copy_repository(ROOT, copied)
        report = judge(copied, mutants, args.seconds, args.jobs)

    table = format_report(report)
    print(table, end="")
    if args.out:
        args.out.write_text(table, encoding="utf-8")
    failed = report.share < args.least or report.stale
    sys.exit(1 if failed else 0)


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="mutants whose name or module match this regex")
    parser.add_argument("--list", action="store_true", help="list the mutants, test nothing")
    parser.add_argument("--jobs", type=int, default=1, help="mutants tested at a time (1)")
    parser.add_argument("--seconds", type=float, default=120.0, help="for one mutant's tests (120)")
    parser.add_argument("--least", type=float, default=90.0, help="share to notice, in %% (90)")
    parser.add_argument("--out", type=Path, help="file for the table")
    return parser


def chosen_mutants(only: str) -> list[Mutant]:
    """The mutants of the list whose name or module a regular expression is found in."""
    chosen = []
    for mutant in load_mutants(LIST):
        described = f"{mutant.name} {mutant.module}"
        if re.search(only, described):
            chosen.append(mutant)
    return chosen


def list_mutants(root: Path, mutants: Sequence[Mutant]) -> int:
    """Print each mutant and whether it applies; return how many do not."""
    stale = 0
    for mutant in mutants:
        try:
            mutated_source(root, mutant)
            print(f"{mutant.name}: {mutant.module} {mutant.function}")
        except MutantError as error:
            stale += 1
            print(f"no longer applies: {error}")
    return stale


def format_report(report: Report) -> str:
    """A Markdown table and the sums below it."""
    lines = ["| mutant | verdict | test | seconds |", "|:--|:--|:--|--:|"]
    for verdict in report.verdicts:
        word = "noticed" if verdict.noticed_by else "**survived**"
        # Parameters of a test may hold a bar, which would end the cell.
        test = verdict.noticed_by.replace("|", r"\|")
        lines.append(f"| {verdict.name} | {word} | {test} | {verdict.seconds:.0f} |")

    count = len(report.verdicts)
    lines += ["", f"{report.share:.1f} % of {count} mutants noticed"]
    lines += [f"no longer applies: {message}" for message in report.stale]
    lines += [f"left out, fails without a mutant: {test}" for test in report.red]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
