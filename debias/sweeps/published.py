"""Published results of the shipped settings and their sources, from the table ``published.csv``.

A row with an entry in ``method`` takes its figure and source from ``debias/methods.csv``.
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from omegaconf import OmegaConf

from debias import config as configs
from debias.merging import Settings
from debias.methods import METHODS
from debias.sweeps.plan import setting_of


class Setting(NamedTuple):
    """A shipped setting and its published test result.

    Attributes:
        config: name of the shipped config.
        figure: the published result in percent, as printed: "88.5 ± 0.3" or "86.7".
        source: the publication with the figure.
        metric: metric of the test split that the figure reports.
        varied: settings in addition to those of the config.
        called: name of the setting; the name of its config if empty.
        notes: differences from the published setting that the config does not list.
    """

    config: str
    figure: str
    source: str
    metric: str = "worst_group"
    varied: Settings = {}  # noqa: RUF012 - never written to
    called: str = ""
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the setting, without its data set."""
        return self.called or self.config.rpartition("/")[2]

    @property
    def mean(self) -> float:
        """The published mean, as a fraction of 1."""
        return float(self.figure.partition(" ± ")[0]) / 100

    @property
    def deviation(self) -> float:
        """The published standard deviation, as a fraction of 1; 0 if none was printed."""
        return float(self.figure.partition(" ± ")[2] or 0) / 100

    @property
    def differences(self) -> list[str]:
        """The known differences between the shipped setting and the published one."""
        return [*differences(self.config), *self.notes]


#: In the comments of a shipped config, a paragraph that begins with MARK describes a difference
#: from the published setting. If NOTHING follows, there is no difference.
MARK, NOTHING = "# Differs: ", "nothing"


def differences(name: str) -> list[str]:
    """Read the differences from the published setting in the comments of a shipped config.

    They are the paragraphs that begin with ``# Differs:``. If the config extends others, their
    differences come first.
    """
    path = configs.folder() / f"{name}.yaml"
    base = OmegaConf.to_container(OmegaConf.load(path)).get("extends")  # type: ignore[union-attr]
    notes = differences(str(base)) if base else []
    inside = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(MARK):
            inside = not line.startswith(MARK + NOTHING)
            notes += [line.removeprefix(MARK)] if inside else []
        elif inside and line.startswith("# "):
            notes[-1] += line.removeprefix("#")
        else:
            inside = False
    return notes


def _read(path: Path) -> dict[str, list[Setting]]:
    benchmarks: dict[str, list[Setting]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            benchmarks.setdefault(row["benchmark"], []).append(_setting(row))
    return benchmarks


def _setting(row: Mapping[str, str]) -> Setting:
    figure, source = row["figure"], row["source"]
    if row["method"]:
        kind, _, name = row["method"].partition("/")
        published = METHODS[kind][name].published
        figure, source = getattr(published, row["benchmark"]), published.source
    varied = dict(map(setting_of, row["settings"].split()))
    notes = (row["notes"],) if row["notes"] else ()
    return Setting(row["config"], figure, source, row["metric"], varied, row["name"], notes)


#: The shipped settings whose published figure was checked against its source, by benchmark.
BENCHMARKS = _read(Path(__file__).with_suffix(".csv"))
