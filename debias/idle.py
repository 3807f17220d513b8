"""Settings that would have no effect in their run, which are refused before training."""

from debias import components
from debias.config import Config, GroupsFile
from debias.errors import InputError, shortened
from debias.merging import Section
from debias.own_parts import is_own

#: Options of a section that need one of these other options of it, "option" or "option=value".
SWITCHES: dict[str, dict[str, tuple[str, ...]]] = {
    "model": {"kappa": ("projection=reweight",), "ridge": ("first_layer",)},
    "data": {
        "label_pairs": ("label_noise",),
        "image_share": ("image_noise",),
        "noise_seed": ("label_noise", "image_noise"),
        "balanced": ("ratio",),
    },
    "strategy": {
        "warmup_coefficient": ("warmup",),
        "feed": ("layer",),
        "hidden_size": ("hidden_layers",),
        "median_every": ("bandwidth=median",),
        **dict.fromkeys(("bandwidth", "sigma"), ("kernel=rbf",)),
        **dict.fromkeys(("norm", "epsilon", "attack_mode"), ("steps",)),
    },
    "recipe": {"early_epochs": ("disagreement",)},
}
#: Sections and keys that are those of the run in all stages of a recipe.
SHARED = ("data", "recipe", "select", "devices", "nodes", "measures")
#: Value of an option that switches something off.
NOTHING = "none"


def check_effects(config: Config) -> None:
    """Refuse settings of a run that have no effect.

    An option that needs another one is allowed at its default, and in a component that does not
    have the other one. It is also allowed if the config
    sets the other one, even to a value that switches it off: a sweep over these values can then
    keep the option.

    Raises:
        ValueError: an option needs another one that is not set; ``groups.splits`` is set without
            ``groups.file``; ``groups.file`` is set, and the recipe infers groups by itself; or an
            option of the recipe changes a key of :data:`SHARED`.
    """
    for kind, switches in SWITCHES.items():
        section = getattr(config, kind)
        if kind != "model" and is_own(section["name"]):
            continue  # its options may mean something else
        for option in sorted(switches.keys() & section.keys()):
            _check_option(kind, section, option, switches[option])
    _check_groups(config)
    if not is_own(config.recipe["name"]):
        _check_stages(config.recipe)


def _check_option(kind: str, section: Section, option: str, switches: tuple[str, ...]) -> None:
    named = kind != "model"
    defaults = components.options(components.find(kind, section["name"])) if named else {}
    absent = defaults.keys().isdisjoint(switch.partition("=")[0] for switch in switches)
    if option in defaults and (absent or section[option] == defaults[option]):
        return
    if not any(_is_set(switch, section, defaults) for switch in switches):
        needed = " or ".join(f"{kind}.{switch}" for switch in switches)
        raise InputError(
            f"{kind}.{option}={shortened(str(section[option]))} has no effect without {needed}: "
            f"set that too, or leave {kind}.{option} out"
        )


def _is_set(switch: str, section: Section, defaults: Section) -> bool:
    """Whether a section sets an option, to the needed value if there is one, or to "none".

    Without a setting, the default of the option decides.
    """
    name, _, value = switch.partition("=")
    if name in section:
        return not value or section[name] in (value, NOTHING)
    return bool(defaults.get(name))


def _check_stages(recipe: Section) -> None:
    """Refuse changes of an early stage that would not reach it, or not the last stage."""
    for option, changes in recipe.items():
        for key in SHARED:
            if isinstance(changes, dict) and key in changes:
                raise InputError(
                    f"recipe.{option}.{key} is not allowed, since a stage has no {key} of its own: "
                    f"set {key} for the run, or leave it out"
                )


def _check_groups(config: Config) -> None:
    name, groups = config.recipe["name"], config.groups
    if groups.file and not components.find("recipe", name).takes_groups:
        raise InputError(
            f"recipe.name={name} infers groups by itself, and does not allow groups.file; got "
            f"groups.file={groups.file}: leave it out"
        )
    if not groups.file and groups != GroupsFile(groups.file):
        raise InputError(
            f"groups.splits={groups.splits} has no effect without groups.file: set that too, or "
            "leave groups.splits out"
        )
