"""Runs all comparisons, or the named ones, and prints one row per comparison.

usage: scripts/parity [--clones FOLDER] [--markdown] [NAME ...]
"""

import argparse
import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from parity_checks.checks import CHECKS, Check
from parity_checks.official import Clones
from parity_checks.references import REFERENCES
from parity_checks.rows import Row, markdown

#: Beside this project's own folders, where git ignores it.
CLONES = Path(__file__).resolve().parents[2] / "clones"


def compare(
    names: Sequence[str], checks: Mapping[str, Check], clones: Clones, *, as_markdown: bool = False
) -> int:
    """Run checks by name and print their rows; return the number that differ or could not run."""
    rows: list[Row] = []
    failed = 0
    for name in names:
        try:
            for row in checks[name](clones):
                rows.append(row)
                if not as_markdown:
                    print(" | ".join(row.cells()), flush=True)
        # code that was written for other versions of torch may raise any exception
        except Exception as error:
            failed += 1
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
    if as_markdown:
        print(markdown(rows))
    differing = sum(not row.ok for row in rows)
    summary = (
        f"{len(rows)} comparisons of {len(names)} checks: {differing} differ, {failed} checks "
        "could not run"
    )
    print(summary, file=sys.stderr if as_markdown else sys.stdout)
    return differing + failed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/parity", description="our losses and recipes beside official code"
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"checks to run, of {', '.join(CHECKS)}; all"
    )
    parser.add_argument(
        "--clones", type=Path, default=CLONES, help="folder of clones, owner/name; clones/"
    )
    parser.add_argument(
        "--markdown", action="store_true", help="print the rows as the table of docs/parity.md"
    )
    given = parser.parse_args(arguments)
    if shutil.which("git") is None:
        parser.error("the authors' code is read by git: install it")
    unknown = [name for name in given.names if name not in CHECKS]
    if unknown:
        parser.error(f"unknown checks {', '.join(unknown)}; valid: {', '.join(CHECKS)}")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with warnings.catch_warnings():
            # official code warns with newer versions of its dependencies
            warnings.simplefilter("ignore")
            names, clones = given.names or list(CHECKS), Clones(given.clones, REFERENCES)
            return int(compare(names, CHECKS, clones, as_markdown=given.markdown) > 0)
    finally:
        torch.set_default_dtype(before)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
