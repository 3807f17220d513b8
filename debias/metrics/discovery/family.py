"""The families of what predictions and errors tell of the bias. Pure Python."""

from debias.metrics.descriptions import Family, numbers

INFORMATION = Family(
    "Information",
    "How much the predictions tell of the bias attribute, and how much of it the labels do.",
    numbers("discovery", "information"),
    headlines=(
        "information/prediction_given_target",
        "information/cramers_v",
        "information/target_cramers_v",
    ),
    needs=("bias",),
)

ERRORS = Family(
    "Errors as a finder of misled images",
    "Whether the images that the model gets wrong are those that the shortcut misleads: the "
    "hope of methods that learn from a first model's errors.",
    numbers("discovery", "errors"),
    headlines=("discovery/error_precision", "discovery/error_recall", "discovery/error_lift"),
    needs=("bias", "aligned", "one label"),
)
