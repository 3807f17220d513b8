"""Keeps the reports of finished runs beside their experiment, without the folders of the machine
that made them.

usage: python experiments/collect.py OUT EXPERIMENT    # then: debias compare EXPERIMENT/reports
--markdown
"""

from __future__ import annotations

import sys
from pathlib import Path

from debias.json_files import json_text
from debias.reports.record import read_report


def main(out: Path, experiment: Path) -> None:
    """Copy every ``report.json`` below ``out`` to ``EXPERIMENT/reports/RUN``."""
    for path in sorted(out.glob("*/report.json")):
        report = read_report(path.parent)
        config = report.config
        config |= {"out": "runs", "cache_dir": None, "name": Path(config["name"]).name}
        config["data"] |= {key: "DATA_ROOT" for key in ("root",) if key in config["data"]}
        target = experiment / "reports" / path.parent.name / "report.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json_text(report.entries), encoding="utf-8")
        print(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
