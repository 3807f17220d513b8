"""Preprocessing recipes, published and for any picture: done once, or drawn per sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from debias.data.pictures.geometry import CentreCrop, CentreSquare, Geometry, Resize, ShorterSide
from debias.errors import InputError

if TYPE_CHECKING:
    import albumentations


#: Longest side of a picture that is trained on, in pixels: more is a mistake, and fills the memory.
LARGEST = 4096


@dataclass(frozen=True)
class Preprocessing:
    """One recipe: the geometry of each phase, done once, and what is drawn for each sample.

    Args:
        train: geometry of the training pictures, before augmentation.
        evaluation: geometry of every picture that is evaluated, training split included.
        augmentation: an albumentations pipeline from the training geometry to the evaluation's
            shape, or ``None``. Its draws depend on the sample's key alone, see
            :class:`debias.data.orders.Draw`.
    """

    train: Geometry
    evaluation: Geometry
    augmentation: albumentations.Compose | None = None


def waterbirds(*, size: int = 224) -> Preprocessing:
    """Waterbirds as published: squeeze to 256/224 * size, cut the centre, no augmentation.

    Source: Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020
    (reference code kohpangwei/group_DRO); the same in Idrissi et al. 2022 and SubpopBench.

    Args:
        size: side of the result, in pixels.

    Differs from the reference: shrinking averages areas where PIL weights with a triangle; both
    suppress aliasing.
    """
    squeezed = _enlarged(size)
    geometry = Geometry((Resize(squeezed, squeezed), CentreCrop(size, size)), size, size)
    return Preprocessing(train=geometry, evaluation=geometry)


def waterbirds_augmented(*, size: int = 224) -> Preprocessing:
    """Waterbirds as DFR and AFR train on it: random crops and flips; evaluated as ``waterbirds``.

    Source: Kirichenko et al., "Last Layer Re-Training is Sufficient for Robustness to Spurious
    Correlations", ICLR 2023 (reference code PolinaKirichenko/deep_feature_reweighting).

    Args:
        size: side of the result, in pixels.

    Differs from the reference: crops are cut from the cached square of 256/224 * size, so the
    crop's ratio of 3/4-4/3 is that of the squeezed picture, not of the original; interpolation is
    plain linear.
    """
    return Preprocessing(
        _squeezed(size), waterbirds(size=size).evaluation, _random_crop_and_flip(size)
    )


def celeba(*, size: int = 224) -> Preprocessing:
    """CelebA as published: cut the centre square (178 of 178x218), resize it, no augmentation.

    Source: Sagawa et al., ICLR 2020 (reference code kohpangwei/group_DRO); the same in Idrissi et
    al. 2022 and SubpopBench.

    Args:
        size: side of the result, in pixels.

    Differs from the reference: pictures of another size than 178x218 are cut to their largest
    square.
    """
    geometry = Geometry((CentreSquare(), Resize(_positive(size), size)), size, size)
    return Preprocessing(train=geometry, evaluation=geometry)


def celeba_augmented(*, size: int = 224) -> Preprocessing:
    """CelebA as DFR, AFR and SELF have it: random crops of 0.7-1 of the 178x218 picture and flips.

    Evaluated as Waterbirds is: the whole picture is squeezed to a square of 256/224 * size, and its
    centre cut.

    Source: Kirichenko et al., ICLR 2023 (reference code PolinaKirichenko/deep_feature_reweighting);
    the same in Qiu et al. 2023 (AndPotap/afr) and LaBonte et al. 2023
    (tmlabonte/last-layer-retraining).

    Args:
        size: side of the result, in pixels.

    Differs from the reference: for sizes under 155 the picture is shrunk to 256/224 * size wide
    before it is cut; interpolation is plain linear.
    """
    return Preprocessing(
        _whole_face(size), waterbirds(size=size).evaluation, _random_crop_and_flip(size)
    )


def celeba_augmented_square(*, size: int = 224) -> Preprocessing:
    """CelebA as in MaskTune and DaC: crops that are never upright, evaluated as ``celeba``.

    Source: the code of Sagawa et al. 2020 (kohpangwei/group_DRO, ``--augment_data``), whose crops
    are 1 to 4/3 times as wide as high; the same in Taghanaki et al. 2022 (aliasgharkhani/Masktune)
    and Noohdani et al. 2024 (fhn98/DaC).

    Args:
        size: side of the result, in pixels.

    Differs from the reference: as ``celeba_augmented``.
    """
    return Preprocessing(
        _whole_face(size), celeba(size=size).evaluation, _random_crop_and_flip(size, narrowest=1.0)
    )


def resize(*, size: int = 224) -> Preprocessing:
    """Any picture squeezed to a square of ``size`` pixels; nothing is cut off or augmented.

    The default of your own images (``data.name`` is table or folder).

    Args:
        size: side of the result, in pixels.
    """
    geometry = Geometry((Resize(_positive(size), size),), size, size)
    return Preprocessing(train=geometry, evaluation=geometry)


def resize_augmented(*, size: int = 224) -> Preprocessing:
    """Any picture, trained on by random crops and flips; evaluated whole, as ``resize``.

    Crops are cut from the picture squeezed to a square of 256/224 * size, so that they keep its
    detail.

    Source: no paper; the crops are those of ``waterbirds_augmented``, the evaluation cuts nothing
    off.

    Args:
        size: side of the result, in pixels.
    """
    return Preprocessing(_squeezed(size), resize(size=size).evaluation, _random_crop_and_flip(size))


def shorter_side(*, size: int = 224) -> Preprocessing:
    """Any picture: the shorter side is brought to 256/224 * size, then the centre is cut.

    An eighth of the shorter side is cut off, and more of the longer one: ``resize`` keeps the
    picture whole.

    Source: the usual ImageNet evaluation (torchvision; timm with ``crop_pct=0.875``).

    Args:
        size: side of the result, in pixels.

    Differs from the reference: shrinking averages areas where PIL weights with a triangle or a
    cubic.
    """
    geometry = Geometry((ShorterSide(_enlarged(size)), CentreCrop(size, size)), size, size)
    return Preprocessing(train=geometry, evaluation=geometry)


def _positive(size: int) -> int:
    if not 1 <= size <= LARGEST:
        raise InputError(f"preprocessing.size must be 1 to {LARGEST} pixels; got {size}")
    return size


def _enlarged(size: int) -> int:
    return int(_positive(size) * 256 / 224)


def _squeezed(size: int) -> Geometry:
    side = _enlarged(size)
    return Geometry((Resize(side, side),), side, side)


def _whole_face(size: int) -> Geometry:
    width = min(178, _enlarged(size))
    height = round(218 * width / 178)
    return Geometry((Resize(height, width),), height, width)


def _random_crop_and_flip(size: int, *, narrowest: float = 3 / 4) -> albumentations.Compose:
    import albumentations  # two seconds that a recipe without augmentation does not pay

    crop = albumentations.RandomResizedCrop(
        size=(size, size), scale=(0.7, 1.0), ratio=(narrowest, 4 / 3)
    )
    return albumentations.Compose([crop, albumentations.HorizontalFlip(p=0.5)])
