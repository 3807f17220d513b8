"""``debias evaluate``: the metrics of a trained run or checkpoint."""

import os
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import torch

from debias import config as configs
from debias.build import build
from debias.commands import evaluate_elsewhere
from debias.commands.predictions import evaluate_predictions
from debias.config import Config
from debias.data.examples import Examples
from debias.errors import InputError
from debias.evaluation.measures import chosen_families, measure_names
from debias.evaluation.predictions import measure, predict_splits
from debias.evaluation.saved import origin, saved_predictions, trained_config
from debias.json_files import Json, typed
from debias.merging import taken
from debias.metrics.families import of_positive
from debias.metrics.selection import chosen_rule
from debias.models.checkpoints import load_weights
from debias.parts import Parts
from debias.places import cache_place
from debias.reports import terminal
from debias.reports.classes import positive_class
from debias.reports.evaluation import Evaluation
from debias.reports.predictions import Predictions
from debias.reports.record import PAGE, Report, read_report
from debias.reports.sections import settings
from debias.reports.split import Split
from debias.runs.circumstances import circumstances
from debias.runs.description import describe_examples
from debias.runs.outcome import measured, save_outcome

#: Overrides that load no initial weights, since the checkpoint has the weights.
NO_WEIGHTS = ("model.pretrained=false", "model.weights=null")
#: Keys that an override may change: where and how predictions are computed, and where the data is.
CHANGEABLE = (
    *("cache", "cache_dir", "cache_gb", "workers", "progress", "eval_batch_size", "accelerator"),
    *("devices", "nodes", "precision", "select", "anonymous", "data.root", "data.file", "data.csv"),
    *("data.masks", "data.fills", "data.max_pixels", "data.follow_links"),
)


def run(run: str, overrides: list[str]) -> None:
    """Compute the usual measures that the data allow, print a summary, and update the run's report.

    A run's saved predictions are used if they come from its weights and its data. Otherwise, or
    with ``fresh=true``, every split is predicted again. With another ``select`` than the run's, the
    epoch that this rule prefers is evaluated, and nothing is written. ``measures=NAME,NAME``
    computes only these families, and prints all their numbers. The families ``attacked``,
    ``uncommon``, ``cues``, ``preference`` and ``variants`` are computed only if they are named.
    ``positive=NAME`` names the positive one of two classes. A CSV file of predictions is evaluated
    without a model: see :mod:`debias.commands.predictions`. With ``data=NAME``, a model is
    evaluated on another data set: see :mod:`debias.commands.evaluate_elsewhere`.

    Raises:
        ValueError: there is no such run or checkpoint, its weights do not fit, the data differ from
            the run's, or an override changes what was trained. Untrained weights are never
            evaluated.
    """
    if evaluate_elsewhere.is_elsewhere(run, overrides):
        evaluate_elsewhere.run(run, overrides)
        return
    measures, others = taken(overrides, "measures", "all")
    families = chosen_families(measures)
    whole = [name for name in families if name in measure_names(measures)]
    place = Path(run)
    if place.suffix == ".csv":
        evaluate_predictions(place, others, families, whole=whole)
        return
    evaluation, written = evaluate_run(place, others, families, tell=print)
    _print(evaluation, whole)
    if written:
        print(written)


def evaluate_run(
    place: Path, overrides: list[str], families: list[str], *, tell: Callable[[str], object]
) -> tuple[Evaluation, Path | None]:
    """Evaluate a run or a checkpoint, and update the run's report.

    Args:
        place: a run's folder or a checkpoint.
        overrides: ``key=value`` of the config, and ``fresh`` and ``positive``.
        families: families of measures to compute.
        tell: called with lines about the weights and the saved predictions.

    Returns:
        The evaluation, and the page that was written; ``None`` if nothing was.

    Raises:
        ValueError: as in :func:`run`.
    """
    given, others = taken(overrides, "fresh", "false")
    if given not in ("true", "false"):
        raise InputError(f"fresh must be true or false; got fresh={given}")
    positive, others = taken(others, "positive", None)
    report = None if place.is_file() else read_report(place)
    config = _config_of(place, others)
    rule, checkpoint = _selected(place, report, config.select)
    parts = build(config, trains=False)
    if report:
        _check_same_data(report, parts.examples)
        positive = positive or report.positive_class
    positive = positive_class(parts.examples.groups, positive or None)
    metadata = load_weights(parts.module, checkpoint)
    tell(f"{checkpoint} (epoch {metadata.get('epoch', 'unknown')})")
    wanted = origin(checkpoint, config.precision)
    again = given == "true" or report is None
    saved = None if again or not report else _saved(place, report, wanted, parts, tell)
    predictions = saved or predict_splits(parts, progress=config.progress)
    metrics = {split: measure(rows, parts.examples) for split, rows in predictions.items()}
    measures = measured(parts, predictions, families, progress=config.progress, positive=positive)
    splits = {name: typed(Split, split) for name, split in metrics.items()}
    evaluation = Evaluation(splits, measures["measures"], measures["left_out"], positive)
    if not (report and rule == report.selection.rule):
        return evaluation, None
    measures = joined(report, measures, same=saved is not None, positive=positive, tell=tell)
    record = report.entries | {"metrics": metrics, **measures, "positive": positive}
    record["config"] = report.config | {"anonymous": config.anonymous}
    record |= {"evaluated": circumstances(parts, config), "predicted_from": wanted}
    save_outcome(place, record, predictions, parts)
    return evaluation, place / PAGE


def _saved(
    place: Path,
    report: Report,
    wanted: dict[str, str],
    parts: Parts,
    tell: Callable[[str], object],
) -> dict[str, Predictions] | None:
    """The saved predictions of a run; or ``None``, after a line with the reason."""
    try:
        return saved_predictions(place, report.predicted_from, wanted, parts.examples)
    except InputError as reason:
        tell(f"predicted again: {reason}")
        return None


def _print(evaluation: Evaluation, whole: Collection[str]) -> None:
    """Print the measures, then the accuracies, with those of the test split last."""
    scalars, left_out = evaluation.measures, evaluation.left_out
    positive, splits = evaluation.positive, evaluation.splits
    lines = terminal.measure_lines(scalars, left_out, whole=whole, positive=positive)
    others = [terminal.short_line(name, split) for name, split in splits.items() if name != "test"]
    print("\n".join([*lines, *others, "", *terminal.accuracy_lines("test", splits["test"])]))


def joined(
    report: Report,
    measures: Json,
    *,
    same: bool,
    positive: str | None = None,
    tell: Callable[[str], object] = print,
) -> Json:
    """Merge a report's measures with newer ones, which replace those of the same families.

    Measures of the report that do not belong to the same predictions, or to the same positive
    class, are dropped. A printed line names them.

    Args:
        report: the report before this evaluation.
        measures: the newer measures.
        same: whether both are measures of the same predictions.
        positive: the positive class of the newer measures.
        tell: called with a line about dropped measures.
    """
    before = report.measures
    if same and positive != report.positive_class:
        before = {name: scalars for name, scalars in before.items() if not of_positive(name)}
    earlier: Json = {"left_out": report.left_out}
    if same:
        earlier |= {"measures": before, "curves": report.curves}
    every = {key: earlier.get(key, {}) | measures[key] for key in measures}
    if dropped := sorted(report.measures.keys() - every["measures"].keys()):
        why = "another positive class" if same else "earlier predictions"
        names = ", ".join(dropped)
        again = ",".join(dict.fromkeys(name.partition("/")[0] for name in dropped))
        tell(f"dropped measures of {why}: {names}; measures={again} computes them again")
    reasons = every["left_out"].items()
    return every | {"left_out": {key: why for key, why in reasons if key not in every["measures"]}}


def _config_of(place: Path, overrides: list[str]) -> Config:
    """The config of a run or checkpoint, with overrides, and without initial weights."""
    trained = trained_config(place) if place.is_dir() else _config_in(place)
    config = configs.from_plain(configs.plain(trained), overrides)
    _check_overrides(trained, config)
    if config.cache_dir is None:
        # training put the cache beside the run; both may have been moved together since
        cache = config.cache and place.is_dir()
        beside = str(cache_place(config, place.resolve().parent))  # the place may be "."
        config = replace(config, cache=cache, cache_dir=beside)
    return configs.from_plain(configs.plain(config), NO_WEIGHTS)


def _config_in(checkpoint: Path) -> Config:
    try:
        config = dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["config"])
    except Exception as error:
        raise InputError(
            f"{checkpoint} is not a checkpoint of debias ({type(error).__name__}): give a run's "
            "folder, a .ckpt file or a CSV file of predictions"
        ) from error
    try:
        return configs.from_plain(config)
    except InputError as error:
        raise InputError(f"{checkpoint} holds a config that cannot be used: {error}") from error


def _check_overrides(trained: Config, config: Config) -> None:
    before, now = settings(configs.plain(trained)), settings(configs.plain(config))
    changed = [key for key in now if key not in CHANGEABLE and now[key] != before.get(key)]
    if changed:
        raise InputError(
            f"{', '.join(changed)} would change what was trained; an evaluation may change "
            f"{', '.join(CHANGEABLE)}"
        )


def _check_writable(run: Path, checkpoint: Path) -> None:
    """Refuse a run that cannot be updated, before its images are predicted."""
    if not os.access(run, os.W_OK):
        raise InputError(
            f"{run} cannot be written: set its permissions, or evaluate {checkpoint}, which writes "
            "nothing"
        )


def _check_same_data(report: Report, examples: Examples) -> None:
    """Refuse data that differ from the data in the report."""
    before, now = report.entries["data"], describe_examples(examples)
    changed = [key for key in now if now[key] != before.get(key, now[key])]
    if changed:
        names = {"digest": "images, their labels or splits"}
        differences = ", ".join(names.get(key, key) for key in changed)
        raise InputError(
            f"{examples.source} is not the data of the run: {differences} differ; set data.root to "
            "the run's data"
        )


def _selected(place: Path, report: Report | None, select: str) -> tuple[str, Path]:
    """The selection rule, and the checkpoint that it prefers in a run.

    If ``place`` is a checkpoint and not a run, it is returned itself. A run without such a rule,
    or whose report cannot be updated, is an error.
    """
    epochs = {row.rule: row.epoch for row in report.selection.table} if report else {}
    rule = chosen_rule(select, labelled="worst_group" in epochs)
    if report is None:
        return rule, place
    if rule not in epochs:
        raise InputError(
            f"select must be one of {', '.join(epochs)} for this run; got select={rule}"
        )
    checkpoint = place / "checkpoints" / f"epoch={epochs[rule]:03d}.ckpt"
    if rule == report.selection.rule:
        _check_writable(place, checkpoint)
    return rule, checkpoint
