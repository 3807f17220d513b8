"""Prompts and their embeddings: every file gives the same rows, and each mistake is one line."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from debias.data.prompts import CANDIDATE, CLASS, SPURIOUS, read_embeddings, read_prompts

BIRDS = ("landbird", "waterbird")
TABLE = """role,class,attribute,text
class,landbird,,"A landbird, drawn"
spurious,,,A lake
class,waterbird,,A waterbird/seabird
candidate,landbird,land,A landbird on land
candidate,landbird,water,A landbird on water
"""
TEXTS = ["A landbird, drawn", "A lake", "A waterbird/seabird", "A landbird on land",
         "A landbird on water"]  # fmt: skip
NUMBERS = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
UNIT = torch.tensor(NUMBERS, dtype=torch.float64)
UNIT = UNIT / UNIT.norm(dim=1, keepdim=True)


def csv_of(folder: Path, texts: list[str] = TEXTS, numbers: np.ndarray = NUMBERS) -> Path:
    lines = [
        '"' + text + '",' + ",".join(map(str, row))
        for text, row in zip(texts, numbers, strict=True)
    ]
    path = folder / "given.csv"
    path.write_text("\n".join([",".join(["text", *map(str, range(numbers.shape[1]))]), *lines]))
    return path


def written(folder: Path, kind: str) -> Path:
    """A file of the embeddings. Those under names are in another order, and hold one more."""
    order = [4, 2, 0, 1, 3]
    named = {TEXTS[row]: NUMBERS[row] for row in order} | {"another": NUMBERS[0] + 1}
    tensors = {text: torch.from_numpy(row.copy()) for text, row in named.items()}
    path = folder / kind.replace("named", "given")
    if kind == "given.npy":
        np.save(path, NUMBERS)
    elif kind == "given.npz":
        np.savez(path, embeddings=NUMBERS)
    elif kind == "named.npz":
        np.savez(path, **named)
    elif kind == "given.safetensors":
        save_file({"embeddings": torch.from_numpy(NUMBERS)}, path)
    elif kind == "named.safetensors":
        save_file(tensors, path)
    else:
        return csv_of(folder, list(named), np.stack(list(named.values())))
    return path


def table_of(folder: Path, text: str = TABLE) -> Path:
    path = folder / "prompts.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "kind",
    ["given.npy", "given.npz", "named.npz", "given.safetensors", "named.safetensors", "named.csv"],
)
def test_every_file_gives_the_rows_of_the_table(tmp_path: Path, kind: str) -> None:
    prompts = read_prompts(table_of(tmp_path), written(tmp_path, kind), BIRDS)
    torch.testing.assert_close(prompts.embeddings, UNIT)
    assert prompts.embeddings.dtype == torch.float64
    classes = prompts.of(CLASS)
    assert classes.cells("class") == ["landbird", "waterbird"]
    torch.testing.assert_close(classes.embeddings, UNIT[[0, 2]])
    torch.testing.assert_close(prompts.of(SPURIOUS).embeddings, UNIT[[1]])
    assert prompts.of(CANDIDATE).cells("attribute") == ["land", "water"]


def test_half_precision_is_read(tmp_path: Path) -> None:
    save_file({"x": torch.from_numpy(NUMBERS).bfloat16()}, tmp_path / "half.safetensors")
    np.save(tmp_path / "half.npy", NUMBERS.astype(np.float16))
    for path, bar in ((tmp_path / "half.safetensors", 1e-2), (tmp_path / "half.npy", 1e-3)):
        torch.testing.assert_close(read_embeddings(path, TEXTS), UNIT, atol=bar, rtol=0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("spurious,", "spurios,", r"line 3: role is 'spurios', but must be one of class, spurious"),
        (
            "class,waterbird",
            "class,waterbrid",
            r"line 4: class is 'waterbrid'.*did you mean 'water",
        ),
        ("candidate,landbird,land", "candidate,sparrow,land", r"line 5: class is 'sparrow'"),
        ("landbird,water,", "landbird,,", r"line 6: attribute is '', but each candidate needs"),
        ("class,waterbird", "class,landbird", r"needs a row of role class for class 'waterbird'"),
        ("role,class", "role,kind", r"has no column 'class'"),
    ],
)
def test_mistakes_of_the_table(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TABLE
    table = table_of(tmp_path, TABLE.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_prompts(table, written(tmp_path, "given.npy"), BIRDS)


def test_arrays_that_do_not_fit(tmp_path: Path) -> None:
    cases = {
        r"one row per prompt, in the order of the table; got 3 rows for 5": NUMBERS[:3],
        r"floating-point numbers; got int64": np.ones((5, 4), dtype=np.int64),
        r"no embedding of the prompt 'A landbird, drawn'": NUMBERS[0],
    }
    for value in (np.nan, np.inf, 0.0):
        broken = NUMBERS.copy()
        broken[1] = value
        np.save(tmp_path / "e.npy", broken)
        with pytest.raises(ValueError, match="number 2 is not"):
            read_embeddings(tmp_path / "e.npy", TEXTS)
    for message, array in cases.items():
        np.save(tmp_path / "e.npy", array)
        with pytest.raises(ValueError, match=message):
            read_embeddings(tmp_path / "e.npy", TEXTS)


def test_named_vectors_that_do_not_fit(tmp_path: Path) -> None:
    named = {text: NUMBERS[row] for row, text in enumerate(TEXTS)}
    path = tmp_path / "e.npz"
    np.savez(path, **{**named, "A lake": NUMBERS[0, :3]})
    with pytest.raises(ValueError, match=r"same length per prompt; got the shapes \(3,\), \(4,\)"):
        read_embeddings(path, TEXTS)
    np.savez(path, **dict.fromkeys(TEXTS, NUMBERS))
    with pytest.raises(ValueError, match=r"got the shapes \(5, 4\)"):
        read_embeddings(path, TEXTS)
    save_file({"a": torch.ones(5, 4, dtype=torch.int32)}, tmp_path / "e.safetensors")
    with pytest.raises(ValueError, match=r"floating-point numbers; got torch\.int32"):
        read_embeddings(tmp_path / "e.safetensors", TEXTS)
    with pytest.raises(ValueError, match=r"line 7: text is 'A lake', which an earlier line has"):
        read_embeddings(
            csv_of(tmp_path, [*TEXTS, "A lake"], np.concatenate([NUMBERS, NUMBERS[:1]])), TEXTS
        )
    broken = NUMBERS.copy()
    broken[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"line 3: 2 is 'nan', but must be a finite number"):
        read_embeddings(csv_of(tmp_path, numbers=broken), TEXTS)
    (tmp_path / "empty.csv").write_text("text\nA lake\n")
    with pytest.raises(ValueError, match=r"no column of numbers"):
        read_embeddings(tmp_path / "empty.csv", TEXTS)


class Harmful:
    """An object whose unpickling leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


def test_no_code_of_a_file_runs(tmp_path: Path) -> None:
    """A pickle, and arrays of objects, under every suffix."""
    trace = tmp_path / "trace"
    objects = np.array([Harmful(trace)], dtype=object)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Harmful(trace)))
    np.save(tmp_path / "objects.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "objects.npz", embeddings=objects)
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Harmful(trace)))
    (tmp_path / "pickle.safetensors").write_bytes(pickle.dumps(Harmful(trace)))
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ValueError, match="is damaged, or contains more than arrays of numbers"):
            read_embeddings(path, TEXTS)
    assert not trace.exists()
    (tmp_path / "e.pt").touch()
    with pytest.raises(ValueError, match=r"end in '\.pt'; expected \.npy, \.npz, \.safetensors"):
        read_embeddings(tmp_path / "e.pt", TEXTS)
    with pytest.raises(ValueError, match=r"no file .*absent\.npy"):
        read_embeddings(tmp_path / "absent.npy", TEXTS)
