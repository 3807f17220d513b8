"""The finished run whose backbone another run takes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from debias import config as configs
from debias.config import Config
from debias.reports.privacy import without_places
from debias.reports.record import read_report


def backbone_of(config: Config) -> dict[str, Any]:
    """The other settings of the finished run of the same seed whose backbone a config takes.

    By these, runs of several seeds, each on the backbone of its own seed, are of one method.
    """
    folder = Path(str(config.recipe.get("backbone", "")))
    if not (folder / "report.json").is_file():
        return {}
    report = read_report(folder)
    if report.seed != config.seed:
        return {}
    told = {
        key: value
        for key, value in report.config.items()
        if key not in ("seed", *configs.EXECUTION)
    }
    told["recipe"] = {
        **told["recipe"],
        **({"backbone": report.backbone} if report.backbone else {}),
    }
    # the rule that select=auto stood for, and no places, which anonymous reports lack
    told["select"] = report.selection.rule
    told = without_places(told)
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]
    return {"backbone": f"{report.method} {digest}"}
