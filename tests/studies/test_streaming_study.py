"""Streaming study: images, parts and table."""

import numpy as np

from studies import streaming_study
from studies.streaming_study import Study


def test_images_are_prepared_without_loss(tmp_path):
    streaming_study.write_images(tmp_path / "pictures", 12)
    prepared = streaming_study.run_part(Study(part="prepare"), tmp_path)
    assert prepared["examples"] == 12
    assert prepared["report"] == {"grey": 0, "cropped": 0, "enlarged": 0, "left_out": []}
    assert prepared["peak_bytes"] > 2**26
    first, same, other = (np.asarray(streaming_study.make_image(i)) for i in (0, 0, 1))
    assert first.shape == (32, 32, 3)
    assert (first == same).all()
    assert (first != other).any()


def test_the_table_formats_the_record():
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
    assert "| memory to stream them, JAX included | 1.00 GiB |" in lines
    assert "| batches equal bit for bit | 39 of 40 |" in lines


def test_streamed_batches_equal_resident_batches(tmp_path):
    streaming_study.write_images(tmp_path / "pictures", 80)
    streaming_study.run_part(Study(part="prepare"), tmp_path)
    study = Study(part="stream", pictures=128)
    assert streaming_study.run_part(study, tmp_path)["steps"] == 2
    config = streaming_study.run_config(study, tmp_path, 2**20)
    config = streaming_study.with_small_networks(config)
    counts = streaming_study.compare_batches(study, config)
    assert counts["same"] == counts["batches"] > 0
