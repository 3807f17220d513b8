"""Prediction: logits and features in evaluation mode, and the precision of computing them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from debias.processes import joined_lists
from debias.types import Batch


class Predicted(NamedTuple):
    """Rows of the data set and their logits: ``(N,)`` int64 and ``(N, outputs)`` float32."""

    index: Tensor  # type: ignore[assignment]
    logits: Tensor


def predict(model: nn.Module, batches: Iterable[Batch], *, precision: str = "32-true") -> Predicted:
    """Logits of every row in the batches, in evaluation mode, sorted by row, on the CPU.

    With several processes, each process predicts its own batches and returns the rows of all.

    Args:
        model: maps images to :class:`debias.types.Outputs`. A
            :class:`debias.training.module.DebiasModule` gives the outputs of its strategy.
        batches: normalised batches on the model's device.
        precision: a precision of Lightning's Trainer; "bf16-mixed" runs under autocast.

    Returns:
        One row per image, in increasing order of row.
    """
    return joined(list(_read(model, batches, precision, "logits")))


def extract(model: nn.Module, batches: Iterable[Batch], *, precision: str = "32-true") -> Tensor:
    """``(N, D)`` float32 features of every row in the batches, in the order of :func:`predict`."""
    return joined(list(_read(model, batches, precision, "features"))).logits


def _read(
    model: nn.Module, batches: Iterable[Batch], precision: str, field: str
) -> Iterator[Predicted]:
    was_training = model.training
    model.eval()
    for batch in batches:
        with torch.inference_mode(), autocast(precision, batch.image.device):
            values: Tensor = getattr(model(batch.image), field)
        yield Predicted(batch.index.cpu(), values.float().cpu())
    model.train(was_training)


def joined(parts: Sequence[Predicted]) -> Predicted:
    """Join the parts of a prediction from all processes, sorted by row; each row comes once."""
    parts = joined_lists([Predicted(part.index.cpu(), part.logits.cpu()) for part in parts])
    index, logits = (torch.cat(column) for column in zip(*parts, strict=True))
    order = index.argsort(stable=True)
    index, logits = index[order], logits[order]
    first = torch.ones_like(index, dtype=torch.bool)
    first[1:] = index[1:] != index[:-1]
    return Predicted(index[first], logits[first].clone())


def choose_precision(model: nn.Module, accelerator: str) -> str:
    """Precision for Lightning's Trainer: mixed bfloat16 if the device computes it natively.

    Otherwise it is float32. On CPUs with bfloat16 instructions, mixed bfloat16 doubles the speed of
    residual networks. It slows networks with depthwise convolutions, which use float32 on CPUs.

    Args:
        model: the classifier.
        accelerator: "cpu", "cuda", "mps", ...
    """
    if accelerator == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        computes = accelerator == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        layers = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
        depthwise = any(layer.groups == layer.in_channels > 1 for layer in layers)
        fast = computes and bool(layers) and not depthwise
    return "bf16-mixed" if fast else "32-true"


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The autocast context of Lightning's Trainer, for evaluation without a Trainer.

    Args:
        precision: a precision of the Trainer; "bf16-mixed" computes in bfloat16.
        device: device of the images.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision.startswith("bf16"))
