"""The family of filtered images. Pure Python."""

from debias.metrics.descriptions import Family, numbers

_FILTERED = {
    f"{kind}/{key}": text._replace(title=f"{text.title}, {name}")
    for kind, name in (("low_pass", "low frequencies"), ("high_pass", "high frequencies"))
    for key, text in numbers("frequency", "filter").items()
}

FREQUENCY = Family(
    "Spatial frequencies",
    "How much of the images' spectrum the model needs.",
    numbers("frequency", "frequency") | _FILTERED,
    headlines=("accuracy/clean", "low_pass/area", "high_pass/area"),
    needs=("run",),
    quick=False,
    curve="band_pass",
)
