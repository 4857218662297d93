"""Writes i3d_kinetics.json: what pytorch-i3d (github.com/piergiaj/pytorch-i3d) says of five real clips.

    VIDJAX_TEST_DATA=... python tests/peers/make_i3d_kinetics.py --source .../pytorch_i3d.py

Needs torch, that one file and vidjax, whose reading of videos and weights it uses: what is compared is the network.
Made with torch 2.13.0 and pytorch_i3d.py at commit 05783d11f9632b25fe3d50395a9c9bb51f848d6d.
"""

import json
import os
from pathlib import Path

import numpy as np
import torch
from flax import traverse_util
from make_i3d import flax_name, published_model

from vidjax.inference.views import read_views
from vidjax.weights import load as weights

CLIPS = [
    "clips/v_CricketShot_g04_c01_rgb.gif",
    "clips/v_ApplyEyeMakeup_g01_c01.avi",
    "clips/v_BaseballPitch_g01_c01.avi",
    "clips/cleaning_pool.mp4",
    "ut_interaction/1_1_2.avi",
]


def main():
    model = published_model(__doc__, num_classes=400)
    entry, variables = weights.load("i3d_kinetics400_rgb")
    arrays = {}
    for collection in variables.values():
        arrays |= traverse_util.flatten_dict(collection, sep="/")
    state = model.state_dict()
    for name, value in state.items():
        if path := flax_name(name):
            array = arrays.pop(path)
            array = array.transpose(4, 3, 0, 1, 2) if value.ndim == 5 else array
            assert value.shape == array.shape
            state[name] = torch.from_numpy(np.array(array))
    assert not arrays, sorted(arrays)
    model.load_state_dict(state)

    golden = {"torch": torch.__version__, "logits": {}}
    for name in CLIPS:
        path = Path(os.environ["VIDJAX_TEST_DATA"]) / name
        views = read_views(path, entry.clip, entry.inputs, num_views=1)["video"]
        x = (torch.from_numpy(views).float() - 127.5) / 127.5
        with torch.no_grad():
            logits = model(x.permute(0, 4, 1, 2, 3)).mean(2)[0].numpy()
        print(name, entry.labels[logits.argmax()], logits.max())
        golden["logits"][name] = [round(float(value), 5) for value in logits]
    path = Path(__file__).with_name("i3d_kinetics.json")
    path.write_text(json.dumps(golden) + "\n")
    print(path)


if __name__ == "__main__":
    main()
