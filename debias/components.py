"""Finds components by name: the class or function that a config section names, and its options.

The tables hold texts "module:object". An object is imported only when it is used, so that listing
the names is fast. A component's positional arguments are facts of the data or the model, passed
here by name. Its keyword-only arguments are its options. No other module compares component names.
A name "module:object" is that of a user's own part, see :mod:`debias.own_parts`. A name of the kind
"data" may also be that of a preset, which is a reader with options, see :mod:`debias.presets`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from debias.errors import InputError, check_finite, near
from debias.merging import MISSING, Section, Settings, converted, in_turn
from debias.methods import METHODS
from debias.own_parts import FACTS, check_facts, check_made, is_own, own_part
from debias.presets import check_fetched, is_preset, options_of, preset
from debias.presets import names as preset_names
from debias.readers import READERS
from debias.signatures import arguments, fact_names, option_parameters, option_schema
from debias.storage.data import with_copies

if TYPE_CHECKING:
    from debias.config import Config

PREPROCESSING = (
    *("waterbirds", "waterbirds_augmented", "celeba", "celeba_augmented"),
    *("celeba_augmented_square", "resize", "resize_augmented", "shorter_side", "safe"),
)
SCHEDULERS = ("constant", "cosine", "step", "multi_step")
_OPTIMIZERS = "debias.training.optimizers"
TABLES: dict[str, dict[str, str]] = {
    **{kind: {name: row.object for name, row in rows.items()} for kind, rows in METHODS.items()},
    "data": READERS,
    "preprocessing": {
        **{name: f"debias.data.pictures.preprocessing:{name}" for name in PREPROCESSING},
        "albumentations": "debias.data.pictures.pipelines:configured",
    },
    "optimizer": {name: f"{_OPTIMIZERS}:{name}" for name in ("sgd", "adam", "adamw", "timm")},
    "scheduler": {name: f"{_OPTIMIZERS}:{name}" for name in SCHEDULERS},
}

MODEL = "debias.models.classifier:timm_classifier"
#: Models that are not timm's, by name.
MODELS = {"layers": "debias.models.layered:layered_classifier"}
#: Changes the training split of a data set. Its options are those of every section ``data``.
NOISE = "debias.data.noise:with_noise"
#: Makes a classifier of the network that a user's own function makes.
OWN_MODEL = "debias.models.own:own_classifier"
#: The text that :func:`reads` returns for each requirement.
_READ = {"bias": "train labels", "some bias": "some train labels", "mask": "masks"}
#: The requirement of components that read inferred groups in place of bias labels.
INFERRED = "inferred groups"
#: The requirement on the training data that each of these facts implies.
_NEEDED = {"group": "bias", "bias": "bias"}
_NEEDED |= dict.fromkeys(
    ("partition", "chosen", "importance", "partition_by_row", "chosen_by_row"), INFERRED
)


class Component(NamedTuple):
    """The class or function that a config section names, with its checked options.

    A call with all facts by name builds the object. Only the facts that the positional arguments
    name are passed on. ``noise`` has the options of :data:`NOISE`, of a data set alone. ``place``
    is that of the section, such as "augment.then".
    """

    kind: str
    name: str
    make: Any
    options: Settings
    noise: Settings = {}  # noqa: RUF012 - never changed
    place: str = ""

    def __call__(self, facts: Section) -> Any:
        """Build the object from these facts and the component's options.

        Files of a data set on object storage are brought to the cache folder first, which the fact
        ``cache_dir`` names.

        Raises:
            ValueError: a user's own part makes an object of another kind, the files of a preset
                are absent, or the object storage cannot be read.
        """
        options = self.options
        if self.kind == "data":
            options = with_copies(options, facts.get("cache_dir"))
        if self.kind == "data" and is_preset(self.name):
            check_fetched(self.name, options.get("root"))
        named = (facts[name] for name in fact_names(self.make))
        made = self.make(*named, **arguments(self.make, options))
        if is_own(self.name):
            check_made(self.kind, self.name, made)
        return imported(NOISE)(made, **self.noise) if self.noise else made


class Chosen(NamedTuple):
    """The components that a config names.

    ``augment`` has the augmentations in their order, and ``players`` the optimisers set for single
    players.
    """

    data: Component
    preprocessing: Component
    model: Component
    strategy: Component
    sampler: Component
    optimizer: Component
    scheduler: Component
    augment: tuple[Component, ...]
    players: dict[str, Component]

    @property
    def requires(self) -> tuple[str, ...]:
        """What strategy, sampler and augmentation require of the training data, such as "bias"."""
        return needs(*(part.make for part in (self.strategy, self.sampler, *self.augment)))


def choose(config: Config) -> Chosen:
    """Find the components that a config names, and check their options.

    Raises:
        ValueError: an unknown name or option, or a wrong type.
    """
    named = {kind: component(kind, getattr(config, kind)) for kind in Chosen._fields[:-2]}
    return Chosen(**named, augment=augmentations(config), players=optimizers(config))


def optimizers(config: Config) -> dict[str, Component]:
    """The optimiser of each player that the config's section ``players`` names.

    Raises:
        ValueError: an unknown name or option, or a wrong type.
    """
    return {
        player: _player(player, own, config.optimizer) for player, own in config.players.items()
    }


def augmentations(config: Config) -> tuple[Component, ...]:
    """The augmentations that a config names, in their order.

    Raises:
        ValueError: an unknown name or option, or a wrong type.
    """
    return tuple(
        component("augment", each, place="augment" + ".then" * number)
        for number, each in enumerate(in_turn(config.augment))
    )


def _player(player: str, own: Any, optimizer: Section) -> Component:
    place = f"players.{player}"
    if not isinstance(own, dict):
        raise InputError(
            f"{place} must be a section; got {own}: write its keys, as in {place}.lr=1e-3"
        )
    same = own.get("name", optimizer["name"]) == optimizer["name"]
    return component("optimizer", {**(optimizer if same else {}), **own}, place=place)


def find(kind: str, name: str, *, place: str = "") -> Any:
    """The class or function with a name, such as "group_dro" of the kind "strategy".

    Args:
        kind: a key of ``TABLES``.
        name: the name, or "module:object" for a user's own part.
        place: place of the section in the config, for messages; default: the kind.

    Raises:
        ValueError: the kind has no such name; the message lists valid names. Or a user's own part
            cannot be found, or is of another kind.
    """
    if is_own(name):
        return own_part(kind, name)
    table = TABLES[kind]
    if kind == "data" and is_preset(name):
        return imported(table[preset(name).reader])
    if not isinstance(name, str) or name not in table:
        module, _, attribute = str(name).rpartition(".")
        own = f"; your own part has the name {module}:{attribute}" if module else ""
        known = near(str(name), names(kind))
        raise InputError(f"unknown {place or kind}.name {name!r}; {known}{own}")
    return imported(table[name])


def names(kind: str) -> list[str]:
    """The names of a kind's components. For "data", these are the readers and the presets."""
    presets = preset_names() if kind == "data" else []
    return list(dict.fromkeys([*TABLES[kind], *presets]))


def component(kind: str, section: Section, *, place: str = "") -> Component:
    """The component that a config section names.

    Args:
        kind: a key of ``TABLES``, or "model", whose ``name`` is an option.
        section: ``{"name": ..., option: value, ...}``.
        place: place of the section in the config, for messages; default: the kind.

    Raises:
        ValueError: an unknown name or option, or a wrong type.
    """
    name, place = section["name"], place or kind
    if kind == "model":
        return _model(section)
    make = find(kind, name, place=place)
    given = _without_name(section)
    if kind == "data" and is_preset(name):
        given = options_of(name, given)
    if is_own(name):
        check_facts(kind, name, fact_names(make))
    noise: Any = imported(NOISE) if kind == "data" else None
    beside = set() if noise is None else options(noise).keys() - options(make).keys()
    added = {key: given.pop(key) for key in beside & given.keys()}
    checked = check_options(make, place, given, beside=beside)
    noises = check_options(noise, kind, added) if added else {}
    return Component(kind, name, make, checked, noises, place)


def _without_name(section: Section) -> Settings:
    return {key: value for key, value in section.items() if key != "name"}


def _model(section: Section) -> Component:
    name = section["name"]
    if is_own(name):
        return _own_model(section)
    given = _without_name(section) if name in MODELS else section
    make = imported(MODELS.get(name, MODEL))
    return Component("model", name, make, check_options(make, "model", given))


def _own_model(section: Section) -> Component:
    """A classifier of the network that a user's function makes, with the options of both."""
    name = section["name"]
    function, classifier = own_part("model", name), imported(OWN_MODEL)
    check_facts("model", name, fact_names(function))
    ours, facts = options(classifier), options(function).keys() & FACTS["model"]
    theirs = {key: value for key, value in section.items() if key not in ours}
    checked = check_options(function, "model", theirs, beside={*ours, *facts})
    make = partial(classifier, function, checked)
    own = {key: value for key, value in section.items() if key in ours}
    return Component("model", name, make, check_options(classifier, "model", own))


def construct(kind: str, section: Section, facts: Section) -> Any:
    """Build the object that a config section names; see :func:`component`, :class:`Component`.

    Raises:
        ValueError: an unknown name or option, a wrong type, or a value that the component refuses.
    """
    return component(kind, section)(facts)


def call(component: Callable[..., Any], section: str, options: Section, facts: Section) -> Any:
    """Check options, then call a function with them and with the facts that its arguments name."""
    return Component(section, "", component, check_options(component, section, options))(facts)


def needs(*makes: Any) -> tuple[str, ...]:
    """What components require of the training data, such as "bias", each once.

    A class names requirements in ``requires``. Some facts among its arguments imply others.
    """
    required: list[str] = []
    for make in makes:
        required += getattr(make, "requires", ())
        required += [_NEEDED[fact] for fact in fact_names(make) if fact in _NEEDED]
    return tuple(dict.fromkeys(required))


def requirements(config: Config) -> tuple[str, ...]:
    """What strategy, sampler and augmentation of a config require of the training data."""
    named = [find(kind, getattr(config, kind)["name"]) for kind in ("strategy", "sampler")]
    return needs(*named, *(find("augment", each["name"]) for each in in_turn(config.augment)))


def reads(kind: str, name: str) -> tuple[str, ...]:
    """The bias labels and masks that a method reads, at its default options.

    Returns:
        Some of "train labels", "some train labels", "val labels" and "masks". The labels are bias
        labels.
    """
    if kind == "recipe":
        return tuple(f"{split} labels" for split in _by_default(name, "reads"))
    return tuple(_READ[item] for item in needs(find(kind, name)) if item in _READ)


def infers(kind: str, name: str) -> tuple[str, ...]:
    """Splits whose groups a recipe infers; empty for the other kinds of components."""
    return _by_default(name, "infers") if kind == "recipe" else ()


def _by_default(recipe: str, attribute: str) -> tuple[str, ...]:
    """An attribute of a recipe at its default options; empty if an option has no default."""
    make = find("recipe", recipe)
    unknown = inspect.Parameter.empty in options(make).values()
    return () if unknown else tuple(getattr(make(), attribute))


def check_options(
    component: Callable[..., Any], section: str, options: Section, *, beside: Collection[str] = ()
) -> Settings:
    """Check options against a component's keyword-only arguments, and convert their types.

    Args:
        component: the class or function.
        section: name of its config section, for messages.
        options: the given options.
        beside: arguments that others set, and further options of the section.

    Raises:
        ValueError: an unknown option, with the nearest valid one; a wrong type; a missing option
            without default; NaN or infinity.
    """
    schema = option_schema(component)
    valid = schema.__dataclass_fields__
    if unknown := [key for key in options if key not in valid]:
        known = {*valid, *beside}
        remedy = near(unknown[0], known) if known else "it has no options"
        raise InputError(f"unknown option {section}.{unknown[0]}; {remedy}")
    try:
        checked = {key: converted(schema, key, value) for key, value in options.items()}
    except InputError as error:
        raise InputError(f"{section}.{error}") from error
    values = {key: checked.get(key, valid[key].default) for key in valid if key not in beside}
    missing = sorted(key for key, value in values.items() if value == MISSING)
    if missing:
        raise InputError(f"{section} needs {', '.join(missing)}: add {section}.{missing[0]}=...")
    check_finite(section, checked)
    return checked


def options(component: Callable[..., Any]) -> Settings:
    """The default of each option of a component; ``inspect.Parameter.empty`` if it has none."""
    defaults = {item.name: item.default for item in option_parameters(component)}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in defaults.items()}


def imported(place: str) -> Any:
    """Import the object that a text "module:object" names."""
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)
