"""The step ``headers``: what image files tell before any of them is decoded."""

import hashlib
import io
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from debias.audits.files.jpeg import jpeg_facts
from debias.audits.lines import Section
from debias.audits.steps import Arrays, Audited, Step
from debias.devices import usable_cores
from debias.progress import each

#: Numbers of a file's header, and texts. The step has one array of each name.
NUMBERS = (
    *("width", "height", "aspect", "area", "file size", "bytes per pixel"),
    *("JPEG quality", "hour of capture"),
)
TEXTS = (
    *("file format", "colour mode", "JPEG tables", "chroma subsampling", "JPEG order"),
    *("metadata", "camera make", "camera model", "software", "EXIF orientation"),
)
#: Array of the digests of the files' bytes.
DIGEST = "sha256"
#: Entries of the EXIF directory that are properties.
_EXIF = {
    "camera make": ExifTags.Base.Make,
    "camera model": ExifTags.Base.Model,
    "software": ExifTags.Base.Software,
    "EXIF orientation": ExifTags.Base.Orientation,
}
#: Kinds of metadata by Pillow's names.
_METADATA = {"exif": "EXIF", "icc_profile": "ICC", "xmp": "XMP", "comment": "comment"}

Facts = Mapping[str, float | str]


def header_facts(data: bytes) -> dict[str, float | str]:
    """Numbers and texts of a file's header; those that it lacks are left out.

    Args:
        data: all bytes of the file.
    """
    facts: dict[str, float | str] = {
        DIGEST: hashlib.sha256(data).hexdigest(),
        "file size": len(data),
        "file format": "unknown",
    }
    try:
        with Image.open(io.BytesIO(data)) as image:
            facts |= _opened(image, len(data))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        pass  # decoding the picture says what is wrong with it
    return facts


def _opened(image: Image.Image, size: int) -> dict[str, float | str]:
    area = image.width * image.height
    kinds = [name for key, name in _METADATA.items() if image.info.get(key)]
    facts: dict[str, float | str] = {
        "width": image.width,
        "height": image.height,
        "aspect": image.width / image.height,
        "area": area,
        "bytes per pixel": size / area,
        "file format": image.format or "unknown",
        "colour mode": image.mode,
        "metadata": "+".join(kinds) or "none",
    }
    if isinstance(image, JpegImageFile):
        facts |= jpeg_facts(image)
    if "exif" in image.info:
        facts |= _exif(image.getexif())
    return facts


def _exif(exif: Image.Exif) -> dict[str, float | str]:
    facts: dict[str, float | str] = {
        name: str(exif[tag]).strip("\0 ") for name, tag in _EXIF.items() if tag in exif
    }
    details = exif.get_ifd(ExifTags.IFD.Exif)
    taken = str(details.get(ExifTags.Base.DateTimeOriginal, exif.get(ExifTags.Base.DateTime, "")))
    hour = taken[11:13]
    return facts | ({"hour of capture": float(hour)} if hour.isdecimal() else {})


def _compute(audited: Audited) -> Arrays:
    if audited.examples.held is not None:
        return {}  # the images are not files of their own
    root, names = audited.examples.root, audited.examples.images
    paths = [f"{root}/{names[row]}" for row in audited.rows.tolist()]

    def facts_of(path: str) -> Facts:
        """Facts of one file. Its bytes are read, and no pixel is decoded."""
        with open(path, "rb", buffering=0) as file:
            return header_facts(file.read())

    with ThreadPoolExecutor(usable_cores()) as pool:
        found = list(each(pool.map(facts_of, paths), "reading headers", "file", total=len(paths)))
    return as_columns(found)


def as_columns(found: list[Facts]) -> dict[str, NDArray[np.generic]]:
    """One array per name: float64 with NaN for absent numbers, or text, empty where absent."""
    numbers = {name: np.array([facts.get(name, np.nan) for facts in found]) for name in NUMBERS}
    texts = {name: np.array([facts.get(name, "") for facts in found]) for name in (*TEXTS, DIGEST)}
    return {name: column.astype(np.float64) for name, column in numbers.items()} | texts


def _section(audited: Audited) -> Section | None:
    columns = audited.found["headers"]
    if not columns:
        return None
    rows = [
        (name, *_class_row(columns, np.flatnonzero(audited.target == position)))
        for position, name in enumerate(audited.classes)
    ]
    header = ("class", "images", "format", "width x height", "bytes per pixel", "JPEG quality")
    text = "Medians and most common values of the files of each class, before decoding."
    return Section("Files", (text,), header=(*header, "metadata"), table=rows)


def _class_row(columns: Arrays, members: NDArray[np.int64]) -> tuple[str, ...]:
    def median(name: str, form: str) -> str:
        """Median of a number over the files that have it."""
        values = columns[name][members].astype(np.float64)
        return "–" if np.isnan(values).all() else format(np.nanmedian(values), form)

    def commonest(name: str) -> str:
        """The most common text with its share; the first in the alphabet if several are."""
        counts = Counter(columns[name][members].tolist())
        if not counts:
            return "–"
        value, count = min(counts.items(), key=lambda item: (-item[1], item[0]))
        return f"{value or 'none'} ({100 * count / len(members):.0f} %)"

    size = f"{median('width', '.0f')} x {median('height', '.0f')}"
    return (
        f"{len(members):,}",
        commonest("file format"),
        size,
        median("bytes per pixel", ".3f"),
        median("JPEG quality", ".0f"),
        commonest("metadata"),
    )


HEADERS = Step("headers", (), _compute, lambda audited: (), _section)
