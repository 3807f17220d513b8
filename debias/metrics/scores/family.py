"""How to read ranking, F1 and calibration of each bias value. Pure Python."""

from __future__ import annotations

from debias.metrics.descriptions import Description, Family, lower, unranked

_OVERALL = {
    "auroc": Description("AUROC", "How often a positive is scored above a negative."),
    "average_precision": Description(
        "Average precision", "How pure the list of highest scores is."
    ),
    "f1": Description("F1", "How well an outcome is both found and not overcalled."),
    "brier": lower("Brier score", "Mean squared error of an outcome's probability."),
}
_CALIBRATION = {
    "ece": lower(
        "Calibration error",
        "How far stated confidence and accuracy lie apart on average; small groups inflate.",
    ),
    "mce": lower(
        "Calibration error, greatest",
        "How far confidence and accuracy lie apart in the worst bin.",
    ),
    "positive_ece": lower(
        "Calibration error of the positive", "The same for the probability of the positive class."
    ),
    "positive_mce": lower(
        "Calibration error of the positive, greatest",
        "The same for the positive class, worst bin.",
    ),
}
_BORKAN = {
    "bpsn_auc": Description(
        "BPSN AUC",
        "Positives elsewhere against negatives here: low where these are scored too high.",
    ),
    "bnsp_auc": Description(
        "BNSP AUC",
        "Negatives elsewhere against positives here: low where these are scored too low.",
    ),
}

#: The scalars over all images, which need no bias label.
OVERALL = (*_OVERALL, *_CALIBRATION)


def _over_biases(key: str, text: Description) -> dict[str, Description]:
    """The worst, the gap and each bias value of a measure, and its worst cell of all."""
    title, meaning = text.title, text.meaning
    return {
        f"worst_{key}": text._replace(
            title=f"{title}, worst", meaning=f"{meaning} The worst value of the bias."
        ),
        f"{key}_gap": lower(f"{title}, gap", f"{meaning} Greatest minus least over the bias."),
        f"{key}/<bias>": text._replace(title=f"{title} of a value of the bias"),
        f"worst_outcome_{key}": text._replace(
            title=f"{title}, worst outcome",
            meaning=f"{meaning} The worst class or label in any bias.",
        ),
    }


def _numbers() -> dict[str, Description]:
    found = {"samples/<bias>": unranked("Images", "How many images have this bias value.")}
    for key, text in (_OVERALL | _BORKAN | _CALIBRATION).items():
        found |= {key: text} if key in OVERALL else {}
        found |= _over_biases(key, text)
    for key, text in _CALIBRATION.items():
        found[f"worst_group_{key}"] = text._replace(title=f"{text.title}, worst group")
        found[f"group_{key}/<group>"] = text._replace(title=f"{text.title} of a group")
    return found


SCORES = Family(
    "Scores and calibration",
    "How well the scores rank the images, all of them and those of each bias value, and "
    "whether stated confidence can be believed.",
    _numbers(),
    headlines=("auroc", "auroc_gap", "ece", "ece_gap"),
    needs=("scores",),
    curve="reliability",
    of_positive=True,
)
