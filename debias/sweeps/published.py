"""What was published of the shipped settings, and where; see also ``methods.csv``."""

from typing import NamedTuple

from omegaconf import OmegaConf

from debias import config as configs
from debias.merging import Section, Settings
from debias.methods import METHODS, Published


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


#: Sources of several figures. SubpopBench's are those with the attributes known in training and
#: validation.
KIRICHENKO = "Kirichenko et al. 2023, Table 2"
SUBPOPBENCH = "SubpopBench, Yang et al. 2023"


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


#: Figures of Waterbirds and CelebA by the name that their configs share.
WORST_GROUP: dict[str, Published] = {
    "erm_augmented": Published("74.9 ± 2.4", "46.9 ± 2.8", KIRICHENKO),
    "erm_subpopbench": Published("69.1 ± 4.7", "62.6 ± 1.5", SUBPOPBENCH),
    "group_dro_strong": Published("84.6", "", "Sagawa et al. 2020, without group adjustment"),
    "rwg": METHODS["sampler"]["group_balanced"].published,
    "rwy": METHODS["sampler"]["class_balanced"].published,
    "subg": METHODS["sampler"]["group_subsample"].published,
    **{
        name: METHODS["recipe"][name].published
        for name in (
            *("jtt", "cnc", "ssa", "masktune", "dac", "dfr", "afr"),
            *("class_balanced_last_layer", "self", "crt"),
        )
    },
    "group_square_root": Published("78.6", "82.4", SUBPOPBENCH),
    "group_effective_number": Published("86.2", "89.4", SUBPOPBENCH),
    **{
        name: METHODS["strategy"][name].published
        for name in ("cvar_dro", "focal", "irm", "ldam", "logit_adjustment", "mmd")
    },
}

BEST_OF_50 = "the figure is the best of 50 random settings, and this is Sagawa et al.'s."
#: Settings that are a config with other components: what follows the data set in the config's
#: name, the components, and notes.
NAMED: dict[str, tuple[str, dict[str, str], tuple[str, ...]]] = {
    "rwg": ("", {"sampler.name": "group_balanced"}, (BEST_OF_50,)),
    "rwy": ("", {"sampler.name": "class_balanced"}, (BEST_OF_50,)),
    "subg": ("", {"sampler.name": "group_subsample"}, (BEST_OF_50,)),
    **{
        name: ("/erm_subpopbench", {"strategy.name": name}, ())
        for name in ("cvar_dro", "focal", "irm", "ldam", "logit_adjustment", "mmd")
    },
    "vanilla": ("", {}, ()),
    "biased_net": ("", {"model.name": "simple_conv_k1"}, ()),
    "rubi": ("", {"strategy.name": "rubi"}, ()),
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


def _setting(
    benchmark: str, name: str, figure: str, source: str, metric: str, varied: Section
) -> Setting:
    end, components, notes = NAMED.get(name, (f"/{name}", {}, ()))
    return Setting(benchmark + end, figure, source, metric, {**components, **varied}, name, notes)


def _worst_group(benchmark: str) -> list[Setting]:
    return [
        _setting(benchmark, name, figure, published.source, "worst_group", {})
        for name, published in WORST_GROUP.items()
        if (figure := getattr(published, benchmark))
    ]


#: Every shipped setting that has a checked figure.
BENCHMARKS = {
    "waterbirds": _worst_group("waterbirds"),
    "celeba": _worst_group("celeba"),
    "biased_mnist": [
        _setting("biased_mnist", name, str(figure), BAHNG, "average", {"data.rho": rho})
        for name, figures in BIASED_MNIST.items()
        for rho, figure in zip(RHOS, figures, strict=True)
    ],
}
