"""``debias index``: one page of all runs in a folder."""

from pathlib import Path

from debias.config import EXECUTION
from debias.reports.index import index, write_index


def run(folder: str) -> None:
    """Write the page into the folder, and print the number of runs and its path.

    Raises:
        ValueError: the folder does not exist, or contains no run.
    """
    found = index(Path(folder), ignore=EXECUTION)
    print(f"{found.summary}\n{write_index(found)}")
