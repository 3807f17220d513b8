"""The table of this experiment from the runs in a folder: unbiased accuracy of each method, beside
what was published.

usage: python experiments/biased_mnist/table.py OUT

The epoch of each run was selected on the biased validation split. The oracle figure, in brackets,
is the best test accuracy of any epoch, which is how the published table was selected; it is
computed here from the kept weights.
"""

import json
import sys
from pathlib import Path

from debias import config as configs
from debias.build import build
from debias.evaluation.predictions import load_weights, predict_split
from debias.metrics.accuracy.counts import joint_counts, total_tally
from debias.parts import Parts
from debias.reports.record import read_report
from debias.reports.tables import markdown_table
from debias.sweeps.published import BENCHMARKS

#: Published accuracy of each method at each share of images on their own colour, rho.
PUBLISHED: dict[str, dict[float, str]] = {}
for setting in BENCHMARKS["biased_mnist"]:
    PUBLISHED.setdefault(setting.name, {})[setting.varied["data.rho"]] = setting.figure
RHOS = tuple(PUBLISHED["vanilla"])


def main(out: Path) -> None:
    """Print the table in Markdown."""
    runs = {}
    for path in sorted(out.glob("*/report.json")):
        config = read_report(path.parent).config
        runs[Path(config["name"]).stem, config["data"]["rho"]] = path.parent
    rows = [
        [method, *(cell(runs.get((method, rho))) for rho in RHOS), published(method)]
        for method in PUBLISHED
    ]
    print("\n".join(markdown_table(["method", *(f"rho {rho}" for rho in RHOS), "published"], rows)))


def cell(run: Path | None) -> str:
    """Accuracy of the selected epoch, and of the best one, in percent; "-" where no run is."""
    if run is None:
        return "-"
    accuracies = test_accuracies(run)
    selected = read_report(run).selection.epoch
    return f"{100 * accuracies[selected]:.1f} ({100 * max(accuracies):.1f})"


def published(method: str) -> str:
    """The published row as text."""
    return " / ".join(PUBLISHED[method].values())


def test_accuracies(run: Path) -> list[float]:
    """Test accuracy of each epoch; kept beside the run's report, as weights are asked only once."""
    kept = run / "test_accuracies.json"
    if not kept.is_file():
        parts = build(configs.read(run / "config.yaml", ["progress=false"]))
        weights = sorted((run / "checkpoints").glob("epoch=*.ckpt"))
        kept.write_text(json.dumps([test_accuracy(parts, path) for path in weights]))
    return list(json.loads(kept.read_text()))


def test_accuracy(parts: Parts, weights: Path) -> float:
    """Share of the unbiased test images that these weights classify rightly."""
    load_weights(parts.module, weights)
    rows, groups = predict_split(parts, "test", progress=False), parts.examples.groups
    right, total = total_tally(
        joint_counts(rows.prediction(groups), rows.target, rows.bias, groups)
    )
    return float(right / total)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
