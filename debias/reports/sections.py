"""The tables of a run's page: which epoch, every number, the data, and the circumstances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from debias.metrics.descriptions import DESCRIPTIONS
from debias.metrics.selection import LAST, RULES
from debias.reports import wording
from debias.reports.run_folder import groups_of

Report = Mapping[str, Any]

#: The scalar of validation by which a rule chooses; the last epoch is taken by none.
CRITERIA = {rule: scalar for rule, scalar in RULES.items() if rule != LAST}

#: Of more groups than these, those that the charts show are listed, and the others once they are asked for.
GROUPS_LISTED = 16

#: How many groups a chart or a gallery shows: more could not be told apart.
GROUPS_SHOWN = 8


def shown_groups(report: Report) -> list[int]:
    """The groups that the charts show: all, or the ones with the lowest test accuracy, in the order of numbers."""
    groups = report["metrics"]["test"]["groups"]
    order = sorted(range(len(groups)), key=lambda i: 2.0 if groups[i]["accuracy"] is None else groups[i]["accuracy"])
    return sorted(order[:GROUPS_SHOWN])


def listed_groups(report: Report) -> list[int]:
    """The groups that are listed without being asked for: all, or of very many those that the charts show."""
    groups = len(report["data"]["groups"])
    return shown_groups(report) if groups > GROUPS_LISTED else list(range(groups))


def selection(report: Report) -> list[dict[str, Any]]:
    """What each selection rule would have chosen, with the validation metrics of that epoch."""
    used = report["selection"]["rule"]
    return [
        {
            "title": wording.RULES.get(row["rule"], row["rule"]),
            "epoch": row["epoch"],
            "used": row["rule"] == used,
            "values": [(metric == CRITERIA.get(row["rule"]), row["val"].get(metric)) for metric in CRITERIA.values()],
        }
        for row in report["selection"]["table"]
    ]


def metrics(report: Report) -> list[dict[str, Any]]:
    """Every explained metric, on test and validation."""
    val, test = report["metrics"]["val"]["scalars"], report["metrics"]["test"]["scalars"]
    return [
        {"title": reading.title, "how": reading.meaning, "val": val.get(key), "test": test.get(key)}
        for key, reading in DESCRIPTIONS.items()
        if key in test or key in val
    ]


def data(report: Report) -> list[dict[str, Any]]:
    """How many images each group has in each split, and whether the shortcut is right there."""
    data = report["data"]
    from debias.metrics.functional import aligned_groups  # brings torch, which reading a report does not need

    counts = data["counts"]
    aligned = aligned_groups(groups_of(report)).tolist()
    total = max(1, sum(counts.get("train", [])))
    return [
        {
            "number": number,
            "name": name,
            "counts": [counts[split][number] for split in ("train", "val", "test")],
            "share": counts["train"][number] / total,
            "shortcut": ("right" if aligned[number] else "wrong") if any(aligned) else "–",
        }
        for number, name in enumerate(data["groups"])
    ]


def facts(report: Report) -> dict[str, str]:
    """The circumstances of the run, in words."""
    model, seconds = report["model"], report["seconds"]
    labels = ", ".join(report["strategy"]["requires"]) or "nothing beyond the class"
    parts = report.get("circumstances", ())
    told = [f"{part['device']}, torch {part['versions'].get('torch', 'unknown')}, {_code(part)}" for part in parts]
    memory = "unknown" if report["peak_memory_mb"] is None else f"{report['peak_memory_mb']:,} MB"
    return {
        "Data": report["data"]["name"],
        "Model": f"{model['name']}, {model['parameters']:,} parameters, weights: {model['weights']}",
        "Strategy": f"{report['strategy']['name']}, requires {labels}",
        "Epochs": f"{len(report['history'])}, numbered from 0",
        "Seed": str(report["seed"]),
        "Device": f"{report['device']}, precision {report['precision']}",
        "Time": f"{seconds['total']:,.0f} s, training {seconds['train']:,.0f} s; {seconds['epoch']:,.1f} s an epoch",
        "Peak memory": memory,
        "Code": _code(report),
        "Versions": ", ".join(f"{name} {version}" for name, version in report["versions"].items()),
        **({"Resumed": f"begun on {'; then on '.join(told)}"} if told else {}),
    }


def _code(made: Mapping[str, Any]) -> str:
    git = made["git"]
    state = ", with changes that were not committed" if git["dirty"] else ""
    return f"commit {git['commit']}{state}" if git["commit"] else "not under version control"


def settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested config as ``{"optimizer.lr": 0.001, ...}``, the form in which the command line takes it.

    Example:
        >>> settings({"seed": 1, "optimizer": {"name": "sgd", "lr": 0.001}})
        {'seed': 1, 'optimizer.name': 'sgd', 'optimizer.lr': 0.001}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        nested = isinstance(value, Mapping) and bool(value)
        flat.update(settings(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value})
    return flat
