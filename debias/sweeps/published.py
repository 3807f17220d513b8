"""What was published of the shipped settings, and where: the table ``published.csv``.

A setting with the figure of a method names that method; the figure and its source are in
``debias/methods.csv``.
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
    """A shipped setting, and the test figure that it was published with.

    Attributes:
        config: name of the shipped config.
        figure: in percent, as printed: "88.5 ± 0.3" or "86.7".
        source: who printed it.
        metric: of the test split.
        varied: what the setting adds to the config.
        called: name of the setting; left out, that of its config.
        notes: in what it is not the published setting, beside what the config says.
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
        """Of the setting, without its data set."""
        return self.called or self.config.rpartition("/")[2]

    @property
    def mean(self) -> float:
        """The figure as a fraction."""
        return float(self.figure.partition(" ± ")[0]) / 100

    @property
    def deviation(self) -> float:
        """Its standard deviation as a fraction, 0 where none was printed."""
        return float(self.figure.partition(" ± ")[2] or 0) / 100

    @property
    def differences(self) -> list[str]:
        """In what the shipped setting is not the published one, as far as that is known."""
        return [*differences(self.config), *self.notes]


#: Begins a paragraph in the comment of a shipped config that says in what it is not the published
#: setting; one that goes on with NOTHING names no difference.
MARK, NOTHING = "# Differs: ", "nothing"


def differences(name: str) -> list[str]:
    """What the comments of a shipped config, after those of its bases, say after ``MARK``."""
    path = configs.folder() / f"{name}.yaml"
    base = OmegaConf.to_container(OmegaConf.load(path)).get("extends")  # type: ignore[union-attr]
    found = differences(str(base)) if base else []
    inside = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith(MARK):
            inside = not line.startswith(MARK + NOTHING)
            found += [line.removeprefix(MARK)] if inside else []
        elif inside and line.startswith("# "):
            found[-1] += line.removeprefix("#")
        else:
            inside = False
    return found


def _read(path: Path) -> dict[str, list[Setting]]:
    found: dict[str, list[Setting]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["benchmark"], []).append(_setting(row))
    return found


def _setting(row: Mapping[str, str]) -> Setting:
    figure, source = row["figure"], row["source"]
    if row["method"]:
        kind, _, name = row["method"].partition("/")
        published = METHODS[kind][name].published
        figure, source = getattr(published, row["benchmark"]), published.source
    varied = dict(map(setting_of, row["settings"].split()))
    notes = (row["notes"],) if row["notes"] else ()
    return Setting(row["config"], figure, source, row["metric"], varied, row["name"], notes)


#: Every shipped setting that has a checked figure, by benchmark.
BENCHMARKS = _read(Path(__file__).with_suffix(".csv"))
