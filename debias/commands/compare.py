"""``debias compare``: one table of finished runs."""

from __future__ import annotations

from pathlib import Path

from debias.config import EXECUTION


def run(folders: list[str], markdown: bool) -> None:
    """Print a line per method, over its seeds, and, but for Markdown, write an overview page into the first folder.

    Raises:
        ValueError: a folder is not there.
    """
    from debias.reports.comparison import compare, write_comparison

    absent = [folder for folder in folders if not Path(folder).is_dir()]
    if absent:
        raise ValueError(f"no folder {', '.join(absent)}: give runs, or folders of runs")
    comparison = compare([Path(folder) for folder in folders], ignore=EXECUTION)
    print(comparison.table("markdown" if markdown else "text"))
    if comparison.methods and not markdown:
        page = Path(folders[0]) / "comparison.html"
        write_comparison(page, comparison)
        print(f"\n{page}")
