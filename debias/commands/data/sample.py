"""``debias data sample``: write a tiny tree in the layout of a data set, for your own tests."""

from pathlib import Path

from debias.errors import InputError, check_at_least, near
from debias.files import made_whole
from debias.merging import read_overrides
from debias.presets import preset


def run(source: str, overrides: list[str]) -> None:
    """Write the sample of a data set, and say how to read it.

    Args:
        source: name of a preset.
        overrides: ``out=FOLDER``, which must be absent or empty, and ``images=N``.

    Raises:
        ValueError: there is no such preset, it has no sample, or an option is not valid.
    """
    # not with the other imports, so that mistakes are found before OpenCV is loaded
    from debias.data.trees.samples import write_sample

    found, options = preset(source), read_overrides(overrides)
    if unknown := [key for key in options if key not in ("out", "images")]:
        raise InputError(f"unknown option {unknown[0]}; {near(unknown[0], ['out', 'images'])}")
    out, images = options.get("out"), options.get("images", found.sample.each)
    if not isinstance(out, str):
        raise InputError("the sample needs a folder: add out=FOLDER")
    if not isinstance(images, int):
        raise InputError(f"images must be an integer; got images={images}")
    check_at_least(1, {"images": images})
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty: name a new folder by out=FOLDER")
    with made_whole(folder) as draft:
        count = write_sample(found, draft, images)
    print(f"{count} pictures in {folder}; data.name={source} data.root={folder} reads them")
