"""report.json, the record of a finished run: written last, read back with clear errors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debias import config as configs
from debias.errors import InputError
from debias.files import write_atomically
from debias.json_files import read_json
from debias.reports.privacy import without_places

if TYPE_CHECKING:
    from debias.reports.mistakes import Overlays, Pictures, Prepared
    from debias.reports.predictions import Predictions
    from debias.types import Groups

SCHEMA = 1
PAGE = "report.html"
#: The entries of a record that commands and tables read, and their types.
ENTRIES: dict[str, type] = {
    "seed": int,
    "config": dict,
    "data.groups": list,
    "data.targets": list,
    "data.biases": list,
    "data.aligned": list,
    "data.multi_label": bool,
    "data.counts": dict,
    "model.weights": str,
    "strategy.name": str,
    "strategy.group_labels": str,
    "precision": str,
    "versions": dict,
    "git": dict,
    "selection.rule": str,
    "selection.epoch": int,
    "selection.table": list,
    "metrics": dict,
    "seconds": dict,
}


def write_report(
    folder: Path,
    report: Mapping[str, Any],
    predictions: Predictions | None = None,
    pictures: Pictures | None = None,
    *,
    prepared: Prepared | None = None,
    overlays: Overlays | None = None,
) -> None:
    """Write report.html, and then report.json, which marks the run as finished.

    Args:
        folder: the run's folder.
        report: the record, ``"schema": 1``; tensors and arrays become lists, NaN and infinity
            become null. Where its config says ``anonymous``, absolute paths become file names.
        predictions: of the test split, for the mistakes on the page.
        pictures: gives the picture and mask of a data set row; without it the page shows no
            mistakes.
        prepared: gives what the model is given of a data set row, where that is another picture.
        overlays: gives the picture of a data set row with what the model looks at laid over it.

    Raises:
        ValueError: the record is of another schema, or holds something that JSON has no form for.
    """
    from debias.reports.page import write_page

    record = plain(dict(report))
    if record.get("schema") != SCHEMA:
        raise InputError(f'a report has "schema": {SCHEMA}; got {record.get("schema")!r}')
    if record["config"].get("anonymous"):
        record = without_places(record)
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_page(folder / PAGE, record, predictions, pictures, prepared, overlays)
    write_atomically(folder / "report.json", text)


def page_of(folder: Path) -> Path:
    """The page of a finished run; if an earlier version left none, it is written now."""
    from debias.reports.page import write_page

    page = folder / PAGE
    if not page.is_file():
        write_page(page, read_report(folder), None, None)
    return page


def read_report(folder: Path) -> dict[str, Any]:
    """The record of a finished run; what was NaN is ``None``.

    Keys of the config that came into being after the run have their defaults, which are what it
    did.

    Raises:
        ValueError: no such run, a run that has not finished, or a record that this version cannot
            read; the message names the remedy.
    """
    path = folder / "report.json"
    if not path.is_file():
        raise InputError(_absence(folder))
    remedy = "restore it, or delete the run's folder and train again"
    report = read_json(path, dict, entries={}, remedy=remedy)
    if report.get("schema") != SCHEMA:
        found = report.get("schema")
        raise InputError(
            f"{path} has schema {found!r}; this version of debias reads schema {SCHEMA}"
        )
    report = read_json(path, dict, entries=ENTRIES, remedy=remedy)
    return {**report, "config": configs.plain(configs.Config()) | report["config"]}


def groups_of(report: Mapping[str, Any]) -> Groups:
    """The groups that a run was evaluated on, so that its predictions can be scored again."""
    from debias.types import Groups

    data = report["data"]
    aligned = tuple((int(target), int(bias)) for target, bias in data["aligned"])
    return Groups(tuple(data["targets"]), tuple(data["biases"]), aligned, data["multi_label"])


def plain(value: Any) -> Any:
    """A value as JSON can hold it: paths as text, arrays as lists, NaN as ``None``."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise InputError(
        f"a report cannot hold {value!r} of type {type(value).__name__}: give it as plain numbers "
        "or text"
    )


def _absence(folder: Path) -> str:
    config = folder / "config.yaml"
    if config.is_file():
        return (
            f"{folder} has not finished (no report.json): continue it with `debias train {config} "
            f"resume={folder}`"
        )
    what = (
        "is not a run folder (no report.json, no config.yaml)"
        if folder.is_dir()
        else "does not exist"
    )
    return f"{folder} {what}: give the folder that `debias train` printed"
