"""Preprocessing recipes: those of the papers for their data sets, and recipes for any picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from debias.data.pictures.geometry import (
    CentreCrop,
    CentreSquare,
    CentreWindow,
    Geometry,
    Resize,
    ShorterSide,
)
from debias.errors import InputError, check_between

if TYPE_CHECKING:
    import albumentations


#: Largest ``size`` of a recipe, in pixels. A larger one is a mistake that would fill the memory.
LARGEST = 4096


@dataclass(frozen=True)
class Preprocessing:
    """A preprocessing recipe: fixed geometry for training and evaluation, and random augmentation.

    Args:
        train: geometry of the training pictures, before augmentation.
        evaluation: geometry of all pictures in evaluation, also those of the training split.
        augmentation: an albumentations pipeline from the shape of ``train`` to the shape of
            ``evaluation``, or ``None``. It draws only from the sample's key
            (:class:`debias.data.orders.Visits`).
    """

    train: Geometry
    evaluation: Geometry
    augmentation: albumentations.Compose | None = None


def waterbirds(*, size: int = 224) -> Preprocessing:
    """Waterbirds as published: squeeze to 256/224 * size, crop the centre, no augmentation.

    Source: Sagawa et al., "Distributionally Robust Neural Networks for Group Shifts", ICLR 2020
    (reference code kohpangwei/group_DRO); the same in Idrissi et al. 2022 and SubpopBench.

    Args:
        size: side of the result, in pixels.

    Differs from the reference: shrinking averages areas, while PIL uses a triangle filter. Both
    suppress aliasing.
    """
    squeezed = _enlarged(size)
    geometry = Geometry((Resize(squeezed, squeezed), CentreCrop(size, size)), size, size)
    return Preprocessing(train=geometry, evaluation=geometry)


def waterbirds_augmented(*, size: int = 224) -> Preprocessing:
    """Waterbirds as in DFR and AFR: random crops and flips; evaluation as in ``waterbirds``.

    Source: Kirichenko et al., "Last Layer Re-Training is Sufficient for Robustness to Spurious
    Correlations", ICLR 2023 (reference code PolinaKirichenko/deep_feature_reweighting).

    Args:
        size: side of the result, in pixels.

    Differs from the reference: crops are taken from the cached square of 256/224 * size. So the
    aspect ratio of 3/4 to 4/3 is that in the squeezed picture, not in the original. Interpolation
    is plain linear.
    """
    return Preprocessing(
        _squeezed(size), waterbirds(size=size).evaluation, _random_crop_and_flip(size)
    )


def celeba(*, size: int = 224) -> Preprocessing:
    """CelebA as published: crop the centre square (178 of 178x218), resize it, no augmentation.

    Source: Sagawa et al., ICLR 2020 (reference code kohpangwei/group_DRO); the same in Idrissi et
    al. 2022 and SubpopBench.

    Args:
        size: side of the result, in pixels.

    Differs from the reference: a picture of another size than 178x218 is cropped to its largest
    central square.
    """
    geometry = Geometry((CentreSquare(), Resize(_positive(size), size)), size, size)
    return Preprocessing(train=geometry, evaluation=geometry)


def celeba_augmented(*, size: int = 224) -> Preprocessing:
    """CelebA as in DFR, AFR and SELF: random crops of 0.7-1 of the 178x218 picture, and flips.

    Evaluation is as in ``waterbirds``: the whole picture is squeezed to a square of 256/224 * size,
    and its centre is cropped.

    Source: Kirichenko et al., ICLR 2023 (reference code PolinaKirichenko/deep_feature_reweighting);
    the same in Qiu et al. 2023 (AndPotap/afr) and LaBonte et al. 2023
    (tmlabonte/last-layer-retraining).

    Args:
        size: side of the result, in pixels.

    Differs from the reference: for sizes below 156 the picture is first shrunk to a width of
    256/224 * size, then cropped. Interpolation is plain linear.
    """
    return Preprocessing(
        _whole_face(size), waterbirds(size=size).evaluation, _random_crop_and_flip(size)
    )


def celeba_augmented_square(*, size: int = 224) -> Preprocessing:
    """CelebA as in MaskTune and DaC: random crops and flips; evaluation as in ``celeba``.

    A crop is at least as wide as high.

    Source: the code of Sagawa et al. 2020 (kohpangwei/group_DRO, ``--augment_data``), whose crops
    are 1 to 4/3 times as wide as high; the same in Taghanaki et al. 2022 (aliasgharkhani/Masktune)
    and Noohdani et al. 2024 (fhn98/DaC).

    Args:
        size: side of the result, in pixels.

    Differs from the reference: in the same points as ``celeba_augmented``.
    """
    return Preprocessing(
        _whole_face(size), celeba(size=size).evaluation, _random_crop_and_flip(size, narrowest=1.0)
    )


def resize(*, size: int = 224) -> Preprocessing:
    """Any picture: squeeze it to a square of ``size`` pixels, without cropping or augmentation.

    It is the default for your own images (``data.name`` is table or folder).

    Args:
        size: side of the result, in pixels.
    """
    geometry = Geometry((Resize(_positive(size), size),), size, size)
    return Preprocessing(train=geometry, evaluation=geometry)


def resize_augmented(*, size: int = 224) -> Preprocessing:
    """Any picture: random crops and flips in training; evaluation as in ``resize``.

    The picture is first squeezed to a square of 256/224 * size, so that crops have enough detail.

    Source: no paper. The crops are those of ``waterbirds_augmented``. Evaluation crops nothing.

    Args:
        size: side of the result, in pixels.
    """
    return Preprocessing(_squeezed(size), resize(size=size).evaluation, _random_crop_and_flip(size))


def shorter_side(*, size: int = 224) -> Preprocessing:
    """Any picture: resize the shorter side to 256/224 * size, then crop the centre.

    This removes one eighth of the shorter side, and more of the longer side. ``resize`` keeps the
    whole picture.

    Source: the usual ImageNet evaluation (torchvision; timm with ``crop_pct=0.875``).

    Args:
        size: side of the result, in pixels.

    Differs from the reference: shrinking averages areas, while PIL uses a triangle or
    cubic filter.
    """
    geometry = Geometry((ShorterSide(_enlarged(size)), CentreCrop(size, size)), size, size)
    return Preprocessing(train=geometry, evaluation=geometry)


def safe(
    *,
    size: int = 256,
    window: int | None = None,
    rotation: float = 180.0,
    jitter: float = 0.5,
    masked: float = 0.75,
    patch: int = 16,
) -> Preprocessing:
    """Any picture, never resized: crops, flips, rotations, colour jitter and masked patches (SAFE).

    Resizing removes the traces of generators and cameras. Evaluation cuts the centre out. A picture
    that is too small gets a black frame.

    Source: Li et al., "Improving Synthetic Image Detection Towards Generalization: An Image
    Transformation Perspective", KDD 2025; reference code Ouxiang-Li/SAFE.

    Args:
        size: side of the result, in pixels.
        window: side of the centre in which random crops lie, in pixels, at least ``size``.
            ``None`` means 256/224 * size.
        rotation: greatest rotation in degrees, in [0, 180].
        jitter: greatest change of brightness, contrast and saturation, as a share in [0, 1].
        masked: greatest share of the picture whose patches are blackened, in [0, 1]. Half of the
            pictures are masked.
        patch: side of a patch, in pixels, from 1 to ``size``.

    Differs from the reference: crops lie in the central window, not anywhere in the picture,
    because the cache keeps training pictures of one shape.
    """
    side = _enlarged(size) if window is None else window
    check_between(f"[{size}, {LARGEST}]", {"window": side}, of="preprocessing", hint="from size on")
    check_between("[0, 180]", {"rotation": rotation}, of="preprocessing")
    check_between("[0, 1]", {"jitter": jitter, "masked": masked}, of="preprocessing")
    check_between(f"[1, {size}]", {"patch": patch}, of="preprocessing", hint="up to size")
    train, evaluation = (
        Geometry((CentreWindow(length, length),), length, length) for length in (side, size)
    )
    return Preprocessing(train, evaluation, _safe_training(size, rotation, jitter, masked, patch))


def _safe_training(
    size: int, rotation: float, jitter: float, masked: float, patch: int
) -> albumentations.Compose:
    import albumentations  # takes two seconds, only needed with augmentation

    from debias.data.pictures.patch_masking import PatchMasking

    factor = (1 - jitter, 1 + jitter)
    return albumentations.Compose(
        [
            albumentations.RandomCrop(size, size),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.Rotate((-rotation, rotation), interpolation=0, p=1.0),
            albumentations.ColorJitter(factor, factor, factor, hue=(0.0, 0.0), p=1.0),
            PatchMasking(most=masked, patch=patch),
        ]
    )


def _positive(size: int) -> int:
    if not 1 <= size <= LARGEST:
        raise InputError(
            f"preprocessing.size must be 1 to {LARGEST} pixels; got preprocessing.size={size}"
        )
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
    import albumentations  # takes two seconds, only needed with augmentation

    crop = albumentations.RandomResizedCrop(
        size=(size, size), scale=(0.7, 1.0), ratio=(narrowest, 4 / 3)
    )
    return albumentations.Compose([crop, albumentations.HorizontalFlip(p=0.5)])
