"""Tables of one's own images, and the tables of benchmarks."""

from tests.commands.bad_inputs.case import TABLE, rows

HEADER, FIRST, *REST = TABLE.splitlines(keepends=True)
CHECK = "check own.yaml"
CONCEPTS = CHECK + " recipe.name=concept_bottleneck recipe.concepts=concepts.csv"


def changed(first: str) -> dict[str, str]:
    """The table with another first row."""
    return {"table.csv": "".join([HEADER, f"{first}\n", *REST])}


def replaced(old: str, new: str) -> dict[str, str]:
    """The table with another text in place of one."""
    return {"table.csv": TABLE.replace(old, new)}


CSV = rows(
    "csv",
    [
        (CHECK + " data.csv=nowhere.csv", "no file nowhere.csv"),
        (CHECK + " data.csv=images", "no file images"),
        (CHECK + " data.csv=null data.file=x.parquet", "no file x.parquet"),
        (
            CHECK + " data.csv=null data.file=x.parquet",
            "cannot read x.parquet as Parquet",
            {"x.parquet": TABLE},
        ),
        (CHECK + " data.file=table.csv", "name two tables: leave one out"),
        (CHECK + " recipe.name=concept_bottleneck", "recipe needs concepts: add recipe.concepts="),
        (CONCEPTS, "no file concepts.csv"),
        (CONCEPTS, "line 2: beak is 'yes', but", {"concepts.csv": "path,beak\n0.png,yes\n"}),
        (
            CONCEPTS,
            "no concept of concepts.csv has 100 images of train with it",
            {"concepts.csv": "path,beak\n0.png,1\n"},
        ),
        (CHECK + " data.label_noise=2", "data.label_noise must lie in [0, 1]; got 2"),
        (
            CHECK + " data.label_noise=0.5 data.label_pairs=[[cat,bird]]",
            "data.label_pairs names 'bird', which is no class; valid: cat, dog",
        ),
        (CHECK + " data.image_noise.fog=1", "a name in data.image_noise must be"),
        (CHECK + " data.image_noise.jpeg=0", "data.image_noise.jpeg must lie in [1, 100]; got 0"),
        (
            "data diagnose table.csv cues=[target,bias] values=3 out=x.csv",
            "cue target has 2 values, and values=3: set a lower number",
        ),
        ("data diagnose table.csv cues=[target] out=x.csv", "needs at least two cues and a table"),
        (CHECK + " data.name=huggingface data.root=x", "no data set x: correct data.root"),
        (CHECK, "table.csv has an empty first line", {"table.csv": ""}),
        (CHECK, "no rows", {"table.csv": HEADER}),
        (CHECK, "no rows", {"table.csv": HEADER + "\n\n"}),
        (CHECK, "separated by commas", {"table.csv": TABLE.replace(",", ";")}),
        (CHECK, "is not UTF-8", {"table.csv": TABLE.encode("utf-16")}),
        (CHECK, "is not UTF-8", {"table.csv": TABLE.replace("cat", "ch\u00e4t").encode("latin-1")}),
        (CHECK, "has no column 'path'", {"table.csv": b"\x00\x01\x02" * 100}),
        (
            CHECK,
            "has two columns 'bias'",
            {"table.csv": "path,target,bias,split,bias\n" + FIRST.strip() + ",day\n"},
        ),
        (
            CHECK + " data.bias=null",
            "has two columns 'split'",
            {"table.csv": TABLE.replace("bias,split", "split,split")},
        ),
        (CHECK, "3 columns, but the header has 4", changed("0.png,cat,day")),
        (CHECK, "5 columns, but the header has 4", changed("0.png,cat,day,train,x")),
        (CHECK, "line", changed('0.png,"cat,day,train')),
        (CHECK, "field", changed("0.png," + "x" * 200_000 + ",day,train")),
        (CHECK, "target is '', which means a missing class", changed("0.png,,day,train")),
        (CHECK, "target is 'nan'", changed("0.png,nan,day,train")),
        (CHECK, "target is 'NA'", changed("0.png,NA,day,train")),
        (CHECK, "target is 'NaN'", changed("0.png,NaN,day,train")),
        (CHECK, "target is '0.5', but must be", changed("0.png,0.5,day,train")),
        (CHECK, "target is 'dog', but must be an integer", changed("0.png,1,day,train")),
        (
            CHECK,
            "-1",
            {"table.csv": TABLE.replace("cat", "0").replace("dog", "1") + "15.png,-1,day,train\n"},
        ),
        (
            CHECK,
            "must be a number from 0",
            {"table.csv": TABLE.replace("cat", "1000000").replace("dog", "1")},
        ),
        (CHECK, "must be an integer", replaced("cat", "99999999999999999999")),
        (CHECK, "control character", replaced("cat", "\x1b[31mcat")),
        (CHECK, "control character", replaced("day", "\x1b]0;title\x07day")),
        (CHECK, "control character", replaced("cat", "\u202ecat")),
        (CHECK, "control character", changed("a\x1b[2J.png,cat,day,train")),
        (CHECK, "split is 'dev', but must be one of", changed("0.png,cat,day,dev")),
        (CHECK, "split is '', but must be one of", changed("0.png,cat,day,")),
        (CHECK + " data.holdout=0", "no image in the split val", replaced(",val", ",train")),
        (CHECK + " data.holdout=1", "data.holdout must lie in [0, 1); got 1"),
        (CHECK + " data.shares=[1,1,1]", "data.shares must be the shares of train, val and test"),
        (CHECK + " data.split=null", "table.csv has no splits: set data.split to the column"),
        (CHECK + " data.split_by=patient data.shares=[.8,.1,.1]", "has no column 'patient'"),
        (CHECK + " data.values.bias=no", "data.values.bias must be names by cell, a list of names"),
        (CHECK + " data.bins.bias=3", "data.bins.bias must be a list of numbers; got 3"),
        (CHECK + " data.bins.bias=[x]", "data.bins.bias[0] must be a number; got 'x'"),
        (CHECK + " data.bins.bias=[0,30]", "bias is 'day', but must be a number from 0"),
        (CHECK, "a single class, cat", replaced("dog", "cat")),
        (CHECK, "1 of 16 images are not in images", changed("nowhere.png,cat,day,train")),
        (CHECK, "path is '', but must be", changed(",cat,day,train")),
        (CHECK, "paths leave the root", changed("../table.csv,cat,day,train")),
        (CHECK, "paths leave the root", changed("/etc/passwd,cat,day,train")),
        (CHECK, "repeat the image of an earlier row", changed("1.png,cat,day,train")),
        (CHECK, "0.png", {"images/0.png": b""}),
        (CHECK, "0.png", {"images/0.png": "text"}),
        (CHECK, "0.png", {"images/0.png": b"\x89PNG\r\n\x1a\n"}),
        (CHECK + " data.target=nosuch", "has no column 'nosuch'"),
        (
            CHECK + " data.split=fold",
            "data.split to columns of the table; data.shares=[0.8,0.1,0.1]",
        ),
        (
            CHECK + " data.bias=place",
            "has no column 'place'; valid: bias, path, split, target. Set",
        ),
        (CHECK + " data.root=nowhere", "16 of 16 images are not in nowhere"),
        (CHECK + " data.root=table.csv", "images are not in table.csv"),
        (CHECK + " data.target_names=[cat]", "target is 'dog', but must be one of"),
        (CHECK + " data.target_names=[cat,cat]", "cat"),
        (CHECK + " data.bias_names=[day]", "bias is 'night', but must be one of"),
        (CHECK + " data.target_names=[cat,dog,emu]", "no training image of emu"),
        (CHECK + " strategy.name=group_dro", "no bias attribute", changed("0.png,cat,,train")),
        (CHECK + " data.bias=null select=worst_group", "bias labels in the validation split"),
    ],
)
CELEBA = "data.name=celeba data.root=c"
ATTRIBUTES = "2\nBlond_Hair Male\n1.jpg 1 -1\n2.jpg -1 1\n"
DOUBLED = "2\nBlond_Hair Male Male\n1.jpg 1 -1 -1\n2.jpg -1 1 1\n"


def faces(attributes: str = ATTRIBUTES) -> dict[str, str | None]:
    """CelebA's tables, and its folder without pictures."""
    partition = "1.jpg 0\n2.jpg 1\n"
    return {
        "c/list_attr_celeba.txt": attributes,
        "c/list_eval_partition.txt": partition,
        "c/img_align_celeba": None,
    }


FACES = faces()
BIRDS = "data.name=waterbirds data.root=w"
METADATA = "img_filename,y,split,place\n"
BENCHMARKS = rows(
    "benchmark tables",
    [
        (f"{CHECK} {CELEBA}", "get the files by `debias data get celeba root=c`"),
        (f"{CHECK} {CELEBA}", "no list_attr_celeba.txt or list_attr_celeba.csv in c", {"c/x": ""}),
        (f"{CHECK} {CELEBA}", "has no column", faces("2\n")),
        (f"{CHECK} {CELEBA}", "no rows", faces("0\nBlond_Hair Male\n")),
        (
            f"{CHECK} {CELEBA}",
            "has two columns",
            faces(DOUBLED),
        ),
        (
            f"{CHECK} {CELEBA}",
            "but must be one of -1, 0, 1",
            faces(ATTRIBUTES.replace("-1", "9")),
        ),
        (
            f"{CHECK} {CELEBA}",
            "which is not in c/list_eval_partition.txt",
            FACES | {"c/list_eval_partition.txt": "1.jpg 0\n"},
        ),
        (
            f"{CHECK} {CELEBA}",
            "partition is '7'",
            FACES | {"c/list_eval_partition.txt": "1.jpg 0\n2.jpg 7\n"},
        ),
        (f"{CHECK} {CELEBA}", "images are not in", FACES),
        (f"{CHECK} {CELEBA} data.targets=[Male]", "no attribute twice", FACES),
        (f"{CHECK} {CELEBA} data.targets=[]", "at least one target", FACES),
        (f"{CHECK} {CELEBA} data.bias=Mail", "did you mean 'Male'", FACES),
        (f"{CHECK} {BIRDS}", "no data set waterbirds in data.root=w: correct data.root, or get"),
        (f"{CHECK} {BIRDS}", "no metadata.csv in w", {"w/x": ""}),
        (f"{CHECK} {BIRDS}", "no rows", {"w/metadata.csv": METADATA}),
        (
            f"{CHECK} {BIRDS}",
            "has no column 'place'",
            {"w/metadata.csv": "img_filename,y,split\n1.jpg,0,0\n"},
        ),
        (
            f"{CHECK} {BIRDS}",
            "has two columns",
            {"w/metadata.csv": "img_filename,y,split,place,y\n1.jpg,0,0,0,1\n"},
        ),
        (
            f"{CHECK} {BIRDS}",
            "y is 'bird', but must be",
            {"w/metadata.csv": METADATA + "1.jpg,bird,0,0\n"},
        ),
        (
            f"{CHECK} {BIRDS}",
            "target outside 0 to 1",
            {"w/metadata.csv": METADATA + "1.jpg,7,0,0\n"},
        ),
        (f"{CHECK} data.name=biased_mnist data.root=nowhere", "nowhere"),
        (f"{CHECK} data.name=drawn_birds data.root=b data.train=0", "train"),
        (f"{CHECK} data.name=drawn_birds data.root=table.csv data.train=8", "table.csv"),
    ],
)
