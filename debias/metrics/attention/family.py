"""The family of attribution maps. Pure Python."""

from debias.metrics.descriptions import Family, numbers

_SCORES = numbers("attention", "attention")

#: Each score also exists as a mean over a part of the images, such as one group.
_PARTS = {
    f"{key}/<part of the images>": text._replace(
        meaning=f"{text.meaning} Mean over one group, the correct or the wrong images, ..."
    )
    for key, text in _SCORES.items()
    if "/" not in key
}

ATTENTION = Family(
    "Attention",
    "Whether the attribution maps of the model fall on the foreground masks.",
    _SCORES | _PARTS,
    headlines=("attention_iou", "background_attention", "pointing_game"),
    needs=("run", "masks", "maps"),
    quick=False,
)
