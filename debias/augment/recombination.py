"""Recombination: foregrounds pasted on other backgrounds, which then do not predict the class."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from debias.augment.augmentation import Augmentation
from debias.augment.pasting import Placement, foreground_box, paste
from debias.errors import InputError, check_at_least, check_between, check_one_of, shown
from debias.types import Batch, Groups

BACKGROUNDS = ("all", "same", "own")
BIAS_FOLLOWS = ("background", "foreground")
#: Image side in pixels at which the paper gives the blur of the edge.
BLUR_SIDE = 224
#: Factor on the probability of keeping a sample, as a function of the completed share of training.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: progress,
    "reverse_linear": lambda progress: 1 - progress,
    "cosine": lambda progress: 1 - math.cos(math.pi * progress / 2),
}


class RecombinationDraws(NamedTuple):
    """All random choices for recombining a batch of N samples.

    Attributes:
        donor: ``(N,)`` int64, position of the sample that gives the background.
        size: ``(N,)`` in [0, 1], position of the foreground's area between its smallest and
            greatest value.
        place: ``(N, 2)`` in [0, 1], vertical and horizontal position: 0 is top or left, 1 is bottom
            or right.
        edge: ``(N,)`` in [0, 1], blur of the foreground's edge as a share of the greatest blur.
        keep: ``(N,)`` bool, whether the sample stays unchanged.
    """

    donor: Tensor
    size: Tensor
    place: Tensor
    edge: Tensor
    keep: Tensor


def recombine(
    batch: Batch,
    draws: RecombinationDraws,
    *,
    size_spread: float = 0.3,
    blur: float = 0.0,
    bias_follows: str = "background",
    size_factor: float = 1.0,
    cell: int | None = None,
) -> Batch:
    r"""Paste each sample's foreground on the background of its donor.

    The foreground is scaled to a share a of the image area, with its proportions unchanged:

    .. math:: a \in [(1 - s) \min(r_f, r_b),\; (1 + s) \max(r_f, r_b)]

    :math:`r_f` is the area share of the foreground in its own image. :math:`r_b` is that of the
    donor's foreground. The box of the foreground lies inside the image. A box larger than the image
    is cut off.

    Args:
        batch: a batch with ``mask`` and ``background``.
        draws: all random choices.
        size_spread: s, in [0, 1).
        blur: greatest blur of the foreground's edge: sigma in pixels, for an image of side 224.
        bias_follows: bias label of the result: "background" for that of the donor, "foreground" for
            that of the sample itself.
        size_factor: factor on the foreground's area, to measure size bias.
        cell: number of one of the 3 x 3 cells of the image, 0 to 8 row by row, to measure centre
            bias. The foreground has a third of its side length, and is placed inside the cell.
            ``None`` uses the whole image.

    Returns:
        The batch with new image, mask (of the pasted foreground) and bias. Its background is
        ``None``.

    Raises:
        ValueError: the batch has no mask or no background, or ``cell`` is not in 0 to 8.
    """
    mask, background = _ingredients(batch)
    keep = draws.keep[:, None, None, None]
    # a kept sample pastes an empty mask on its own image: selecting rows is four times as fast on
    # CPUs as selecting pixels afterwards
    itself = len(keep) + torch.arange(len(keep), device=keep.device)
    below = torch.where(draws.keep, itself, draws.donor)
    backgrounds = torch.cat([background, batch.image])[below]
    placement = _placement(mask, draws, size_spread, size_factor, cell)
    pixels = blur * min(batch.image.shape[2:]) / BLUR_SIDE
    with torch.autocast(batch.image.device.type, enabled=False):
        pasted = paste(batch.image, mask * ~keep, backgrounds, placement, draws.edge, blur=pixels)
    bias = batch.bias[draws.donor] if bias_follows == "background" else batch.bias
    return batch._replace(
        image=_laid_out_as(batch.image, pasted.image),
        mask=torch.where(keep, mask, pasted.mask),
        bias=torch.where(draws.keep, batch.bias, bias),
        background=None,
    )


def _check_schedule(schedule: str, probability: float) -> None:
    if schedule != "constant" and probability == 0:
        raise InputError(
            f"schedule={schedule} needs probability > 0; got probability=0. Set it, such as "
            "probability=1.0"
        )


def _moved(groups: Groups | None, bias_follows: str | list[str]) -> list[bool]:
    """Whether each of several bias attributes belongs to the background; empty if none does."""
    attributes = [] if groups is None else [attribute.name for attribute in groups.attributes]
    if not attributes:
        check_one_of(BIAS_FOLLOWS, {"bias_follows": bias_follows})
        return []
    named = [bias_follows] if isinstance(bias_follows, str) else bias_follows
    follows = [] if bias_follows == "foreground" else named
    if not set(follows) <= set(attributes):
        raise InputError(
            "bias_follows must be foreground, or name the bias attributes that belong to the "
            f"background, as in bias_follows=[{attributes[0]}]; got bias_follows={bias_follows}. "
            f"The attributes are {shown(attributes)}"
        )
    return [name in follows for name in attributes] if follows else []


def _ingredients(batch: Batch) -> tuple[Tensor, Tensor]:
    """The masks and the filled backgrounds of a batch."""
    if batch.mask is None or batch.background is None:
        absent = "mask" if batch.mask is None else "background"
        raise InputError(
            f"recombination needs the mask and the filled background of each image; got no {absent}"
            ". Give the data set masks, and build its ImageData with backgrounds=True"
        )
    return batch.mask, batch.background


class Recombination(Augmentation):
    """Put the foreground of each image on the filled background of another image.

    The background comes from the same batch. The foreground gets a new size and place. The target
    does not change. By default the bias label becomes that of the background, which may come from
    any class. Then do not combine it with a strategy that corrects for the frequencies of groups,
    or of classes given the bias.

    Source: Nauen et al., "ForAug: Recombining Foregrounds and Backgrounds to Improve Vision
    Transformer Training with Bias Mitigation", 2025; reference code tobna/ForAug.

    Args:
        groups: the groups of the data, for several bias attributes. ``None`` means one attribute.
        background: which sample of the batch gives the background: "all" (any), "same" (any with
            the same target) or "own" (the sample itself).
        bias_follows: bias label of the result: "background" for that of the donor, "foreground" for
            that of the sample itself. With several bias attributes, it is "foreground" or the names
            of the attributes that belong to the background, such as ``[scene, object]``.
        schedule: change of the probability of keeping a sample unchanged, as a factor on
            ``probability``: "constant", "linear" (0 to 1), "reverse_linear" (1 to 0) or "cosine" (0
            to 1, slowly at first).
        probability: greatest probability of keeping a sample unchanged, in [0, 1].
        size_spread: how far the foreground's area may leave the range of its own and the donor's
            foreground area, as a share, in [0, 1).
        bates: the place is the mean of this many uniform draws. 1 is anywhere, more is nearer the
            centre, 0 is the exact centre, and below -1 is nearer the borders.
        blur: greatest sigma of the edge's blur, in pixels for an image of side 224. Sigma is drawn
            between a tenth of it and all of it.
        prune: an image with at least this share of foreground gives no background, since most of
            that background is filled in.
        least: smallest share of foreground of a usable mask. A sample with less stays unchanged,
            and gives no background.

    Raises:
        ValueError: an option is unknown or out of range, ``least`` is not below ``prune``,
            ``bias_follows`` does not fit the bias attributes, or ``schedule`` is not "constant"
            while ``probability`` is 0.

    Differs from the reference: donors come from the batch, not from the whole data set. Other
    augmentations come before, not after. The reverse-linear probability, negative in the reference,
    is the intended one. A foreground larger than the image is cut at the place that ``bates`` gives
    (there uniformly). A sample with an empty or full mask stays unchanged. An edge softened by the
    blur never reaches beyond the mask.
    """

    requires = ("mask",)
    reads_backgrounds = True

    def __init__(
        self,
        groups: Groups | None = None,
        *,
        background: str = "all",
        bias_follows: str | list[str] = "background",
        schedule: str = "constant",
        probability: float = 0.0,
        size_spread: float = 0.3,
        bates: int = 1,
        blur: float = 4.0,
        prune: float = 0.8,
        least: float = 0.005,
    ) -> None:
        super().__init__()
        self.moves_bias = bias_follows != "foreground" and background == "all"
        check_one_of(BACKGROUNDS, {"background": background})
        self.groups, self.moved = groups, _moved(groups, bias_follows)
        check_one_of(SCHEDULES, {"schedule": schedule})
        check_between("[0, 1]", {"probability": probability}, of="Recombination")
        check_between("(0, 1]", {"prune": prune}, of="Recombination")
        check_between("[0, 1)", {"size_spread": size_spread}, of="Recombination")
        check_at_least(0, {"blur": blur}, of="Recombination")
        check_between(f"(0, {prune})", {"least": least}, of="Recombination", hint="below prune")
        _check_schedule(schedule, probability)
        self.background, self.schedule = background, schedule
        self.bias_follows = "background" if bias_follows == "background" else "foreground"
        self.probability, self.size_spread, self.bates = probability, size_spread, bates
        self.blur, self.prune, self.least = blur, prune, least

    def keep_probability(self, progress: float) -> float:
        """Probability that a sample stays unchanged, after the share ``progress`` of training."""
        check_between("[0, 1]", {"progress": progress}, hint="the completed share of training")
        return self.probability * SCHEDULES[self.schedule](progress)

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Recombine a batch. Random numbers come from the global generator of the batch's device.

        Args:
            batch: a batch with ``mask`` and ``background``, which is not modified.
            progress: completed share of the training, in [0, 1].
        """
        draws = self.draw(batch, progress)
        spread = self.size_spread
        changed = recombine(
            batch, draws, size_spread=spread, blur=self.blur, bias_follows=self.bias_follows
        )
        if self.groups is None or not self.moved:
            return changed
        own, donor = self.groups.decode(batch.bias), self.groups.decode(batch.bias[draws.donor])
        moved = torch.tensor(self.moved, device=own.device) & ~draws.keep[:, None]
        return changed._replace(bias=self.groups.combine(torch.where(moved, donor, own)))

    def draw(self, batch: Batch, progress: float = 0.0) -> RecombinationDraws:
        """Make the random choices for :func:`recombine`. A sample without a donor or a usable mask
        stays unchanged.
        """
        count, device = len(batch.target), batch.image.device
        share, allowed = _share(batch), self.allowed(batch)
        donor = torch.rand(count, count, device=device).masked_fill(~allowed, -1).argmax(dim=1)
        usable = (share >= self.least) & (share < 1) & allowed.any(dim=1)
        return RecombinationDraws(
            donor=donor,
            size=torch.rand(count, device=device),
            place=places(count, self.bates, device),
            edge=0.1 + 0.9 * torch.rand(count, device=device),
            keep=~usable | (torch.rand(count, device=device) < self.keep_probability(progress)),
        )

    def allowed(self, batch: Batch) -> Tensor:
        """``(N, N)`` bool: in row i, column j, whether foreground i may go on background j."""
        share = _share(batch)
        return self._related(batch.target) & ((share >= self.least) & (share < self.prune))

    def _related(self, target: Tensor) -> Tensor:
        count = len(target)
        if self.background == "own":
            return torch.eye(count, dtype=torch.bool, device=target.device)
        if self.background == "same":
            return (target[:, None] == target).reshape(count, count, -1).all(dim=2)
        return torch.ones(count, count, dtype=torch.bool, device=target.device)


def _share(batch: Batch) -> Tensor:
    """``(N,)`` area share of the foreground in each image; 0 if the batch has no masks."""
    if batch.mask is None:
        return batch.image.new_zeros(len(batch.image))
    return batch.mask.mean(dim=(1, 2, 3))


def places(count: int, bates: int, device: torch.device) -> Tensor:
    """Random places ``(count, 2)`` in [0, 1], each a mean of ``|bates|`` uniform draws.

    If ``bates`` is 0, all are 1/2. If it is negative, the means are shifted by 1/2 modulo 1, so
    that they lie nearer the borders.
    """
    if bates == 0:
        return torch.full((count, 2), 0.5, device=device)
    mean = torch.rand(abs(bates), count, 2, device=device).mean(dim=0)
    return mean if bates > 0 else (mean + 0.5).frac()


def _placement(
    mask: Tensor,
    draws: RecombinationDraws,
    size_spread: float,
    size_factor: float,
    cell: int | None,
) -> Placement:
    own, box = mask.mean(dim=(1, 2, 3)), foreground_box(mask)
    donors = own[draws.donor]
    low = (1 - size_spread) * torch.minimum(own, donors)
    high = (1 + size_spread) * torch.maximum(own, donors)
    # an empty mask is not pasted: the clamp only keeps its scale finite
    area = size_factor * torch.lerp(low, high, draws.size) / own.clamp(min=1e-6)
    scale = area.clamp(min=1e-6).sqrt()
    frame, corner = mask.new_tensor(mask.shape[2:]), mask.new_zeros(2)
    if cell is not None:
        check_one_of(range(9), {"cell": cell})
        scale, frame = scale / 3, frame / 3
        corner = frame * mask.new_tensor([cell // 3, cell % 3])
    return Placement(box, scale, corner + draws.place * (frame - scale[:, None] * box.size))


def _laid_out_as(model: Tensor, image: Tensor) -> Tensor:
    channels_last = model.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return image.contiguous(memory_format=layout)
