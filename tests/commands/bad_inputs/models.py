"""Weights, checkpoints, and the records of runs."""

import io
from typing import Any

import timm
import torch
from safetensors.torch import save

from tests.commands.bad_inputs.case import OWN, TABLE, rows


def saved(value: Any) -> bytes:
    """What torch.save writes."""
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


def other_network() -> dict[str, torch.Tensor]:
    """Weights of a network of other, and of many, layers."""
    return {f"blocks.{number}.a_rather_long_name.weight": torch.zeros(2) for number in range(500)}


OTHER = saved(other_network())
SMALLER = saved(
    {
        key: value.flatten()[:1]
        for key, value in timm.create_model("test_resnet").state_dict().items()
    }
)
CHECK = "check own.yaml model.weights"
WEIGHTS = rows(
    "weights",
    [
        (f"{CHECK}=nowhere.pt", "no weights file 'nowhere.pt'"),
        (f"{CHECK}=images", "images is not a run folder"),
        (f"{CHECK}=run model.name=test_vit", "the run run has model.name=test_resnet"),
        (
            f"{CHECK}=run",
            "run/checkpoints/epoch=000.ckpt is damaged",
            {"run/checkpoints/epoch=000.ckpt": b""},
        ),
        (
            "check own.yaml model.name=torchvision.models:resnet18 model.pretrained=false",
            "head must name the last layer of ResNet, an nn.Linear",
        ),
        ("check own.yaml model.projection=both", "model.projection must be one of none, mlp"),
        (f"{CHECK}=table.csv", "expected .safetensors, .pt or .pth"),
        (f"{CHECK}=[a.pt,b.pt]", "model.weights"),
        (f"{CHECK}=w.pt", "'w.pt' is damaged", {"w.pt": b""}),
        (f"{CHECK}=w.pt", "'w.pt' is damaged", {"w.pt": "text of a colleague"}),
        (f"{CHECK}=w.pt", "'w.pt' is damaged", {"w.pt": bytes(range(256)) * 4}),
        (f"{CHECK}=w.pt", "'w.pt' is damaged", {"w.pt": OTHER[: len(OTHER) // 2]}),
        (f"{CHECK}=w.pt", "'w.pt' is damaged", {"w.pt": b"PK\x03\x04" + bytes(200)}),
        (f"{CHECK}=w.pth", "flat state dict", {"w.pth": saved([1, 2])}),
        (f"{CHECK}=w.pth", "flat state dict", {"w.pth": saved({"epoch": 3})}),
        (
            f"{CHECK}=w.pth",
            "flat state dict",
            {"w.pth": saved({f"layer_{i}": "x" * 500 for i in range(9)})},
        ),
        (f"{CHECK}=w.pth", "w.pth", {"w.pth": saved({1: torch.zeros(1)})}),
        (f"{CHECK}=w.pt", "does not fit the model", {"w.pt": OTHER}),
        (f"{CHECK}=w.pt", "does not fit the model", {"w.pt": SMALLER}),
        (f"{CHECK}=w.pt", "does not fit the model", {"w.pt": saved({})}),
        (f"{CHECK}=w.pt", "'w.pt' is damaged", {"w.pt": saved(OSError("code"))}),
        (f"{CHECK}=w.safetensors", "is damaged", {"w.safetensors": b""}),
        (f"{CHECK}=w.safetensors", "is damaged", {"w.safetensors": "text of a colleague"}),
        (
            f"{CHECK}=w.safetensors",
            "is damaged",
            {"w.safetensors": save({"a": torch.zeros(9)})[:-8]},
        ),
        (f"{CHECK}=w.safetensors", "is damaged", {"w.safetensors": b"\xff" * 64}),
        (
            f"{CHECK}=w.safetensors",
            "does not fit the model",
            {"w.safetensors": save({"a": torch.zeros(9)})},
        ),
    ],
)
#: The table without its last row.
OTHER_TABLE = TABLE.rpartition("15.png")[0]
FRESH, SELECTED = "evaluate run fresh=true", "run/checkpoints/epoch=000.ckpt"
PLAIN = {"config": {"epochs": 1}, "epoch": 0, "state_dict": {}}
CHECKPOINTS = rows(
    "checkpoints",
    [
        ("evaluate nowhere.ckpt", "nowhere.ckpt does not exist"),
        ("evaluate w.ckpt", "w.ckpt is not a checkpoint of debias", {"w.ckpt": b""}),
        ("evaluate w.ckpt", "w.ckpt is not a checkpoint of debias", {"w.ckpt": "text"}),
        ("evaluate w.ckpt", "w.ckpt is not a checkpoint of debias", {"w.ckpt": bytes(range(256))}),
        ("evaluate w.ckpt", "w.ckpt is not a checkpoint of debias", {"w.ckpt": OTHER}),
        ("evaluate w.ckpt", "w.ckpt is not a checkpoint of debias", {"w.ckpt": OTHER[:900]}),
        ("evaluate w.ckpt", "w.ckpt is not a checkpoint of debias", {"w.ckpt": saved([1])}),
        (
            "evaluate w.ckpt",
            "w.ckpt is not a checkpoint of debias",
            {"w.ckpt": saved({"config": 3})},
        ),
        (
            "evaluate w.ckpt",
            "w.ckpt holds a config that cannot be used",
            {"w.ckpt": saved({"config": {"nosuch": 1}})},
        ),
        ("evaluate w.ckpt", "oc.env", {"w.ckpt": saved({"config": {"name": "${oc.env:HOME}"}})}),
        ("evaluate own.yaml", "own.yaml is not a checkpoint of debias"),
        ("evaluate images/0.png", "images/0.png is not a checkpoint of debias"),
        (FRESH, "epoch=000.ckpt", {SELECTED: b""}),
        (FRESH, "epoch=000.ckpt", {SELECTED: "text"}),
        (FRESH, "another model or strategy", {SELECTED: saved(PLAIN)}),
        (FRESH, "epoch=000.ckpt", {SELECTED: saved([1])}),
        (FRESH, "epoch=000.ckpt", {SELECTED: saved({"state_dict": 3})}),
        (
            "evaluate run fresh=true",
            "epoch=000.ckpt",
            {SELECTED: saved({"state_dict": other_network()})},
        ),
        ("masks gradcam run out=m", "epoch=000.ckpt", {SELECTED: b""}),
    ],
)
RESUME = "train own.yaml resume=runs/r"


def begun(circumstances: str) -> dict[str, str]:
    """An interrupted run with a text in its circumstances.json."""
    return {"runs/r/config.yaml": OWN, "runs/r/circumstances.json": circumstances}


RECORDS = rows(
    "records of runs",
    [
        ("evaluate nowhere", "nowhere does not exist"),
        ("evaluate images", "images is not a run folder"),
        ("evaluate run", "run/report.json is not valid JSON", {"run/report.json": ""}),
        ("evaluate run", "run/report.json is not valid JSON", {"run/report.json": '{"schema": 1'}),
        ("evaluate run", "run/report.json is not valid JSON", {"run/report.json": b"\xff\x00\x01"}),
        ("evaluate run", "run/report.json holds a list", {"run/report.json": "[]"}),
        ("evaluate run", "run/report.json has schema 99", {"run/report.json": '{"schema": 99}'}),
        ("evaluate run", "run/report.json", {"run/report.json": '{"schema": 1}'}),
        (
            "evaluate run",
            "run/report.json",
            {"run/report.json": '{"schema": 1, "data": 3, "config": 4}'},
        ),
        ("evaluate run", "run/config.yaml", {"run/config.yaml": "epochs: ["}),
        ("evaluate run", "data needs root", {"run/config.yaml": b""}),
        ("evaluate run", "run/config.yaml", {"run/config.yaml": b"\x00\xff"}),
        (
            "evaluate run data.csv=o.csv",
            "o.csv is not the data of the run",
            {"o.csv": OTHER_TABLE},
        ),
        (
            "train own.yaml resume=runs/r",
            "runs/r/data.json",
            {"runs/r/config.yaml": OWN, "runs/r/data.json": "{"},
        ),
        (
            "train own.yaml resume=runs/r",
            "runs/r/data.json",
            {"runs/r/config.yaml": OWN, "runs/r/data.json": "3"},
        ),
        (
            "train own.yaml resume=runs/r",
            "runs/r/circumstances.json",
            {"runs/r/config.yaml": OWN, "runs/r/circumstances.json": "{"},
        ),
        (
            "train own.yaml resume=runs/r",
            "runs/r/circumstances.json",
            {"runs/r/config.yaml": OWN, "runs/r/circumstances.json": "[3]"},
        ),
        (
            "train own.yaml resume=runs/r",
            "runs/r/circumstances.json",
            {"runs/r/config.yaml": OWN, "runs/r/circumstances.json": '{"a": 1}'},
        ),
        ("masks gradcam run out=m", "run/report.json", {"run/report.json": '{"schema": 1}'}),
        (
            "infer-groups run out=g.csv",
            "run/predictions/val.csv",
            {"run/predictions/val.csv": b"\xff"},
        ),
    ],
)
