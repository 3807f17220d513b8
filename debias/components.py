"""Names to components: the only place that compares a component's name, and a few explicit tables.

Each entry is "module:object", imported when it is asked for, so that listing names loads nothing. A component's
positional arguments are facts of the data or the model, given here by name; its keyword-only arguments are its options.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import field, make_dataclass
from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from debias.errors import InputError, check_finite, near
from debias.merging import MISSING, converted

TABLES: dict[str, dict[str, str]] = {
    "data": {
        "waterbirds": "debias.data.sets.waterbirds:waterbirds",
        "celeba": "debias.data.sets.celeba:celeba",
        "table": "debias.data.sets.table:table",
        "folder": "debias.data.sets.folder:folder",
        "drawn_birds": "debias.data.sets.drawn_birds:drawn_birds",
        "biased_mnist": "debias.data.sets.biased_mnist:biased_mnist",
    },
    "strategy": {
        "erm": "debias.strategies:ERM",
        "group_dro": "debias.strategies:GroupDRO",
        "class_reweighting": "debias.strategies:ClassReweighting",
        "group_reweighting": "debias.strategies:GroupReweighting",
        "focal": "debias.strategies:Focal",
        "ldam": "debias.strategies:LDAM",
        "logit_adjustment": "debias.strategies:LogitAdjustment",
        "conditional_logit_adjustment": "debias.strategies:ConditionalLogitAdjustment",
        "cvar_dro": "debias.strategies:CVaRDRO",
        "spectral_decoupling": "debias.strategies:SpectralDecoupling",
        "domain_independent": "debias.strategies:DomainIndependent",
        "domain_discriminative": "debias.strategies:DomainDiscriminative",
        "end": "debias.strategies:EnD",
        "bias_contrastive": "debias.strategies:BiasContrastive",
        "soft_contrastive": "debias.strategies:SoftContrastive",
        "badd": "debias.strategies:BAdd",
        "fair_regularised": "debias.strategies:FairRegularised",
        "rebias": "debias.strategies:ReBias",
        "rubi": "debias.strategies:RUBi",
        "learned_mixin": "debias.strategies:LearnedMixin",
        "feature_adversary": "debias.strategies:FeatureAdversary",
        "input_adversary": "debias.strategies:InputAdversary",
        "uniform_confusion": "debias.strategies:UniformConfusion",
        "gradient_projection": "debias.strategies:GradientProjection",
        "feature_sieve": "debias.strategies:FeatureSieve",
        "irm": "debias.strategies:IRM",
        "vrex": "debias.strategies:VREx",
        "coral": "debias.strategies:CORAL",
        "mmd": "debias.strategies:MMD",
        "lff": "debias.strategies:LfF",
        "disentangled": "debias.strategies:Disentangled",
        "debian": "debias.strategies:DebiAN",
        "flac": "debias.strategies:FLAC",
        "correct_n_contrast": "debias.strategies:CorrectNContrast",
        "bias_amplification": "debias.strategies:BiasAmplification",
        "cross_mistakes": "debias.strategies:CrossMistakes",
        "decompose_compose": "debias.strategies:DecomposeCompose",
    },
    "sampler": {
        "shuffled": "debias.data.orders:shuffled",
        "class_balanced": "debias.data.orders:class_balanced",
        "group_balanced": "debias.data.orders:group_balanced",
        "bias_balanced": "debias.data.orders:bias_balanced",
        "class_subsample": "debias.data.orders:class_subsample",
        "group_subsample": "debias.data.orders:group_subsample",
        "upweighted": "debias.data.orders:upweighted",
        "portion": "debias.data.orders:portion",
        "cluster_balanced": "debias.data.orders:cluster_balanced",
    },
    "preprocessing": {
        name: f"debias.data.pictures.preprocessing:{name}"
        for name in (
            *("waterbirds", "waterbirds_augmented", "celeba", "celeba_augmented"),
            *("celeba_augmented_square", "resize", "resize_augmented", "shorter_side"),
        )
    },
    "augment": {
        "none": "debias.augment:nothing",
        "recombination": "debias.augment:Recombination",
        "mixup": "debias.augment:Mixup",
        "cutmix": "debias.augment:CutMix",
        "lisa": "debias.augment:LISA",
        "hide_mask": "debias.augment:HideMask",
    },
    "optimizer": {
        "sgd": "debias.training.optimizers:sgd",
        "adam": "debias.training.optimizers:adam",
        "adamw": "debias.training.optimizers:adamw",
    },
    "recipe": {
        "single": "debias.recipes.one_stage:OneStage",
        "jtt": "debias.recipes.jtt:JTT",
        "bam": "debias.recipes.bam:BAM",
        "cnc": "debias.recipes.cnc:CnC",
        "eiil": "debias.recipes.eiil:EIIL",
        "spare": "debias.recipes.spare:SPARE",
        "ssa": "debias.recipes.ssa:SSA",
        "xrm": "debias.recipes.xrm:XRM",
        "masktune": "debias.recipes.masktune:MaskTune",
        "dac": "debias.recipes.dac:DaC",
        "dfr": "debias.recipes.heads:DFR",
        "afr": "debias.recipes.heads:AFR",
        "crt": "debias.recipes.heads:CRT",
        "class_balanced_last_layer": "debias.recipes.validation_heads:ClassBalancedLastLayer",
        "self": "debias.recipes.validation_heads:SELF",
    },
    "scheduler": {
        "constant": "debias.training.optimizers:constant",
        "cosine": "debias.training.optimizers:cosine",
        "step": "debias.training.optimizers:step",
    },
}


def find(kind: str, name: str) -> Callable[..., Any]:
    """The component of one kind that has a name.

    Raises:
        ValueError: there is none; the message names the nearest.
    """
    table = TABLES[kind]
    if not isinstance(name, str) or name not in table:
        raise InputError(f"unknown {kind}.name {name!r}; {near(str(name), table)}")
    module, _, attribute = table[name].partition(":")
    component: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return component


def construct(kind: str, section: Mapping[str, Any], facts: Mapping[str, Any]) -> Any:
    """Build the component that a config section names, from its options and the facts it asks for.

    Args:
        kind: a key of ``TABLES``.
        section: ``{"name": ..., option: value, ...}``.
        facts: what its positional arguments may ask for, by name.

    Raises:
        ValueError: an unknown name or option, a wrong type, or whatever the component refuses.
    """
    component = find(kind, section["name"])
    options = {key: value for key, value in section.items() if key != "name"}
    return call(component, kind, options, facts)


def call(component: Callable[..., Any], section: str, options: Mapping[str, Any], facts: Mapping[str, Any]) -> Any:
    """Call a component with checked options and the facts that its positional arguments name."""
    checked = check_options(component, section, options)
    parameters = inspect.signature(component).parameters.values()
    positional = [facts[item.name] for item in parameters if item.kind is item.POSITIONAL_OR_KEYWORD]
    return component(*positional, **checked)


def required_facts(kind: str, name: str, meanings: Mapping[str, str]) -> tuple[str, ...]:
    """What the facts that a component asks for mean for the data: ``meanings`` maps a fact to a requirement."""
    asked = inspect.signature(find(kind, name)).parameters
    return tuple(meaning for fact, meaning in meanings.items() if fact in asked)


def check_options(component: Callable[..., Any], section: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as the keyword-only arguments of a component want them: known names, right types.

    Raises:
        ValueError: an unknown option, with the nearest valid one; a wrong type; a missing option without default; NaN
            or infinity.
    """
    schema = _schema(component)
    valid = schema.__dataclass_fields__
    for key in options:
        if key not in valid:
            raise InputError(f"unknown option {section}.{key}; {near(key, valid) if valid else 'it has no options'}")
    try:
        checked = {key: converted(schema, key, value) for key, value in options.items()}
    except InputError as error:
        raise InputError(f"{section}.{error}") from error
    missing = sorted(key for key in valid if checked.get(key, valid[key].default) == MISSING)
    if missing:
        raise InputError(f"{section} needs {', '.join(missing)}: add {section}.{missing[0]}=...")
    check_finite(section, checked)
    return checked


def options(component: Callable[..., Any]) -> dict[str, Any]:
    """The options of a component with their defaults; ``inspect.Parameter.empty`` where it has none."""
    return {item.name: item.default for item in _keyword_only(component)}


def _keyword_only(component: Callable[..., Any]) -> list[inspect.Parameter]:
    return [item for item in inspect.signature(component).parameters.values() if item.kind is item.KEYWORD_ONLY]


@cache
def _schema(component: Callable[..., Any]) -> Any:
    hints = get_type_hints(component.__init__ if inspect.isclass(component) else component)
    fields = [(item.name, _plain(hints[item.name]), _default(item)) for item in _keyword_only(component)]
    return make_dataclass("Options", fields)


def _plain(hint: Any) -> Any:
    return Union[get_args(hint)] if get_origin(hint) is UnionType else hint  # noqa: UP007 - omegaconf reads no "|"


def _default(parameter: inspect.Parameter) -> Any:
    default = MISSING if parameter.default is parameter.empty else parameter.default
    if isinstance(default, (list, tuple)):
        return field(default_factory=lambda: list(default))
    return field(default=default)
