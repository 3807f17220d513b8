"""How to read what shortcuts, contexts and backgrounds do to predictions. Pure Python."""

from __future__ import annotations

from debias.metrics.descriptions import Description, Family, lower

SHORTCUTS = Family(
    "Target or shortcut",
    "What the model follows where target and shortcut lead to different classes.",
    {
        "target_preference": Description(
            "Target over shortcut",
            "Of the answers that follow target or shortcut where they differ, those by the target.",
        ),
        "target_fraction": Description(
            "By the target", "Share of conflicting images that are answered by their target."
        ),
        "shortcut_fraction": lower(
            "By the shortcut", "Share of conflicting images that are answered by their shortcut."
        ),
    },
    headlines=("target_preference", "target_fraction", "shortcut_fraction"),
    needs=("bias", "aligned", "one label"),
)

CONTEXT = Family(
    "Context",
    "Whether the model finds a label without what it is usually seen with; over the pairs of "
    "labels that need each other most, chosen on the validation split.",
    {
        "contextual_bias": lower(
            "Contextual bias",
            "How many times more confident the model is of a label beside its usual context.",
            1.0,
        ),
        "exclusive_precision": Description(
            "Exclusive AP", "Average precision of labels shown without their usual context."
        ),
        "cooccurring_precision": Description(
            "Co-occurring AP", "Average precision of labels shown with their usual context."
        ),
        "context_gap": lower(
            "Context gap", "Average precision lost when the usual context is missing."
        ),
    },
    headlines=("contextual_bias", "context_gap"),
    needs=("labels", "scores", "elsewhere"),
)

BACKGROUND = Family(
    "Background",
    "What accuracy is left when foregrounds are pasted on other backgrounds.",
    {
        "background_robustness": Description(
            "Background robustness",
            "Accuracy that is left on backgrounds of any class, as a share of that on the own one.",
        ),
        "background_gap": lower(
            "Background gap",
            "Accuracy lost when the background is of any class instead of the object's.",
        ),
        "accuracy_all_backgrounds": Description(
            "Accuracy on any background", "Foregrounds pasted on backgrounds of all classes."
        ),
        "accuracy_same_class_backgrounds": Description(
            "Accuracy on the own background",
            "The same foregrounds on backgrounds of their own class.",
        ),
    },
    headlines=("background_robustness", "background_gap"),
    needs=("run", "masks"),
    quick=False,
)

PLACEMENT = Family(
    "Place and size",
    "What accuracy is left when foregrounds are moved, shrunk or enlarged.",
    {
        "centre_bias": lower(
            "Centre bias",
            "Share of the accuracy lost when the foreground leaves the middle; negative if the "
            "border is preferred.",
        ),
        "size_bias/<factor>": Description(
            "Size bias",
            "Accuracy with the foreground's area times this factor, as a share of that at its own "
            "size.",
        ),
    },
    headlines=("centre_bias", "size_bias/0.5", "size_bias/2"),
    needs=("run", "masks"),
    quick=False,
)
