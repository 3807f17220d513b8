"""The family of fairness measures. Pure Python."""

from debias.metrics.descriptions import Family, numbers

_PLAIN = numbers("fairness", "fairness")

#: Each measure again for the worst outcome, if there are several outcomes.
_WORST = {
    f"worst_{key}": text._replace(
        title=f"{text.title}, worst outcome", meaning=f"{text.meaning} Worst outcome only."
    )
    for key, text in _PLAIN.items()
}

FAIRNESS = Family(
    "Fairness",
    "Whether the model treats the values of the bias attribute equally.",
    _PLAIN | _WORST | numbers("fairness", "rates"),
    headlines=("demographic_parity_difference", "equalized_odds_difference", "accuracy_difference"),
    needs=("bias",),
    of_positive=True,
    by_attribute=True,
)
