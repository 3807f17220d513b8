"""Presets of tables read files that are written by hand here, as the authors' code reads theirs."""

import gzip

import pytest

from debias.data.examples import SPLITS
from debias.errors import InputError
from tests.data.sets.test_preset_trees import labels, read


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        content = text.encode()
        (root / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


CAMELYON = """,patient,node,x_coord,y_coord,tumor,slide,center,split
0,004,4,3328,21792,1,0,0,0
1,004,4,3200,22272,0,0,0,1
2,020,2,10,20,1,3,1,0
3,096,1,5,6,0,40,2,1
4,017,1,5,6,0,30,4,0
"""
FMOW = """,split,img_filename,category,country_code,timestamp
0,train,a.jpg,airport,FRA,2012-12-31T23:59:59Z
1,train,a.jpg,airport,FRA,2013-01-01T00:00:00Z
2,val,a.jpg,zoo,JPN,2015-03-01T10:44:32Z
3,test,a.jpg,zoo,XXX,2016-03-01T10:44:32Z
4,seq,a.jpg,zoo,FRA,2010-03-01T10:44:32Z
5,train,a.jpg,zoo,JPN,2002-03-01T10:44:32Z
"""
COUNTRIES = "name,alpha-3,region\nFrance,FRA,Europe\nJapan,JPN,Asia\n"
TABLES = {
    "camelyon17": (
        {"metadata.csv": CAMELYON},
        {
            "004_node_4_x_3328_y_21792": ("train", "tumour", "0"),
            "020_node_2_x_10_y_20": ("val", "tumour", "1"),
            "096_node_1_x_5_y_6": ("test", "normal", "2"),
            "017_node_1_x_5_y_6": ("train", "normal", "4"),
        },
    ),
    "fmow": (
        {"rgb_metadata.csv": FMOW, "country_code_mapping.csv": COUNTRIES},
        {
            "images/rgb_img_0.png": ("train", "airport", "Europe"),
            "images/rgb_img_2.png": ("val", "zoo", "Asia"),
            "images/rgb_img_3.png": ("test", "zoo", "Other"),
            "images/rgb_img_5.png": ("train", "zoo", "Asia"),
        },
    ),
    "iwildcam": (
        {
            "metadata.csv": "split,filename,y,location_remapped\ntrain,a.jpg,1,0\n"
            "id_val,b.jpg,1,0\nval,c.jpg,0,1\ntest,d.jpg,1,2\n"
        },
        {
            "train/a.jpg": ("train", "1", "0"),
            "train/c.jpg": ("val", "0", "1"),
            "train/d.jpg": ("test", "1", "2"),
        },
    ),
    "dollar_street": (
        {
            "images_v2_imagenet_train.csv": "id,region.id,imageRelPath,imagenet_synonyms\n"
            "1,af,assets/1.jpg,\"['stove']\"\n2,eu,assets/2.jpg,\"['bidet', 'toilet']\"\n",
            "images_v2_imagenet_test.csv": "id,region.id,imageRelPath,imagenet_synonyms\n"
            "3,as,assets/3.jpg,\"['stove', 'oven']\"\n",
        },
        {
            "assets/1.jpg": ("train", "stove", "af"),
            "assets/2.jpg": ("train", "bidet", "eu"),
            "assets/3.jpg": ("test", "stove", "as"),
        },
    ),
    "facet": (
        {
            "annotations/annotations.csv": "person_id,filename,class1,gender_presentation_masc\n"
            "1,sa_1.jpg,nurse,0\n2,sa_2.jpg,dancer,1\n"
        },
        {
            "sa_1.jpg": ("test", "nurse", "not masculine"),
            "sa_2.jpg": ("test", "dancer", "masculine"),
        },
    ),
}


def rows(name, root, **options):
    return labels(read(name, root, **options))


@pytest.mark.parametrize("name", TABLES)
def test_labels(name, tmp_path):
    files, expected = TABLES[name]
    write(tmp_path, files)
    found = rows(name, tmp_path, holdout=0)
    if name == "camelyon17":
        start = "patches/patient_"
        assert all(path.startswith(start) for path in found)
        found = {path.partition("/patch_patient_")[2][:-4]: row for path, row in found.items()}
    assert found == expected


CHEXPERT = {
    "train.csv": "Path,Sex,Age,No Finding\n"
    + "".join(
        f"CheXpert-v1.0/train/patient{patient:05d}/study{study}/view1_frontal.jpg,{sex},60,{cell}\n"
        for patient in range(1, 31)
        for study in (1, 2)
        for sex, cell in [("Male" if patient % 2 else "Female", "1.0" if patient % 3 else "")]
    ),
    "valid.csv": "Path,Sex,Age,No Finding\n"
    "CheXpert-v1.0/valid/patient64541/study1/view1_frontal.jpg,Unknown,60,0.0\n"
    "CheXpert-v1.0/valid/patient64542/study1/view1_frontal.jpg,Male,60,0.0\n",
}


def test_chexpert_draws_patients(tmp_path):
    write(tmp_path, CHEXPERT)
    found = rows("chexpert", tmp_path)
    assert len(found) == 61
    assert found["valid/patient64542/study1/view1_frontal.jpg"][1:] == ("finding", "Male")
    assert found["train/patient00002/study2/view1_frontal.jpg"][1:] == ("no finding", "Female")
    assert found["train/patient00003/study1/view1_frontal.jpg"][1:] == ("finding", "Male")
    splits: dict[str, set[str]] = {}
    for path, (split, _, _) in found.items():
        splits.setdefault(path.split("/")[1], set()).add(split)
    assert all(len(found) == 1 for found in splits.values())
    assert {split for found in splits.values() for split in found} == set(SPLITS)


def test_chexpert_joins_races(tmp_path):
    races = ["White, non-Hispanic", "Black or African American", "Asian"]
    lines = [f"patient{patient:05d},{races[patient % 3]!r}" for patient in range(1, 30)]
    lines[3] = "patient00004,"
    demographics = "PATIENT,PRIMARY_RACE\n" + "\n".join(lines).replace("'", '"') + "\n"
    write(tmp_path, CHEXPERT | {"CHEXPERT DEMO.csv": demographics})
    found = rows("chexpert_race", tmp_path)
    assert len(found) == 58  # patients 30 and 64542 have no line
    assert found["train/patient00004/study1/view1_frontal.jpg"][2] == "Female & other"
    assert found["train/patient00001/study1/view1_frontal.jpg"][2] == "Male & Black"
    assert found["train/patient00002/study1/view1_frontal.jpg"][2] == "Female & other"
    assert found["train/patient00003/study1/view1_frontal.jpg"][2] == "Male & White"


def test_mimic_joins_three_tables(tmp_path):
    people = [(10_000_032, "F", "BLACK/CAPE VERDEAN"), (19_316_207, "M", "WHITE - RUSSIAN")]
    write(
        tmp_path,
        {
            "mimic-cxr-2.0.0-metadata.csv.gz": "dicom_id,subject_id,study_id\n"
            + "".join(
                f"d{view},{subject},{subject + 1}\n"
                for subject, _, _ in people
                for view in range(20)
            ),
            "mimic-cxr-2.0.0-negbio.csv.gz": "subject_id,study_id,No Finding\n"
            "10000032,10000033,1.0\n19316207,19316208,\n",
            "patients.csv.gz": "subject_id,gender,anchor_age\n10000032,F,52\n19316207,M,61\n",
            "admissions.csv.gz": "subject_id,hadm_id,race\n10000032,1,BLACK/CAPE VERDEAN\n"
            "10000032,2,UNKNOWN\n19316207,3,WHITE - RUSSIAN\n",
        },
    )
    found = rows("mimic_cxr", tmp_path, split_by=None)
    assert len(found) == 40
    black, white = (
        found[f"files/p{str(subject)[:2]}/p{subject}/s{subject + 1}/d0.jpg"]
        for subject, _, _ in people
    )
    assert black[1:] == ("no finding", "female & Black")
    assert white[1:] == ("finding", "male & White")


def test_utkface_leaves_out_names_without_a_field(tmp_path):
    names = [f"{20 + n}_{n % 2}_{n % 5}_2017010917{n:07d}.jpg.chip.jpg" for n in range(60)]
    for name in [*names, "39_1_20170116174525125.jpg.chip.jpg"]:
        (tmp_path / name).touch()
    found = rows("utkface", tmp_path)
    assert sorted(found) == sorted(names)
    assert found["21_1_1_20170109170000001.jpg.chip.jpg"][1:] == ("female", "Black")
    by_age = rows("utkface", tmp_path, bias="age", bias_names=None, bins={"age": [0, 60]})
    assert by_age["61_1_1_20170109170000041.jpg.chip.jpg"][2] == "60+"
    assert by_age["21_1_1_20170109170000001.jpg.chip.jpg"][2] == "0-59"


def test_fairface_tests_on_the_official_validation_part(tmp_path):
    header = "file,age,gender,race,service_test\n"
    write(
        tmp_path,
        {
            "fairface_label_train.csv": header
            + "".join(
                f"train/{n}.jpg,20-29,{'Male' if n % 2 else 'Female'},East Asian,True\n"
                for n in range(40)
            ),
            "fairface_label_val.csv": f"{header}val/1.jpg,more than 70,Male,White,False\n",
        },
    )
    found = rows("fairface", tmp_path)
    assert found["val/1.jpg"] == ("test", "Male", "White")
    splits = [split for split, _, _ in found.values()]
    assert (splits.count("train"), splits.count("val")) == (36, 4)


def test_isic_has_a_patch_where_there_is_a_segmentation(tmp_path):
    for path in (
        *(f"processed/no_cancer/ISIC_{n:07d}.jpg" for n in range(20)),
        *(f"processed/cancer/ISIC_{n:07d}.jpg" for n in range(20, 30)),
        *(f"segmentation/ISIC_{n:07d}.jpg" for n in range(8)),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found = rows("isic", tmp_path)
    assert len(found) == 30
    assert found["processed/no_cancer/ISIC_0000007.jpg"][1:] == ("no_cancer", "patch")
    assert found["processed/no_cancer/ISIC_0000008.jpg"][1:] == ("no_cancer", "no patch")
    assert found["processed/cancer/ISIC_0000029.jpg"][1:] == ("cancer", "no patch")
    (tmp_path / "segmentation").rename(tmp_path / "patches")
    with pytest.raises(InputError, match=r"no folder .*segmentation: put the segmentations"):
        rows("isic", tmp_path)


def test_isic_refuses_segmentations_that_are_named_unlike_all_pictures(tmp_path):
    touch = [f"processed/{kind}/{n}.png" for kind in ("cancer", "no_cancer") for n in "12"]
    for path in (*touch, "segmentation/1_mask.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    with pytest.raises(InputError, match="name each of these files like its picture"):
        rows("isic", tmp_path)
