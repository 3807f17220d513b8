"""What a recipe chose on held-out images, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from debias.reports.wording import percent


def choice_line(report: Mapping[str, Any]) -> str:
    """What the recipe of a run chose, and by what; nothing where it chose nothing.

    Example:
        >>> chosen, smallest = {"C": 0.07, "score": 0.714}, {"name": "waterbird-land", "count": 7}
        >>> found = {"by": "worst_group", "on": "half of val", "smallest": smallest}
        >>> line = choice_line({"choice": {**found, "chosen": chosen, "grid": [chosen]}})
        >>> print(line.replace("; ", ";\\n"))
        C=0.07, with 71.4 % in the worst group of half of val;
        its smallest group, waterbird-land, has 7 images
    """
    found = report.get("choice")
    if not found:
        return ""
    chosen, smallest, kind = found["chosen"], found["smallest"], found["by"].removeprefix("worst_")
    settings = ", ".join(f"{key}={value:g}" for key, value in chosen.items() if key != "score")
    tried = f" of {len(found['grid'])} settings" if len(found["grid"]) > 1 else ""
    return (
        f"{settings}{tried}, with {percent(chosen['score'])} % in the worst {kind} of "
        f"{found['on']}; its smallest {kind}, {smallest['name']}, has {smallest['count']} images"
    )
