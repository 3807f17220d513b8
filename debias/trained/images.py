"""The pictures that a trained model predicts: files, pictures in memory, or a loader's batches."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from debias.data.pictures.geometry import Geometry
from debias.data.pictures.images import MAX_PIXELS, pil_pixels, read_image
from debias.data.trees.reading import IMAGE_SUFFIXES, pictures_below
from debias.errors import InputError, shortened

#: One picture: a file, a ``PIL.Image``, or an ``(H, W, 3)`` uint8 array.
Picture: TypeAlias = "str | Path | Image.Image | NDArray[np.uint8]"
#: What a model predicts: a folder, a file or a pattern such as ``photos/*.jpg``; a list of
#: pictures; ``(N, 3, H, W)`` images of the model's size; or a loader of such images.
Images: TypeAlias = "Picture | Sequence[Picture] | Tensor | DataLoader[Any]"


class Read(NamedTuple):
    """A batch of images, the name of each, and the reason why it could not be read, or "".

    Attributes:
        image: ``(N, 3, H, W)`` uint8, or float if the images are normalised. An image that could
            not be read is black.
    """

    image: Tensor
    names: tuple[str, ...]
    reasons: tuple[str, ...]


class NewPictures(Dataset["tuple[Tensor, str, str]"]):
    """NewPictures of any size, brought to one shape; an unreadable file is black and has a reason.

    Args:
        pictures: the pictures.
        geometry: steps that bring every picture to one shape.
        max_pixels: the most pixels that a file may have.
    """

    def __init__(
        self, pictures: Sequence[Picture], geometry: Geometry, max_pixels: int = MAX_PIXELS
    ) -> None:
        self.pictures, self.geometry, self.max_pixels = pictures, geometry, max_pixels

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, position: int) -> tuple[Tensor, str, str]:
        """``(3, H, W)`` uint8 pixels, the name, and the reason."""
        picture = self.pictures[position]
        name = str(picture) if isinstance(picture, (str, Path)) else str(position)
        try:
            return shaped(picture, self.geometry, self.max_pixels), name, ""
        except InputError as error:
            black = torch.zeros(3, self.geometry.height, self.geometry.width, dtype=torch.uint8)
            return black, name, str(error)


def shaped(picture: Picture, geometry: Geometry, max_pixels: int = MAX_PIXELS) -> Tensor:
    """``(3, H, W)`` uint8 pixels of one picture, brought to the shape of a geometry.

    Raises:
        ValueError: the file cannot be read, or the array is not ``(H, W, 3)`` uint8.
    """
    if isinstance(picture, Image.Image):
        picture = pil_pixels(picture)
    if isinstance(picture, (str, Path)):
        pixels = read_image(Path(picture), max_pixels=max_pixels)
    else:
        pixels = picture
    if not (isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.ndim == 3):
        kind = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels)
        raise InputError(f"a picture must be a path, a PIL.Image or (H, W, 3) uint8; got {kind}")
    if pixels.shape[2] != 3 or not pixels.size:
        raise InputError(f"a picture must be (H, W, 3) uint8, red, green, blue; got {pixels.shape}")
    return torch.from_numpy(np.ascontiguousarray(geometry.image(pixels).transpose(2, 0, 1)))


def read(
    images: Images,
    geometry: Geometry,
    *,
    batch_size: int,
    workers: int,
    max_pixels: int = MAX_PIXELS,
) -> Iterable[Read]:
    """The batches of all images, in order.

    Raises:
        ValueError: a path has no picture, an object is not of :data:`Images`, or tensors do not
            have the size of the geometry.
    """
    if isinstance(images, Tensor):
        return _tensors(torch.split(images, batch_size), geometry)
    if isinstance(images, DataLoader):
        return _tensors(images, geometry)
    pictures = _pictures(images)
    loader: DataLoader[Any] = DataLoader(
        NewPictures(pictures, geometry, max_pixels), batch_size=batch_size, num_workers=workers
    )
    return _Batches(loader)


class _Batches:
    """The batches of a loader of :class:`NewPictures`, with their number for a progress bar."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Read]:
        return (Read(image, tuple(names), tuple(why)) for image, names, why in self.loader)


def _tensors(batches: Iterable[Any], geometry: Geometry) -> Iterator[Read]:
    count, size = 0, (3, geometry.height, geometry.width)
    for batch in batches:
        image = batch if isinstance(batch, Tensor) else batch[0]
        if not isinstance(image, Tensor) or image.ndim != 4 or image.shape[1:] != size:
            shape = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
            raise InputError(
                f"a batch must begin with images (N, 3, H, W) of the model's size {size}; got "
                f"{shape}: give files, or tensors of the method preprocess"
            )
        names = tuple(str(count + place) for place in range(len(image)))
        count += len(image)
        yield Read(image, names, ("",) * len(image))


def _pictures(images: Any) -> Sequence[Picture]:
    if isinstance(images, (str, Path)):
        return find(images)
    if isinstance(images, Image.Image) or (
        isinstance(images, np.ndarray) and images.ndim in (2, 3)
    ):
        return [images]
    return [picture for each in images for picture in _pictures(each)]


def find(place: str | Path) -> list[Path]:
    """The picture files of a folder (at any depth), of a pattern such as ``photos/*.jpg``, or one.

    Hidden files are left out, and links to folders are followed. The order is that of the paths.

    Raises:
        ValueError: there is no such file, or no picture.
    """
    path = Path(place)
    if path.is_dir():
        found = pictures_below(path)
    elif path.is_file():
        return [path]
    else:
        found = [Path(each) for each in glob.glob(str(place), recursive=True)]
        found = [each for each in found if each.is_file()]
    if not found:
        kinds = ", ".join(IMAGE_SUFFIXES)
        raise InputError(
            f"no pictures in {shortened(str(place))}: give a folder with files in {kinds}, a "
            "picture, or a pattern such as 'photos/*.jpg'"
        )
    return sorted(found)
