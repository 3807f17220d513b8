"""How to read the accuracies on filtered images. Pure Python."""

from __future__ import annotations

from debias.metrics.descriptions import Description, Family, lower

_BAND_PASS = {
    "area": Description(
        "Band-pass accuracy",
        "Mean accuracy over the cutoffs: how little of the spectrum is enough.",
    ),
    "half_cutoff": lower(
        "Half-accuracy cutoff", "Share of the spectrum that half of the clean accuracy takes."
    ),
    "accuracy/<cutoff>": Description("Accuracy", "Accuracy with this share of the spectrum kept."),
}

FREQUENCY = Family(
    "Spatial frequencies",
    "How much of the images' spectrum the model needs.",
    {"accuracy/clean": Description("Accuracy", "Accuracy on the same images, untouched.")}
    | {
        f"{kind}/{key}": text._replace(title=f"{text.title}, {name}")
        for kind, name in (("low_pass", "low frequencies"), ("high_pass", "high frequencies"))
        for key, text in _BAND_PASS.items()
    },
    headlines=("accuracy/clean", "low_pass/area", "high_pass/area"),
    needs=("run",),
    quick=False,
    curve="band_pass",
)
