"""The families of shortcuts, cues, variants, context, background, place and size. Pure Python."""

from debias.metrics.descriptions import Family, numbers

SHORTCUTS = Family(
    "Target or shortcut",
    "Whether the model follows the target or the shortcut if they lead to different classes. With "
    "several shortcuts, also the accuracy that each of them, and all together, costs.",
    numbers("shortcuts", "shortcuts"),
    headlines=("target_preference", "shortcut_fraction", "in_distribution", "gap/<shortcuts>"),
    needs=("bias", "aligned", "one label"),
    by_attribute=True,
)

CUES = Family(
    "Shape or texture",
    "Which cue the model follows on pictures that have the shape of one class and the texture of "
    "another.",
    numbers("shortcuts", "cues"),
    headlines=("shape_bias", "shape_fraction", "texture_fraction"),
    needs=("bias", "cues"),
    by_request=True,
)

PREFERENCE = Family(
    "Preferred cue",
    "How often the model follows the target and each shortcut where they lead to different "
    "classes. If all of them agreed in training, this shows which one it chose.",
    numbers("shortcuts", "preference"),
    headlines=("cue/<cue>", "chance"),
    needs=("bias", "several cues"),
    by_request=True,
)

UNCOMMON_VALUES = Family(
    "Uncommon attributes",
    "Accuracy by the number of attributes of an image whose value is uncommon for its class: fewer "
    "than 10 % of the training images of the class have it.",
    numbers("shortcuts", "uncommon"),
    headlines=("accuracy/<number>", "drop"),
    needs=("bias", "one label", "training groups"),
    by_request=True,
)

VARIANTS = Family(
    "Variants of pictures",
    "Accuracy on each variant of the same pictures, such as those with other backgrounds.",
    numbers("shortcuts", "variants"),
    headlines=("background_gap", "accuracy/original", "accuracy/mixed_same", "accuracy/mixed_rand"),
    needs=("bias", "one label"),
    by_request=True,
)

CONTEXT = Family(
    "Context",
    "Whether the model finds a label without its usual context. The pairs of label and context are "
    "those of the data set, or else are chosen on the validation split.",
    numbers("shortcuts", "context"),
    headlines=("contextual_bias", "exclusive_precision", "context_gap"),
    needs=("labels", "scores", "contexts"),
)

BACKGROUND = Family(
    "Background",
    "Accuracy on foregrounds that are pasted on other backgrounds.",
    numbers("shortcuts", "background"),
    headlines=("background_robustness", "background_gap"),
    needs=("run", "masks"),
    quick=False,
)

PLACEMENT = Family(
    "Place and size",
    "Accuracy on foregrounds that are moved, shrunk or enlarged.",
    numbers("shortcuts", "placement"),
    headlines=("centre_bias", "size_bias/0.5", "size_bias/2"),
    needs=("run", "masks"),
    quick=False,
)
