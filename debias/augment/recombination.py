"""Recombination: objects on other backgrounds, so that these tell nothing of the class."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from debias.augment.augmentation import Augmentation
from debias.augment.pasting import Placement, foreground_box, paste
from debias.errors import InputError, check_at_least, check_between, check_one_of
from debias.types import Batch

BACKGROUNDS = ("all", "same", "own")
BIAS_FOLLOWS = ("background", "foreground")
#: Side of the pictures, in pixels, for which the paper gives the blur of the edge.
BLUR_SIDE = 224
#: How a probability moves over training, a function of its share done.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "linear": lambda progress: progress,
    "reverse_linear": lambda progress: 1 - progress,
    "cosine": lambda progress: 1 - math.cos(math.pi * progress / 2),
}


class Draws(NamedTuple):
    """Everything random about recombining a batch of N samples.

    Attributes:
        donor: ``(N,)`` int64, whose background each foreground goes on.
        size: ``(N,)`` in [0, 1], where in its range the foreground's area lies.
        place: ``(N, 2)`` in [0, 1], vertical and horizontal place between the one end of the frame
            and the other.
        edge: ``(N,)`` in [0, 1], blur of the foreground's edge, as a share of the greatest.
        keep: ``(N,)`` bool, which samples stay as they are.
    """

    donor: Tensor
    size: Tensor
    place: Tensor
    edge: Tensor
    keep: Tensor


def recombine(
    batch: Batch,
    draws: Draws,
    *,
    size_spread: float = 0.3,
    blur: float = 0.0,
    bias_follows: str = "background",
    size_factor: float = 1.0,
    cell: int | None = None,
) -> Batch:
    r"""Put each sample's foreground on its donor's background.

    .. math:: a \in [(1 - s) \min(r_f, r_b),\; (1 + s) \max(r_f, r_b)]

    is the share of the frame that the foreground gets, proportions kept, where :math:`r_f` is the
    share it had and :math:`r_b` that of the donor's. Its box lies wholly in the frame; one larger
    than the frame is cut to it.

    Args:
        batch: with ``mask`` and ``background``.
        draws: every random choice.
        size_spread: s, in [0, 1).
        blur: greatest blur of the foreground's edge, as sigma in pixels of a picture of side 224.
        bias_follows: whose bias attribute the result has: "background", its donor's; "foreground",
            its own.
        size_factor: on the foreground's area, to measure size bias.
        cell: to measure centre bias, one of the frame's 3 x 3 cells, 0 to 8 row by row: it stands
            for the frame.

    Returns:
        The batch with new image, mask (of the pasted foreground) and bias; its background, now used
        up, is ``None``.

    Raises:
        ValueError: the batch has no mask or no background, or there is no such cell.
    """
    if batch.mask is None or batch.background is None:
        absent = "mask" if batch.mask is None else "background"
        raise InputError(
            "recombination needs each image's mask and filled background, and this batch has no "
            f"{absent}: give the data set masks, and build its ImageData with backgrounds=True"
        )
    keep = draws.keep[:, None, None, None]
    # a kept sample pastes nothing on itself; rows are chosen, as choosing pixels takes four times
    # as long on CPUs
    itself = len(keep) + torch.arange(len(keep), device=keep.device)
    below = torch.where(draws.keep, itself, draws.donor)
    mask, background = batch.mask * ~keep, torch.cat([batch.background, batch.image])[below]
    placement = _placement(batch.mask, draws, size_spread, size_factor, cell)
    pixels = blur * min(batch.image.shape[2:]) / BLUR_SIDE
    with torch.autocast(batch.image.device.type, enabled=False):
        pasted = paste(batch.image, mask, background, placement, draws.edge, blur=pixels)
    bias = batch.bias[draws.donor] if bias_follows == "background" else batch.bias
    return batch._replace(
        image=_laid_out_as(batch.image, pasted.image),
        mask=torch.where(keep, batch.mask, pasted.mask),
        bias=torch.where(draws.keep, batch.bias, bias),
        background=None,
    )


class Recombination(Augmentation):
    """Put the foreground of each image on the filled background of another image.

    Each foreground goes, with a new size and place, on the filled background of a picture of the
    batch. Composes with every strategy but those that correct for what the bias says of the class
    in the data: the target stays, and where the bias attribute is the background, the result has
    the donor's, of any class with ``background="all"``.

    Source: Nauen et al., "ForAug: Recombining Foregrounds and Backgrounds to Improve Vision
    Transformer Training with Bias Mitigation", 2025; reference code tobna/ForAug.

    Args:
        background: whose background: "all", of any sample of the batch; "same", of any of the same
            target; "own".
        bias_follows: the bias attribute of the result: "background", the donor's; "foreground", the
            sample's own.
        schedule: how the probability of keeping a sample as it is moves over training: "constant",
            "linear" (0 to 1), "reverse_linear" (1 to 0) or "cosine" (0 to 1, slowly at first).
        probability: its greatest value, in [0, 1].
        size_spread: by how much the foreground's area may leave the range of the two areas, in [0,
            1).
        bates: the place is a mean of this many uniform draws: 1 anywhere, more towards the centre,
            0 the very centre, below -1 towards the borders.
        blur: greatest sigma of the edge's blur, in pixels of a picture of side 224; drawn from a
            tenth of it on.
        prune: a picture with at least this share of foreground gives no background, which would be
            mostly invented.
        least: a mask with a smaller share of foreground found nothing; its sample is kept, and
            gives no background.

    Raises:
        ValueError: an option is unknown or out of range; ``least`` must be below ``prune``.

    Differs from the reference: donors come from the batch, not from the whole set; augmentations
    come before, not after; the reverse-linear probability, negative there, is meant as here; a
    foreground larger than the frame is cut where ``bates`` puts it (there uniformly); a sample
    whose mask is empty or full is kept; an edge softened by the blur never reaches beyond the mask.
    """

    requires = ("mask",)
    reads_backgrounds = True

    def __init__(
        self,
        *,
        background: str = "all",
        bias_follows: str = "background",
        schedule: str = "constant",
        probability: float = 0.0,
        size_spread: float = 0.3,
        bates: int = 1,
        blur: float = 4.0,
        prune: float = 0.8,
        least: float = 0.005,
    ) -> None:
        super().__init__()
        self.moves_bias = bias_follows == "background" and background == "all"
        check_one_of(BACKGROUNDS, {"background": background})
        check_one_of(BIAS_FOLLOWS, {"bias_follows": bias_follows})
        check_one_of(SCHEDULES, {"schedule": schedule})
        check_between("[0, 1]", {"probability": probability}, of="Recombination")
        check_between("(0, 1]", {"prune": prune}, of="Recombination")
        check_between("[0, 1)", {"size_spread": size_spread}, of="Recombination")
        check_at_least(0, {"blur": blur}, of="Recombination")
        check_between(f"(0, {prune})", {"least": least}, of="Recombination", hint="below prune")
        if schedule != "constant" and probability == 0:
            raise InputError(
                f"schedule={schedule} of probability 0 keeps nothing: set probability, as in 1.0"
            )
        self.background, self.bias_follows, self.schedule = background, bias_follows, schedule
        self.probability, self.size_spread, self.bates = probability, size_spread, bates
        self.blur, self.prune, self.least = blur, prune, least

    def keep_probability(self, progress: float) -> float:
        """Probability that a sample is kept as it is, at ``progress`` in [0, 1] of the training."""
        check_between("[0, 1]", {"progress": progress}, hint="the share of training that is done")
        return self.probability * SCHEDULES[self.schedule](progress)

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Recombine a batch; random numbers come from torch's global generator of its device.

        Args:
            batch: with ``mask`` and ``background``; left as it is.
            progress: share of the training that is done, in [0, 1].
        """
        draws = self.draw(batch, progress)
        follows, spread = self.bias_follows, self.size_spread
        return recombine(batch, draws, size_spread=spread, blur=self.blur, bias_follows=follows)

    def draw(self, batch: Batch, progress: float = 0.0) -> Draws:
        """Draw what :func:`recombine` needs; without donor or a usable mask a sample is kept."""
        count, device = len(batch.target), batch.image.device
        share, allowed = _share(batch), self.allowed(batch)
        donor = torch.rand(count, count, device=device).masked_fill(~allowed, -1).argmax(dim=1)
        usable = (share >= self.least) & (share < 1) & allowed.any(dim=1)
        return Draws(
            donor=donor,
            size=torch.rand(count, device=device),
            place=places(count, self.bates, device),
            edge=0.1 + 0.9 * torch.rand(count, device=device),
            keep=~usable | (torch.rand(count, device=device) < self.keep_probability(progress)),
        )

    def allowed(self, batch: Batch) -> Tensor:
        """``(N, N)`` bool: whether the row's foreground may go on the column's background."""
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
    """``(N,)`` share of each picture that its foreground takes; 0 without masks."""
    if batch.mask is None:
        return batch.image.new_zeros(len(batch.image))
    return batch.mask.mean(dim=(1, 2, 3))


def places(count: int, bates: int, device: torch.device) -> Tensor:
    """``(count, 2)`` in [0, 1]: Bates means of ``|bates|`` uniform draws, 1/2 for 0, shifted by 1/2
    modulo 1 if < 0.
    """
    if bates == 0:
        return torch.full((count, 2), 0.5, device=device)
    mean = torch.rand(abs(bates), count, 2, device=device).mean(dim=0)
    return mean if bates > 0 else (mean + 0.5).frac()


def _placement(
    mask: Tensor, draws: Draws, size_spread: float, size_factor: float, cell: int | None
) -> Placement:
    own, box = mask.mean(dim=(1, 2, 3)), foreground_box(mask)
    donors = own[draws.donor]
    low = (1 - size_spread) * torch.minimum(own, donors)
    high = (1 + size_spread) * torch.maximum(own, donors)
    # an empty mask is pasted nowhere: its scale only has to be a number
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
