"""All pictures below a folder in memory, such as the paintings that an augmentation mixes in."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from debias.data.pictures.geometry import Geometry
from debias.data.pictures.images import read_image
from debias.data.trees.reading import IMAGE_SUFFIXES, pictures_below
from debias.devices import usable_cores
from debias.errors import InputError
from debias.progress import say

#: Most bytes of decoded pictures that are kept. It is the room of 7,133 pictures of 224 pixels.
MOST_BYTES = 2**30


def read_folder(folder: str, *, geometry: Geometry, most_bytes: int = MOST_BYTES) -> Tensor:
    """Decode the pictures at any depth below a folder, in the order of their paths.

    Hidden files and folders are ignored, and so are files that are not pictures. Links to folders
    are followed. If the pictures need more than ``most_bytes``, only some of them are read, which
    are evenly spaced in the order.

    Args:
        folder: the folder.
        geometry: steps that bring every picture to one shape.
        most_bytes: most bytes of the result.

    Returns:
        ``(M, 3, H, W)`` uint8.

    Raises:
        ValueError: the folder does not exist or has no picture, or a picture is damaged.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"no folder of pictures {folder}: correct the path")
    paths = pictures_below(root)
    if not paths:
        raise InputError(
            f"no picture below {folder}: put pictures there ({', '.join(IMAGE_SUFFIXES)}), or name "
            "another folder"
        )
    room = max(1, most_bytes // (3 * geometry.height * geometry.width))
    if len(paths) > room:
        say(f"{folder}: {room:,} of its {len(paths):,} pictures are used, which fill the memory")
        paths = [paths[number * len(paths) // room] for number in range(room)]
    with ThreadPoolExecutor(usable_cores()) as pool:
        pictures = list(pool.map(partial(_pixels, geometry), paths))
    return torch.stack(pictures).permute(0, 3, 1, 2).contiguous()


def _pixels(geometry: Geometry, path: Path) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(geometry.image(read_image(path))))
