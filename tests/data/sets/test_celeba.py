"""CelebA from its text tables and the same as CSV: one attribute, several, and mistakes."""

import pytest
import torch

from debias.data.sets.celeba import celeba
from debias.data.tables.rules import SplitRules

ATTRIBUTES = ["Blond_Hair", "Male", "Smiling"]
FACES = {  # name: attributes, partition
    "000001.jpg": ((-1, 1, 1), 0),
    "000002.jpg": ((1, -1, -1), 1),
    "000003.jpg": ((1, 1, 1), 2),
}


def write_text(root, faces=FACES):
    (root / "img_align_celeba").mkdir()
    rows = [
        f"{name} " + "  ".join(f"{value:2d}" for value in values)
        for name, (values, _) in faces.items()
    ]
    (root / "list_attr_celeba.txt").write_text(
        "\n".join([str(len(faces)), " ".join(ATTRIBUTES) + " ", *rows, ""])
    )
    (root / "list_eval_partition.txt").write_text(
        "".join(f"{name} {part}\n" for name, (_, part) in faces.items())
    )
    return str(root)


def write_csv(root, faces=FACES):
    (root / "img_align_celeba" / "img_align_celeba").mkdir(parents=True)
    rows = [",".join([name, *map(str, values)]) for name, (values, _) in faces.items()]
    (root / "list_attr_celeba.csv").write_text(
        "\n".join(["image_id," + ",".join(ATTRIBUTES), *rows])
    )
    parts = [f"{name},{part}" for name, (_, part) in faces.items()]
    (root / "list_eval_partition.csv").write_text("\n".join(["image_id,partition", *parts]))
    return str(root)


@pytest.mark.parametrize(
    ("write", "images"), [(write_text, "img_align_celeba"), (write_csv, "img_align_celeba/" * 2)]
)
def test_blond_hair_and_male(tmp_path, write, images):
    examples = celeba(root=write(tmp_path))
    assert examples.root == tmp_path / images
    assert examples.images == tuple(FACES)
    assert examples.target.tolist() == [0, 1, 1]
    assert examples.bias.tolist() == [1, 0, 1]
    assert examples.split.tolist() == [0, 1, 2]
    assert examples.groups.target_names == ("not Blond_Hair", "Blond_Hair")
    assert examples.groups.bias_names == ("not Male", "Male")
    # blond women, and men who are not blond
    assert set(examples.groups.aligned) == {(0, 1), (1, 0)}
    assert not examples.groups.multi_label


@pytest.mark.parametrize("write", [write_text, write_csv])
def test_several_targets(tmp_path, write):
    examples = celeba(root=write(tmp_path), targets=["Smiling", "Blond_Hair"], bias="Male")
    assert examples.target.tolist() == [[1, 0], [0, 1], [1, 1]]
    assert examples.groups.target_names == (
        "not Smiling",
        "Smiling",
        "not Blond_Hair",
        "Blond_Hair",
    )
    assert (examples.groups.multi_label, examples.groups.outputs, examples.groups.aligned) == (
        True,
        2,
        (),
    )


def test_alignment_of_another_pair_is_unknown(tmp_path):
    assert celeba(root=write_text(tmp_path), targets=["Smiling"]).groups.aligned == ()


def test_partition_is_joined_by_name(tmp_path):
    root = write_text(tmp_path)
    (tmp_path / "list_eval_partition.txt").write_text(
        "000003.jpg 2\n000001.jpg 0\n000009.jpg 0\n000002.jpg 1\n"
    )
    assert celeba(root=root).split.tolist() == [0, 1, 2]


def test_image_without_partition(tmp_path):
    root = write_text(tmp_path)
    (tmp_path / "list_eval_partition.txt").write_text("000001.jpg 0\n000003.jpg 2\n")
    with pytest.raises(
        ValueError,
        match=r"list_attr_celeba\.txt, line 4: image_id is '000002\.jpg', which .*partition",
    ):
        celeba(root=root)


def test_unknown_attribute_names_the_near_miss(tmp_path):
    with pytest.raises(ValueError, match=r"no column 'blond_hair'; did you mean 'Blond_Hair'"):
        celeba(root=write_text(tmp_path), targets=["blond_hair"])


@pytest.mark.parametrize(
    ("targets", "bias"), [([], "Male"), (["Male"], "Male"), (["Smiling", "Smiling"], "Male")]
)
def test_no_target_or_one_named_twice(tmp_path, targets, bias):
    with pytest.raises(ValueError, match="needs at least one target, and no attribute twice"):
        celeba(root=write_text(tmp_path), targets=targets, bias=bias)


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        (
            "list_attr_celeba.txt",
            "000004.jpg 2 1 1",
            r"attr_celeba\.txt, line 6: Blond_Hair is '2', but must be one of",
        ),
        (
            "list_attr_celeba.txt",
            "000004.jpg 1 1",
            r"attr_celeba\.txt, line 6: 3 columns, but the header has 4",
        ),
        (
            "list_eval_partition.txt",
            "000004.jpg 7",
            r"partition\.txt, line 4: partition is '7', but must be one of",
        ),
    ],
)
def test_bad_row_is_named(tmp_path, table, line, message):
    root = write_text(tmp_path)
    with (tmp_path / table).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=message):
        celeba(root=root)


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "list_eval_partition.txt"])
def test_missing_table(tmp_path, name):
    root = write_text(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=rf"no {name} or .*csv in"):
        celeba(root=root)


def test_missing_images(tmp_path):
    root = write_text(tmp_path)
    (tmp_path / "img_align_celeba").rmdir()
    with pytest.raises(ValueError, match=r"no folder .*img_align_celeba: unpack"):
        celeba(root=root)


def many_faces(count: int) -> dict[str, tuple[tuple[int, int, int], int]]:
    """Training faces of all combinations of blond and male, a validation and a test face."""
    splits = [0] * (count - 2) + [1, 2]
    return {
        f"{row:06d}.jpg": ((2 * (row % 2) - 1, 2 * (row // 2 % 2) - 1, 1), split)
        for row, split in enumerate(splits)
    }


def test_several_biases(tmp_path):
    examples = celeba(root=write_text(tmp_path), bias=["Male", "Smiling"])
    assert [one.name for one in examples.groups.attributes] == ["Male", "Smiling"]
    assert examples.groups.bias_names[2] == "Male & not Smiling"
    assert examples.bias.tolist() == [3, 0, 3]
    # aligned is defined for Male alone: blond women, and men who are not blond
    assert set(examples.groups.aligned) == {(0, 2), (0, 3), (1, 0), (1, 1)}


def test_splits_drawn_by_identity(tmp_path):
    faces = many_faces(60)
    root = write_text(tmp_path, faces)
    lines = [f"{face} {row % 12}\n" for row, face in enumerate(faces)]
    (tmp_path / "identity_CelebA.txt").write_text("".join(lines[::-1]))
    (tmp_path / "list_eval_partition.txt").unlink()  # it is not read
    rules = SplitRules(shares=[0.5, 0.25, 0.25], split_by="identity")
    split = celeba(root=root, rules=rules).split
    assert all(len(set(split[person::12].tolist())) == 1 for person in range(12))
    assert torch.bincount(split).tolist() == [20, 20, 20]
    with pytest.raises(ValueError, match=r"data\.split_by must be one of identity for celeba"):
        celeba(root=root, rules=SplitRules(shares=[0.5, 0.5, 0], split_by="Male"))


def test_balanced_blond_keeps_some_women_who_are_not_blond(tmp_path, monkeypatch):
    """Of 40 training faces, 10 in each group, it keeps 4 such women, then 27 of the 34 faces."""
    monkeypatch.setattr("debias.data.sets.celeba.NOT_BLOND_WOMEN", 4)
    root = write_text(tmp_path, many_faces(42))
    first, again, other = (
        celeba(root=root, setting="balanced_blond", rules=SplitRules(split_seed=seed))
        for seed in (0, 0, 1)
    )
    counts = first.frequencies("train").tolist()
    assert (sum(counts), counts[0] <= 4) == (27, True)
    assert (len(first.rows("val")), len(first.rows("test"))) == (1, 1)
    assert first.images == again.images != other.images
    with pytest.raises(ValueError, match=r"data\.setting=balanced_blond needs data\.targets"):
        celeba(root=root, setting="balanced_blond", bias="Smiling")


def test_missing_pictures_are_left_out_of_a_split(tmp_path, capsys):
    faces = many_faces(20)
    root = write_text(tmp_path, faces)
    for face in list(faces)[::3]:
        (tmp_path / "img_align_celeba" / face).write_bytes(b"")
    rules = SplitRules(missing="leave_out")
    with pytest.raises(ValueError, match="none of 1 rows of the split test has a picture"):
        celeba(root=root, rules=rules)
    (tmp_path / "img_align_celeba" / "000019.jpg").write_bytes(b"")
    assert len(celeba(root=root, rules=rules)) == 8
    assert "left out: train 12 of 18, val 0 of 1, test 0 of 1" in capsys.readouterr().err
