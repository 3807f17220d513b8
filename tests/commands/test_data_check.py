"""``debias data check`` on small trees of Waterbirds: right ones, and each way to be wrong."""

import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest

from debias.__main__ import main
from debias.commands.data import check as data_check
from debias.data.inspection.files import superfluous
from debias.data.sets.table import table
from debias.presets import Source, preset

ROWS = [
    *(("001.A/a.jpg", 1, 0, 0), ("001.A/b.jpg", 1, 0, 1), ("002.B/c.jpg", 0, 0, 1)),
    *(("002.B/d.jpg", 0, 1, 0), ("002.B/e.jpg", 0, 2, 0), ("001.A/f.jpg", 1, 2, 1)),
]
COUNTS = {
    "R": {
        "all": 6,
        "train": {"waterbird-land": 1, "waterbird": 2, "landbird-water": 1},
        "test": {"landbird": 1},
    },
    "M": {"val": 1},
}
NAMES = (("landbird", "waterbird"), ("train", "val", "test"), ("land", "water"))


def digest(*, bias=True):
    """The definition, written again with the formula of the docs."""
    lines = [
        f"{path}\t{NAMES[0][y]}\t{NAMES[2][place] if bias else ''}\t{NAMES[1][split]}\n"
        for path, y, split, place in ROWS
    ]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


@pytest.fixture
def birds(tmp_path, monkeypatch):
    """A complete tree, and a function that describes it differently."""
    write(tmp_path, ROWS)
    for number, (path, *_) in enumerate(ROWS):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        picture = np.random.default_rng(number).integers(0, 256, (20, 24, 3)).astype(np.uint8)
        (tmp_path / path).write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
    rows = {"rows": digest(), "rows_without_bias": digest(bias=False)}

    def describe(**facts):
        described = replace(preset("waterbirds"), **{"counts": COUNTS, **rows} | facts)
        monkeypatch.setattr(data_check, "preset", lambda _: described)

    describe()
    return tmp_path, describe


def write(root, rows, *, end="\n"):
    lines = ["img_filename,y,split,place", *(",".join(map(str, row)) for row in rows)]
    (root / "metadata.csv").write_bytes((end.join(lines) + end).encode())


def check(capsys, root, *options):
    code = main(["data", "check", str(root), "as=waterbirds", *options])
    return code, printed(capsys)


def printed(capsys):
    """The output, without the alignment of its table."""
    lines = capsys.readouterr().out.splitlines()
    return "".join(f"{' '.join(line.split())}\n" for line in lines)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("deep", ["deep=false", "deep=true"])
def test_a_right_tree(birds, capsys, end, deep):
    root, _ = birds
    write(root, ROWS, end=end)
    code, out = check(capsys, root, deep)
    assert out.splitlines() == [
        f"{root / 'metadata.csv'}: 6 images",
        "split group mark found published difference",
        "----- --------------- ---- ----- --------- ----------",
        "all all R 6 6 +0",
        "train waterbird-land R 1 1 +0",
        "train waterbird R 2 2 +0",
        "train landbird-water R 1 1 +0",
        "train waterbird-water 1 - -",
        "val all M 1 1 +0",
        "val landbird-land 1 - -",
        "test landbird R 1 1 +0",
        "test landbird-land 1 - -",
        "test waterbird-water 1 - -",
        f"note: paths, classes, bias values and splits are as described ({digest()})",
        "note: sizes of 6 images: 6 of 24 x 20 RGB",
        "waterbirds: nothing is wrong",
    ]
    assert code == 0


def test_a_wrong_number_is_an_error_unless_it_is_from_memory(birds, capsys):
    root, describe = birds
    describe(counts={"M": {"test": 9}, "R": {"val": {"landbird-land": 1}}})
    code, out = check(capsys, root)
    assert code == 0
    assert "note: test all: 2 images, published 9 (from memory, so that" in out
    describe(counts={"R": {"train": {"landbird-land": 4, "owl": 2}}})
    code, out = check(capsys, root)
    assert code == 1
    assert "WRONG: train landbird-land: 0 images, published 4 (counted in the files" in out
    assert "WRONG: train owl: 0 images, published 2" in out
    assert "\nnote of waterbirds: Some species and places have wrong labels." in out
    assert out.endswith("waterbirds: 2 things are wrong\n")


def test_one_file_short_and_one_too_many(birds, capsys):
    root, _ = birds
    (root / "001.A" / "a.jpg").rename(root / "001.A" / "other.jpg")
    code, out = check(capsys, root)
    assert code == 1
    assert "WRONG: 1 images are missing: 001.A/a.jpg\n" in out
    assert "note: 1 image files belong to no row: 001.A/other.jpg\n" in out
    assert out.endswith("waterbirds: 1 thing is wrong\n")


def test_masks_among_the_images_belong_to_rows(tmp_path):
    (tmp_path / "masks").mkdir()
    for name in ("a.png", "b.png", "masks/a.png", "masks/c.png"):
        (tmp_path / name).touch()
    (tmp_path / "t.csv").write_text("path,target,bias,split,mask\na.png,0,0,0,./masks/a.png\n")
    listed = table(file=str(tmp_path / "t.csv"), mask="mask")
    assert superfluous(listed) == ["b.png", "masks/c.png"]


def test_paths_that_begin_with_a_dot_are_rows(birds, capsys):
    root, _ = birds
    table = root / "metadata.csv"
    table.write_text(table.read_text().replace("001.A/a.jpg", "./001.A/a.jpg"))
    assert "belong to no row" not in check(capsys, root)[1]


def test_half_an_archive(birds, capsys):
    root, _ = birds
    for name in "abf":
        (root / "001.A" / f"{name}.jpg").unlink()
    assert "WRONG: 3 images are missing: 001.A/a.jpg" in check(capsys, root)[1]
    (root / "metadata.csv").unlink()
    assert main(["data", "check", str(root), "as=waterbirds"]) == 2
    assert "no metadata.csv in" in capsys.readouterr().err


def test_another_draw_of_the_bias_is_named(birds, capsys):
    root, _ = birds
    flipped = [(path, y, split, 1 - place) for path, y, split, place in ROWS[:2]]
    write(root, [*flipped, *ROWS[2:]])  # the counts stay
    code, out = check(capsys, root)
    assert code == 1
    assert (
        "WRONG: paths, classes and splits are as described, but bias values are not: another" in out
    )
    assert "that of WILDS (waterbirds_v1.0) are two draws of the places" in out


def test_two_swapped_folders_have_another_digest(birds, capsys):
    root, _ = birds
    swap = {"001.A": "002.B", "002.B": "001.A"}
    write(root, [(f"{swap[row[0][:5]]}{row[0][5:]}", *row[1:]) for row in ROWS])
    for old, new in (("001.A", "x"), ("002.B", "001.A"), ("x", "002.B")):
        (root / old).rename(root / new)
    code, out = check(capsys, root)
    assert code == 1
    assert f"described is {digest()}" in out
    assert "all all R 6 6 +0" in out


def test_a_damaged_image_is_found_by_decoding(birds, capsys):
    root, _ = birds
    image = root / "001.A" / "a.jpg"
    image.write_bytes(image.read_bytes()[:-300])
    assert check(capsys, root)[0] == 0
    code, out = check(capsys, root, "deep=true")
    assert code == 1
    assert f"WRONG: 1 images cannot be decoded: picture {image}" in out
    image.write_bytes(b"<html>quota</html>")
    code, out = check(capsys, root)
    assert code == 1
    assert "WRONG: sizes of 6 images: 5 of 24 x 20 RGB, 1 of unreadable" in out


def test_copies(birds, capsys):
    root, _ = birds
    content = (root / "001.A" / "a.jpg").read_bytes()
    (root / "001.A" / "b.jpg").write_bytes(content)  # both in train
    (root / "002.B" / "e.jpg").write_bytes((root / "002.B" / "c.jpg").read_bytes())
    code, out = check(capsys, root)
    assert code == 0
    assert "note: 1 images have copies within a split: 001.A/a.jpg = 001.A/b.jpg\n" in out
    assert "note: 1 images have copies in another split: 002.B/c.jpg = 002.B/e.jpg\n" in out


def test_options_that_change_rows_are_not_compared(tmp_path, capsys):
    (tmp_path / "img_align_celeba").mkdir()
    table = "image_id,Blond_Hair,Male,Young\n1.jpg,1,0,1\n2.jpg,0,1,0\n"
    (tmp_path / "list_attr_celeba.csv").write_text(table)
    (tmp_path / "list_eval_partition.csv").write_text("image_id,partition\n1.jpg,0\n2.jpg,2\n")
    code = main(["data", "check", str(tmp_path), "as=celeba", "data.targets=[Young]"])
    out = printed(capsys)
    assert "note: not compared with published numbers, because of data.targets\n" in out
    assert "train Young-not Male 1 - -" in out
    assert code == 1  # the images are missing
    code = main(["data", "check", str(tmp_path), "as=celeba", "data.targets=[Blond_Hair]"])
    assert "all all R 2 202599 -202597" in printed(capsys)


def test_a_folder_is_known_by_its_receipt_and_a_config_by_its_name(birds, capsys):
    root, _ = birds
    assert main(["data", "check", str(root)]) == 2
    assert "is a folder with 0 receipts of `debias data get`" in capsys.readouterr().err
    (root / "waterbirds.receipt.json").touch()
    assert main(["data", "check", str(root)]) == 0
    assert main(["data", "check", "waterbirds", f"data.root={root}"]) == 0


def test_your_own_data_have_no_published_numbers(birds, capsys, tmp_path):
    root, _ = birds
    options = ["data.name=table", f"data.file={root / 'metadata.csv'}", "data.path=img_filename"]
    options += ["data.target=y", "data.bias=place"]
    assert main(["data", "check", "waterbirds", *options]) == 0
    out = printed(capsys)
    assert "train 1-1 1 - -" in out
    assert "note: digest of the rows: " in out
    assert out.endswith("table: nothing is wrong\n")


def test_many_groups_are_not_all_printed(birds, capsys, monkeypatch):
    root, _ = birds
    monkeypatch.setattr(data_check, "MOST_ROWS", 5)
    out = check(capsys, root)[1]
    assert "waterbird-land" not in out
    assert "8 more groups have no difference\n" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["waterbirds", "deep=1"], "deep must be true or false; got deep=1"),
        ([], "needs a config, or a folder with as=NAME"),
        (["bar", "data.root=x"], "name its folder, as in `debias data check PATH as=bar`"),
        (["x", "as=waterbird"], "no data set 'waterbird'; did you mean 'waterbirds'"),
        (["x", "as=waterbirds", "seed=1"], "seed does not belong to a data set"),
        (["waterbirds", "workers=4"], "workers=4 has no effect, because this command reads only"),
    ],
)
def test_mistakes(arguments, message, capsys):
    assert main(["data", "check", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_patient_in_two_splits(tmp_path, capsys):
    rows = ["path,target,bias,split,who", "a,x,m,train,1", "b,y,m,train,2", "c,x,m,test,1"]
    rows += ["d,y,m,val,", "e,y,m,test,"]  # nobody is known here
    (tmp_path / "table.csv").write_text("\n".join(rows))
    options = ["data.name=table", f"data.file={tmp_path / 'table.csv'}", "data.split_by=who"]
    assert main(["data", "check", "waterbirds", *options]) == 1  # there are no pictures
    assert "note: 1 of 2 values of data.split_by are in several splits: 1\n" in printed(capsys)


def test_a_file_that_is_not_the_publishers(birds, capsys):
    root, describe = birds
    (root / "right.txt").write_bytes(b"right")
    (root / "wrong.txt").write_bytes(b"wrong")
    digest = f"md5:{hashlib.md5(b'right').hexdigest()}"
    names = ("right.txt", "wrong.txt", "absent.txt")
    describe(sources=[Source("https", "https://a.b", name, digest) for name in names])
    code, out = check(capsys, root)
    assert code == 0
    assert f"note: wrong.txt is not the publisher's file: its digest is not {digest}\n" in out
    assert "right.txt is" not in out
    assert "absent.txt" not in out
