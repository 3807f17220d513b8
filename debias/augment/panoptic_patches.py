"""Random patch replacement: hides some patches of one class, so that the others must be used."""

import torch
from torch import Tensor

from debias.augment.augmentation import Augmentation
from debias.augment.mixing import blend
from debias.augment.patch_mixing import check_grid, outside_patches
from debias.errors import check_between, check_one_of
from debias.types import Batch, Groups


class PanopticPatches(Augmentation):
    r"""Replace random patches of one class by those of other classes; the class stays the same.

    An image of the class c gets round(r P²) patches of an image of another class, at the same
    places, with :math:`r \sim U(0, r_{\max})`. At least one of its own patches remains. Images of
    the other classes stay unchanged, as do images of c in a batch without another class. The class
    must show in every patch, as the traces of a generator do in synthetic images. The model then
    cannot rely on a few patches.

    Source: Yang et al., "All Patches Matter, More Patches Better: Enhance AI-Generated Image
    Detection via Panoptic Patch Learning", ICLR 2026; only the abstract was read.

    Args:
        groups: the groups of the data; single-label.
        image: one image batch, whose sides P must divide.
        of_class: name of the class c. An empty name is the last class.
        patches: P, patches per side, at least 2.
        most: :math:`r_{\max}` in (0, 1].

    Raises:
        ValueError: ``of_class`` is no class, ``patches`` is below 2 or does not divide the sides of
            the images, ``most`` is outside (0, 1], or the targets are multi-label.

    Differs from the reference: only the first part of the method is here. The second part, a
    contrast between features of patches, is left out. The patches come from any image of the batch
    with another class. In the first version of the paper they come from real images, and in a later
    one from a reconstruction of the image by a generator. Grid and shares are choices of this
    project.
    """

    single_label = True

    def __init__(
        self,
        groups: Groups,
        image: Tensor,
        *,
        of_class: str = "",
        patches: int = 7,
        most: float = 0.75,
    ) -> None:
        super().__init__(groups)
        of_class = of_class or groups.target_names[-1]
        check_one_of(groups.target_names, {"of_class": of_class}, of="PanopticPatches")
        check_between("(0, 1]", {"most": most}, of="PanopticPatches")
        check_grid(patches, image, least=2, of="PanopticPatches")
        self.target, self.classes = groups.target_names.index(of_class), groups.outputs
        self.patches, self.most = patches, most

    def forward(self, batch: Batch, progress: float = 0.0) -> Batch:
        """Replace patches of a batch. Random numbers come from torch's global generators.

        Args:
            batch: a batch with ``(N,)`` class indices, which is not modified.
            progress: has no effect.
        """
        count, device = len(batch.target), batch.image.device
        of_class = batch.target == self.target
        donor = torch.rand(count, count, device=device).masked_fill(of_class, -1).argmax(dim=1)
        largest = 1 - self.patches**-2  # one patch remains
        share = (self.most * torch.rand(count, device=device)).clamp(max=largest)
        share = share * (of_class & ~of_class.all())
        height, width = batch.image.shape[2:]
        own = outside_patches(share, self.patches, height=height, width=width)
        return blend(batch, donor, own, classes=self.classes)._replace(target=batch.target)
