"""``debias compare``: one table of finished runs."""

from debias.config import EXECUTION
from debias.errors import InputError
from debias.reports.comparison import compare
from debias.reports.method_views import write_comparison
from debias.storage.results import results_folder


def run(folders: list[str], markdown: bool, measure: list[str]) -> None:
    """Print one row per method, over its seeds, and write an overview page into the first folder.

    With ``markdown``, no page is written.

    Raises:
        ValueError: a folder does not exist, a measure is not written as family:key, or the page
            cannot be written; the table is printed before.
    """
    places = list(map(results_folder, folders))
    absent = [str(place) for place in places if not place.is_dir()]
    if absent:
        raise InputError(f"no folder {', '.join(absent)}: give runs, or folders of runs")
    for name in measure:
        if ":" not in name:
            raise InputError(
                f"measure {name!r} must be family:key, as in background:background_robustness"
            )
    comparison = compare(places, ignore=EXECUTION, measures=measure)
    print(comparison.table("markdown" if markdown else "text"))
    if comparison.methods and not markdown:
        page = places[0] / "comparison.html"
        try:
            write_comparison(page, comparison)
        except OSError as error:
            raise InputError(
                f"{page} cannot be written ({error.strerror}): add --markdown, which writes no page"
            ) from None
        print(f"\n{page}")
