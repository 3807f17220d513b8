"""The family of ranking, F1 and calibration of each bias value. Pure Python."""

from debias.metrics.descriptions import Description, Family, numbers

_CALIBRATION = numbers("scores", "calibration")
_OVERALL = numbers("scores", "overall") | _CALIBRATION

#: The scalars over all images, which need no bias label.
OVERALL = tuple(_OVERALL)


def _over_biases(key: str, text: Description) -> dict[str, Description]:
    """The worst, the gap and each bias value of a measure, and its worst cell of all."""
    title, meaning = text.title, text.meaning
    return {
        f"worst_{key}": text._replace(
            title=f"{title}, worst", meaning=f"{meaning} The worst value of the bias."
        ),
        f"{key}_gap": Description(
            f"{title}, gap", f"{meaning} Greatest minus least over the bias.", 0.0, "lower"
        ),
        f"{key}/<bias>": text._replace(title=f"{title} of a value of the bias"),
        f"worst_outcome_{key}": text._replace(
            title=f"{title}, worst outcome",
            meaning=f"{meaning} The worst class or label in any bias.",
        ),
    }


def _numbers() -> dict[str, Description]:
    found = numbers("scores", "samples") | _OVERALL
    for key, text in (_OVERALL | numbers("scores", "mixtures")).items():
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
