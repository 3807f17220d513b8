"""How to read what predictions and errors tell of the bias. Pure Python."""

from __future__ import annotations

import math

from debias.metrics.descriptions import Description, Family, lower

INFORMATION = Family(
    "Information",
    "How much the predictions tell of the bias attribute, and how much of it the labels do.",
    {
        "information/prediction": lower(
            "Information on the bias", "What the predictions tell of the bias, in nats."
        ),
        "information/prediction_normalized": lower(
            "Information on the bias, normalised",
            "The same as a share: 1 if either follows from the other.",
        ),
        "information/prediction_given_target": lower(
            "Information beyond the target",
            "What the predictions tell of the bias once the target is known, in nats: errors that "
            "depend on the bias.",
        ),
        "information/target": lower(
            "Information in the labels",
            "What the true targets tell of the bias, in nats: a matter of the split.",
        ),
        "information/cramers_v": lower(
            "Association with the bias",
            "Cramér's V of predictions and bias: 0 for independence, 1 for identity.",
        ),
        "information/target_cramers_v": lower(
            "Association in the labels", "Cramér's V of targets and bias: a matter of the split."
        ),
    },
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
    {
        "discovery/error_precision": Description(
            "Errors that the shortcut explains",
            "Share of the errors that lie in groups where the shortcut misleads.",
        ),
        "discovery/error_recall": Description(
            "Misled samples among the errors",
            "Share of the samples that the shortcut misleads which the model gets wrong.",
        ),
        "discovery/error_f1": Description(
            "Error set, F1",
            "How well the set of errors stands for the samples that the shortcut misleads.",
        ),
        "discovery/error_lift": Description(
            "Error set, lift",
            "How many times more such samples the errors hold than a random set would; 1 is no "
            "use.",
            math.nan,
        ),
        "discovery/error_share/<group>": lower(
            "Share of the errors", "How much of all errors one group makes up."
        ),
    },
    headlines=("discovery/error_precision", "discovery/error_recall", "discovery/error_lift"),
    needs=("bias", "aligned", "one label"),
)
