"""The family of fairness. Pure Python."""

from debias.metrics.descriptions import Family, numbers

_PLAIN = numbers("fairness", "fairness")

#: The worst outcome, where there are several.
_WORST = {
    f"worst_{key}": text._replace(
        title=f"{text.title}, worst outcome", meaning=f"{text.meaning} Worst outcome."
    )
    for key, text in _PLAIN.items()
}

FAIRNESS = Family(
    "Fairness",
    "Whether the values of the bias attribute are treated alike, whoever deserves what.",
    _PLAIN | _WORST | numbers("fairness", "rates"),
    headlines=("demographic_parity_difference", "equalized_odds_difference", "accuracy_difference"),
    needs=("bias",),
    of_positive=True,
)
