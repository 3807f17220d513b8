"""Published results of the shipped settings and their sources, from the table ``published.csv``.

A row has one figure of one setting. Rows with the same config and settings are figures of the same
runs. A row with an entry in ``method`` takes its figure and source from ``debias/methods.csv``.
``benchmarks.csv`` has the facts of each benchmark. CONTRIBUTING.md explains the columns.
"""

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from omegaconf import OmegaConf

from debias import shipped_configs
from debias.errors import InputError
from debias.merging import Settings
from debias.methods import METHODS
from debias.runs.work import Sizes
from debias.sweeps.plan import setting_of

#: Number of seeds of a setting whose row names none.
SEEDS = 3


class Setting(NamedTuple):
    """A shipped setting and one published figure of its test result.

    Attributes:
        config: name of the shipped config.
        figure: the published result in percent, as printed: "88.5 ± 0.3" or "86.7".
        source: the publication with the figure.
        metric: how the figure is read from a run: a key of ``figures.FIGURES``.
        varied: settings in addition to those of the config.
        called: name of the setting; the name of its config if empty.
        notes: differences from the published setting that the config does not list.
        restarts: number of runs behind the printed mean and deviation; 0 if unknown.
        official: the result of the authors' own code in percent, if it was measured.
        accept: the measured means that pass, in percent, fixed before the first run: "62-71",
            ">=20" or "<=75"; empty for the general rule.
        seeds: number of seeds, from 0 on.
    """

    config: str
    figure: str
    source: str
    metric: str = "worst_group"
    varied: Settings = {}  # noqa: RUF012 - never written to
    called: str = ""
    notes: tuple[str, ...] = ()
    restarts: int = 0
    official: str = ""
    accept: str = ""
    seeds: int = SEEDS

    @property
    def name(self) -> str:
        """Name of the setting, without its data set."""
        return self.called or self.config.rpartition("/")[2]

    @property
    def printed(self) -> tuple[float, float]:
        """The published mean and standard deviation as fractions of 1; 0 if none was printed."""
        return _numbers(self.figure)

    @property
    def target(self) -> tuple[float, float]:
        """Mean and deviation that a run is judged by: of the authors' code, or as published."""
        return _numbers(self.official or self.figure)

    @property
    def accepted(self) -> tuple[float, float] | None:
        """The least and the greatest mean that pass, as fractions of 1; ``None`` without them.

        Raises:
            ValueError: ``accept`` has another form.

        Example:
            >>> [Setting("a", "1", "", accept=text).accepted for text in ("62-71", ">=20", "")]
            [(0.62, 0.71), (0.2, 1.0), None]
        """
        if not self.accept:
            return None
        found = re.fullmatch(r"(?:(>=)|(<=)|([\d.]+)-)([\d.]+)", self.accept)
        if found is None:
            raise InputError(
                f"accept must be a range or a bound, as in 62-71, >=20 or <=75; got {self.accept}"
            )
        above, below, low, last = found.groups()
        return (
            float(last if above else 0 if below else low) / 100,
            1.0 if above else float(last) / 100,
        )

    @property
    def differences(self) -> list[str]:
        """The known differences between the shipped setting and the published one."""
        return [*differences(self.config), *self.notes]


class BenchmarkFacts(NamedTuple):
    """A benchmark of ``debias reproduce``.

    Attributes:
        title: its data set and network.
        sizes: numbers of its images.
        proves: what its figures prove about which methods, in a sentence.
    """

    title: str
    sizes: Sizes
    proves: str


def _numbers(figure: str) -> tuple[float, float]:
    mean, _, deviation = figure.partition(" ± ")
    return float(mean) / 100, float(deviation or 0) / 100


#: In the comments of a shipped config, a paragraph that begins with MARK describes a difference
#: from the published setting. If NOTHING follows, there is no difference.
MARK, NOTHING = "# Differs: ", "nothing"


def differences(name: str) -> list[str]:
    """Read the differences from the published setting in the comments of a shipped config.

    They are the paragraphs that begin with ``# Differs:``. If the config extends others, their
    differences come first.
    """
    path = shipped_configs.folder() / f"{name}.yaml"
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


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _read(path: Path) -> dict[str, list[Setting]]:
    benchmarks: dict[str, list[Setting]] = {}
    for row in _rows(path):
        benchmarks.setdefault(row["benchmark"], []).append(_setting(row))
    return benchmarks


def _setting(row: Mapping[str, str]) -> Setting:
    figure, source = row["figure"], row["source"]
    if row["method"]:
        kind, _, name = row["method"].partition("/")
        published = METHODS[kind][name].published
        figure, source = getattr(published, row["benchmark"]), published.source
    return Setting(
        row["config"],
        figure,
        source,
        row["metric"],
        varied=dict(map(setting_of, row["settings"].split())),
        called=row["name"],
        notes=(row["notes"],) if row["notes"] else (),
        restarts=int(row["restarts"] or 0),
        official=row["official"],
        accept=row["accept"],
        seeds=int(row["seeds"] or SEEDS),
    )


def _facts(row: Mapping[str, str]) -> BenchmarkFacts:
    train = tuple(map(int, row["train"].split()))
    return BenchmarkFacts(
        row["title"], Sizes(train, int(row["val"]), int(row["test"])), row["proves"]
    )


#: The shipped settings with their published figures, by benchmark. Each figure was checked against
#: its source, unless the source says that it was not read again.
BENCHMARKS = _read(Path(__file__).with_suffix(".csv"))
#: The facts of each benchmark.
FACTS = {row["benchmark"]: _facts(row) for row in _rows(Path(__file__).with_name("benchmarks.csv"))}
