"""The families of measures about information on the bias, and about errors. Pure Python."""

from debias.metrics.descriptions import Family, numbers

INFORMATION = Family(
    "Information",
    "How much information the predictions, and the true labels, have about the bias attribute.",
    numbers("discovery", "information"),
    headlines=(
        "information/prediction_given_target",
        "information/cramers_v",
        "information/target_cramers_v",
    ),
    needs=("bias",),
    by_attribute=True,
)

ERRORS = Family(
    "Errors as a finder of misled images",
    "Whether the images that the model gets wrong are bias-conflicting. Methods that learn from "
    "the errors of a first model rely on it.",
    numbers("discovery", "errors"),
    headlines=("discovery/error_precision", "discovery/error_recall", "discovery/error_lift"),
    needs=("bias", "aligned", "one label"),
    by_attribute=True,
)
