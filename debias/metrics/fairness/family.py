"""How to read the numbers of the fairness family. Pure Python."""

from __future__ import annotations

from debias.metrics.descriptions import Description, Family, lower, unranked

_PLAIN = {
    "demographic_parity_difference": lower(
        "Demographic parity gap",
        "How much more often one group is given the outcome than another, deserved or not.",
    ),
    "equal_opportunity_difference": lower(
        "Equal opportunity gap",
        "How much more often one group is given the outcome where it is right.",
    ),
    "equalized_odds_difference": lower(
        "Equalised odds gap", "The greater of the gaps in true and in false positive rate."
    ),
    "equalized_odds_mean": lower(
        "Equalised odds gap, mean", "The mean of the gaps in true and in false positive rate."
    ),
    "predictive_parity_difference": lower(
        "Predictive parity gap",
        "How much more the outcome can be trusted for one group than for another.",
    ),
    "accuracy_difference": lower(
        "Accuracy disparity", "Best minus worst accuracy over the values of the bias attribute."
    ),
    "demographic_parity_ratio": Description(
        "Demographic parity ratio",
        "Least over greatest selection rate: the disparate impact, often held to 0.8.",
    ),
    "equal_opportunity_ratio": Description(
        "Equal opportunity ratio", "Least over greatest true positive rate."
    ),
    "equalized_odds_ratio": Description(
        "Equalised odds ratio", "The lesser of the ratios of true and of false positive rates."
    ),
    "predictive_parity_ratio": Description(
        "Predictive parity ratio", "Least over greatest precision."
    ),
    "accuracy_ratio": Description(
        "Accuracy ratio", "Least over greatest accuracy over the values of the bias."
    ),
}

#: The worst outcome, where there are several.
_WORST = {
    f"worst_{key}": text._replace(
        title=f"{text.title}, worst outcome", meaning=f"{text.meaning} Worst outcome."
    )
    for key, text in _PLAIN.items()
}

_ACCURACY = Description("Accuracy", "Share of the images of this bias value that are right.")

_RATES = {
    "selection_rate/<outcome>|<bias>": unranked(
        "Selection rate", "How often this bias value is given the outcome."
    ),
    "true_positive_rate/<outcome>|<bias>": Description(
        "True positive rate", "How often it is given the outcome where that is right."
    ),
    "false_positive_rate/<outcome>|<bias>": lower(
        "False positive rate", "How often it is given the outcome where that is wrong."
    ),
    "precision/<outcome>|<bias>": Description(
        "Precision", "How often the outcome is right where it is given."
    ),
    "accuracy/<outcome>|<bias>": _ACCURACY,
    "accuracy/<bias>": _ACCURACY,
}

FAIRNESS = Family(
    "Fairness",
    "Whether the values of the bias attribute are treated alike, whoever deserves what.",
    _PLAIN | _WORST | _RATES,
    headlines=(
        "demographic_parity_difference",
        "equalized_odds_difference",
        "accuracy_difference",
    ),
    needs=("bias",),
    of_positive=True,
)
