"""The families of what outputs and features give away of the bias. Pure Python."""

import math

from debias.metrics.descriptions import Description, Family, numbers


def _with_deviations(family: str, *keys: str) -> dict[str, Description]:
    """The numbers of a family, and how far the attacker's rounds lie apart for these keys."""
    found = numbers("leakage", family)
    meaning = "Its standard deviation over the attacker's rounds."
    return found | {
        f"{key}_deviation": Description(f"{found[key].title}, deviation", meaning, math.nan, "")
        for key in keys
    }


LEAKAGE = Family(
    "Leakage of the outputs",
    "How well the bias can be guessed from the logits, and from labels that are as often right.",
    _with_deviations("leakage", "leakage/dataset", "leakage/dataset_at_f1", "leakage/model"),
    headlines=("leakage/model", "leakage/dataset_at_f1", "leakage/amplification"),
    needs=("bias", "scores"),
    quick=False,
)

FEATURES = Family(
    "Leakage of the features",
    "How well the bias can be read off what the last layer sees.",
    _with_deviations("features", "leakage/features", "leakage/features_given_target"),
    headlines=("leakage/features", "leakage/features_given_target", "probe/balanced_accuracy"),
    needs=("run", "bias"),
    quick=False,
)
