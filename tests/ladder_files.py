"""Writes small ladders for the tests: the file of a config, the file of a ladder, and results of runs."""

import json
from pathlib import Path

CONFIG = """
from configs.common import data
from ml_collections import ConfigDict


def get_config(argument="narrow"):
    config = data.get_config("motion", "small")
    config.dataset = "{dataset}"
    config.clip = ConfigDict(dict(num_frames=4, frame_stride=2, size=32, resize=0, sampling="clip"))
    width = dict(narrow=1 / 16, wide=1 / 8)[argument]
    if argument == "wide":
        config.clip.frame_stride = 1
    config.model = dict(name="frame_pool", backbone=dict(name="resnet18", width=width), dropout=0.0)
    config.optimizer = dict(name="adamw")
    config.schedule = dict(name="cosine", learning_rate=1e-3, warmup_steps=2)
    config.batch_size, config.num_epochs, config.eval.batch_size = 8, 3.0, 8
    config.log_every, config.eval_every, config.checkpoint_every, config.num_threads = 1, 12, 4, 1
    return config
"""


RUNGS = [
    {"name": "narrow", "config": "tiny:narrow", "seeds": 2},
    {"name": "wide", "config": "tiny:wide", "overrides": {"num_epochs": 1.0, "init_from": "{narrow}"}},
    {"name": "both", "fuses": ["narrow", "wide"], "fusion": "logits"},
    {"name": "max", "features": "narrow", "pool": "max", "sees_order": False},
]


def copied(changes: dict) -> list[dict]:
    """Returns `RUNGS` with changes to the rung of that name."""
    return [{**rung, **(changes if rung["name"] == changes["name"] else {})} for rung in RUNGS]


def write(directory: Path, dataset: Path, rungs: list[dict], **more) -> Path:
    """Writes tiny.py and ladder.py; returns the path of ladder.py. The config of a rung may be "tiny:wide"."""
    (directory / "tiny.py").write_text(CONFIG.format(dataset=dataset))
    rungs = [{"title": f"The {rung['name']} one", **rung} for rung in rungs]
    for rung in rungs:
        if rung.get("config", "").startswith("tiny"):
            rung["config"] = f"{directory}/tiny.py:{rung['config'].partition(':')[2]}"
    ladder = {"title": "Three rungs", "rungs": rungs, **more}
    (directory / "ladder.py").write_text(f"def get_ladder():\n    return {ladder!r}\n")
    return directory / "ladder.py"


TRAINED = {"splits": ["test"], "num_views": 1, "num_crops": 1}  # what vidjax.train adds to a result


def write_result(place: Path, top1, **more):
    """Writes a result.json like that of a training, a cross-validation or a fusion."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "result.json").write_text(json.dumps({"top1": top1, "num_videos": 16, **more}))
