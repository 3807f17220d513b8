"""Which of the target and several shortcuts a model follows where they conflict."""

from collections.abc import Sequence

import torch
from torch import Tensor

from debias.metrics.accuracy.counts import Tally
from debias.metrics.accuracy.uncertainty import wilson_interval
from debias.metrics.shortcuts.cues import cell_balanced_cues, cue_scalars, cue_tally
from debias.types import Attribute, Groups

#: Name of the target among the cues.
TARGET = "target"


def cues_of(target: Tensor, bias: Tensor, groups: Groups) -> tuple[Tensor, list[str]]:
    """The class that the target and each shortcut stand for.

    Args:
        target: ``(N,)`` integer class.
        bias: ``(N,)`` integer bias value, or -1.
        groups: groups for which :func:`has_cues` is true.

    Returns:
        ``(N, K)`` int64 classes, -1 where unknown, and K names: "target", and those of the
        attributes.
    """
    columns, names = [target.long()], [TARGET]
    for attribute, values in zip(_attributes(groups), groups.decode(bias.long()).T, strict=True):
        if attribute.aligned:
            meant = torch.full((len(attribute.values) + 1,), -1)  # the last one is for -1
            for label, value in attribute.aligned:
                meant[value] = label
            columns.append(meant[values])
            names.append(attribute.name)
    return torch.stack(columns, dim=1), names


def has_cues(groups: Groups) -> bool:
    """Whether some bias attribute has aligned pairs, and each of its values in at most one."""
    pairs = [[value for _, value in each.aligned] for each in _attributes(groups)]
    unique = all(len(set(values)) == len(values) for values in pairs)
    return not groups.multi_label and any(pairs) and unique


def preference_report(
    prediction: Tensor, target: Tensor, bias: Tensor, groups: Groups
) -> dict[str, float]:
    """How often a model follows each cue on the images whose cues do not all agree.

    Source: Scimeca et al., ICLR 2022, as in :func:`debias.metrics.shortcuts.cues.cue_scalars`.

    Args:
        prediction: ``(N,)`` integer class.
        target: ``(N,)`` integer class.
        bias: ``(N,)`` integer bias value; an image with -1 is left out.
        groups: groups for which :func:`has_cues` is true.

    Returns:
        The floats of :func:`~debias.metrics.shortcuts.cues.cue_scalars` with
        ``cue_low/NAME`` and ``cue_high/NAME``, the Wilson interval of each share, and
        ``cue_cells/NAME``, the mean over the combinations of values.
    """
    cues, names = cues_of(target, bias, groups)
    known = (cues >= 0).all(dim=1)
    prediction, cues = prediction.long()[known], cues[known]
    tally = cue_tally(prediction, cues, labels=groups.rows)
    scalars = cue_scalars(tally, names)
    scalars |= _intervals(tally, names)
    cells = cell_balanced_cues(prediction, cues)
    scalars |= {f"cue_cells/{name}": value for name, value in zip(names, cells, strict=True)}
    return {key: value.item() for key, value in scalars.items()}


def _attributes(groups: Groups) -> tuple[Attribute, ...]:
    """The bias attributes; a single one is called "bias"."""
    return groups.attributes or (Attribute("bias", groups.bias_names, groups.aligned),)


def _intervals(tally: Tally, names: Sequence[str]) -> dict[str, Tensor]:
    low, high = wilson_interval(tally.correct.sum(dim=1), tally.total.sum(dim=1))
    ends = {"cue_low": low, "cue_high": high}
    return {
        f"{end}/{name}": value
        for end, values in ends.items()
        for name, value in zip(names, values, strict=True)
    }
