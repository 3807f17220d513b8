"""The families of leakage from outputs and from features. Pure Python."""

import math

from debias.metrics.descriptions import Description, Family, numbers


def _with_deviations(family: str, *keys: str) -> dict[str, Description]:
    """The numbers of a family, and for these keys the deviation over the attacker's rounds."""
    texts = numbers("leakage", family)
    meaning = "Its standard deviation over the attacker's rounds."
    return texts | {
        f"{key}_deviation": Description(f"{texts[key].title}, deviation", meaning, math.nan, "")
        for key in keys
    }


LEAKAGE = Family(
    "Leakage of the outputs",
    "How well the bias can be predicted from the logits, and from labels with as many errors.",
    _with_deviations("leakage", "leakage/dataset", "leakage/dataset_at_f1", "leakage/model"),
    headlines=("leakage/model", "leakage/dataset_at_f1", "leakage/amplification"),
    needs=("bias", "scores"),
    quick=False,
    by_attribute=True,
)

FEATURES = Family(
    "Leakage of the features",
    "How well the bias can be predicted from the inputs of the last layer.",
    _with_deviations("features", "leakage/features", "leakage/features_given_target"),
    headlines=("leakage/features", "leakage/features_given_target", "probe/balanced_accuracy"),
    needs=("run", "bias"),
    quick=False,
    by_attribute=True,
)
