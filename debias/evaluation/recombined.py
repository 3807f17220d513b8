"""A model's accuracy on recombined images: with other backgrounds, positions and sizes."""

from collections import Counter
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from debias import processes
from debias.augment.recombination import Recombination, RecombinationDraws, recombine
from debias.merging import Section
from debias.metrics.shortcuts.recombination import (
    background_gap,
    background_robustness,
    centre_bias,
    size_bias,
)
from debias.parts import Parts
from debias.types import Batch

#: Factors on the foreground's area at which the size bias is measured.
FACTORS = (0.5, 1.0, 2.0)
CELLS = range(9)

#: Name of a variant to the settings that make its images.
Variants = Mapping[str, Section]

BACKGROUND: Variants = {"all": {"background": "all"}, "same": {"background": "same"}}
PLACEMENT: Variants = {
    **{f"cell{cell}": {"background": "all", "cell": cell} for cell in CELLS},
    **{f"size{factor:g}": {"background": "all", "size_factor": factor} for factor in FACTORS},
}


def background_scalars(
    parts: Parts, split: str = "test", *, progress: bool = True
) -> dict[str, float]:
    """Accuracy if backgrounds are exchanged: within a class, and between all classes.

    Each image gets the background of another image of the split. The share of each group among
    these backgrounds is its share in training. The robustness is the ratio of the accuracy on
    backgrounds of all classes to that on backgrounds of the own class; the gap is the difference.

    Args:
        parts: the objects of a run, with the weights to evaluate.
        split: the split whose images are recombined; each needs a mask.
        progress: show a progress bar.

    Returns:
        ``background_robustness``, ``background_gap``, and the two accuracies they are computed
        from. Images whose mask is empty or full are not counted.
    """
    accuracy = accuracies(parts, split, BACKGROUND, progress=progress)
    everywhere, same = (
        torch.tensor(accuracy[name], dtype=torch.float64) for name in ("all", "same")
    )
    return {
        "background_robustness": background_robustness(everywhere, same).item(),
        "background_gap": background_gap(everywhere, same).item(),
        "accuracy_all_backgrounds": accuracy["all"],
        "accuracy_same_class_backgrounds": accuracy["same"],
    }


def placement_scalars(
    parts: Parts, split: str = "test", *, progress: bool = True
) -> dict[str, float]:
    """Centre bias and size bias of a model, from moved and resized foregrounds.

    The backgrounds are of any class, drawn as in :func:`background_scalars`.

    Args:
        parts: the objects of a run, with the weights to evaluate.
        split: the split whose images are recombined; each needs a mask.
        progress: show a progress bar.

    Returns:
        ``centre_bias``, and ``size_bias/FACTOR`` for each factor but 1: the accuracy at that factor
        relative to the accuracy at factor 1.
    """
    accuracy = accuracies(parts, split, PLACEMENT, progress=progress)
    by_cell = [accuracy[f"cell{cell}"] for cell in CELLS]
    cells = torch.tensor(by_cell, dtype=torch.float64).view(3, 3)
    sizes = torch.tensor([accuracy[f"size{factor:g}"] for factor in FACTORS], dtype=torch.float64)
    relative = size_bias(sizes, torch.tensor(FACTORS)).tolist()
    named = {
        f"size_bias/{factor:g}": value
        for factor, value in zip(FACTORS, relative, strict=True)
        if factor != 1
    }
    return {"centre_bias": centre_bias(cells).item(), **named}


# no_grad, because a module that is moved in inference_mode could never again have gradients
@torch.no_grad()
def accuracies(
    parts: Parts, split: str, variants: Variants, *, progress: bool = True
) -> dict[str, float]:
    """Accuracy on each variant of a split's recombined images; the draws are always the same."""
    device = parts.ready().device
    importance = group_importance(parts, split)
    right: Counter[str] = Counter()
    total = 0
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        for batch in batches(parts, split, progress=progress):
            usable = ~Recombination().draw(batch).keep
            total += int(usable.sum()) * (batch.target.shape[1] if batch.target.ndim == 2 else 1)
            for name, variant in variants.items():
                changed = _recombined(batch, parts, importance, **variant)
                right[name] += int((parts.decisions(changed) == batch.target)[usable].sum())
    # each process has counted only its share of the split
    counts = torch.tensor([total, *(right[name] for name in variants)], device=device)
    total, *rights = processes.summed(counts).tolist()
    return {
        name: count / total if total else torch.nan
        for name, count in zip(variants, rights, strict=True)
    }


def batches(parts: Parts, split: str, *, progress: bool = True) -> Iterator[Batch]:
    """Batches of a split that also hold backgrounds; each process gets its share of them."""
    loader = parts.data.loader(split, backgrounds=True)
    return parts.batches(loader, f"recombining {split}", progress=progress)


def group_importance(parts: Parts, split: str) -> Tensor:
    """``(groups + 1,)`` training samples of each group per sample of the split.

    The last entry is for samples of unknown bias; it is 0, because their frequency is unknown. All
    entries are 1 with several labels, or if either split has no sample of known bias.
    """
    train, here = (parts.examples.frequencies(name).double() for name in ("train", split))
    if not bool(train.any()) or not bool(here.any()) or parts.groups.multi_label:
        return torch.ones(len(train) + 1, dtype=torch.float64)
    return torch.cat([train / here.clamp(min=1), torch.zeros(1, dtype=torch.float64)])


def _recombined(
    batch: Batch,
    parts: Parts,
    importance: Tensor,
    *,
    background: str,
    cell: int | None = None,
    size_factor: float = 1.0,
) -> Batch:
    recombination = Recombination(background=background)
    draws = recombination.draw(batch)
    donor = drawn_donors(batch, parts, importance, recombination)
    draws = RecombinationDraws(donor, draws.size, draws.place, draws.edge, draws.keep)
    return recombine(batch, draws, blur=recombination.blur, cell=cell, size_factor=size_factor)


def drawn_donors(
    batch: Batch, parts: Parts, importance: Tensor, recombination: Recombination
) -> Tensor:
    """``(N,)`` index of the sample whose background each sample gets, drawn by group importance.

    A donor whose group does not occur in training is drawn only if no other donor is allowed.
    """
    group = parts.groups.encode(batch.target, batch.bias).cpu()
    weight = importance[group if group.ndim == 1 else group[:, 0]]
    allowed = recombination.allowed(batch).cpu()
    # each donor has the greatest u ** (1 / w) with probability proportional to its weight w
    # (Efraimidis and Spirakis, 2006)
    keys = torch.rand(allowed.shape, dtype=torch.float64).log() / weight.clamp(min=1e-9)
    return keys.masked_fill(~allowed, -torch.inf).argmax(dim=1).to(batch.target.device)
