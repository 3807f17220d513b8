"""A hand-made table with two bias columns: cars by background and by the object beside them.

Rows are listed with their group, so that the counts of every test can be read here.
"""

from pathlib import Path

from tests.data.small_pictures import noise, write_png

#: Training images of each (target, background, object). The pairs that are absent have none.
TRAIN = {
    ("country", "field", "cow"): 5,
    ("country", "field", "lamp"): 2,
    ("country", "city", "cow"): 1,
    ("urban", "city", "lamp"): 4,
    ("urban", "city", "sign"): 3,
    ("urban", "field", "sign"): 1,
}
#: The same for the test split.
TEST = {
    ("country", "field", "cow"): 2,
    ("country", "city", "cow"): 1,
    ("urban", "city", "lamp"): 1,
    ("urban", "field", "sign"): 2,
}
SPLITS = {"train": TRAIN, "val": TRAIN, "test": TEST}
#: A country car is usually on a field beside a cow, an urban car in a city beside a lamp or sign.
ALIGNED = {"bg": [[0, 1], [1, 0]], "obj": [[0, 0], [1, 1], [1, 2]]}
CONFIG = f"""
data: {{name: table, file: cars.csv, bias: [bg, obj], aligned: {ALIGNED}}}
preprocessing: {{name: resize, size: 16}}
model: {{name: test_resnet, pretrained: false}}
batch_size: 8
epochs: 1
precision: 32-true
accelerator: cpu
cache: false
progress: false
"""


def write_cars(folder: Path) -> Path:
    """Write the images and the table ``cars.csv``, and return its path."""
    lines = ["path,target,bg,obj,split"]
    for split, cells in SPLITS.items():
        for (target, background, beside), count in cells.items():
            for number in range(count):
                path = f"{split}/{target}_{background}_{beside}_{number}.png"
                write_png(folder / path, noise(len(lines), 12, 12))
                lines.append(f"{path},{target},{background},{beside},{split}")
    table = folder / "cars.csv"
    table.write_text("\n".join(lines) + "\n")
    return table
