"""The family of accuracies on altered pictures, and of the smoothness of filters. Pure Python."""

from debias.metrics.descriptions import Family, numbers

ALTERED = Family(
    "Altered pictures",
    "Accuracy on pictures that keep only some cues, and how smooth the first filters are.",
    numbers("altered", "altered"),
    headlines=("accuracy/greyscale", "accuracy/edges", "accuracy/shuffled", "filter_variation"),
    needs=("run",),
    quick=False,
)
