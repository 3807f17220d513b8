"""Exports a trained model to a file that other programs load, checked before it is kept."""

from __future__ import annotations

import copy
import shutil
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save
from torch import Tensor, nn

from debias.errors import InputError, check_one_of, shortened
from debias.files import made_whole
from debias.json_files import json_text
from debias.trained import preprocess
from debias.trained.model import TrainedModel
from debias.trained.notes import preprocessing_note, readme

#: Largest difference between the logits of a model and those of its export, in the check.
TOLERANCE = 1e-4


class Format(NamedTuple):
    """A format of exported models.

    Attributes:
        file: name of the exported file.
        packages: packages that writing and checking it need.
        write: writes a model, whose input is like the images, to a path.
        logits: computes logits from the file, without debias; also gets the model for its name.
    """

    file: str
    packages: tuple[str, ...]
    write: Callable[[TrainedModel, Tensor, Path], None]
    logits: Callable[[Path, Tensor, TrainedModel], Tensor]


def export(model: TrainedModel, format: str, folder: Path) -> None:
    """Write a model, its preprocessing and a README into a new folder, once they are checked.

    The exported file is loaded again without debias. Its logits must be those of the model, for
    another batch size than in the export.

    Args:
        model: the trained model.
        format: a key of ``FORMATS``.
        folder: the folder, which must be absent or empty.

    Raises:
        ValueError: the format is unknown or a package is missing; the model cannot be exported in
            this format; its logits differ; or the folder holds other files.
    """
    check_one_of(FORMATS, {"format": format})
    chosen = FORMATS[format]
    if absent := [name for name in chosen.packages if find_spec(name) is None]:
        raise InputError(
            f"format={format} needs {' and '.join(absent)}: pip install 'debias-vision[export]'"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"out={folder} exists and is not an empty folder: give another one")
    model = copy.deepcopy(model).cpu().eval()
    settings = preprocessing_note(model)
    images = _images(model, 3)
    with torch.no_grad():
        own = model(images)
    with made_whole(folder) as beside, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporters warn about their own internals
        (beside / "preprocessing.json").write_text(json_text(settings), encoding="utf-8")
        (beside / "README.md").write_text(readme(model, format, chosen.file), encoding="utf-8")
        shutil.copy(preprocess.__file__, beside / "preprocess.py")
        _check_preprocessing(model, settings)
        _write(chosen, model, images[:2], beside / chosen.file)
        _check_logits(own, chosen.logits(beside / chosen.file, images, model))


def _write(chosen: Format, model: TrainedModel, images: Tensor, path: Path) -> None:
    try:
        chosen.write(model, images, path)
    except (InputError, OSError):
        raise
    except Exception as error:  # the exporters raise many kinds, for code that they cannot trace
        reason = shortened(str(error).partition("\n")[0])
        raise InputError(
            f"torch cannot write this model as {path.name} ({type(error).__name__}: {reason}): use "
            "another format"
        ) from error


def _check_network(model: TrainedModel) -> None:
    """Refuse a model whose predictions do not come from a network of timm alone."""
    name = model.report.config["model"]["name"]
    if not timm.is_model(name.partition(".")[0]):
        raise InputError(
            f"format=safetensors is for networks of timm; got model.name={name}: use format=onnx "
            "or format=torch_export"
        )
    if model.report.config["model"].get("embedding"):
        raise InputError(
            "format=safetensors is for networks of timm with one last layer, and this run has "
            "model.embedding=true: use format=onnx or format=torch_export"
        )
    if model.report.config["model"].get("pooling") is not None:
        raise InputError(
            "format=safetensors is for networks of timm with their own pooling, and this run has "
            f"model.pooling={model.report.config['model']['pooling']}: use format=onnx or "
            "format=torch_export"
        )
    if not isinstance(model.model.head, nn.Linear):
        raise InputError(
            "format=safetensors holds a linear last layer; the one of this model is "
            f"{type(model.model.head).__name__}: use format=onnx or format=torch_export"
        )
    if model.strategy is not None:
        raise InputError(
            f"format=safetensors holds the network alone, and {model.report.strategy.name} needs "
            "more to predict: use format=onnx or format=torch_export"
        )


def _images(model: TrainedModel, count: int) -> Tensor:
    """``(count, 3, H, W)`` normalised noise, always the same."""
    shape = count, 3, model.geometry.height, model.geometry.width
    pixels = torch.randint(256, shape, generator=torch.Generator().manual_seed(0))
    return model.normalise(pixels.byte())


def _check_logits(own: Tensor, exported: Tensor) -> None:
    difference = float((own - exported).abs().max()) if own.shape == exported.shape else np.inf
    if not difference <= TOLERANCE * max(1.0, float(own.abs().max())):
        raise InputError(
            f"the exported logits differ by {difference:.2g} from those of the model, more than "
            f"{TOLERANCE:g}: use another format"
        )


def _check_preprocessing(model: TrainedModel, settings: Any) -> None:
    """Compare ``preprocess.py`` with the model's own preprocessing, on noise of another size."""
    height, width = 2 * model.geometry.height + 7, 2 * model.geometry.width + 9
    noise: NDArray[Any] = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    own = model.preprocess(noise).numpy()
    levels = np.abs(own - preprocess.preprocess(Image.fromarray(noise), settings))
    # another build of OpenCV may round a pixel otherwise
    if float((levels * np.float32(settings["std"])[:, None, None]).max()) > 1.01 / 255:
        raise InputError(
            "preprocess.py gives other pixels than this version of OpenCV: install the version of "
            "opencv-python-headless that the run was trained with"
        )


def _write_safetensors(model: TrainedModel, images: Tensor, path: Path) -> None:
    _check_network(model)
    state = model.model.network_state_dict()
    path.write_bytes(save({key: value.contiguous().clone() for key, value in state.items()}))


def _timm_logits(path: Path, images: Tensor, model: TrainedModel) -> Tensor:
    name, outputs = model.report.config["model"]["name"], len(model.classes)
    network = timm.create_model(name, num_classes=outputs, checkpoint_path=str(path))
    with torch.no_grad():
        logits: Tensor = network.eval()(images)
    return logits


def _write_onnx(model: TrainedModel, images: Tensor, path: Path) -> None:
    program: Any = torch.onnx.export(
        model,
        (images,),
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    for node in program.model.graph:  # without the paths of this machine
        node.metadata_props.clear()
    program.save(path, external_data=False)


def _onnx_logits(path: Path, images: Tensor, model: TrainedModel) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {"image": images.numpy()})[0])


def _write_torch_export(model: TrainedModel, images: Tensor, path: Path) -> None:
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(model, (images,), dynamic_shapes=shapes)
    for node in program.graph.nodes:  # without the paths of this machine
        node.meta.pop("stack_trace", None)
    torch.export.save(program, path)


def _torch_export_logits(path: Path, images: Tensor, model: TrainedModel) -> Tensor:
    with torch.no_grad():
        logits: Tensor = torch.export.load(path).module()(images)
    return logits


#: The formats, by the name that a user gives.
FORMATS = {
    "safetensors": Format("model.safetensors", (), _write_safetensors, _timm_logits),
    "onnx": Format("model.onnx", ("onnx", "onnxruntime", "onnxscript"), _write_onnx, _onnx_logits),
    "torch_export": Format("model.pt2", (), _write_torch_export, _torch_export_logits),
}
