"""The tables of a run's page: which epoch, every number, the data, and the circumstances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from debias.metrics.descriptions import DESCRIPTIONS
from debias.metrics.selection import LAST, RULES
from debias.reports import wording
from debias.reports.cells import cells, shown
from debias.reports.choices import choice_line
from debias.reports.run_folder import groups_of

Report = Mapping[str, Any]

#: The scalar of validation by which a rule chooses; the last epoch is taken by none.
CRITERIA = {rule: scalar for rule, scalar in RULES.items() if rule != LAST}

#: Of more groups than these, those that the charts show are listed, and the others once they are
#: asked for.
GROUPS_LISTED = 16


def shown_groups(report: Report) -> list[int]:
    """The groups (or classes) that galleries show: all, or the least accurate, in order."""
    return shown(cells(report["metrics"]["test"]))


def listed_groups(report: Report) -> list[int]:
    """The groups that are always listed: all, or of very many those that the charts show."""
    groups = len(cells(report["metrics"]["test"]))
    return shown_groups(report) if groups > GROUPS_LISTED else list(range(groups))


def selection(report: Report) -> list[dict[str, Any]]:
    """What each selection rule would have chosen, with the validation metrics of that epoch."""
    used = report["selection"]["rule"]
    return [
        {
            "title": wording.RULES.get(row["rule"], row["rule"]),
            "epoch": row["epoch"],
            "used": row["rule"] == used,
            "values": [
                (metric == CRITERIA.get(row["rule"]), row["val"].get(metric))
                for metric in CRITERIA.values()
            ],
        }
        for row in report["selection"]["table"]
    ]


def metrics(report: Report) -> list[dict[str, Any]]:
    """Every explained metric that is defined on test or validation."""
    val, test = report["metrics"]["val"]["scalars"], report["metrics"]["test"]["scalars"]
    return [
        {"title": reading.title, "how": reading.meaning, "val": val.get(key), "test": test.get(key)}
        for key, reading in DESCRIPTIONS.items()
        if test.get(key) is not None or val.get(key) is not None
    ]


def data(report: Report) -> list[dict[str, Any]]:
    """How many images each group has in each split, and whether the shortcut is right there.

    Images of unknown bias have a row of their own; where the bias of every image is unknown, each
    class has one.
    """
    data, splits = report["data"], ("train", "val", "test")
    from debias.metrics.accuracy.counts import (
        aligned_groups,
    )  # brings torch, which reading a report does not need

    known = [data["counts"][split] for split in splits]
    every = [data.get("class_counts", data["counts"])[split] for split in splits]
    unknown = [sum(classes) - sum(groups) for classes, groups in zip(every, known, strict=True)]
    aligned = aligned_groups(groups_of(report)).tolist()
    right = [("right" if value else "wrong") if any(aligned) else "–" for value in aligned]
    rows = list(zip(data["groups"], zip(*known, strict=True), right, strict=True))
    if sum(map(sum, known)) == 0:
        rows = [
            (name, counts, "–")
            for name, counts in zip(data["targets"], zip(*every, strict=True), strict=True)
        ]
    elif any(unknown):
        rows.append(("unknown bias", tuple(unknown), "–"))
    total = max(1, sum(every[0]))
    return [
        {
            "number": number,
            "name": name,
            "counts": counts,
            "share": counts[0] / total,
            "shortcut": shortcut,
        }
        for number, (name, counts, shortcut) in enumerate(rows)
    ]


def facts(report: Report) -> dict[str, str]:
    """The circumstances of the run, in words."""
    model, seconds = report["model"], report["seconds"]
    labels = ", ".join(report["strategy"]["requires"]) or "nothing beyond the class"
    parts = report.get("circumstances", ())
    told = [
        f"{part['device']}, torch {part['versions'].get('torch', 'unknown')}, {_code(part)}"
        for part in parts
    ]
    memory = "unknown" if report["peak_memory_mb"] is None else f"{report['peak_memory_mb']:,} MB"
    return {
        "Data": report["data"]["name"],
        "Model": (
            f"{model['name']}, {model['parameters']:,} parameters, weights: {model['weights']}"
        ),
        "Strategy": f"{report['strategy']['name']}, requires {labels}",
        **({"Chosen": line} if (line := choice_line(report)) else {}),
        "Epochs": f"{len(report['history'])}, numbered from 0",
        "Seed": str(report["seed"]),
        "Device": f"{report['device']}, precision {report['precision']}",
        "Time": (
            f"{seconds['total']:,.0f} s, training {seconds['train']:,.0f} s; "
            f"{seconds['epoch']:,.1f} s an epoch"
        ),
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
    """A nested config as ``{"optimizer.lr": 0.001, ...}``, as the command line takes it.

    Example:
        >>> settings({"seed": 1, "optimizer": {"name": "sgd", "lr": 0.001}})
        {'seed': 1, 'optimizer.name': 'sgd', 'optimizer.lr': 0.001}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        nested = isinstance(value, Mapping) and bool(value)
        flat.update(settings(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value})
    return flat
