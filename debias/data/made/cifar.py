"""Reads CIFAR-10 in its Python version, its binary version, or as folders of pictures."""

import io
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from debias.data.pictures.images import read_image
from debias.errors import InputError, shown

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
#: Bytes of one image: red, green and blue, one after the other.
PIXELS = 3 * SIDE * SIDE
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
PARTS = {"train": TRAIN, "test": ("test_batch",)}
SUFFIXES = (".png", ".jpg", ".jpeg")


class Photos(NamedTuple):
    """CIFAR-10's images ``(N, 32, 32, 3)`` in red, green, blue, and labels ``(N,)``, both uint8."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def read_cifar10(root: str) -> tuple[Photos, Photos]:
    """The images and labels of training and test, from the first form of CIFAR-10 that is there.

    Args:
        root: a folder with ``cifar-10-batches-py``, ``cifar-10-batches-bin``, or ``train`` and
            ``test`` with a folder of pictures per class. It may also be one of the first two.

    Raises:
        ValueError: no form is there, or a file is missing or damaged.
    """
    for folder in (Path(root), Path(root) / "cifar-10-batches-py", Path(root) / "CIFAR10"):
        if (folder / TRAIN[0]).is_file():
            return _both(folder, "", _pickled)
    for folder in (Path(root), Path(root) / "cifar-10-batches-bin"):
        if (folder / f"{TRAIN[0]}.bin").is_file():
            return _both(folder, ".bin", _binary)
    if (Path(root) / "train").is_dir():
        return _pictures(Path(root) / "train"), _pictures(Path(root) / "test")
    raise InputError(
        f"no CIFAR-10 in {root}: put cifar-10-batches-py, cifar-10-batches-bin, or train/<class>/ "
        "and test/<class>/ with pictures there, or get the files by `debias data get cifar10 "
        f"root={root}`"
    )


def _both(folder: Path, suffix: str, read: Callable[[Path], Photos]) -> tuple[Photos, Photos]:
    train, test = ([read(folder / f"{name}{suffix}") for name in names] for names in PARTS.values())
    return _joined(train), _joined(test)


def _joined(parts: Sequence[Photos]) -> Photos:
    images, labels = zip(*parts, strict=True)
    return Photos(np.concatenate(images), np.concatenate(labels))


def _photos(path: Path, flat: NDArray[Any], labels: NDArray[Any]) -> Photos:
    whole = flat.ndim == 2 and flat.shape[1] == PIXELS and flat.dtype == np.uint8
    if not whole or labels.shape != flat.shape[:1] or np.max(labels, initial=0) >= len(CLASSES):
        raise InputError(
            f"{path} is not a whole file of CIFAR-10: expected {PIXELS} bytes and a label from 0 "
            "to 9 per image; fetch it again"
        )
    planes = flat.reshape(-1, 3, SIDE, SIDE)
    return Photos(np.moveaxis(planes, 1, 3), labels.astype(np.uint8))


def _binary(path: Path) -> Photos:
    content = np.frombuffer(_bytes(path), np.uint8)
    if len(content) % (PIXELS + 1):
        raise InputError(f"{path} has {len(content)} bytes, not a multiple of {PIXELS + 1}")
    rows = content.reshape(-1, PIXELS + 1)
    return _photos(path, rows[:, 1:], rows[:, 0])


#: What a damaged pickle may raise.
NOT_WHOLE = (
    *(pickle.UnpicklingError, EOFError, LookupError, TypeError, ValueError),
    *(AttributeError, OverflowError),
)


def _pickled(path: Path) -> Photos:
    try:
        batch = _ArraysOnly(io.BytesIO(_bytes(path)), encoding="bytes").load()
        flat, labels = np.asarray(batch[b"data"]), np.asarray(batch[b"labels"], np.int64)
    except NOT_WHOLE as error:
        raise InputError(f"{path} is not a file of CIFAR-10 ({error}): fetch it again") from None
    return _photos(path, flat, labels)


class _ArraysOnly(pickle.Unpickler):
    """Reads pickles of plain values and NumPy arrays. Any other class is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """The class or function of that name, if an array needs it."""
        if module.startswith(("numpy.core.", "numpy._core.")):
            module = "numpy"  # where these functions are depends on the version
        allowed = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("numpy", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("numpy", "_frombuffer"): np.empty(0).__reduce_ex__(5)[0],
            ("_codecs", "encode"): _encoded,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no array needs")
        return allowed[module, name]


def _encoded(text: str, encoding: str) -> bytes:
    """Bytes, in the way in which newer Pythons pickle them for older ones."""
    return text.encode(encoding)


def _pictures(folder: Path) -> Photos:
    places = sorted(folder.iterdir()) if folder.is_dir() else []
    names = [path.name for path in places if path.is_dir()]
    if set(names) - set(CLASSES) or not names:
        raise InputError(
            f"{folder} must have a folder for each class of {', '.join(CLASSES)}; got "
            f"{shown(names) or 'none'}"
        )
    files = [
        (path, CLASSES.index(name))
        for name in names
        for path in sorted((folder / name).iterdir())
        if path.suffix.lower() in SUFFIXES
    ]
    if not files:
        raise InputError(f"no picture in the folders of {folder}: put the pictures there")
    images = [read_image(path) for path, _ in files]
    sizes = [image.shape == (SIDE, SIDE, 3) for image in images]
    if not all(sizes):
        raise InputError(f"{files[sizes.index(False)][0]} is not of {SIDE} x {SIDE} pixels")
    return Photos(np.stack(images), np.array([label for _, label in files], np.uint8))


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f"no file {path}: fetch the files of CIFAR-10 again")
    return path.read_bytes()
