"""Mistakes in `debias predict` and `debias export`."""

from tests.commands.bad_inputs.case import rows

PREDICT_AND_EXPORT = rows(
    "new pictures and exports",
    [
        ("predict absent images", "absent does not exist"),
        ("predict images images", "images is not a run folder"),
        ("predict run absent", "no pictures in absent: give a folder"),
        ("predict run absent/*.png", "no pictures in absent/*.png: give a folder"),
        ("predict run out=new.csv", "no pictures to predict: give a folder"),
        ("predict run empty", "no pictures in empty", {"empty": None}),
        ("predict run broken.png", "no picture can be read: picture broken", {"broken.png": "x"}),
        ("predict run images size=3", "unknown option 'size' of predict; did you mean"),
        ("predict run images batch_size=0", "batch_size must be at least 1; got 0"),
        ("predict run images workers=-1", "workers must be at least 0; got -1"),
        ("predict run images workers=many", "workers"),
        ("predict run images accelerator=tpu", "unknown accelerator 'tpu'"),
        ("predict run images out=images", "out=images is a folder: give a CSV file"),
        ("export absent", "absent does not exist"),
        ("export run format=pickle out=new", "format must be one of safetensors, onnx"),
        ("export run size=3", "unknown option 'size=3' of export; valid: format, out"),
        ("export run out=images", "out=images exists and is not an empty folder"),
        ("export run out=table.csv", "out=table.csv exists and is not an empty folder"),
    ],
)
