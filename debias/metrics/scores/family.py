"""The family of ranking, F1 and calibration measures of each bias value. Pure Python."""

from debias.metrics.descriptions import Description, Family, numbers

_CALIBRATION = numbers("scores", "calibration")
_OVERALL = numbers("scores", "overall") | _CALIBRATION

#: Keys of the scalars over all images, which need no bias labels.
OVERALL = tuple(_OVERALL)


def _over_biases(key: str, text: Description) -> dict[str, Description]:
    """Descriptions of the numbers made from one measure: worst bias value, gap, and so on."""
    title, meaning = text.title, text.meaning
    return {
        f"worst_{key}": text._replace(
            title=f"{title}, worst", meaning=f"{meaning} Worst bias value only."
        ),
        f"{key}_gap": Description(
            f"{title}, gap", f"{meaning} Highest minus lowest over the bias values.", 0.0, "lower"
        ),
        f"{key}/<bias>": text._replace(title=f"{title} of a value of the bias"),
        f"worst_outcome_{key}": text._replace(
            title=f"{title}, worst outcome",
            meaning=f"{meaning} Worst class or label of any bias value.",
        ),
    }


def _numbers() -> dict[str, Description]:
    texts = numbers("scores", "samples") | _OVERALL
    for key, text in (_OVERALL | numbers("scores", "mixtures")).items():
        texts |= _over_biases(key, text)
    for key, text in _CALIBRATION.items():
        texts[f"worst_group_{key}"] = text._replace(title=f"{text.title}, worst group")
        texts[f"group_{key}/<group>"] = text._replace(title=f"{text.title} of a group")
    return texts


SCORES = Family(
    "Scores and calibration",
    "How well the scores rank the images, overall and for each bias value, and whether the "
    "confidence is calibrated.",
    _numbers(),
    headlines=("auroc", "auroc_gap", "ece", "ece_gap"),
    needs=("scores",),
    curve="reliability",
    of_positive=True,
    by_attribute=True,
)
