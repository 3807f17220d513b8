"""How to read the numbers of bias amplification. Pure Python."""

from __future__ import annotations

from debias.metrics.descriptions import Description, Family, lower, unranked

_NUMBERS: dict[str, Description] = {
    "amplification/attribute_to_task": lower(
        "Amplification, attribute to task",
        "How much more the predictions follow the attribute than the labels do. Balanced data "
        "hide it.",
    ),
    "amplification/attribute_to_task_magnitude": lower(
        "Amplification, attribute to task, magnitude",
        "The same without signs, so that growth for one pair does not make up for loss for "
        "another.",
    ),
    "amplification/attribute_to_task_variance": lower(
        "Amplification, attribute to task, variance", "How unevenly it falls on the pairs."
    ),
    "amplification/attribute_to_task_hall": lower(
        "Amplification as Hall et al.",
        "Attribute to task by the test labels alone, where an independent pair counts as a rare "
        "one.",
    ),
    "amplification/task_to_attribute": lower(
        "Amplification, task to attribute",
        "How much more the predicted attribute follows the task than the labels do; needs "
        "predictions of the bias.",
    ),
    "amplification/task_to_attribute_magnitude": lower(
        "Amplification, task to attribute, magnitude", "The same without signs."
    ),
    "amplification/task_to_attribute_variance": lower(
        "Amplification, task to attribute, variance", "How unevenly it falls on the pairs."
    ),
    "amplification/mals": lower(
        "Men also like shopping",
        "How much the predictions enlarge the shares of attributes that had more than an even "
        "share of a task.",
    ),
    "amplification/mals_attribute_to_task": lower(
        "Men also like shopping, by predicted tasks", "Its part that comes of predicting tasks."
    ),
    "amplification/mals_task_to_attribute": lower(
        "Men also like shopping, by predicted attributes",
        "Its part that comes of predicting attributes.",
    ),
    "amplification/share_bias": lower(
        "Uneven shares",
        "How far the images of each predicted class are from an even mix of attributes; for a "
        "balanced test set.",
    ),
    "amplification/share_amplification": lower(
        "Shifted shares",
        "How far the mix within each predicted class is from the mix in the labels.",
    ),
    "amplification/multi_attribute_to_task": lower(
        "Amplification, attribute to label sets",
        "As attribute to task, for labels that occur together.",
    ),
    "amplification/multi_attribute_to_task_signed": lower(
        "Amplification, attribute to label sets, signed", "The same with signs: negative is less."
    ),
    "amplification/multi_attribute_to_task_variance": lower(
        "Amplification, attribute to label sets, variance", "How unevenly it falls on the sets."
    ),
    "amplification/multi_task_to_attribute": lower(
        "Amplification, label sets to attribute",
        "As task to attribute, for labels that occur together.",
    ),
    "amplification/multi_task_to_attribute_signed": lower(
        "Amplification, label sets to attribute, signed", "The same with signs: negative is less."
    ),
    "amplification/multi_task_to_attribute_variance": lower(
        "Amplification, label sets to attribute, variance", "How unevenly it falls on the sets."
    ),
    "amplification/multi_mals": lower(
        "Men also do laundry",
        "As men also like shopping, for labels that occur together, without signs.",
    ),
    "amplification/multi_mals_signed": lower(
        "Men also do laundry, signed", "The same with signs: negative is less."
    ),
    "amplification/multi_mals_variance": lower(
        "Men also do laundry, variance", "How unevenly it falls on the sets."
    ),
}

_HEADLINES = (
    "amplification/attribute_to_task",
    "amplification/share_amplification",
    "amplification/multi_attribute_to_task",
)

AMPLIFICATION = Family(
    "Bias amplification",
    "Whether the predictions tie target and bias more closely together than the labels do.",
    _NUMBERS,
    headlines=_HEADLINES,
    needs=("bias",),
    curve="amplification",
)

THRESHOLDS = Family(
    "Bias amplification at chosen thresholds",
    "The same with a threshold of its own for each label: chosen on the validation split, so "
    "that no more of its images are given the label than have it, and applied to the test split.",
    {
        "threshold/<outcome>": unranked(
            "Threshold", "Probability from which on the label is given."
        ),
        **_NUMBERS,
    },
    headlines=_HEADLINES,
    needs=("labels", "bias", "scores", "elsewhere"),
)
