"""The families of bias amplification. Pure Python."""

from debias.metrics.descriptions import Family, numbers

_HEADLINES = (
    "amplification/attribute_to_task",
    "amplification/share_amplification",
    "amplification/multi_attribute_to_task",
)

AMPLIFICATION = Family(
    "Bias amplification",
    "Whether the predictions tie target and bias more closely together than the labels do.",
    numbers("amplification", "amplification"),
    headlines=_HEADLINES,
    needs=("bias",),
    curve="amplification",
)

THRESHOLDS = Family(
    "Bias amplification at chosen thresholds",
    "The same with a threshold of its own for each label: chosen on the validation split, so "
    "that no more of its images are given the label than have it, and applied to the test split.",
    numbers("amplification", "thresholds") | numbers("amplification", "amplification"),
    headlines=_HEADLINES,
    needs=("labels", "bias", "scores", "elsewhere"),
)
