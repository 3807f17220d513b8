"""What a report says of a run before it is trained: here the weights it starts from."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

from debias import components
from debias import config as configs
from debias.runs.description import describe
from debias.runs.run import Run
from tests.commands.conftest import overrides


def test_weights_are_known_by_their_tensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files of the same tensors in another order or format have one digest; others, others."""
    config = configs.load("drawn_birds", overrides(tmp_path))
    recipe = components.construct("recipe", config.recipe, {})
    parts = Run(config, tmp_path / "run").check(recipe)
    state = {"b": torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16), "a": torch.tensor(7)}
    save_file(state, tmp_path / "one.safetensors")
    (tmp_path / "other.safetensors").write_bytes(
        save(state, metadata={"format": "pt", "made": "elsewhere"})
    )
    torch.save(dict(reversed(state.items())), tmp_path / "same.pt")
    torch.save(state | {"a": torch.tensor(8)}, tmp_path / "changed.pt")
    torch.save(state | {"a": torch.tensor([7])}, tmp_path / "reshaped.pt")
    monkeypatch.chdir(tmp_path)
    told = {
        name: describe(parts, replace(config, model={**config.model, "weights": name}), recipe)[
            "model"
        ]["weights"]
        for name in ("one.safetensors", "other.safetensors", "same.pt", "changed.pt", "reshaped.pt")
    }
    # bfloat16 1.5 and -2 are 0x3fc0 and 0xc000, and int64 7 has eight bytes, little end first
    said = (
        b"a torch.int64 ()\n"
        + bytes([7, *[0] * 7])
        + b"b torch.bfloat16 (1, 2)\n"
        + bytes([0xC0, 0x3F, 0x00, 0xC0])
    )
    digest = hashlib.sha256(said).hexdigest()[:12]
    same = ("one.safetensors", "other.safetensors", "same.pt")
    assert [told[name] for name in same] == [f"{name} (tensors sha256 {digest})" for name in same]
    assert len({text.partition(" (")[2] for text in told.values()}) == 3
