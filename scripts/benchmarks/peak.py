"""Peak memory of ``debias train`` against a plain PyTorch loop of the same model and batches.

Both train ``tf_efficientnet_lite0`` without pretrained weights on the built-in birds, validate
after each epoch, and evaluate the test split with the best epoch's weights. The plain loop
evaluates in batches of the training size. Each side is its own process. Its peak is the value that
the system reports after it has ended, imports included. Run by ``scripts/bench peak``.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

BAR = 1.15
NETWORK, LEARNING_RATE = "tf_efficientnet_lite0", 3e-3


def plain_loop(root: Path, size: int, batch: int, epochs: int) -> None:
    """Train, validate and test, as a short script without debias would."""
    import cv2
    import timm
    import torch
    from torch.nn import functional as F
    from torch.utils.data import DataLoader, Dataset

    class Birds(Dataset):  # type: ignore[type-arg]
        def __init__(self, split: int) -> None:
            with open(root / "metadata.csv", newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["split"]) == split]

        def __len__(self) -> int:
            return len(self.rows)

        def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
            image = cv2.imread(str(root / self.rows[number]["img_filename"]))
            image = cv2.cvtColor(cv2.resize(image, (size, size)), cv2.COLOR_BGR2RGB)
            return torch.from_numpy(image).permute(2, 0, 1).float() / 255 - 0.5, int(
                self.rows[number]["y"]
            )

    def accuracy(split: int) -> float:
        model.eval()
        right = 0
        with torch.no_grad():
            for image, target in DataLoader(Birds(split), batch):
                right += int(
                    (model(image.contiguous(memory_format=layout)).argmax(1) == target).sum()
                )
        return right / len(Birds(split))

    layout = torch.channels_last
    model = timm.create_model(NETWORK, num_classes=2).to(memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    best = -1.0
    for _ in range(epochs):
        model.train()
        for image, target in DataLoader(Birds(0), batch, shuffle=True):
            loss = F.cross_entropy(model(image.contiguous(memory_format=layout)), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if (validation := accuracy(1)) > best:
            best = validation
            torch.save(model.state_dict(), root.parent / "best.pt")
    model.load_state_dict(torch.load(root.parent / "best.pt", weights_only=True))
    print(f"test accuracy {accuracy(2):.3f}")


def peak(command: list[str]) -> float:
    """The peak memory of a command and its child processes, in MB."""
    # both sides get the same number of threads, and neither writes to the terminal
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, f"failed: {' '.join(command)}"
    return usage.ru_maxrss / 1024


def train_command(folder: Path, options: argparse.Namespace) -> list[str]:
    overrides = {
        "data.root": folder / "birds", "data.train": options.images, "data.val": options.images,
        "data.test": options.images, "data.size": options.size, "preprocessing.size": options.size,
        "model.name": NETWORK, "model.pretrained": "false", "optimizer.lr": LEARNING_RATE,
        "epochs": options.epochs, "batch_size": options.batch, "progress": "false",
        "cache_dir": folder / "cache",
    }  # fmt: skip
    return [
        sys.executable,
        "-m",
        "debias",
        "train",
        "drawn_birds",
        *(f"{key}={overrides[key]}" for key in overrides),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--images", type=int, default=384, help="of each split")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument(
        "--batch", type=int, default=128, help="128 is the default of every config's batch_size"
    )
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        plain_loop(options.plain, options.size, options.batch, options.epochs)
        return
    shape = [f"--size={options.size}", f"--batch={options.batch}", f"--epochs={options.epochs}"]
    pairs = []
    for pair in range(options.pairs):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            ours = peak([*train_command(folder, options), f"out={folder}/runs", f"seed={pair}"])
            plain = peak([sys.executable, __file__, f"--plain={folder / 'birds'}", *shape])
            print(f"debias {ours:,.0f} MB, plain loop {plain:,.0f} MB", flush=True)
            pairs.append(ours / plain)
    ratio = statistics.median(pairs)
    state = "passed" if ratio <= BAR else "FAILED"
    print(f"batches of {options.batch}: debias / plain loop {ratio:.2f}; bar {BAR}: {state}")


if __name__ == "__main__":
    main()
