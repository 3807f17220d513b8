"""Predictions of anybody's model."""

from tests.commands.bad_inputs.case import PREDICTIONS, rows

EVALUATE = "evaluate p.csv"


def text(header: str, *lines: str) -> dict[str, str]:
    """A file of predictions."""
    return {"p.csv": "\n".join([header, *lines]) + "\n"}


MANY = ",".join(f"logit_class_{number}" for number in range(2000))
COLUMNS = ",".join(f"column_{number}" for number in range(2000))
TRAIN = "evaluate predictions.csv train=t.csv"
FOREIGN = rows(
    "predictions",
    [
        (EVALUATE, "no file p.csv"),
        (EVALUATE, "no file p.csv", {"p.csv": None}),
        (EVALUATE, "p.csv has an empty first line", {"p.csv": ""}),
        (EVALUATE, "a header and no row", text("target,bias,prediction")),
        (EVALUATE, "p.csv is not UTF-8 text", {"p.csv": b"\xff\xfe\x00"}),
        (
            EVALUATE,
            "p.csv, line 2: field larger than",
            {"p.csv": "target,bias,prediction\n" + "x" * 200_000 + ",a,b\n"},
        ),
        (EVALUATE, "separated by commas", text("target;bias;prediction", "a;x;a")),
        (
            EVALUATE,
            "has two columns 'bias'",
            text("target,bias,bias,prediction", "a,x,x,a"),
        ),
        (EVALUATE, "2 columns, but the header has 3", text("target,bias,prediction", "a,x")),
        (EVALUATE, "4 columns, but the header has 3", text("target,bias,prediction", "a,x,a,a")),
        ("evaluate p.csv bias=bias", "no column 'bias'", text("target,prediction", "a,a", "b,b")),
        (EVALUATE, "no column 'target'", text("bias,prediction", "x,a", "y,b")),
        (EVALUATE, "no column 'prediction'", text("target,bias", "a,x", "b,y")),
        (
            EVALUATE,
            "but must be a finite number",
            text("target,bias,logit_a,logit_b", "a,x,one,2", "b,y,1,2"),
        ),
        (
            EVALUATE,
            "but must be a finite number",
            text("target,bias,logit_a,logit_b", "a,x,nan,2", "b,y,1,2"),
        ),
        (
            EVALUATE,
            "but must be a finite number",
            text("target,bias,logit_a,logit_b", "a,x,inf,2", "b,y,1,2"),
        ),
        (
            EVALUATE,
            "lies outside [0, 1]",
            text("target,bias,probability_a,probability_b", "a,x,2,-1", "b,y,1,0"),
        ),
        (
            EVALUATE,
            "do not add up to 1",
            text("target,bias,probability_a,probability_b", "a,x,.2,.3", "b,y,1,0"),
        ),
        (EVALUATE, "every class needs a column", text("target,bias,logit_a", "a,x,1", "a,y,2")),
        (
            EVALUATE,
            "target is 'c', but must be one of a, b",
            text("target,bias,logit_a,logit_b", "c,x,1,2"),
        ),
        (EVALUATE, "class_19 and 1980 more", text(f"target,bias,{MANY}", "c,x" + ",1" * 2000)),
        (EVALUATE, "target is ''", text("target,bias,logit_a,logit_b", ",x,1,2")),
        (EVALUATE, "target is 'nan'", text("target,bias,prediction", "nan,x,a", "b,y,b")),
        (
            EVALUATE,
            "no column 'target'; there are 2000 valid names",
            text(",".join(f"column_{number}" for number in range(2000)), ",".join("1" * 2000)),
        ),
        (
            EVALUATE,
            "target_a",
            text("target_a,target_b,bias,prediction_a,prediction_b", "2,0,x,1,1", "0,1,y,1,1"),
        ),
        (
            EVALUATE,
            "prediction_b",
            text("target_a,target_b,bias,prediction_a", "1,0,x,1", "0,1,y,1"),
        ),
        (
            EVALUATE,
            "may be the class of that name",
            text("target,bias,logit_1,logit_0", "1,x,1,2", "0,y,2,1"),
        ),
        (
            EVALUATE,
            "control character",
            text("target,bias,prediction", "\x1b[31ma,x,\x1b[31ma", "b,y,b"),
        ),
        (EVALUATE, "control character", text("target,bias,prediction", "a,\x1b[31mx,b", "b,y,b")),
        (
            EVALUATE,
            "control character",
            text("target,bias,logit_a,logit_\x1b[31mb", "a,x,1,2", "a,y,1,2"),
        ),
        ("evaluate predictions.csv bias=gender", "no column 'gender'"),
        ("evaluate predictions.csv bias=[]", "bias=[] has the wrong type"),
        (
            "evaluate predictions.csv bias=null",
            "bias=null has the wrong type; bias: column of the bias attribute",
        ),
        ("evaluate predictions.csv bias={a:1}", "bias"),
        (
            "evaluate predictions.csv biass=bias",
            "unknown option 'biass' of a file of predictions; did you mean 'bias'",
        ),
        (
            "evaluate predictions.csv aligned=cat",
            "aligned=cat has the wrong type; aligned: (target, bias) pairs",
        ),
        ("evaluate predictions.csv aligned=null", "aligned=null has the wrong type"),
        ("evaluate predictions.csv aligned=[[cat]]", "aligned must hold pairs"),
        ("evaluate predictions.csv aligned=[[emu,day]]", "unknown name 'emu' in aligned"),
        ("evaluate predictions.csv aligned=[[cat,dusk]]", "unknown name 'dusk' in aligned"),
        ("evaluate predictions.csv train=nowhere.csv", "no file nowhere.csv"),
        (TRAIN, "no column 'target'", {"t.csv": "bias\nday\n"}),
        (
            "evaluate predictions.csv train=t.csv",
            "target is 'emu', but must be one of cat, dog",
            {"t.csv": "target,bias\nemu,day\n"},
        ),
        ("evaluate predictions.csv measures=nosuch", "no measures 'nosuch'"),
        ("evaluate predictions.csv fresh=true data.root=images", "unknown option"),
        ("evaluate predictions.csv out=o.json bias", "must be key=value"),
        (
            "evaluate p.csv",
            "line 3",
            {"p.csv": PREDICTIONS.replace("\ndog,day,1,1", "\ndog,day,1,1,", 1)},
        ),
    ],
)
