"""``debias predict``: the classes of new pictures, by the model of a finished run."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from glob import glob
from pathlib import Path
from typing import Optional

from debias.errors import InputError, check_at_least, near, shown
from debias.merging import converted, read_overrides


@dataclass
class Options:
    """Options of the command: the CSV file, the device, and how the pictures are read."""

    out: Optional[str] = None  # noqa: UP045 - omegaconf 2.3 reads Optional, not "str | None"
    batch_size: int = 64
    workers: int = 0
    accelerator: str = "auto"
    progress: bool = True


NAMES = tuple(field.name for field in fields(Options))


def run(run: str, images: list[str], overrides: Sequence[str] = ()) -> None:
    """Predict pictures, and write a CSV file, or print it without ``out``.

    Each image is a folder, a file or a pattern. A text ``key=value`` that names none is an option.
    Pictures that cannot be read have a row with the reason.

    Raises:
        ValueError: there is no such run or picture, no picture can be read, or an option is wrong.
    """
    from debias.devices import resolve_accelerator
    from debias.trained.model import load

    given = [text for text in images if _is_option(text)]
    options = _options([*given, *overrides])
    places = [text for text in images if text not in given]
    if not places:
        raise InputError("no pictures to predict: give a folder, files, or a pattern")
    if options.out and Path(options.out).is_dir():
        raise InputError(f"out={options.out} is a folder: give a CSV file")
    model = load(run).to(resolve_accelerator(options.accelerator))
    results = model.predict(
        places,
        batch_size=options.batch_size,
        workers=options.workers,
        progress=options.progress,
    )
    if bad := results.unreadable:
        print(f"{len(bad)} pictures cannot be read: {shown([*bad])}", file=sys.stderr)
    if options.out is None:
        print(results.text(), end="")
    else:
        results.write(Path(options.out))
        print(options.out)


def _is_option(text: str) -> bool:
    key, sign, _ = text.partition("=")
    is_picture = Path(text).exists() or bool(glob(text))
    return bool(sign) and (key in NAMES or (key.isidentifier() and not is_picture))


def _options(overrides: Sequence[str]) -> Options:
    given = read_overrides(overrides)
    for key in given:
        if key not in NAMES:
            raise InputError(f"unknown option {key!r} of predict; {near(key, NAMES)}")
    options = Options(**{key: converted(Options, key, value) for key, value in given.items()})
    check_at_least(1, {"batch_size": options.batch_size})
    check_at_least(0, {"workers": options.workers})
    return options
