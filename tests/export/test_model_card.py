import dataclasses

import av
import numpy as np

from tests.networks import RESNET, network_of
from vidjax.export import model_card


def test_labels_and_card(exported_run, tiny_trained):
    assert (exported_run / "labels.txt").read_text().split() == tiny_trained.labels
    card = (exported_run / "README.md").read_text()
    assert "of 8 videos (95 % interval" in card and "python -m vidjax.export ..." in card
    assert "cv2.resize(frame, (40, 40))" in card and "[:4]" in card  # how to call it
    assert card.startswith("# Pooled frame features on ResNet-18 (width 0.0625): 8 classes\n")
    assert "![True and predicted classes](confusion.png)" in card and (exported_run / "confusion.png").exists()
    assert [path.name for path in exported_run.parent.iterdir()] == [exported_run.name]


def test_the_code_of_the_card_runs(exported_run, monkeypatch):
    card = (exported_run / "README.md").read_text()
    code = [line.strip() for line in card.split("## Use")[1].split("With vidjax")[0].splitlines() if line[:4] == "    "]
    monkeypatch.chdir(exported_run)
    with av.open("video.mp4", "w") as file:
        stream = file.add_stream("mpeg4", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(8):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        file.mux(stream.encode())
    seen = {}
    exec("\n".join(code), seen)
    assert np.shape(seen["logits"]) == (1, 8)


def test_several_classes_per_video():
    run = dataclasses.replace(network_of("frame_pool", **RESNET), multi_label=True)
    arrays = {"video": {"shape": ["batch", 8, 32, 32, 3], "dtype": "uint8"}}
    manifest = {"format": "onnx", "output": "logits", "clip": run.clip, "arrays": arrays, "inputs": {}}
    manifest |= {"state": [], "embedder": {}, "multi_label": True}
    assert model_card.use(manifest).endswith("Apply sigmoid for probabilities.")
    assert model_card.use({**manifest, "multi_label": False}).endswith("Apply softmax for probabilities.")
    assert "It assigns every video to any number of its classes" in model_card.limits(run, manifest)


def test_the_licence_of_the_weights_that_it_started_from(tiny_trained):
    drawn = network_of("frame_pool", **RESNET)
    assert "i3d_kinetics400_rgb" in model_card.licence(dataclasses.replace(drawn, name="i3d_kinetics400_rgb"))
    features = dataclasses.replace(drawn, inputs={"source": "alexnet_imagenet"})
    assert "(`alexnet_imagenet`)" in model_card.licence(features)
    assert "randomly initialised" in model_card.licence(tiny_trained)
    config = tiny_trained.config.copy_and_resolve_references()
    with config.unlocked():
        config.init_from = "runs/frames"
    assert "- `runs/frames`: see the terms there" in model_card.licence(
        dataclasses.replace(tiny_trained, config=config)
    )


def test_limits_name_the_optical_flow():
    run = network_of("frame_pool", **RESNET)
    manifest = {"format": "onnx", "state": [], "embedder": {}, "output": "logits"}
    lines = model_card.limits(dataclasses.replace(run, inputs={"fps": 12.5}), manifest)
    assert "read at 12.5 frames per second" in lines and "Clips must have the length in `model.json`" in lines
    spec = {**run.preprocess, "flow": "farneback"}
    assert "Optical flow (farneback)" in model_card.limits(dataclasses.replace(run, preprocess=spec), manifest)


def test_agreement_in_words():
    verified = {"clips": 20, "largest_logit": 10.0, "largest_difference": 2e-6}
    manifest = {"verified": verified, "state": []}
    assert model_card.agreement(manifest) == (
        "on 20 clips the outputs differ from those of the checkpoint by at most 2e-06, which is 2e-07 times the "
        "largest one"
    )
    assert model_card.agreement({**manifest, "state": ["state_0"]}).startswith("on 20 steps of a stream the outputs")
    zeros = {"verified": {**verified, "largest_logit": 0.0, "largest_difference": 0.0}, "state": []}
    assert "at most 0, which is 0 times" in model_card.agreement(zeros)
