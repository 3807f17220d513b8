"""How to read the scalars of bias amplification, for the command line and the page."""

from __future__ import annotations

from debias.metrics.descriptions import Description

AMPLIFICATION: dict[str, Description] = {
    "amplification/attribute_to_task": Description(
        "Amplification, attribute to task",
        "How much more the predictions follow the attribute than the labels do. Balanced data "
        "hide it.",
        0.0,
        "lower",
    ),
    "amplification/attribute_to_task_magnitude": Description(
        "Amplification, attribute to task, magnitude",
        "The same without signs, so that growth for one pair does not make up for loss for "
        "another.",
        0.0,
        "lower",
    ),
    "amplification/attribute_to_task_variance": Description(
        "Amplification, attribute to task, variance",
        "How unevenly it falls on the pairs.",
        0.0,
        "lower",
    ),
    "amplification/attribute_to_task_hall": Description(
        "Amplification as Hall et al.",
        "Attribute to task by the test labels alone, where an independent pair counts as a rare "
        "one.",
        0.0,
        "lower",
    ),
    "amplification/task_to_attribute": Description(
        "Amplification, task to attribute",
        "How much more the predicted attribute follows the task than the labels do; negative is "
        "less.",
        0.0,
        "lower",
    ),
    "amplification/task_to_attribute_magnitude": Description(
        "Amplification, task to attribute, magnitude", "The same without signs.", 0.0, "lower"
    ),
    "amplification/task_to_attribute_variance": Description(
        "Amplification, task to attribute, variance",
        "How unevenly it falls on the pairs.",
        0.0,
        "lower",
    ),
    "amplification/mals": Description(
        "Men also like shopping",
        "How much the predictions enlarge the shares of attributes that had more than an even "
        "share of a task.",
        0.0,
        "lower",
    ),
    "amplification/mals_attribute_to_task": Description(
        "Men also like shopping, by predicted tasks",
        "Its part that comes of predicting tasks.",
        0.0,
        "lower",
    ),
    "amplification/mals_task_to_attribute": Description(
        "Men also like shopping, by predicted attributes",
        "Its part that comes of predicting attributes.",
        0.0,
        "lower",
    ),
    "amplification/share_bias": Description(
        "Uneven shares",
        "How far the images of each predicted class are from an even mix of attributes; for a "
        "balanced test set.",
        0.0,
        "lower",
    ),
    "amplification/share_amplification": Description(
        "Shifted shares",
        "How far the mix within each predicted class is from the mix in the labels.",
        0.0,
        "lower",
    ),
    "amplification/multi_attribute_to_task": Description(
        "Amplification, attribute to label sets",
        "As attribute to task, for labels that occur together.",
        0.0,
        "lower",
    ),
    "amplification/multi_attribute_to_task_signed": Description(
        "Amplification, attribute to label sets, signed",
        "The same with signs: negative is less.",
        0.0,
        "lower",
    ),
    "amplification/multi_attribute_to_task_variance": Description(
        "Amplification, attribute to label sets, variance",
        "How unevenly it falls on the sets.",
        0.0,
        "lower",
    ),
    "amplification/multi_task_to_attribute": Description(
        "Amplification, label sets to attribute",
        "As task to attribute, for labels that occur together.",
        0.0,
        "lower",
    ),
    "amplification/multi_task_to_attribute_signed": Description(
        "Amplification, label sets to attribute, signed",
        "The same with signs: negative is less.",
        0.0,
        "lower",
    ),
    "amplification/multi_task_to_attribute_variance": Description(
        "Amplification, label sets to attribute, variance",
        "How unevenly it falls on the sets.",
        0.0,
        "lower",
    ),
    "amplification/multi_mals": Description(
        "Men also do laundry",
        "As men also like shopping, for labels that occur together, without signs.",
        0.0,
        "lower",
    ),
    "amplification/multi_mals_signed": Description(
        "Men also do laundry, signed", "The same with signs: negative is less.", 0.0, "lower"
    ),
    "amplification/multi_mals_variance": Description(
        "Men also do laundry, variance", "How unevenly it falls on the sets.", 0.0, "lower"
    ),
}
