import numpy as np

from vidjax.weights.table.transformers import TRANSFORMERS


def test_clips_are_those_of_the_papers():
    clips = {name: (x.clip["num_frames"], x.clip["frame_stride"]) for name, x in TRANSFORMERS.items()}
    assert clips["videomae_b_kinetics400"] == (16, 4)  # Tong et al., section 4.1
    assert clips["timesformer_kinetics400"] == (8, 32)
    assert clips["vivit_kinetics400"] == (32, 2)
    assert clips["videoprism_b"] == (16, 1) and clips["videoprism_l"] == (8, 1)


def test_pretrained_networks_have_no_classes():
    classes = {name: len(entry.labels) for name, entry in TRANSFORMERS.items()}
    assert {name for name, count in classes.items() if not count} == {
        "videomae_b_pretrained", "videoprism_b", "videoprism_l"}  # fmt: skip
    assert set(classes.values()) == {0, 400}


def test_each_network_is_normalised_as_its_preprocessor_does():
    of = {name: (x.preprocess["mean"], x.preprocess["std"]) for name, x in TRANSFORMERS.items()}
    white = {name: (255 - np.array(mean)) / np.array(std) for name, (mean, std) in of.items()}  # a white pixel
    np.testing.assert_allclose(white["videoprism_b"], 1)  # 0..1
    np.testing.assert_allclose(white["vivit_kinetics400"], 1)  # -1..1
    np.testing.assert_allclose(white["videomae_b_kinetics400"], [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224,
        (1 - 0.406) / 0.225], rtol=1e-4)  # fmt: skip
