"""``debias evaluate``: recompute every metric of a trained run or checkpoint from its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from debias import config as configs
from debias.config import Config

#: The checkpoint brings the weights: none are downloaded or read to start from.
NO_WEIGHTS = ("model.pretrained=false", "model.weights=null")


def run(run: str, overrides: list[str]) -> None:
    """Predict every split anew and print the metrics; a finished run's report is written anew, too.

    Overrides may change where and how it is computed (``data.root=...``, ``select=average``), not what was trained.

    Raises:
        ValueError: no such run or checkpoint, or its weights do not fit. Untrained weights are never evaluated.
    """
    from debias.build import build
    from debias.recipes import load_weights, measure, predict_splits
    from debias.recipes.outcome import save_outcome

    place = Path(run)
    report = _report_of(place)
    config = _config_of(place, overrides)
    checkpoint = place if place.is_file() else _selected(place, report, config.select)
    parts = build(config)
    metadata = load_weights(parts.module, checkpoint)
    predictions = predict_splits(parts, progress=config.progress)
    metrics = {split: measure(rows, parts.examples) for split, rows in predictions.items()}
    print(f"{checkpoint} (epoch {metadata.get('epoch', 'unknown')})")
    for split, result in metrics.items():
        print_metrics(split, result)
    if report is not None and config.select == report["selection"]["rule"]:
        save_outcome(place, report | {"metrics": metrics}, predictions, parts)
        print(f"{place}/report.html")


def print_metrics(split: str, metrics: dict[str, Any]) -> None:
    """Print the accuracy of each group of a split with its interval, and the scalars."""
    print(f"\n{split}")
    width = max(len(group["name"]) for group in metrics["groups"])
    for group in metrics["groups"]:
        interval = f"[{100 * group['low']:5.1f}, {100 * group['high']:5.1f}]"
        print(f"  {group['name']:{width}} {_percent(group['accuracy'])} {interval} of {group['count']}")
    for name, value in metrics["scalars"].items():
        if not name.startswith("accuracy/"):
            print(f"  {name:{width}} {_percent(value)}")


def _percent(value: float | None) -> str:
    return "    -" if value is None else f"{100 * value:5.1f}"


def _report_of(place: Path) -> dict[str, Any] | None:
    from debias.reports.run_folder import read_report

    return None if place.is_file() else read_report(place)


def _config_of(place: Path, overrides: list[str]) -> Config:
    """The config a run was trained with, without weights to start from; overrides on top."""
    if place.is_dir():
        return configs.read(place / "config.yaml", [*NO_WEIGHTS, *overrides])
    import torch

    try:
        plain = torch.load(place, map_location="cpu", weights_only=True)["config"]
    except Exception as error:
        raise ValueError(f"{place} is not a checkpoint of debias ({type(error).__name__}: {error})") from error
    return configs.from_plain(plain, [*NO_WEIGHTS, *overrides])


def _selected(place: Path, report: dict[str, Any] | None, rule: str) -> Path:
    table = report["selection"]["table"] if report else []
    epochs = {row["rule"]: row["epoch"] for row in table}
    if rule not in epochs:
        raise ValueError(f"select={rule}: the run was selected by none such; it has {', '.join(epochs)}")
    return place / "checkpoints" / f"epoch={epochs[rule]:03d}.ckpt"
