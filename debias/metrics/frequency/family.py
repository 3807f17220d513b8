"""The family of accuracies on low-passed and high-passed images. Pure Python."""

from debias.metrics.descriptions import Family, numbers

_FILTERED = {
    f"{kind}/{key}": text._replace(title=f"{text.title}, {name}")
    for kind, name in (("low_pass", "low frequencies"), ("high_pass", "high frequencies"))
    for key, text in numbers("frequency", "filter").items()
}

FREQUENCY = Family(
    "Spatial frequencies",
    "Accuracy on images that keep only a part of their spectrum.",
    numbers("frequency", "frequency") | _FILTERED,
    headlines=("accuracy/clean", "low_pass/area", "high_pass/area"),
    needs=("run",),
    quick=False,
    curve="band_pass",
)
