"""Decompose-and-Compose: combine attended image parts with backgrounds of other classes."""

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
from debias.models.networks import linear_head
from debias.parts import Parts
from debias.recipes.map_masks import Cut, MapMasks
from debias.runs.run import Run, Stage, Trained
from debias.runs.work import Sizes, Work

#: Shares of an image's pixels that are removed in turn. The elbow of an image is one of them.
QUANTILES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)


@dataclass(kw_only=True)
class DaC(MapMasks):
    r"""Train a new head on causal parts of images, alone and on other classes' backgrounds.

    1. ``first``: plain ERM with the run's sampler. It gives a Grad-CAM map of the true class for
       each training image. Then 30 to 80 per cent of the pixels are removed, lowest attribution
       first. The loss rises once the model misses pixels that it needs. The elbow of this curve
       (:func:`debias.group_inference.decomposition.elbows`) sets the share of pixels outside the
       mask.
    2. ``groups.csv`` has 0 for training images of low loss and 1 for the others. The bound is the
       ``quantile`` of the losses of one epoch's draws. At low loss the model attends to causal
       parts, so these masks can be trusted.
    3. A new head (Xavier) on the frozen backbone of the first model is trained by
       :class:`debias.strategies.decompose_compose.DecomposeCompose`, with the run's optimiser,
       schedule, epochs and batches.

    See :class:`debias.recipes.map_masks.MapMasks` for the mask files and their requirements. Bias
    labels are not needed. If the shortcut is easier than the class, the first model attends to the
    shortcut. The method then strengthens it, unless you set ``invert``. Look at the masks.

    Source: Noohdani et al., "Decompose-and-Compose: A Compositional Approach to Mitigating Spurious
    Correlation", CVPR 2024; reference code fhn98/DaC.

    Args:
        first: changes to the run's config for the first stage, such as
            ``{epochs: 100, optimizer: {lr: 1e-3}}``.
        alpha: loss weight of the masked and of the combined images, at least 0.
        quantile: quantile of the training losses up to which a loss is low, in (0, 1].
        invert: train with inverted masks.
        layer: dotted name of the layer for Grad-CAM. Default: the last layer with spatial
            positions.
        cam: "grad_cam" or "xgrad_cam", see :func:`debias.models.attribution.grad_cam`. The
            authors use XGrad-CAM.

    Raises:
        ValueError: ``alpha`` is negative, or ``quantile`` is not in (0, 1].

    Differs from the reference: maps are of the true class after the last epoch of the first stage,
    and by default Grad-CAM. The reference uses XGrad-CAM of the predicted class at the best
    validation epoch. Maps are of whole images, and masks are cropped and flipped with them. The
    reference crops CelebA only, and applies the mask of one crop to another. The losses are those
    of the images in evaluation, and are compared with the quantile only once. See
    :class:`debias.strategies.decompose_compose.DecomposeCompose` and
    :func:`debias.group_inference.decomposition.most_attended`.
    """

    continues = True
    infers = ("train",)

    alpha: float = 6.0
    quantile: float = 0.8
    invert: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(0, {"recipe.alpha": self.alpha})
        check_between("(0, 1]", {"recipe.quantile": self.quantile})

    def stages(self, run: Run) -> list[Config]:
        """Configs of the first stage, and of the last stage as plain ERM (no masks exist yet).

        Raises:
            ValueError: the run has its own strategy or augmentation, its data set takes no masks,
                its sampler needs bias labels, or ``batch_size`` is below 2.
        """
        sampler = run.config.sampler["name"]
        if components.needs(components.find("sampler", sampler)):
            raise InputError(
                "the first stage of this recipe uses the run's sampler, which must not read bias "
                f"labels or groups; got sampler.name={sampler}. Name shuffled, class_balanced, "
                "class_subsample or portion"
            )
        run.refuse_own("strategy", "augment")
        self.refuse_without_masks(run)
        if run.config.batch_size < 2:
            raise InputError(
                "batch_size must be at least 2, since this recipe combines two images of a batch; "
                f"got {run.config.batch_size}"
            )
        return [self._first(run), run.stage_config()]

    def work(self, run: Run, sizes: Sizes) -> list[Work]:
        """The work of both stages. The first also makes a map and masked copies of each image."""
        first, _ = self.stages(run)
        return [Work(first, sizes, looks=1 + len(QUANTILES)), Work(run.last_config(), sizes)]

    def check(self, parts: Parts, config: Config) -> None:
        """Raise an error for several labels, a model without spatial maps or with a head that is
        not linear, or missing kneed.
        """
        super().check(parts, config)
        linear_head(parts.module.model, of="recipe.name=dac")
        elbows(torch.zeros(1, 2), torch.arange(2))

    def train(self, run: Run) -> Trained:
        """Train the first stage, cut out the masks, and train a new head."""
        first = run.train_stage("first", self._first(run))
        strategy = {"name": "decompose_compose", "alpha": self.alpha, "invert": self.invert}
        changes = {"strategy": strategy, "data": self.masks(run, first)}
        predictions = first.predictions("train", progress=run.config.progress)
        losses = F.cross_entropy(predictions.logits, predictions.target, reduction="none")
        drawn = first.parts.data.order.draw(seeded_generator(run.config.seed))
        low = least_losses(losses, self.quantile, among=losses[drawn])
        partition = run.infer(first.everywhere(predictions.index, ~low), first.examples)
        renew(first.parts.module.model.get_submodule("head"), seed=run.config.seed)
        return run.train_last(changes, partition=partition, start=first)

    def cut(self, run: Run, stage: Stage, rows: Tensor, maps: Tensor) -> Cut:
        """Return the function that masks all but the pixels of lowest attribution. The elbow of
        each image sets the share of these pixels.
        """
        losses = masked_losses(stage.parts, rows, maps, progress=run.config.progress)
        shares = elbows(losses, torch.tensor(QUANTILES, dtype=torch.float64)).tolist()
        left_out = dict(zip(rows.tolist(), shares, strict=True))
        return lambda row, enlarged: most_attended(enlarged[None], left_out[row])[0]

    def _first(self, run: Run) -> Config:
        return configs.changed(run.stage_config({"sampler": run.config.sampler}), self.first or {})


def masked_losses(parts: Parts, rows: Tensor, maps: Tensor, *, progress: bool = True) -> Tensor:
    """Cross-entropy of images after removal of the pixels of lowest attribution.

    The removed pixels are set to 0, which is the mean of the normalisation.

    Args:
        parts: the objects of a run, with the weights to use.
        rows: ``(M,)`` int64 rows of the data set.
        maps: ``(M, h, w)`` float32 attribution of each row, from
            :func:`debias.evaluation.attention.attention_maps`.
        progress: show a progress bar.

    Returns:
        ``(M, 6)`` float32 losses, one column for each removed share in ``QUANTILES``.
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
    """Initialise a linear layer again: weights by Xavier (Glorot and Bengio), bias 0."""
    assert isinstance(head, nn.Linear)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        head.weight.copy_(
            nn.init.xavier_uniform_(torch.empty(head.weight.shape), generator=generator)
        )
        if head.bias is not None:
            head.bias.zero_()
