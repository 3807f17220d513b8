"""What computes a run besides its settings: device, precision, versions, code, parts, weights."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

import debias
from debias import config as configs
from debias.config import Config
from debias.json_files import Json
from debias.merging import in_turn
from debias.own_parts import is_own, origin
from debias.parts import Parts
from debias.reports.environment import git_state, versions


def circumstances(parts: Parts, config: Config) -> Json:
    """Precision, device, versions, git commit and own parts of this process."""
    own = own_parts(config)
    return {
        "precision": parts.precision,
        "device": f"{parts.accelerator} ({torch.get_num_threads()} threads)",
        "versions": versions(),
        "git": code_state(),
        **({"own_parts": own} if own else {}),
    }


def own_parts(config: Config) -> list[dict[str, str | None]]:
    """Origins of the user's own parts that a config names."""
    named = [getattr(config, section) for section in configs.SECTIONS if section != "augment"]
    sections = [*named, *in_turn(config.augment)]
    names = dict.fromkeys(part.get("name") for part in [*sections, *config.players.values()])
    return [origin(str(name)) for name in names if is_own(name)]


def machine(parts: Parts) -> Json:
    """What can change the last bits of a result: precision, processor, threads and versions."""
    on_gpu = parts.accelerator == "cuda"
    processor = torch.cuda.get_device_name() if on_gpu else torch.backends.cpu.get_cpu_capability()
    return {
        "precision": parts.precision,
        "device": f"{parts.accelerator} {processor}",
        "threads": torch.get_num_threads(),
        "versions": versions(),
    }


@cache
def code_state() -> dict[str, str | bool | None]:
    """Commit of debias, and whether files differ from it."""
    return git_state(Path(debias.__file__).parent)


@cache
def code_digest() -> str:
    """Hash of all Python files of debias."""
    folder, digest = Path(debias.__file__).parent, hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


# of the files as they are imported: they may change while this process runs
code_state()
code_digest()


def digest_of(state: Mapping[str, Tensor]) -> str:
    """Hash of named tensors, independent of their order."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
