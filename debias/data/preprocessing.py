"""The published preprocessing recipes: what is done once before caching, and what is drawn anew for every sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from debias.data.geometry import CentreCrop, CentreSquare, Geometry, Resize, ShorterSide
from debias.errors import InputError

if TYPE_CHECKING:
    import albumentations


#: Longest side of a picture that is trained on, in pixels: more is a mistake, and fills the memory.
LARGEST = 4096


@dataclass(frozen=True)
class Preprocessing:
    """One recipe: the geometry of each phase, done once, and what is drawn anew for every training sample.

    Args:
        train: geometry of the training pictures, before augmentation.
        evaluation: geometry of every picture that is evaluated, training split included.
        augmentation: an albumentations pipeline from the training geometry to the evaluation's shape, or ``None``.
            Its draws depend on the sample's key alone, see :class:`debias.data.samplers.Draw`.
    """

    train: Geometry
    evaluation: Geometry
    augmentation: albumentations.Compose | None = None


def waterbirds(*, size: int = 224) -> Preprocessing:
    """Waterbirds as published: squeeze to a square of 256/224 * size, cut the centre, no augmentation.

    Source: Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020 (reference code
    kohpangwei/group_DRO); the same in Idrissi et al. 2022 and SubpopBench.

    Args:
        size: side of the result, in pixels.

    Differs from the reference: shrinking averages areas where PIL weights with a triangle; both suppress aliasing.
    """
    squeezed = _enlarged(size)
    geometry = Geometry((Resize(squeezed, squeezed), CentreCrop(size, size)), size, size)
    return Preprocessing(train=geometry, evaluation=geometry)


def waterbirds_augmented(*, size: int = 224) -> Preprocessing:
    """Waterbirds as DFR and AFR train on it: random crops of 0.7-1 of the area and flips; evaluated as ``waterbirds``.

    Source: Kirichenko et al., "Last Layer Re-Training is Sufficient for Robustness to Spurious Correlations",
    ICLR 2023 (reference code PolinaKirichenko/deep_feature_reweighting).

    Args:
        size: side of the result, in pixels.

    Differs from the reference: crops are cut from the cached square of 256/224 * size, so the crop's ratio of
    3/4-4/3 is that of the squeezed picture, not of the original; interpolation is plain linear.
    """
    squeezed = _enlarged(size)
    train = Geometry((Resize(squeezed, squeezed),), squeezed, squeezed)
    return Preprocessing(train, waterbirds(size=size).evaluation, _random_crop_and_flip(size))


def celeba(*, size: int = 224) -> Preprocessing:
    """CelebA as published: cut the centre square (178 of 178x218), resize it, no augmentation.

    Source: Sagawa et al., ICLR 2020 (reference code kohpangwei/group_DRO); the same in Idrissi et al. 2022 and
    SubpopBench.

    Args:
        size: side of the result, in pixels.

    Differs from the reference: pictures of another size than 178x218 are cut to their largest square.
    """
    geometry = Geometry((CentreSquare(), Resize(_positive(size), size)), size, size)
    return Preprocessing(train=geometry, evaluation=geometry)


def celeba_augmented(*, size: int = 224) -> Preprocessing:
    """CelebA as DFR trains on it: random crops of 0.7-1 of the 178x218 picture and flips; evaluated as ``celeba``.

    Source: Kirichenko et al., ICLR 2023 (reference code PolinaKirichenko/deep_feature_reweighting).

    Args:
        size: side of the result, in pixels.

    Differs from the reference: for sizes under 155 the picture is shrunk to 256/224 * size wide before it is cut;
    interpolation is plain linear.
    """
    width = min(178, _enlarged(size))
    height = round(218 * width / 178)
    train = Geometry((Resize(height, width),), height, width)
    return Preprocessing(train, celeba(size=size).evaluation, _random_crop_and_flip(size))


def resize(*, size: int = 224) -> Preprocessing:
    """Any picture squeezed to a square of ``size`` pixels; nothing is cut off, nothing is augmented.

    Args:
        size: side of the result, in pixels.
    """
    geometry = Geometry((Resize(_positive(size), size),), size, size)
    return Preprocessing(train=geometry, evaluation=geometry)


def shorter_side(*, size: int = 224) -> Preprocessing:
    """Any picture with its shorter side brought to 256/224 * size, then the centre cut: proportions are kept.

    Source: the usual ImageNet evaluation (torchvision; timm with ``crop_pct=0.875``).

    Args:
        size: side of the result, in pixels.

    Differs from the reference: shrinking averages areas where PIL weights with a triangle or a cubic.
    """
    geometry = Geometry((ShorterSide(_enlarged(size)), CentreCrop(size, size)), size, size)
    return Preprocessing(train=geometry, evaluation=geometry)


def _positive(size: int) -> int:
    if not 1 <= size <= LARGEST:
        raise InputError(f"preprocessing.size must be 1 to {LARGEST} pixels; got {size}")
    return size


def _enlarged(size: int) -> int:
    return int(_positive(size) * 256 / 224)


def _random_crop_and_flip(size: int) -> albumentations.Compose:
    import albumentations  # two seconds that a recipe without augmentation does not pay

    crop = albumentations.RandomResizedCrop(size=(size, size), scale=(0.7, 1.0), ratio=(3 / 4, 4 / 3))
    return albumentations.Compose([crop, albumentations.HorizontalFlip(p=0.5)])
