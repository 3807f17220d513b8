"""How to read what outputs and features give away of the bias. Pure Python."""

from __future__ import annotations

import math
from collections.abc import Mapping

from debias.metrics.descriptions import Description, Family, against_chance, lower, unranked


def _with_deviations(leakages: Mapping[str, Description]) -> dict[str, Description]:
    """Leakages, and how far the rounds of the attacker lie apart."""
    meaning = "Its standard deviation over the attacker's rounds."
    return dict(leakages) | {
        f"{key}_deviation": unranked(f"{text.title}, deviation", meaning)
        for key, text in leakages.items()
    }


LEAKAGE = Family(
    "Leakage of the outputs",
    "How well the bias can be guessed from the logits, and from labels that are as often right.",
    _with_deviations(
        {
            "leakage/dataset": against_chance(
                "Leakage of the labels",
                "How well the bias is guessed from the true labels: what no model can avoid.",
            ),
            "leakage/dataset_at_f1": against_chance(
                "Leakage of labels with errors",
                "The same from labels with as many errors as the model makes, but made at random.",
            ),
            "leakage/model": against_chance(
                "Leakage of the outputs", "How well the bias is guessed from the model's logits."
            ),
        }
    )
    | {
        "leakage/amplification": lower(
            "Leakage that the model adds",
            "Leakage of the outputs beyond that of equally good labels: bias that the model brings "
            "in itself.",
        )
    },
    headlines=("leakage/model", "leakage/dataset_at_f1", "leakage/amplification"),
    needs=("bias", "scores"),
    quick=False,
)

FEATURES = Family(
    "Leakage of the features",
    "How well the bias can be read off what the last layer sees.",
    _with_deviations(
        {
            "leakage/features": against_chance(
                "Leakage of the features",
                "How well a fresh attacker guesses the bias from the features.",
            ),
            "leakage/features_given_target": against_chance(
                "Leakage beyond the target",
                "The same where the target tells nothing of the bias: what the features hold of "
                "the bias itself.",
            ),
        }
    )
    | {
        "probe/accuracy": lower(
            "Probe of the bias",
            "How often a linear probe reads the bias off the features; without bias, as often as "
            "the most common value.",
            math.nan,
        ),
        "probe/balanced_accuracy": against_chance(
            "Probe of the bias, balanced", "The same with every bias value counted alike."
        ),
        "probe/auroc": lower(
            "Probe of the bias, AUROC",
            "How well the probe ranks samples by their bias; a half is chance.",
            0.5,
        ),
        "probe/majority": unranked(
            "Most common bias", "What the probe would have by always naming the most common bias."
        ),
        "probe/v_information": lower(
            "Linear information on the bias",
            "Bits about the bias that a linear probe gets out of the features.",
        ),
    },
    headlines=("leakage/features", "leakage/features_given_target", "probe/balanced_accuracy"),
    needs=("run", "bias"),
    quick=False,
)
