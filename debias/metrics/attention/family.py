"""The family of attribution maps. Pure Python."""

from debias.metrics.descriptions import Family, numbers

_SCORES = numbers("attention", "attention")

#: The mean of each score over a part of the images.
_PARTS = {
    f"{key}/<part of the images>": text._replace(
        meaning=f"{text.meaning} Over a group, the right, the wrong, ..."
    )
    for key, text in _SCORES.items()
    if "/" not in key
}

ATTENTION = Family(
    "Attention",
    "Whether the model looks at the foreground, by its attribution maps and the masks.",
    _SCORES | _PARTS,
    headlines=("attention_iou", "background_attention", "pointing_game"),
    needs=("run", "masks", "maps"),
    quick=False,
)
