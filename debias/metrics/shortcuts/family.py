"""The families of shortcuts, contexts and backgrounds. Pure Python."""

from debias.metrics.descriptions import Family, numbers

SHORTCUTS = Family(
    "Target or shortcut",
    "What the model follows where target and shortcut lead to different classes.",
    numbers("shortcuts", "shortcuts"),
    headlines=("target_preference", "target_fraction", "shortcut_fraction"),
    needs=("bias", "aligned", "one label"),
)

CONTEXT = Family(
    "Context",
    "Whether the model finds a label without what it is usually seen with; over the pairs of "
    "labels that need each other most, chosen on the validation split.",
    numbers("shortcuts", "context"),
    headlines=("contextual_bias", "context_gap"),
    needs=("labels", "scores", "elsewhere"),
)

BACKGROUND = Family(
    "Background",
    "What accuracy is left when foregrounds are pasted on other backgrounds.",
    numbers("shortcuts", "background"),
    headlines=("background_robustness", "background_gap"),
    needs=("run", "masks"),
    quick=False,
)

PLACEMENT = Family(
    "Place and size",
    "What accuracy is left when foregrounds are moved, shrunk or enlarged.",
    numbers("shortcuts", "placement"),
    headlines=("centre_bias", "size_bias/0.5", "size_bias/2"),
    needs=("run", "masks"),
    quick=False,
)
