"""What was published of the shipped settings, with its source; figures of a whole method are the catalogue's."""

from __future__ import annotations

from typing import Any, NamedTuple

from debias.catalogue import METHODS, Published
from debias.catalogue.method import KIRICHENKO, SUBPOPBENCH


class Setting(NamedTuple):
    """A shipped setting, and the test figure that it was published with.

    Attributes:
        config: name of the shipped config.
        figure: in percent, as printed: "88.5 ± 0.3" or "86.7".
        source: who printed it.
        note: in what the shipped setting is not the published one; "" where nothing is known to differ.
        metric: of the test split.
        varied: what the setting adds to the config.
    """

    config: str
    figure: str
    source: str
    note: str = ""
    metric: str = "worst_group"
    varied: dict[str, Any] = {}  # noqa: RUF012 - never written to

    @property
    def name(self) -> str:
        """Of the setting, without its data set."""
        return self.config.rpartition("/")[2]

    @property
    def mean(self) -> float:
        """The figure as a fraction."""
        return float(self.figure.partition(" ± ")[0]) / 100

    @property
    def deviation(self) -> float:
        """Its standard deviation as a fraction, 0 where none was printed."""
        return float(self.figure.partition(" ± ")[2] or 0) / 100


#: Notes that several settings share.
OF_16 = "the figure is the best of 16 random settings; this is the one that they vary"
OF_50 = "the figure is the best of 50 random settings; this is Sagawa et al.'s"
BASE = "the base model's settings are this project's choice"

#: Settings of Waterbirds and CelebA by the name that their configs share.
WORST_GROUP: dict[str, tuple[Published, str]] = {
    "erm_augmented": (Published("74.9 ± 2.4", "46.9 ± 2.8", KIRICHENKO), ""),
    "erm_subpopbench": (Published("69.1 ± 4.7", "62.6 ± 1.5", SUBPOPBENCH), OF_16),
    "group_dro_strong": (METHODS["strategy"]["group_dro"].published, "the authors tune the adjustment C from 0 to 5"),
    "rwg": (METHODS["sampler"]["group_balanced"].published, OF_50),
    "rwy": (METHODS["sampler"]["class_balanced"].published, OF_50),
    "subg": (METHODS["sampler"]["group_subsample"].published, OF_50),
    "jtt": (METHODS["recipe"]["jtt"].published, ""),
    "cnc": (METHODS["recipe"]["cnc"].published, "the first stage and the batches are this project's choice"),
    "ssa": (METHODS["recipe"]["ssa"].published, "the predictors' settings are this project's choice"),
    "masktune": (METHODS["recipe"]["masktune"].published, ""),
    "dac": (
        METHODS["recipe"]["dac"].published,
        "CelebA's settings are the code's defaults, for none are told; those of Waterbirds are the authors'",
    ),
    "dfr": (METHODS["recipe"]["dfr"].published, ""),
    "afr": (METHODS["recipe"]["afr"].published, ""),
    "class_balanced_last_layer": (METHODS["recipe"]["class_balanced_last_layer"].published, BASE),
    "self": (METHODS["recipe"]["self"].published, BASE),
    "crt": (METHODS["recipe"]["crt"].published, OF_16),
    "group_square_root": (Published("78.6", "82.4", SUBPOPBENCH), OF_16),
    "group_effective_number": (Published("86.2", "89.4", SUBPOPBENCH), OF_16),
    **{
        name: (METHODS["strategy"][name].published, OF_16)
        for name in ("cvar_dro", "focal", "irm", "ldam", "logit_adjustment", "mmd")
    },
}

#: Unbiased test accuracy in percent at each share of images on their own colour, rho.
RHOS = (0.999, 0.997, 0.995, 0.99)
BIASED_MNIST = {
    "vanilla": (10.4, 33.4, 72.1, 89.1),
    "biased_net": (10.0, 10.0, 10.0, 10.0),
    "learned_mixin": (12.1, 50.2, 78.2, 88.3),
    "rubi": (13.7, 43.0, 90.4, 93.6),
    "rebias": (22.7, 64.2, 76.0, 88.1),
}
BAHNG = "Bahng et al. 2020, README"
ORACLE = (
    "the authors choose the epoch by test accuracy; here it is chosen on validation, which is as biased as training"
)


def _worst_group(benchmark: str) -> list[Setting]:
    figures = {name: getattr(published, benchmark) for name, (published, _) in WORST_GROUP.items()}
    return [
        Setting(f"{benchmark}/{name}", figures[name], published.source, note)
        for name, (published, note) in WORST_GROUP.items()
        if figures[name]
    ]


#: Every shipped setting that has a checked figure.
BENCHMARKS = {
    "waterbirds": _worst_group("waterbirds"),
    "celeba": _worst_group("celeba"),
    "biased_mnist": [
        Setting(f"biased_mnist/{name}", str(figure), BAHNG, ORACLE, "average", {"data.rho": rho})
        for name, figures in BIASED_MNIST.items()
        for rho, figure in zip(RHOS, figures, strict=True)
    ],
}
#: Training images of each; of Biased-MNIST, 5,000 are held out for validation.
IMAGES = {"waterbirds": 4795, "celeba": 162770, "biased_mnist": 55000}
