"""The families of measures, and how to read each of their numbers; imports torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from debias.metrics.amplification.descriptions import AMPLIFICATION
from debias.metrics.attention import summary as attention_summary
from debias.metrics.descriptions import Description
from debias.metrics.discovery.errors import DISCOVERY
from debias.metrics.discovery.information import INFORMATION
from debias.metrics.fairness.scalars import FAIRNESS_DESCRIPTIONS
from debias.metrics.frequency import bands as frequency
from debias.metrics.leakage.amplification import LEAKAGE
from debias.metrics.leakage.features import FEATURE_LEAKAGE
from debias.metrics.leakage.probes import PROBES
from debias.metrics.scores.report import SCORE_DESCRIPTIONS
from debias.metrics.shortcuts import context
from debias.metrics.shortcuts import preferences as shortcuts


class FamilyText(NamedTuple):
    """A family of measures: title, the question it asks, and how to read each number.

    A key with ``<names>`` stands for one number of each group, bias value and so on.
    """

    title: str
    meaning: str
    descriptions: Mapping[str, Description]


def reading(family: str, key: str) -> Description | None:
    """How to read a number that a family reports; ``None`` where nothing is known of it.

    Example:
        >>> reading("fairness", "precision/waterbird|land").title
        'Precision'
    """
    pattern = pattern_of(family, key)
    return None if pattern is None else FAMILIES[family].descriptions[pattern]


def pattern_of(family: str, key: str) -> str | None:
    """The first key or pattern of a family's descriptions that a key fits, or ``None``."""
    descriptions: Mapping[str, Description] = (
        FAMILIES[family].descriptions if family in FAMILIES else {}
    )
    return next((pattern for pattern in descriptions if place_of(pattern, key) is not None), None)


def place_of(pattern: str, key: str) -> str | None:
    """What a pattern's names stand for in a key, empty for a pattern without any; ``None`` where it
    does not fit.

    Example:
        >>> place_of("precision/<outcome>|<bias>", "precision/waterbird|land")
        'waterbird|land'
    """
    head, mark, rest = pattern.partition("<")
    names, _, tail = rest.rpartition(">")
    inner = ".+".join(map(re.escape, re.split("<[^>]*>", f"<{names}>"))) if mark else ""
    found = re.fullmatch(f"{re.escape(head)}({inner}){re.escape(tail)}", key, re.DOTALL)
    return None if found is None else found[1]


def _neither(title: str, meaning: str) -> Description:
    """A number that has no ideal value: it is NaN, and neither direction is better."""
    return Description(title, meaning, math.nan, "")


def _unbounded(text: Description) -> Description:
    """A number whose best value depends on the data: its ideal is NaN."""
    return text._replace(ideal=math.nan)


def _deviations(descriptions: Mapping[str, Description], *keys: str) -> dict[str, Description]:
    """For the leakages by these keys, how far the rounds of the attacker lie apart."""
    meaning = "Its standard deviation over the attacker's rounds."
    return {
        f"{key}_deviation": _neither(f"{descriptions[key].title}, deviation", meaning)
        for key in keys
    }


_ACCURACY = Description("Accuracy", "Share of the images of this bias value that are right.")

_RATES = {
    "selection_rate/<outcome>|<bias>": _neither(
        "Selection rate", "How often this bias value is given the outcome."
    ),
    "true_positive_rate/<outcome>|<bias>": Description(
        "True positive rate", "How often it is given the outcome where that is right."
    ),
    "false_positive_rate/<outcome>|<bias>": Description(
        "False positive rate",
        "How often it is given the outcome where that is wrong.",
        0.0,
        "lower",
    ),
    "precision/<outcome>|<bias>": Description(
        "Precision", "How often the outcome is right where it is given."
    ),
    "accuracy/<outcome>|<bias>": _ACCURACY,
    "accuracy/<bias>": _ACCURACY,
}

_THRESHOLD = _neither("Threshold", "Probability from which on the label is given.")

_SHORTCUTS = ("target_preference", "target_fraction", "shortcut_fraction")

_ATTENTION = attention_summary.DESCRIPTIONS | {
    "foreground_focus": _unbounded(attention_summary.DESCRIPTIONS["foreground_focus"])
}

_PARTS = {
    "<score>/deviation": _neither(
        "Deviation", "Standard deviation of the mean: how far chance may have moved it."
    ),
    "<score>/undefined": Description(
        "Without a score", "Share of images that give no score.", 0.0, "lower"
    ),
} | {
    f"{key}/<part of the images>": text._replace(
        meaning=f"{text.meaning} Over a group, the right, the wrong, ..."
    )
    for key, text in _ATTENTION.items()
}

_BACKGROUND = {
    "background_robustness": Description(
        "Background robustness",
        "Accuracy that is left on backgrounds of any class, as a share of that on the own one.",
    ),
    "background_gap": shortcuts.DESCRIPTIONS["background_gap"],
    "accuracy_all_backgrounds": Description(
        "Accuracy on any background", "Foregrounds pasted on backgrounds of all classes."
    ),
    "accuracy_same_class_backgrounds": Description(
        "Accuracy on the own background", "The same foregrounds on backgrounds of their own class."
    ),
}

_PLACEMENT = {
    "centre_bias": Description(
        "Centre bias",
        "Share of the accuracy lost when the foreground leaves the middle.",
        0.0,
        "lower",
    ),
    "size_bias/<factor>": Description(
        "Size bias",
        "Accuracy with the foreground's area times this factor, as a share of that at its own "
        "size.",
    ),
}

_BAND_PASS = frequency.DESCRIPTIONS | {
    "accuracy/<cutoff>": Description("Accuracy", "Accuracy with this share of the spectrum kept."),
}

_FREQUENCY = {
    "accuracy/clean": Description("Accuracy", "Accuracy on the same images, untouched.")
} | {
    f"{kind}/{key}": text._replace(title=f"{text.title}, {name}")
    for kind, name in (("low_pass", "low frequencies"), ("high_pass", "high frequencies"))
    for key, text in _BAND_PASS.items()
}

#: Every family, in the order in which it is reported.
FAMILIES: dict[str, FamilyText] = {
    "fairness": FamilyText(
        "Fairness",
        "Whether the values of the bias attribute are treated alike, whoever deserves what.",
        FAIRNESS_DESCRIPTIONS | _RATES,
    ),
    "amplification": FamilyText(
        "Bias amplification",
        "Whether the predictions tie target and bias more closely together than the labels do.",
        AMPLIFICATION,
    ),
    "thresholds": FamilyText(
        "Bias amplification at chosen thresholds",
        "The same with a threshold of its own for each label: chosen on the validation split, so "
        "that no more of its images are given the label than have it, and applied to the test "
        "split.",
        {"threshold/<outcome>": _THRESHOLD} | AMPLIFICATION,
    ),
    "scores": FamilyText(
        "Scores and calibration",
        "How well the scores rank the images, all of them and those of each bias value, and "
        "whether stated confidence can be believed.",
        SCORE_DESCRIPTIONS
        | {"samples/<bias>": _neither("Images", "How many images have this bias value.")},
    ),
    "information": FamilyText(
        "Information",
        "How much the predictions tell of the bias attribute, and how much of it the labels do.",
        INFORMATION,
    ),
    "errors": FamilyText(
        "Errors as a finder of misled images",
        "Whether the images that the model gets wrong are those that the shortcut misleads: the "
        "hope of methods that learn from a first model's errors.",
        DISCOVERY | {"discovery/error_lift": _unbounded(DISCOVERY["discovery/error_lift"])},
    ),
    "shortcuts": FamilyText(
        "Target or shortcut",
        "What the model follows where target and shortcut lead to different classes.",
        {key: shortcuts.DESCRIPTIONS[key] for key in _SHORTCUTS},
    ),
    "context": FamilyText(
        "Context",
        "Whether the model finds a label without what it is usually seen with; over the pairs of "
        "labels that need each other most, chosen on the validation split.",
        context.DESCRIPTIONS,
    ),
    "leakage": FamilyText(
        "Leakage of the outputs",
        "How well the bias can be guessed from the logits, and from labels that are as often "
        "right.",
        LEAKAGE | _deviations(LEAKAGE, "leakage/dataset", "leakage/dataset_at_f1", "leakage/model"),
    ),
    "features": FamilyText(
        "Leakage of the features",
        "How well the bias can be read off what the last layer sees.",
        FEATURE_LEAKAGE | _deviations(FEATURE_LEAKAGE, *FEATURE_LEAKAGE) | PROBES,
    ),
    "background": FamilyText(
        "Background",
        "What accuracy is left when foregrounds are pasted on other backgrounds.",
        _BACKGROUND,
    ),
    "placement": FamilyText(
        "Place and size",
        "What accuracy is left when foregrounds are moved, shrunk or enlarged.",
        _PLACEMENT,
    ),
    "attention": FamilyText(
        "Attention",
        "Whether the model looks at the foreground, by its attribution maps and the masks.",
        _ATTENTION | _PARTS,
    ),
    "frequency": FamilyText(
        "Spatial frequencies", "How much of the images' spectrum the model needs.", _FREQUENCY
    ),
}
