"""Decompose-and-Compose: what a first model attends to is set on other surroundings."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from debias import components
from debias import config as configs
from debias.config import Config
from debias.data.orders import seeded_generator
from debias.errors import InputError, check_at_least, check_between
from debias.group_inference.decomposition import elbows, least_losses, most_attended
from debias.parts import Parts
from debias.recipes.map_masks import Cut, MapMasks
from debias.runs.run import Run, Stage, Trained
from debias.runs.work import Sizes, Work

#: Shares of the places that are left out of a picture, among which its elbow lies.
QUANTILES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(kw_only=True)
class DaC(MapMasks):
    r"""Train a new head on causal parts of images, alone and on other classes' backgrounds.

    A new head learns the class from causal parts of pictures, alone and among the surroundings of
    other classes.

    1. ``first``: plain ERM, on the run's draws; its Grad-CAM map of each training picture's true
       class. Leaving out ever more of the places of least attribution, 30 to 80 per cent, the loss
       rises once the model misses what it needs: the elbow of that curve
       (:func:`debias.group_inference.decomposition.elbows`) says how much of the map is the mask of
       the picture.
    2. ``groups.csv`` has 0 for the training pictures whose loss is at most the ``quantile`` of an
       epoch's draws: there the model attends to what is causal, and masks may be trusted. It has 1
       for the others.
    3. A fresh head (Xavier) on the first model's frozen backbone is trained by
       :class:`debias.strategies.decompose_compose.DecomposeCompose`, with the run's optimiser,
       schedule, epochs and batches.

    See :class:`debias.recipes.map_masks.MapMasks` for the files of the masks, and for what they
    need. Bias labels are not needed. Where the shortcut is easier than the class, the first model
    attends to it instead, and the method works against itself unless ``invert``: look at the masks.

    Source: Noohdani et al., "Decompose-and-Compose: A Compositional Approach to Mitigating Spurious
    Correlation", CVPR 2024; reference code fhn98/DaC.

    Args:
        first: what the first stage changes of the run's config, such as
            ``{epochs: 100, optimizer: {lr: 1e-3}}``.
        alpha: weight of the masked and of the combined pictures, at least 0.
        quantile: of the training losses, in (0, 1].
        invert: train on the inverted masks.
        layer: dotted name of the layer that the maps are of; left out, the last that still knows
            places.

    Raises:
        ValueError: ``alpha`` or ``quantile`` is out of range, or the run has a strategy or an
            augmentation of its own, or a sampler that reads biases.

    Differs from the reference: Grad-CAM of the true class, not XGrad-CAM of the predicted one, of
    the last epoch of the first stage, not of its best on validation; maps are of whole pictures,
    and masks go through crops and flips with them (the code crops CelebA alone, and lays masks of
    one crop on another); losses are of the pictures as they are evaluated, and say once for all
    which are low. See :class:`debias.strategies.decompose_compose.DecomposeCompose` and
    :func:`debias.group_inference.decomposition.most_attended`.
    """

    infers = ("train",)

    alpha: float = 6.0
    quantile: float = 0.8
    invert: bool = False

    def __post_init__(self) -> None:
        check_at_least(0, {"recipe.alpha": self.alpha})
        check_between("(0, 1]", {"recipe.quantile": self.quantile})

    def stages(self, run: Run) -> list[Config]:
        """The first, and the last but for what reads masks and losses.

        Raises:
            ValueError: the run has a strategy or an augmentation of its own, or a sampler that
                reads biases.
        """
        sampler = run.config.sampler["name"]
        if components.needs(components.find("sampler", sampler)):
            raise InputError(
                "this recipe draws as the run's sampler does before anything is inferred, and "
                f"sampler.name={sampler} reads biases: name shuffled, class_balanced, "
                "class_subsample or portion"
            )
        run.refuse_own("strategy", "augment")
        if run.config.batch_size < 2:
            raise InputError(
                "this recipe combines pictures of a batch: it needs batch_size=2 at least; got 1"
            )
        return [self._first(run), run.stage_config()]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The first stage, a map and masked pictures of each image, and the last stage."""
        first, _ = self.stages(run)
        return [Work(first, sizes, looks=1 + len(QUANTILES)), Work(run.last_config(), sizes)]

    def check(self, parts: Parts) -> None:
        """Refuse several labels, a model without maps, and a missing library for elbows."""
        super().check(parts)
        elbows(torch.zeros(1, 2), torch.arange(2))

    def train(self, run: Run) -> Trained:
        """Train, cut out, train a head."""
        first = run.train_stage("first", self._first(run))
        strategy = {"name": "decompose_compose", "alpha": self.alpha, "invert": self.invert}
        changes = {"strategy": strategy, "data": self.masks(run, first)}
        found = first.predictions("train", progress=run.config.progress)
        losses = F.cross_entropy(found.logits, found.target, reduction="none")
        drawn = first.parts.data.order.draw(seeded_generator(run.config.seed))
        low = least_losses(losses, self.quantile, among=losses[drawn])
        partition = run.infer(first.everywhere(found.index, ~low), first.examples)
        renew(first.parts.module.model.get_submodule("head"), seed=run.config.seed)
        return run.train_last(changes, partition=partition, start=first)

    def cut(self, run: Run, stage: Stage, rows: Tensor, maps: Tensor) -> Cut:
        """The places of largest attribution, as many as the elbow of each picture says."""
        losses = masked_losses(stage.parts, rows, maps, progress=run.config.progress)
        shares = elbows(losses, torch.tensor(QUANTILES, dtype=torch.float64)).tolist()
        left_out = dict(zip(rows.tolist(), shares, strict=True))
        return lambda row, enlarged: most_attended(enlarged[None], left_out[row])[0]

    def _first(self, run: Run) -> Config:
        return configs.changed(run.stage_config({"sampler": run.config.sampler}), self.first or {})


def masked_losses(parts: Parts, rows: Tensor, maps: Tensor, *, progress: bool = True) -> Tensor:
    """Cross-entropy of some rows' pictures, each of them without its places of least attribution.

    These are set to 0, which is the normalisation's mean.

    Args:
        parts: the objects of a run, with the weights that are asked.
        rows: ``(M,)`` int64.
        maps: ``(M, h, w)`` float32, of :func:`debias.evaluation.attention.attention_maps`.
        progress: show a progress bar.

    Returns:
        ``(M, 6)`` float32, for each of ``QUANTILES``.
    """
    module, done, curves = parts.ready(), 0, []
    loader = parts.loader(rows, whole=True)
    for batch in parts.batches(loader, "how much the model needs", progress=progress):
        coarse = maps[done : done + len(batch.target), None].to(module.device)
        fine = F.interpolate(coarse, size=batch.image.shape[-2:], mode="bilinear")[:, 0]
        done += len(batch.target)
        with torch.no_grad():
            logits = [
                module(batch.image * most_attended(fine, share)[:, None]).logits
                for share in QUANTILES
            ]
        losses = [F.cross_entropy(part.float(), batch.target, reduction="none") for part in logits]
        curves.append(torch.stack(losses, dim=1).cpu())
    return torch.cat(curves)


def renew(head: nn.Module, *, seed: int) -> None:
    """Draw a linear layer's weights as Glorot and Bengio do (Xavier), and set its bias to 0."""
    assert isinstance(head, nn.Linear)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.copy_(
            nn.init.xavier_uniform_(torch.empty(head.weight.shape), generator=generator)
        )
        if head.bias is not None:
            head.bias.zero_()
