"""``debias cache``: show or free the finished stages and features that runs share."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

from debias.errors import InputError, check_at_least, near, shown
from debias.merging import read_overrides
from debias.progress import duration
from debias.reports.tables import text_table
from debias.store import FEATURES, STAGES, KeptItem, Store
from debias.sweeps.plan import SHARED

COLUMNS = ("kept", "MB", "MB freed", "last used", "runs that have it")
#: Options of ``prune``, with an example of each.
OPTIONS = {"days": 30, "gb": 20, "unused": True}
NOTE = (
    "MB freed: room that pruning gives back. Files of a run that exists have a second name, and "
    "need none."
)


def run(action: str, folder: str, overrides: list[str]) -> None:
    """List what is kept in a folder, or remove a part of it.

    Args:
        action: "list" or "prune".
        folder: the folder that ``share`` names, or the folder of a sweep.
        overrides: for "prune" at least one of ``days=30``, which removes what no run has used for
            so long, ``unused=true``, which removes stages whose runs are all deleted, and
            ``gb=20``, which then removes what was used longest ago until so much is left.

    Raises:
        ValueError: the folder keeps nothing, or an option is unknown or has a wrong value.
    """
    store = _store(Path(folder))
    if action == "list":
        if overrides:
            raise InputError(f"cache list takes a folder only; got {' '.join(overrides)}")
        print("\n".join(_table(store.items())))
        return
    options = _options(overrides)
    store.tidy()
    freed = 0
    for item in _chosen(store.items(), options):
        if store.delete(item):
            freed += item.freed
            print(f"removed {item.name}, last used {_ago(item)}")
        else:
            print(f"left {item.name}: a process trains or takes it now")
    print(f"{freed / 1e6:,.1f} MB freed; left: {_sum(store.items())}")


def _store(folder: Path) -> Store:
    for place in (folder, folder / SHARED):
        if any((place / part).is_dir() for part in (STAGES, FEATURES)):
            return Store(place)
    raise InputError(
        f"{folder} keeps no stages or features: give the folder that share= names, or the folder "
        "of a sweep"
    )


def _options(overrides: Sequence[str]) -> dict[str, float]:
    options = read_overrides(overrides)
    for key, value in options.items():
        if key not in OPTIONS:
            raise InputError(f"unknown option {key!r} of cache prune; {near(str(key), OPTIONS)}")
        kinds = (bool,) if key == "unused" else (int, float)
        if type(value) not in kinds:
            raise InputError(f"{key} must be as in {key}={str(OPTIONS[key]).lower()}; got {value}")
    if not options:
        raise InputError("cache prune removes nothing by itself: add days=30, unused=true or gb=20")
    check_at_least(0, {key: float(value) for key, value in options.items()})
    return {str(key): float(value) for key, value in options.items()}


def _chosen(items: Sequence[KeptItem], options: dict[str, float]) -> list[KeptItem]:
    """The items to remove: those that are due, and then those used longest ago."""
    oldest, most = sorted(items, key=lambda item: item.used), options.get("gb", math.inf) * 1e9
    chosen = [item for item in oldest if _is_due(item, options)]
    left = sum(item.size for item in items) - sum(item.size for item in chosen)
    for item in oldest:
        if left > most and item not in chosen:
            chosen.append(item)
            left -= item.size
    return chosen


def _is_due(item: KeptItem, options: dict[str, float]) -> bool:
    aged = time.time() - item.used > 86400 * options.get("days", math.inf)
    return aged or (bool(options.get("unused")) and item.is_stage and not item.runs)


def _table(items: Sequence[KeptItem]) -> list[str]:
    rows = [
        [
            item.name,
            f"{item.size / 1e6:,.1f}",
            f"{item.freed / 1e6:,.1f}",
            _ago(item),
            shown(sorted(map(_run_name, item.runs))) if item.runs else "-",
        ]
        for item in sorted(items, key=lambda item: item.name)
    ]
    return [*text_table(COLUMNS, rows), "", _sum(items), NOTE]


def _run_name(folder: Path) -> str:
    """The name of a run, from its folder or that of its stage."""
    return (folder.parents[1] if folder.parent.name == "stages" else folder).name


def _ago(item: KeptItem) -> str:
    return f"{duration(max(0.0, time.time() - item.used))} ago"


def _sum(items: Sequence[KeptItem]) -> str:
    stages = sum(item.is_stage for item in items)
    size = sum(item.size for item in items) / 1e6
    return f"{stages} stages and {len(items) - stages} files of features, {size:,.1f} MB"
