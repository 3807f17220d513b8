"""What is written beside an exported model: its preprocessing, and how to load it."""

from __future__ import annotations

import json

from debias.data.pictures.geometry import (
    CentreCrop,
    CentreSquare,
    CentreWindow,
    Geometry,
    Resize,
    ShorterSide,
)
from debias.data.pictures.pipelines import Pipeline
from debias.errors import InputError
from debias.json_files import Json
from debias.trained.model import TrainedModel

#: Name and meaning of each step, in ``preprocessing.json`` and in ``preprocess.py``.
STEPS = {
    Resize: (
        "resize",
        "resize to {height} x {width} (height x width): first shrink each side that is longer, by "
        "area averages; then enlarge each side that is shorter, linearly",
    ),
    ShorterSide: (
        "shorter_side",
        "resize like the step resize, so that the shorter side has {size} pixels; the longer side "
        "keeps the aspect ratio and is rounded down",
    ),
    CentreCrop: ("centre_crop", "cut out the central {height} x {width} (height x width)"),
    CentreWindow: (
        "centre_window",
        "cut out the central {height} x {width} (height x width); around a smaller picture, the "
        "result is black",
    ),
    CentreSquare: ("centre_square", "cut out the largest central square"),
    Pipeline: ("pipeline", "the transforms of albumentations in the entry pipeline"),
}
INTERPOLATION = (
    "area averages to shrink (OpenCV's INTER_AREA), linear to enlarge (INTER_LINEAR), uint8 after "
    "each resize; preprocess.py computes exactly these pixels"
)
NEAREST = (
    "PIL.Image.resize(size, PIL.Image.BILINEAR), which averages when it shrinks, comes nearest and "
    "is not the same: 11 of 1,000 decisions of a classifier of birds changed (HAMMING 19, BICUBIC "
    "22, LANCZOS 34, BOX 36)"
)
#: The imports and the lines of the README that load each format.
LOADING = {
    "safetensors": (
        "import timm\nimport torch",
        "model = timm.create_model({name!r}, num_classes={outputs}, checkpoint_path={file!r})\n"
        "model.eval()\nlogits = model(torch.from_numpy(image)).detach().numpy()",
    ),
    "onnx": (
        "import onnxruntime",
        "session = onnxruntime.InferenceSession({file!r}, providers=['CPUExecutionProvider'])\n"
        "logits = session.run(None, {{'image': image}})[0]",
    ),
    "torch_export": (
        "import torch",
        "model = torch.export.load({file!r}).module()\n"
        "logits = model(torch.from_numpy(image)).detach().numpy()",
    ),
}
README = """# {title}

The model of the run `{run}` ({method}, {network}). In this folder, run:

```python
import json
{imports}
from preprocess import preprocess

settings = json.load(open("preprocessing.json"))
image = preprocess('picture.jpg', settings)[None]
{loading}
print({decision})
```

`preprocess.py` needs {packages}, and gives exactly the pixels that debias computes. Other
ways of resizing change some decisions: see "nearest_pil" in `preprocessing.json`.
"""


def preprocessing_note(model: TrainedModel) -> Json:
    """The contents of ``preprocessing.json``: every step from a file to the model's input.

    Raises:
        ValueError: a step of the preprocessing is not one of ``STEPS``.
    """
    geometry, several = model.geometry, model.groups.multi_label
    return {
        "classes": list(model.classes),
        "outputs": "one logit per label: sigmoid gives probabilities, above 0 is present"
        if several
        else "one logit per class: softmax gives probabilities, the highest is predicted",
        "input": f"float32 (batch, 3, {geometry.height}, {geometry.width}), red, green, blue",
        "height": geometry.height,
        "width": geometry.width,
        "decoding": "8 bits per channel, RGB, upright (the EXIF orientation is applied), "
        "transparency removed",
        "steps": steps_of(geometry),
        "interpolation": INTERPOLATION,
        "nearest_pil": NEAREST,
        "normalisation": "(pixel / 255 - mean) / std, per channel",
        "mean": list(model.model.mean),
        "std": list(model.model.std),
    }


def steps_of(geometry: Geometry) -> list[Json]:
    """The steps of a geometry by name, with their options and their meaning in words.

    Raises:
        ValueError: a step is not one of ``STEPS``.
    """
    steps = []
    for step in geometry.steps:
        if type(step) not in STEPS:
            raise InputError(
                f"the preprocessing step {type(step).__name__} cannot be written down for other "
                "programs: export a run whose evaluation only resizes and crops"
            )
        name, meaning = STEPS[type(step)]
        options: Json = dict(vars(step))
        if isinstance(step, Pipeline):
            options = {"pipeline": json.loads(step.text)}
        steps.append({"step": name, **options, "meaning": meaning.format(**options)})
    return steps


def readme(model: TrainedModel, format: str, file: str) -> str:
    """The README of an export: ten lines of Python that predict one picture.

    Args:
        model: the exported model.
        format: a key of ``LOADING``.
        file: name of the exported file.
    """
    report, several = model.report, model.groups.multi_label
    network = report.config["model"]["name"]
    imports, lines = LOADING[format]
    best = 'settings["classes"][logits[0].argmax()]'
    present = 'dict(zip(settings["classes"], (logits[0] > 0).tolist()))'
    pipeline = any(isinstance(step, Pipeline) for step in model.geometry.steps)
    return README.format(
        title="An image classifier: " + ", ".join(model.classes[:8]),
        run=report.name or report.folder.name,
        method=report.method,
        network=network,
        imports=imports,
        loading=lines.format(name=network, outputs=len(model.classes), file=file),
        decision=present if several else best,
        packages="NumPy, PIL and albumentations" if pipeline else "NumPy and PIL alone",
    )
