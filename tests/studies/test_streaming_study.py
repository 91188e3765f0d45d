"""The study of streaming: its pictures, its parts, and its table."""

import numpy as np

from studies import streaming_study
from studies.streaming_study import Study


def test_its_pictures_are_prepared_whole(tmp_path):
    streaming_study.write_pictures(tmp_path / "pictures", 12)
    found = streaming_study.do_part(Study(part="prepare"), tmp_path)
    assert found["examples"] == 12
    assert found["report"] == {"grey": 0, "cropped": 0, "enlarged": 0, "left_out": []}
    assert found["peak_bytes"] > 2**26
    first, again, other = (np.asarray(streaming_study.picture(i)) for i in (0, 0, 1))
    assert first.shape == (32, 32, 3)
    assert (first == again).all()
    assert (first != other).any()


def test_the_table():
    part = {"peak_bytes": 2**29, "examples": 100}
    record = {
        "prepare": part,
        "stream": part | {"peak_bytes": 2**30},
        "bits": {"batches": 40, "same": 39},
        "speed": {"ratio": 0.954, "medians": {"resident": 200.0, "streamed": 190.8}},
    }
    lines = streaming_study.table(record).splitlines()
    assert "| streamed, examples/s | 191 |" in lines
    assert "| ratio | **0.954** |" in lines
    assert "| memory to stream them, JAX in it | 1.00 GiB |" in lines
    assert "| batches the same bit for bit | 39 of 40 |" in lines
