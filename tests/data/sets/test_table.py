"""A CSV file of one's own: integers and names, unknown bias, other column names, and mistakes."""

from pathlib import Path

import pytest
import torch

from debias.csv_files import read_csv
from debias.data.sets.table import table
from debias.data.tables.rules import RowRules
from debias.errors import InputError


def write(folder, *lines, name="mine.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode(encoding))
    return str(path)


def test_integers(tmp_path):
    csv = write(
        tmp_path, "path,target,bias,split", "a.jpg,0,1,train", "b.jpg,2,0,val", "c.jpg,1,-1,test"
    )
    examples = table(csv=csv)
    assert examples.images == ("a.jpg", "b.jpg", "c.jpg")
    assert examples.target.tolist() == [0, 2, 1]
    assert examples.bias.tolist() == [1, 0, -1]
    assert examples.split.tolist() == [0, 1, 2]
    assert (examples.groups.target_names, examples.groups.bias_names) == (
        ("0", "1", "2"),
        ("0", "1"),
    )
    assert (examples.root, str(examples.source)) == (tmp_path, csv)
    assert (examples.mask_root, examples.masks, examples.provides) == (None, (), ("bias",))


def test_names_are_numbered_in_sorted_order(tmp_path):
    csv = write(
        tmp_path,
        "path,target,bias,split",
        "a.jpg,dog,snow,train",
        "b.jpg,cat,,valid",
        "c.jpg,dog,grass,2",
    )
    examples = table(csv=csv)
    assert (examples.groups.target_names, examples.groups.bias_names) == (
        ("cat", "dog"),
        ("grass", "snow"),
    )
    assert examples.target.tolist() == [1, 0, 1]
    assert examples.bias.tolist() == [1, -1, 0]


def test_ranges_with_an_underscore_are_names(tmp_path):
    """Python reads the ages 20_29 as 2029, and 1_0 as 10."""
    ages = ["20_29", "3_9", "1_0", "10_19"]
    rows = [f"{row}.jpg,a,{age},train" for row, age in enumerate(ages)]
    examples = table(file=write(tmp_path, "path,target,age,split", *rows), bias="age")
    assert examples.groups.bias_names == ("10_19", "1_0", "20_29", "3_9")
    assert examples.bias.tolist() == [2, 3, 1, 0]


def test_what_is_not_available_is_unknown_and_what_numbers_something_else_is_refused(tmp_path):
    rows = "path,target,bias,split\n"
    rows += "0.jpg,cat,day,0\n1.jpg,dog,NA,0\n2.jpg,cat,nan,1\n3.jpg,dog,night,2\n"
    (tmp_path / "t.csv").write_text(rows)
    found = table(csv=str(tmp_path / "t.csv"))
    assert found.bias.tolist() == [0, -1, -1, 1]
    assert found.groups.bias_names == ("day", "night")
    named = table(csv=str(tmp_path / "t.csv"), bias_names=["NA", "day", "night"])
    assert named.bias.tolist() == [1, 0, -1, 2]
    (tmp_path / "t.csv").write_text(rows.replace("day", "7").replace("night", "1234567890"))
    with pytest.raises(
        ValueError,
        match="line 5: bias is '1234567890', but must be a number from 0, below 100000",
    ):
        table(csv=str(tmp_path / "t.csv"))


def test_given_names_set_the_order_and_label_integers(tmp_path):
    csv = write(tmp_path, "path,target,bias,split", "a.jpg,dog,0,train", "b.jpg,cat,1,validation")
    examples = table(
        csv=csv, target_names=["dog", "cat", "cow"], bias_names=["grass", "snow"], aligned=[[0, 1]]
    )
    assert examples.target.tolist() == [0, 1]
    assert examples.groups.target_names == ("dog", "cat", "cow")
    assert examples.groups.bias_names == ("grass", "snow")
    assert examples.groups.aligned == ((0, 1),)


def test_other_columns_root_and_masks(tmp_path):
    csv = write(tmp_path, "mask,fold,file,kind,x", 'm/1.png,0,"one, two.jpg",0,', ",1,b.jpg,1,")
    examples = table(
        csv=csv, root="images", path="file", target="kind", bias=None, split="fold", mask="mask"
    )
    assert examples.images == ("one, two.jpg", "b.jpg")
    assert (examples.root.name, examples.mask_root) == ("images", examples.root)
    assert examples.masks == ("m/1.png", "")
    assert examples.bias.tolist() == [-1, -1]
    assert examples.groups.bias_names == ("unknown",)
    assert examples.provides == ("mask",)  # the one training image has its mask


def test_byte_order_mark_and_spaces(tmp_path):
    csv = write(tmp_path, "path, target, bias, split", "a.jpg, 1, 0, train ", encoding="utf-8-sig")
    assert table(csv=csv).target.tolist() == [1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b.jpg,1,0,dev", r"mine\.csv, line 3: split is 'dev', but must be one of train, val"),
        ("b.jpg,cat,0,train", r"'cat', but must be an integer, .* only integers, or only names"),
        ("b.jpg,99999999999999999999,0,train", r"line 3: target is '9+', but must be an integer"),
        (
            '"' + "b" * 200_000 + '",1,0,train',
            r"mine\.csv, line 3: field larger than field limit .* save it as CSV",
        ),
        ("b.jpg,1.5,0,train", r"line 3: target is '1\.5', but must be an integer"),
        ("b.jpg,,0,train", r"'', which means a missing class: give one, or leave the row out"),
        ("b.jpg,NA,0,train", r"line 3: target is 'NA', which means a missing class: give one, or"),
        ("b.jpg,1,snow,train", r"line 3: bias is 'snow', but must be an integer"),
        (",1,0,train", r"line 3: path is ''"),
    ],
)
def test_bad_row_is_named(tmp_path, row, message):
    with pytest.raises(ValueError, match=message):
        table(csv=write(tmp_path, "path,target,bias,split", "a.jpg,0,1,train", row))


def test_bad_names_are_named(tmp_path):
    header = "path,target,bias,split"
    with pytest.raises(
        ValueError, match=r"line 2: target is '0\.5', but must be an integer or a name: write 1"
    ):
        table(csv=write(tmp_path, header, "a.jpg,0.5,0,train"))
    with pytest.raises(
        ValueError, match=r"line 3: target is '', which means a missing class: give one, or"
    ):
        table(csv=write(tmp_path, header, "a.jpg,cat,0,train", "b.jpg,,0,train"))
    csv = write(tmp_path, header, "a.jpg,cat,0,train", "b.jpg,cow,0,train")
    with pytest.raises(ValueError, match=r"line 3: target is 'cow', but must be one of cat, dog"):
        table(csv=csv, target_names=["cat", "dog"])
    with pytest.raises(ValueError, match=r"line 3: bias is '0\.5', but must be an integer"):
        table(csv=write(tmp_path, header, "a.jpg,cat,,train", "b.jpg,cat,0.5,train"))


def test_bad_files_and_options(tmp_path):
    with pytest.raises(ValueError, match=r"no file .*nowhere\.csv"):
        table(csv=str(tmp_path / "nowhere.csv"))
    with pytest.raises(ValueError, match=r"no column 'bias'; did you mean 'bia'"):
        table(csv=write(tmp_path, "path,target,bia,split", "a.jpg,0,0,train"))
    with pytest.raises(ValueError, match="is not UTF-8 text"):
        table(csv=write(tmp_path, "path,target,bias,split", "é.jpg,0,0,train", encoding="latin-1"))
    csv = write(tmp_path, "path,target,bias,split", "a.jpg,0,0,train")
    for pair, message in (
        ([0, 2], r"aligned must hold names, or integers from 0 to 0; got 2"),
        ([0, "x"], r"aligned must hold names, or integers from 0 to 0; got 'x'; valid: 0"),
        ([0], r"aligned must hold pairs \[target, bias\]; got \[0\]"),
    ):
        with pytest.raises(ValueError, match=message):
            table(csv=csv, aligned=[pair])


def test_aligned_pairs_are_names_or_numbers(tmp_path):
    csv = write(tmp_path, "path,target,bias,split", "a.jpg,dog,snow,train", "b.jpg,cat,grass,val")
    for pairs in ([["dog", "snow"]], [[1, "snow"]], [[1, 1]]):
        assert table(csv=csv, aligned=pairs).groups.aligned == ((1, 1),)


def test_a_number_that_is_no_class_is_refused_before_anything_is_counted_for_it(tmp_path):
    for row, column in (("a.jpg,999999999,0,train", "target"), ("a.jpg,0,999999999,train", "bias")):
        with pytest.raises(
            ValueError, match=rf"line 2: {column} is '999999999', but .* below 100000"
        ):
            table(csv=write(tmp_path, "path,target,bias,split", row))
    csv = write(tmp_path, "path,target,bias,split", "a.jpg,99999,0,train", "b.jpg,0,99999,train")
    with pytest.raises(
        ValueError, match=r"100,000 target rows and 100,000 bias values make 10,000,000,000 groups"
    ):
        table(csv=csv)


def test_equal_cells_are_one_string(tmp_path):
    """A million rows of a few labels then take the room of their paths and little more."""
    csv = write(
        tmp_path, "path,target,bias,split", *(f"{row}.jpg,cat,outside,train" for row in range(300))
    )
    cells = read_csv(Path(csv), ["path", "target"]).cells
    assert list(cells["path"]) == [f"{row}.jpg" for row in range(300)]
    assert len({id(cell) for cell in cells["target"]}) == 2  # of 256 rows, and of the rest


def test_options_of_the_pictures_are_handed_on(tmp_path):
    csv = write(tmp_path, "path,target,bias,split", "a.jpg,0,0,train")
    found = table(csv=csv, max_pixels=7, follow_links=True)
    assert (found.max_pixels, found.follow_links) == (7, True)


def test_header_only_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"has a header and no rows: add one row per image"):
        table(csv=write(tmp_path, "path,target,bias,split"))


def patients(folder: Path, splits: str = "train") -> str:
    """Sixty rows of twenty patients, who have one class and three ages each."""
    ages = ("7", "35", "80")
    rows = [
        f"{row}.jpg,{'sick' if row % 4 == 0 else 'well'},{ages[row % 3]},p{row // 3},{splits}"
        for row in range(60)
    ]
    return write(folder, "path,target,age,patient,split", *rows)


def test_a_validation_split_is_held_out_of_training_if_there_is_none(tmp_path, capsys):
    options = {"file": patients(tmp_path), "bias": "age"}
    found = table(**options)
    assert torch.bincount(found.split).tolist() == [52, 8]
    assert capsys.readouterr().err.endswith(
        "mine.csv has no validation row: 8 of 60 training rows are held out for validation "
        "(data.holdout=0.1)\n"
    )
    # one of each group of five, and one or two of each group of fifteen
    groups = zip(found.frequencies("train").tolist(), found.frequencies("val"), strict=True)
    held_out = sorted((train + val, val) for train, val in groups if train)
    assert [(int(n), int(val)) for n, val in held_out] == [(5, 1)] * 3 + [(15, 1), (15, 2), (15, 2)]
    assert table(**options, rules=RowRules(holdout=0)).split.tolist() == [0] * 60
    assert capsys.readouterr().err == ""


def test_splits_are_drawn_by_patient_whatever_the_order_of_the_rows(tmp_path):
    rules = RowRules(shares=[0.6, 0.2, 0.2], split_by="patient", bins={"age": [0, 30, 60]})
    file = patients(tmp_path)
    found = table(file=file, bias="age", split="nowhere", rules=rules)
    assert found.groups.bias_names == ("0-29", "30-59", "60+")
    assert torch.bincount(found.split).tolist() == [36, 12, 12]
    assert all(len(set(found.split[3 * n : 3 * n + 3].tolist())) == 1 for n in range(20))
    header, *rows = Path(file).read_text().splitlines()
    again = table(file=write(tmp_path, header, *rows[::-1]), bias="age", rules=rules)
    assert again.split.flip(0).tolist() == found.split.tolist()


def test_rows_are_left_out_and_renamed_by_values(tmp_path, capsys):
    rules = RowRules(values={"age": {"7": "child", "*": "adult", "80": None}})
    found = table(file=patients(tmp_path, "val"), bias="age", rules=rules)
    assert "data.values leaves out 20 of 60 rows" in capsys.readouterr().err
    assert found.images[:3] == ("0.jpg", "1.jpg", "3.jpg")
    assert found.groups.bias_names == ("adult", "child")
    assert found.bias.tolist()[:3] == [1, 0, 1]


def test_several_biases_have_names_and_bins_of_their_own(tmp_path):
    """The bins and the list of names number the values of each bias column."""
    rules = RowRules(bins={"age": [0, 30]}, values={"patient": {"p1": "one", "*": "other"}})
    found = table(file=patients(tmp_path), bias=["age", "patient"], rules=rules)
    attributes = [(one.name, one.values) for one in found.groups.attributes]
    assert attributes == [("age", ("0-29", "30+")), ("patient", ("one", "other"))]
    assert found.bias.tolist()[:6] == [1, 3, 3, 0, 2, 2]


def test_no_splits_are_an_error_that_names_both_remedies(tmp_path):
    with pytest.raises(InputError, match=r"has no splits: set data\.split .* data\.shares=\[0\.8"):
        table(file=patients(tmp_path), bias="age", split=None)


def test_rules_that_leave_out_all_rows_are_an_error(tmp_path):
    source = write(tmp_path, "path,target,bias,split", "a.jpg,cat,day,train", "b.jpg,dog,day,val")
    for shares in (None, [0.5, 0.25, 0.25]):
        rules = RowRules(values={"target": {"*": None}}, shares=shares)
        with pytest.raises(InputError, match=r"data\.values leaves out all rows: give some cells"):
            table(file=source, rules=rules)
