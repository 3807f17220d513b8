"""What a model makes of recombined pictures: other backgrounds, places and sizes."""

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

#: Factors on the foreground's area, by which the size bias is measured.
FACTORS = (0.5, 1.0, 2.0)
CELLS = range(9)

#: Name of a variant to how its pictures are made.
Variants = Mapping[str, Section]

BACKGROUND: Variants = {"all": {"background": "all"}, "same": {"background": "same"}}
PLACEMENT: Variants = {
    **{f"cell{cell}": {"background": "all", "cell": cell} for cell in CELLS},
    **{f"size{factor:g}": {"background": "all", "size_factor": factor} for factor in FACTORS},
}


def background_scalars(
    parts: Parts, split: str = "test", *, progress: bool = True
) -> dict[str, float]:
    """Background robustness and gap of a model, from each foreground on a background of any class
    and of its own.

    Backgrounds come from the split's own pictures, drawn as often as their groups occur in
    training: a background "of its own class" is one that training showed that class with, also
    where the split was balanced by design.

    Args:
        parts: the objects of a run, with the weights that are to be judged.
        split: whose pictures are recombined; each needs a mask.
        progress: show a progress bar.

    Returns:
        ``background_robustness``, ``background_gap``, and the two accuracies; pictures whose mask
        is empty or full are not counted.
    """
    found = accuracies(parts, split, BACKGROUND, progress=progress)
    everywhere, same = (torch.tensor(found[name], dtype=torch.float64) for name in ("all", "same"))
    return {
        "background_robustness": background_robustness(everywhere, same).item(),
        "background_gap": background_gap(everywhere, same).item(),
        "accuracy_all_backgrounds": found["all"],
        "accuracy_same_class_backgrounds": found["same"],
    }


def placement_scalars(
    parts: Parts, split: str = "test", *, progress: bool = True
) -> dict[str, float]:
    """Centre bias and size bias of a model, from foregrounds on backgrounds of any class, as above.

    Args:
        parts: the objects of a run, with the weights that are to be judged.
        split: whose pictures are recombined; each needs a mask.
        progress: show a progress bar.

    Returns:
        ``centre_bias``; ``size_bias/0.5`` and so on, relative to the accuracy at factor 1.
    """
    found = accuracies(parts, split, PLACEMENT, progress=progress)
    cells = torch.tensor([found[f"cell{cell}"] for cell in CELLS], dtype=torch.float64).view(3, 3)
    sizes = torch.tensor([found[f"size{factor:g}"] for factor in FACTORS], dtype=torch.float64)
    relative = size_bias(sizes, torch.tensor(FACTORS)).tolist()
    named = {
        f"size_bias/{factor:g}": value
        for factor, value in zip(FACTORS, relative, strict=True)
        if factor != 1
    }
    return {"centre_bias": centre_bias(cells).item(), **named}


# no_grad, as a module that is moved in inference_mode could never be asked for a gradient again
@torch.no_grad()
def accuracies(
    parts: Parts, split: str, variants: Variants, *, progress: bool = True
) -> dict[str, float]:
    """Accuracy on each variant of a split's recombined pictures; always the same choices."""
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
    # every process has seen its share of the split
    counts = torch.tensor([total, *(right[name] for name in variants)], device=device)
    total, *found = processes.summed(counts).tolist()
    return {
        name: count / total if total else torch.nan
        for name, count in zip(variants, found, strict=True)
    }


def batches(parts: Parts, split: str, *, progress: bool = True) -> Iterator[Batch]:
    """Batches of a split that carry backgrounds; each process has its share of them."""
    loader = parts.data.loader(split, backgrounds=True)
    return parts.batches(loader, f"recombining {split}", progress=progress)


def group_importance(parts: Parts, split: str) -> Tensor:
    """``(groups + 1,)`` training samples of each group per sample of the split, or all 1.

    The last is for samples of unknown bias, of which there is no telling how common they are: 0.
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
    """``(N,)`` a donor for each sample, drawn by the importance of the donor's group.

    Groups that training does not have give a donor where there is no other.
    """
    group = parts.groups.encode(batch.target, batch.bias).cpu()
    weight = importance[group if group.ndim == 1 else group[:, 0]]
    allowed = recombination.allowed(batch).cpu()
    # the greatest of u ** (1 / w) falls on each with probability proportional to w (Efraimidis and
    # Spirakis, 2006)
    keys = torch.rand(allowed.shape, dtype=torch.float64).log() / weight.clamp(min=1e-9)
    return keys.masked_fill(~allowed, -torch.inf).argmax(dim=1).to(batch.target.device)
