"""``debias export``: the model of a finished run as a file for other programs."""

from collections.abc import Sequence
from pathlib import Path

from debias.errors import InputError, near
from debias.merging import taken


def run(run: str, overrides: Sequence[str]) -> None:
    """Export the model of a run, check the file, and print its folder.

    ``format`` is safetensors (the default), onnx or torch_export. ``out`` is a new folder, by
    default ``RUN/export/FORMAT``.

    Raises:
        ValueError: there is no such run; an option is unknown; a package is missing; or the model
            cannot be exported in this format.
    """
    format, others = taken(overrides, "format", "safetensors")
    out, others = taken(others, "out", f"{run}/export/{format}")
    for text in others:
        hint = near(text.partition("=")[0], ("format", "out"))
        raise InputError(f"unknown option {text!r} of export; {hint}")
    from debias.trained.export import export
    from debias.trained.model import load

    export(load(run), format, Path(out))
    print(out)
