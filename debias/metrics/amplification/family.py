"""The families of bias amplification. Pure Python."""

from debias.metrics.descriptions import Family, numbers

_HEADLINES = (
    "amplification/attribute_to_task",
    "amplification/share_amplification",
    "amplification/multi_attribute_to_task",
)

AMPLIFICATION = Family(
    "Bias amplification",
    "Whether target and bias are associated more strongly in the predictions than in the labels.",
    numbers("amplification", "amplification"),
    headlines=_HEADLINES,
    needs=("bias",),
    curve="amplification",
    by_attribute=True,
)

THRESHOLDS = Family(
    "Bias amplification at chosen thresholds",
    "Bias amplification on the test split, with one threshold per label. Each threshold is the "
    "lowest one at which no more validation images are predicted to have the label than have it.",
    numbers("amplification", "thresholds") | numbers("amplification", "amplification"),
    headlines=_HEADLINES,
    needs=("labels", "bias", "scores", "elsewhere"),
    by_attribute=True,
)
