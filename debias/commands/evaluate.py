"""``debias evaluate``: every metric of a trained run or checkpoint."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from debias import config as configs
from debias.config import Config
from debias.errors import InputError
from debias.json_files import Json, read_json, typed
from debias.merging import taken

if TYPE_CHECKING:
    from debias.parts import Parts
    from debias.reports.predictions import Predictions
    from debias.reports.record import Report

#: The checkpoint brings the weights: none are downloaded or read to start from.
NO_WEIGHTS = ("model.pretrained=false", "model.weights=null")

#: What an override may change: where the data lies, and where and how predictions are computed.
CHANGEABLE = (
    "cache",
    "cache_dir",
    "workers",
    "progress",
    "eval_batch_size",
    "accelerator",
    "devices",
    "precision",
    "select",
    "anonymous",
)
CHANGEABLE_DATA = ("root", "csv", "masks", "fills", "max_pixels", "follow_links")


def run(run: str, overrides: list[str]) -> None:
    """Measure everything that the data allows, write the run's report again, and print a summary.

    A run's saved predictions are used where they are those of its weights and of the data;
    otherwise, and for ``fresh=true``, every split is predicted again. With another ``select`` than
    the run's, the epoch which that rule prefers is evaluated, and nothing is written.
    ``measures=NAME,NAME`` takes some families only, and prints all their numbers. ``positive=NAME``
    says which of two classes is the positive one. A CSV file of anybody's predictions is evaluated
    without a model: see :mod:`debias.commands.predictions`.

    Raises:
        ValueError: no such run or checkpoint, its weights do not fit, the data is not the run's, or
            an override changes what was trained. Untrained weights are never evaluated.
    """
    from debias.evaluation.measures import chosen_families

    measures, others = taken(overrides, "measures", "all")
    families = chosen_families(measures)
    whole = [name for name in families if name in measures.split(",")]
    if Path(run).suffix == ".csv":
        from debias.commands.predictions import evaluate_predictions

        evaluate_predictions(Path(run), others, families, whole=whole)
        return
    fresh, others = taken(others, "fresh", "false")
    if fresh not in ("true", "false"):
        raise InputError(f"fresh={fresh}: say fresh=true to predict anew, or leave it out")
    positive, others = taken(others, "positive", "")
    _evaluate_run(
        Path(run), others, families, whole=whole, fresh=fresh == "true", positive=positive or None
    )


def _evaluate_run(
    place: Path,
    overrides: list[str],
    families: list[str],
    *,
    whole: Collection[str],
    fresh: bool,
    positive: str | None,
) -> None:
    from debias.build import build
    from debias.evaluation.predictions import load_weights, measure, predict_splits
    from debias.evaluation.saved import origin
    from debias.reports.classes import positive_class
    from debias.runs.description import circumstances
    from debias.runs.outcome import measured, save_outcome

    report = _report_of(place)
    config = _config_of(place, overrides)
    rule = _rule(report, config.select)
    checkpoint = place if place.is_file() else _selected(place, report, rule)
    parts = build(config)
    _check_same_data(place, report, parts.examples)
    named = positive or (report.positive_class if report else None)
    positive = positive_class(parts.examples.groups, named)
    metadata = load_weights(parts.module, checkpoint)
    print(f"{checkpoint} (epoch {metadata.get('epoch', 'unknown')})")
    wanted = origin(checkpoint, config.precision)
    saved = None if fresh or report is None else _saved(place, report, wanted, parts)
    predictions = saved or predict_splits(parts, progress=config.progress)
    metrics = {split: measure(rows, parts.examples) for split, rows in predictions.items()}
    measures = measured(parts, predictions, families, progress=config.progress, positive=positive)
    _print(metrics, measures, whole, positive)
    if report is not None and rule == report.selection.rule:
        measures = joined(report, measures, same=saved is not None, positive=positive)
        record = report.entries | {"metrics": metrics, **measures, "positive": positive}
        record["config"] = report.config | {"anonymous": config.anonymous}
        record |= {"evaluated": circumstances(parts), "predicted_from": wanted}
        save_outcome(place, record, predictions, parts)
        print(f"{place}/report.html")


def _saved(
    place: Path, report: Report, wanted: dict[str, str], parts: Parts
) -> dict[str, Predictions] | None:
    """The saved predictions of a report; or ``None``, and a line that says why not."""
    from debias.evaluation.saved import saved_predictions

    try:
        return saved_predictions(place, report.predicted_from, wanted, parts.examples)
    except InputError as reason:
        print(f"predicted anew: {reason}")
        return None


def _print(metrics: Json, measures: Json, whole: Collection[str], positive: str | None) -> None:
    """The measures first, and the accuracies of the test split last, where one sees them."""
    from debias.reports.split import Split
    from debias.reports.terminal import accuracy_lines, measure_lines, short_line

    found, left_out = measures["measures"], measures["left_out"]
    lines = measure_lines(found, left_out, whole=whole, positive=positive)
    splits = {name: typed(Split, split) for name, split in metrics.items()}
    others = [short_line(name, split) for name, split in splits.items() if name != "test"]
    print("\n".join([*lines, *others, "", *accuracy_lines("test", splits["test"])]))


def joined(report: Report, measures: Json, *, same: bool, positive: str | None = None) -> Json:
    """The measures of a report and newer ones: the newer stand, and none is left out.

    Args:
        report: as it was.
        measures: the newer ones.
        same: both are of the same predictions; the report's are dropped otherwise, and a line says
            which.
        positive: the positive class of the newer ones; the report's that are of another are dropped
            likewise.
    """
    from debias.metrics.families import OF_POSITIVE

    before = report.measures
    if same and positive != report.positive_class:
        before = {name: scalars for name, scalars in before.items() if name not in OF_POSITIVE}
    earlier: Json = {"left_out": report.left_out}
    if same:
        earlier |= {"measures": before, "curves": report.curves}
    every = {key: earlier.get(key, {}) | measures[key] for key in measures}
    if dropped := sorted(report.measures.keys() - every["measures"].keys()):
        why = "another positive class" if same else "earlier predictions"
        print(
            f"dropped, since {why} gave them: {', '.join(dropped)}; measures=all takes them again"
        )
    left_out = {
        name: reason for name, reason in every["left_out"].items() if name not in every["measures"]
    }
    return every | {"left_out": left_out}


def _report_of(place: Path) -> Report | None:
    from debias.reports.record import read_report

    return None if place.is_file() else read_report(place)


def _config_of(place: Path, overrides: list[str]) -> Config:
    """The config a run was trained with, without weights to start from; overrides on top."""
    from debias.evaluation.saved import trained_config

    trained = trained_config(place) if place.is_dir() else _config_in(place)
    config = configs.from_plain(configs.plain(trained), overrides)
    _check_overrides(configs.plain(trained), configs.plain(config))
    if (
        config.cache_dir is None
    ):  # where training left it, also when the run has been moved with its neighbours
        config = replace(
            config, cache=config.cache and place.is_dir(), cache_dir=str(place.parent / "cache")
        )
    return configs.from_plain(configs.plain(config), NO_WEIGHTS)


def _config_in(checkpoint: Path) -> Config:
    import torch

    try:
        config: dict[str, Any] = dict(
            torch.load(checkpoint, map_location="cpu", weights_only=True)["config"]
        )
    except Exception as error:
        raise InputError(
            f"{checkpoint} is not a checkpoint of debias ({type(error).__name__}): give a run's "
            "folder, a .ckpt file or a CSV file of predictions"
        ) from error
    try:
        return configs.from_plain(config)
    except InputError as error:
        raise InputError(f"{checkpoint} holds a config that cannot be used: {error}") from error


def _check_overrides(trained: dict[str, Any], config: dict[str, Any]) -> None:
    changed = [
        key
        for key in config
        if key != "data" and key not in CHANGEABLE and config[key] != trained[key]
    ]
    before, now = trained["data"], config["data"]
    changed += [
        f"data.{key}" for key in now if key not in CHANGEABLE_DATA and now[key] != before.get(key)
    ]
    if changed:
        allowed = ", ".join([*CHANGEABLE, *(f"data.{key}" for key in CHANGEABLE_DATA)])
        raise InputError(
            f"{', '.join(changed)} would change what was trained; an evaluation may change "
            f"{allowed}"
        )


def _check_same_data(place: Path, report: Report | None, examples: Any) -> None:
    """Refuse data that differ from the report, or from the file that training left."""
    from debias.runs.description import describe_examples

    if report is None:
        return
    file = place / "data.json"
    remedy = "delete it: the report says enough of the data"
    written = read_json(file, dict, entries={}, remedy=remedy) if file.is_file() else {}
    before = written | report.entries["data"]
    now = describe_examples(examples)
    changed = [key for key in now if now[key] != before.get(key, now[key])]
    if changed:
        told = ", ".join(
            "images, their labels or splits" if key == "digest" else key for key in changed
        )
        raise InputError(
            f"{examples.source} is other data than the run's: {told} differ; give its data.root"
        )


def _rule(report: Report | None, select: str) -> str:
    from debias.metrics.selection import chosen_rule

    table = report.selection.table if report else ()
    return chosen_rule(select, labelled="worst_group" in [row.rule for row in table])


def _selected(place: Path, report: Report | None, rule: str) -> Path:
    table = report.selection.table if report else ()
    epochs = {row.rule: row.epoch for row in table}
    if rule not in epochs:
        raise InputError(
            f"select={rule}: the run was selected by none such; it has {', '.join(epochs)}"
        )
    return place / "checkpoints" / f"epoch={epochs[rule]:03d}.ckpt"
