"""``debias masks``: make foreground masks for a data set without masks."""

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from debias import components
from debias import config as configs
from debias.data.checks import check_examples
from debias.data.examples import SPLITS, Examples
from debias.data.masks.files import MaskRecord, claimed, read_written, write_masks, write_picture
from debias.data.pictures.contact_sheet import contact_sheet, spread
from debias.devices import usable_cores
from debias.errors import InputError, near, shown
from debias.merging import Settings, read_overrides, split_overrides

#: The function that makes the masks of each method. Its keyword-only arguments are its options. A
#: function with the argument ``parts`` needs a trained model.
METHODS = {
    "boxes": "debias.data.masks.makers:boxes",
    "keypoints": "debias.data.masks.makers:keypoints",
    "import": "debias.data.masks.makers:existing",
    "gradcam": "debias.evaluation.attention:gradcam",
}
#: Keys and sections of the config that overrides may change.
OF_CONFIG = ("data", "accelerator")
SHEET = "contact_sheet.png"
PICTURES, ODD_PICTURES = 24, 6
SHOWN = 3


def where(
    *, out: str, splits: tuple[str, ...] = SPLITS, overwrite: bool = False
) -> tuple[Any, ...]:
    """The options that every method has, checked.

    Args:
        out: folder that receives the masks, ``<image without its suffix>.png``.
        splits: the splits whose images get masks.
        overwrite: replace existing masks instead of keeping them.

    Raises:
        ValueError: ``splits`` is empty or has an unknown split.
    """
    unknown = [split for split in splits if split not in SPLITS]
    if unknown or not splits:
        raise InputError(
            f"splits must hold some of train, val, test, as in splits=[train]; got {list(splits)}"
        )
    return Path(out), splits, overwrite


def run(method: str, config: str, overrides: list[str]) -> None:
    """Make the masks of a data set, print a summary, and draw a contact sheet of some masks.

    Raises:
        ValueError: an option is unknown, or the data, the hints or the run has a mistake.
    """
    maker = components.imported(METHODS[method])
    common, own, of_config = _sorted(maker, overrides)
    out, splits, overwrite = components.call(where, "masks", common, {})
    components.check_options(maker, "masks", own)
    facts = _facts(config, of_config, trained="parts" in inspect.signature(maker).parameters)
    examples = facts["examples"]
    rows = [row for split in dict.fromkeys(splits) for row in examples.rows(split).tolist()]
    make = components.call(maker, "masks", own, {**facts, "rows": rows})
    # a trained model works on one picture at a time, and its run is a setting of the masks
    threads = 1 if "parts" in facts else min(8, usable_cores())
    trained = {"run": config} if "parts" in facts else {}
    settings = {"method": method, **components.options(maker), **own, **trained}
    with claimed(out, settings, overwrite=overwrite):
        records = write_masks(examples, rows, make, out, overwrite=overwrite, threads=threads)
    print("\n".join(summary(records)))
    _draw(examples, records, out)
    print(f"{out}: use it as data.masks={out}; {SHEET} there shows some")


def summary(records: Sequence[MaskRecord]) -> list[str]:
    """Summary lines: how many masks were made, kept or not found, and which are empty or full."""
    how = Counter(record.how for record in records)
    share = sum(record.share for record in records) / len(records)
    lines = [
        f"{len(records)} masks: {how['made']} made, {how['fallback']} not found (the hint's "
        f"own shape, or empty), {how['kept']} kept from before",
        f"foreground: {100 * share:.1f} % of a picture on average",
    ]
    for remark in ("empty", "full", "small", "large"):
        odd = [record.image for record in records if record.remark == remark]
        if odd:
            lines.append(f"{len(odd)} {remark}: {shown(odd, SHOWN)}")
    return lines


def _sorted(
    maker: Callable[..., Any], overrides: Sequence[str]
) -> tuple[Settings, Settings, list[str]]:
    """Split overrides into options of every method, options of this method, and the config's."""
    of_config, others = split_overrides(overrides, OF_CONFIG)
    common, own = components.options(where), components.options(maker)
    given = read_overrides(others)
    for key in given:
        if key not in {**common, **own}:
            valid = [*common, *own, "accelerator", "data.*"]
            raise InputError(f"unknown option {key!r}; {near(key, valid)}")
    for key, default in {**common, **own}.items():
        if default is inspect.Parameter.empty and key not in given:
            raise InputError(f"masks need {key}: add {key}=...")
    return (
        {key: value for key, value in given.items() if key in common},
        {key: value for key, value in given.items() if key in own},
        of_config,
    )


def _facts(config: str, overrides: list[str], *, trained: bool) -> Settings:
    """The data set of a config; with ``trained``, that of a finished run, and its objects."""
    if trained:
        from debias.evaluation.saved import finished

        parts = finished(Path(config), overrides)
        return {"examples": parts.examples, "parts": parts}
    chosen = configs.load(config, overrides)
    examples = components.construct("data", chosen.data, {"cache_dir": chosen.cache_dir})
    check_examples(examples)
    return {"examples": examples}


def _draw(examples: Examples, records: Sequence[MaskRecord], out: Path) -> None:
    odd = spread([record.row for record in records if record.remark], ODD_PICTURES)
    others = [record.row for record in records if record.row not in odd]
    rows = odd + spread(others, PICTURES - len(odd))
    write_picture(out / SHEET, contact_sheet(read_written(examples, row, out) for row in rows))
