"""The end of a run: the selected epoch, its predictions, and the report."""

import time
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

from debias import config as configs
from debias import processes
from debias.evaluation.evidence import Evidence
from debias.evaluation.looking import attention_picture
from debias.evaluation.measures import chosen_families, measure_all
from debias.evaluation.predictions import (
    measure,
    picture,
    predict_splits,
    prepared_picture,
)
from debias.evaluation.saved import origin
from debias.json_files import Json
from debias.metrics.selection import RULES, best_epochs, chosen_rule
from debias.models.checkpoints import load_weights
from debias.parts import Parts
from debias.reports.classes import positive_class
from debias.reports.environment import peak_memory_mb
from debias.reports.galleries import Views
from debias.reports.predictions import Predictions, write
from debias.reports.run_folder import write_report
from debias.runs.epochs import forget_state
from debias.runs.run import Run, Trained
from debias.runs.sharing import taken_stages
from debias.runs.single import log_test
from debias.training.recorder import Recorder


def finish(trained: Trained, run: Run, description: Json) -> None:
    """Load the selected epoch, predict every split, write predictions and report, and log them.

    All processes predict and measure; only the first one writes.

    Args:
        trained: the result of the run's recipe.
        run: the run, with its config and folder.
        description: the result of :func:`debias.runs.description.describe`, before training.
    """
    started = time.monotonic()
    parts, config, recorder, computed, choice = trained
    rule = chosen_rule(config.select, labelled="worst_group" in recorder.preferred())
    weights = recorder.weights(recorder.preferred()[rule])
    load_weights(parts.module, weights)
    # `debias evaluate` compares with the config file of the run: a resumed run keeps its first one
    written = description["config"] if config == run.config else configs.plain(config)
    predictions = computed or predict_splits(parts, progress=config.progress)
    families = chosen_families(run.config.measures)
    measures = measured(parts, predictions, families, progress=config.progress)
    if processes.rank() > 0:
        return
    report = {
        **description,
        **measures,
        "positive": positive_class(parts.examples.groups),
        "name": run.folder.name,
        "selection": selection(recorder.history, rule),
        **_occasional(parts, run.folder, choice),
        "history": recorder.history,
        "metrics": {split: measure(rows, parts.examples) for split, rows in predictions.items()},
        "predicted_from": origin(weights, written["precision"]),
        "seconds": _seconds(recorder, run.seconds(), time.monotonic() - started),
        "peak_memory_mb": peak_memory_mb(),
    }
    recorder.forget_previous()
    forget_state(run.folder)
    save_outcome(run.folder, report, predictions, parts)
    log_test(run.config, run.folder, report["metrics"]["test"]["scalars"])


def measured(
    parts: Parts,
    predictions: Mapping[str, Predictions],
    families: Collection[str],
    *,
    progress: bool = True,
    positive: str | None = None,
) -> Json:
    """The report's entries about families of measures, computed on the test split.

    Args:
        parts: the objects of the run.
        predictions: predictions of every split.
        families: names of the families.
        progress: show progress bars.
        positive: the positive one of two classes; ``None`` means the second.
    """
    train = parts.examples.frequencies("train")
    frequencies = train if bool(train.any()) else None
    rows, groups, others = predictions["test"], parts.examples.groups, predictions["val"]
    evidence = Evidence(
        rows, groups, frequencies, parts, elsewhere=others, progress=progress, positive=positive
    )
    results = measure_all(evidence, families)
    return {"measures": results.scalars, "left_out": results.left_out, "curves": results.curves}


def save_outcome(
    folder: Path, record: Json, predictions: dict[str, Predictions], parts: Parts
) -> None:
    """Write the predictions, the page and, last, report.json, which marks the run as finished.

    Only the first process writes.
    """
    if processes.rank() != 0:
        return
    for split, rows in predictions.items():
        write(folder / "predictions" / f"{split}.csv", rows, parts.examples.groups)
    # each map costs a backward pass: the pages that training writes have none. Measuring attention
    # needs masks; its maps do not
    with_attention = "attention" in {*record["measures"], *record["left_out"]}
    views = Views(
        predictions["test"],
        partial(picture, parts.examples),
        partial(prepared_picture, parts),
        partial(attention_picture, parts) if with_attention else None,
    )
    write_report(folder, record, views)


def selection(history: list[Json], rule: str) -> Json:
    """The report's entry about selection: the rule, its epoch, and the epochs of all rules."""
    values = [entry["val"] for entry in history]
    table = [
        {"rule": name, "epoch": epoch, "value": values[epoch][RULES[name]], "val": values[epoch]}
        for name, epoch in best_epochs(values).items()
    ]
    return {
        "rule": rule,
        "epoch": next(row["epoch"] for row in table if row["rule"] == rule),
        "table": table,
    }


def _occasional(parts: Parts, folder: Path, choice: Json | None) -> Json:
    """The report's entries that only some runs have: choice, groups of training, taken stages."""
    seen = parts.seen("train")
    groups = {
        "biases": list(seen.groups.bias_names),
        "counts": seen.frequencies("train").tolist(),
    }
    entries = {
        "choice": choice,
        "training_groups": {} if seen is parts.examples else groups,
        "taken": taken_stages(folder),
    }
    return {name: value for name, value in entries.items() if value}


def _seconds(recorder: Recorder, stages: dict[str, float], evaluation: float) -> Json:
    seconds = [entry["seconds"] for entry in recorder.history]
    train = sum(seconds) + sum(stages.values())
    total = {"train": train, "epoch": sum(seconds) / len(seconds), "total": train + evaluation}
    return total | ({"stages": stages} if stages else {})
