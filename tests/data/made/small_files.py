"""Small files in the forms of MNIST and of CIFAR-10, for generated data sets."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(head + array.tobytes())


def write_digits(folder: Path, *, train: int = 60, test: int = 40) -> Path:
    """Digits in turn 0, 1, ..., 9, 0, ...: 28 x 28, whose row of the digit is 1, 2, ... (grey).

    Column 0 of that row is white. All other pixels are 0.
    """
    for part, count in (("train", train), ("t10k", test)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = np.zeros((count, 28, 28), np.uint8)
        images[np.arange(count), labels] = (1 + np.arange(count, dtype=np.uint8) % 200)[:, None]
        images[np.arange(count), labels, 0] = 255
        write_idx(folder / f"{part}-images-idx3-ubyte", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", labels)
    return folder


def photos(count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Noise of 32 x 32 pixels, ``(N, 3072)`` plane by plane, with the classes in turn 0 to 9."""
    noise = np.random.default_rng(count).integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    smooth = noise.repeat(4, axis=2).repeat(4, axis=3)
    return smooth.reshape(count, -1), np.arange(count, dtype=np.uint8) % 10


def write_cifar(folder: Path, *, batch: int = 20, test: int = 40) -> Path:
    """CIFAR-10's binary version with five training files of ``batch`` photos."""
    place = folder / "cifar-10-batches-bin"
    place.mkdir(parents=True)
    for number in range(1, 6):
        flat, labels = photos(batch + number)
        rows = np.concatenate([labels[:, None], flat], axis=1)[:batch]
        (place / f"data_batch_{number}.bin").write_bytes(rows.tobytes())
    flat, labels = photos(test)
    (place / "test_batch.bin").write_bytes(np.concatenate([labels[:, None], flat], 1).tobytes())
    return folder
