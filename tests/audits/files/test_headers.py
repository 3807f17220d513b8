"""Facts of headers, of files that Pillow wrote."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from debias.audits.files.headers import NUMBERS, TEXTS, as_columns, header_facts
from tests.data.small_pictures import noise


def saved(form: str = "JPEG", mode: str = "RGB", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(1, 40, 48)).convert(mode).save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("quality", [30, 50, 60, 75, 85, 95, 100])
def test_quality_is_read_from_the_tables(quality):
    assert header_facts(saved(quality=quality))["JPEG quality"] == pytest.approx(quality, abs=1)


def test_a_jpeg_tells_how_it_was_saved():
    data = saved(quality=80, subsampling=0, progressive=True)
    facts = header_facts(data)
    assert facts["sha256"] == hashlib.sha256(data).hexdigest()
    assert (facts["width"], facts["height"], facts["aspect"]) == (48, 40, 1.2)
    assert facts["bytes per pixel"] == len(data) / (48 * 40)
    assert (facts["chroma subsampling"], facts["JPEG order"]) == ("4:4:4", "progressive")
    assert header_facts(saved(subsampling=2))["chroma subsampling"] == "4:2:0"
    assert header_facts(saved(mode="L"))["chroma subsampling"] == ""
    tables = {str(header_facts(saved(quality=q))["JPEG tables"]) for q in (75, 75, 90)}
    assert len(tables) == 2


def test_metadata_and_camera():
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0131] = "Maker", "Model 1", "Program"
    exif[0x0132] = "2020:05:06 17:08:09"
    facts = header_facts(saved(exif=exif, comment="hello"))
    assert (facts["camera make"], facts["camera model"]) == ("Maker", "Model 1")
    assert (facts["software"], facts["hour of capture"]) == ("Program", 17)
    assert facts["metadata"] == "EXIF+comment"
    assert header_facts(saved())["metadata"] == "none"


def test_other_formats_and_damaged_files():
    png = header_facts(saved("PNG", "P"))
    assert (png["file format"], png["colour mode"]) == ("PNG", "P")
    assert "JPEG quality" not in png
    broken = header_facts(b"no picture")
    assert (broken["file format"], broken["file size"]) == ("unknown", 10)


def test_columns_mark_what_is_absent():
    columns = as_columns([header_facts(saved(quality=75)), header_facts(saved("PNG"))])
    assert set(columns) == {*NUMBERS, *TEXTS, "sha256"}
    assert columns["JPEG quality"][0] == 75
    assert np.isnan(columns["JPEG quality"][1])
    assert columns["JPEG order"].tolist() == ["baseline", ""]
    assert all(column.dtype.kind in "fU" for column in columns.values())
