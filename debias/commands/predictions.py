"""``debias evaluate predictions.csv``: the metrics of any model, from a file of predictions."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from torch import Tensor

from debias.errors import InputError, near
from debias.evaluation.evidence import Evidence
from debias.evaluation.measures import Measures, measure_all
from debias.files import write_atomically
from debias.json_files import Json, json_text, typed
from debias.merging import Settings, read_overrides, taken
from debias.metrics.accuracy.counts import margin_counts
from debias.metrics.accuracy.scalars import group_report
from debias.reports.classes import positive_class
from debias.reports.evaluation import Evaluation
from debias.reports.foreign import frequencies_of, read_foreign
from debias.reports.split import Split
from debias.reports.terminal import accuracy_lines, measure_lines
from debias.types import Groups

#: Options of the command, with their meaning and types. The default is ``None``.
OPTIONS: dict[str, tuple[str, tuple[type, ...]]] = {
    "bias": ("column of the bias attribute, or several: bias=[gender,age]", (list, str, int)),
    "positive": ("which of two classes is the positive one: positive=waterbird", (str,)),
    "aligned": (
        "(target, bias) pairs that the shortcut favours: "
        "aligned=[[landbird,land],[waterbird,water]], or of several columns by column",
        (list, dict),
    ),
    "train": (
        "CSV file with the target and bias of the training images, for measures that compare with "
        "training",
        (str,),
    ),
    "out": ("JSON file that receives the numbers", (str,)),
}


def evaluate_predictions(
    path: Path, overrides: list[str], families: list[str], *, whole: Collection[str] = ()
) -> None:
    """Print the group metrics and measures of a file of predictions; with ``out``, write them too.

    Args:
        path: as in :func:`evaluate_file`.
        overrides: as in :func:`evaluate_file`.
        families: as in :func:`evaluate_file`.
        whole: families whose numbers are all printed; of the others, only the main ones.

    Raises:
        ValueError: an option is unknown or has the wrong type, or a file has a mistake.
    """
    evaluation, notes = evaluate_file(path, overrides, families)
    scalars, left_out, positive = evaluation.measures, evaluation.left_out, evaluation.positive
    lines = measure_lines(scalars, left_out, whole=whole, positive=positive)
    print("\n".join([*lines, *accuracy_lines(path.name, evaluation.splits["test"]), *notes]))


def evaluate_file(
    path: Path, overrides: list[str], families: list[str]
) -> tuple[Evaluation, list[str]]:
    """Evaluate a file of predictions; with ``out``, write the numbers.

    Args:
        path: CSV file for :func:`debias.reports.foreign.read_foreign`.
        overrides: ``key=value`` of ``OPTIONS``.
        families: families of measures to compute; those that need the model are left out.

    Returns:
        The evaluation, and lines for the user: a hint, and the file that was written.

    Raises:
        ValueError: an option is unknown or has the wrong type, or a file has a mistake.
    """
    options = _options(overrides)
    bias = options["bias"]
    train = None if options["train"] is None else Path(options["train"])
    rows, groups, scored = read_foreign(path, bias=bias, aligned=options["aligned"], train=train)
    positive = positive_class(groups, options["positive"])
    labelled = bool((rows.bias >= 0).any())
    frequencies = None if train is None or not labelled else _frequencies(train, groups, bias)
    counts = margin_counts(rows.prediction(groups), rows.target, rows.bias, groups)
    metrics = group_report(counts, groups, frequencies) | {"unknown": int((rows.bias < 0).sum())}
    evidence = Evidence(rows, groups, frequencies, scored=scored, positive=positive)
    measures = measure_all(evidence, families)
    splits = {"test": typed(Split, metrics)}
    notes = []
    if not bias and not labelled:
        notes.append("add bias=COLUMN, the column of a bias attribute, for results per group")
    if options["out"] is not None:
        numbers = {"predictions": str(path), "metrics": metrics, "positive": positive}
        write_numbers(Path(options["out"]), numbers, measures)
        notes.append(options["out"])
    return Evaluation(splits, measures.scalars, measures.left_out, positive), notes


def _frequencies(train: Path, groups: Groups, bias: list[str]) -> Tensor:
    frequencies = frequencies_of(train, groups, bias=bias)
    if not bool(frequencies.any()):
        column = bias or "bias"
        raise InputError(
            f"train={train}: no image has a known bias; give a file with the column {column}"
        )
    return frequencies


def _options(overrides: list[str]) -> Settings:
    # as text, since YAML reads the class "no" as false
    positive, others = taken(overrides, "positive", None)
    given = read_overrides(others)
    for key in given:
        if key not in OPTIONS:
            hint = near(key, OPTIONS)
            raise InputError(f"unknown option {key!r} of a file of predictions; {hint}")
        if not _fits(key, given[key]):
            value = "null" if given[key] is None else given[key]
            raise InputError(f"{key}={value} has the wrong type; {key}: {OPTIONS[key][0]}")
    options: Settings = dict.fromkeys(OPTIONS) | {"bias": [], "aligned": []} | given
    names = options["bias"] if isinstance(options["bias"], list) else [options["bias"]]
    return options | {"bias": [str(name) for name in names], "positive": positive}


def _fits(key: str, value: Any) -> bool:
    if key == "bias" and isinstance(value, list):
        return bool(value) and all(isinstance(name, (str, int)) for name in value)
    optional = value is None and key in ("train", "out")
    return optional or isinstance(value, OPTIONS[key][1])


def write_numbers(path: Path, numbers: Json, measures: Measures) -> None:
    """Write the numbers of an evaluation and its measures as JSON.

    Raises:
        ValueError: the file cannot be written.
    """
    entries = {"measures": measures.scalars, "left_out": measures.left_out}
    try:
        write_atomically(path, json_text(numbers | entries | {"curves": measures.curves}))
    except OSError as error:
        raise InputError(
            f"out={path} cannot be written ({error.strerror}): give another file"
        ) from None
