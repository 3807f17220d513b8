"""CelebA from its text tables and the same as CSV: one attribute, several, and mistakes."""

import pytest

from debias.data.sets.celeba import celeba

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
