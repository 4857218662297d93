"""What each architecture sees: one network per rung and dial, tested at every level of the dial.

    python -m vidjax.ladder configs/ladder/sight.py --workdir runs/sight --plan
    taskset -c 0 python -m vidjax.ladder configs/ladder/sight.py --workdir runs/sight [--only 'gap-*,*-c3d']
    taskset -c 1 python -m vidjax.ladder configs/ladder/sight.py --workdir runs/sight      # shares the runs

A dial is a rendered dataset in which one thing varies, and nothing else tells the class (docs/sight.md). Training
videos are of all levels. Networks have an eighth of the published channels.
"""

from configs.common.data import SIGHT

TRAIN, VAL, EPOCHS = 3200, 192, 8.0
TEST = {"direction": 1280, "form": 1200, "gap": 1280, "speed": 1280, "count": 1200, "small": 1280, "order": 1200}
LONG = {"gap": (1600, 4.0)}  # training videos and epochs where clips are long
PER_RUN = 0.4  # minutes for compilation and evaluation
FRAMES, TIME, SPACETIME = "Blind to order", "Over frames", "Space and time"
TOKENS, STREAMS = "Transformers", "Two streams"
SHORT = {"model.min_receptive_field": 0}  # fields shorter than the clip are wanted here
MEAN_KEPT = {"model.subtract_mean": False}  # what moves as a whole is lost with the mean of the flow

# Name, title, group, config and its settings, overrides, and milliseconds per training step of 16 clips of 16x32x32 on
# one core, for --plan. Fusions, recurrent networks, TCNs, C3D, I3D, TSM and temporal streams are measured, all others
# estimated from the steps in docs/ladder_motion.md and docs/transformers.md in proportion to the pixels, or guessed
RUNGS = [
    ("mean", "mean of frame features", FRAMES, "frame_pool", "pool=mean", {}, 47),
    ("early", "early fusion", TIME, "fusion", "fusion=early", {}, 15),
    ("slow", "slow fusion", TIME, "fusion", "fusion=slow", {}, 17),
    ("lstm", "CNN + LSTM", TIME, "frame_rnn", "cell=lstm", {}, 47),
    ("skip_lstm", "CNN + Skip LSTM", TIME, "skip_rnn", "cost=3e-3", {}, 53),
    ("tcn", "CNN + causal TCN", TIME, "tcn", "", SHORT, 49),
    ("encoder_decoder", "CNN + encoder-decoder TCN", TIME, "tcn", "kind=encoder_decoder", SHORT, 52),
    ("conv_lstm", "ConvLSTM over pixels", SPACETIME, "conv_lstm", "", {}, 95),
    ("c3d", "C3D", SPACETIME, "c3d", "", {}, 190),
    ("mc3_18", "MC3-18", SPACETIME, "resnet3d", "network=mc3_18", {}, 180),
    ("r2plus1d_18", "R(2+1)D-18", SPACETIME, "resnet3d", "network=r2plus1d_18", {}, 285),
    ("s3d", "S3D", SPACETIME, "s3d", "", {}, 65),
    ("i3d", "I3D", SPACETIME, "i3d", "", {}, 115),
    ("tsm", "TSM on ResNet-18", SPACETIME, "tsm_x3d_slowfast", "network=tsm", {}, 43),
    ("slowfast", "SlowFast-50", SPACETIME, "tsm_x3d_slowfast", "network=slowfast", {}, 150),
    ("timesformer", "TimeSformer, divided", TOKENS, "video_transformer", "network=timesformer", {}, 500),
    ("videomae", "ViT of VideoMAE", TOKENS, "video_transformer", "network=videomae", {}, 250),
    ("video_swin", "Video Swin", TOKENS, "video_transformer", "network=video_swin", {}, 220),
    ("temporal", "temporal stream", STREAMS, "two_stream", "stream=temporal", {}, 12),
    ("temporal_raw", "temporal stream, mean kept", STREAMS, "two_stream", "stream=temporal", MEAN_KEPT, 12),
]
# The middle 10 frames of a long clip may show no flash: slow fusion takes all frames there, 10 at a time
WHOLE_CLIP = {(dial, "slow"): {"clip.num_frames": SIGHT[dial][0]} for dial in ("gap", "count", "order")}
# Six blocks see 253 frames, three see 29: the same network with a field that covers the clips of gap
LONG_TCN = ("tcn_long", "CNN + causal TCN, six blocks", TIME, "tcn", "", {"model.channels": (128,) * 6}, 66)


def rung(dial, name, title, group, config, settings, overrides, milliseconds):
    """A network on a dial."""
    videos, epochs = LONG.get(dial, (TRAIN, EPOCHS))
    num_frames, size = SIGHT[dial]
    pixels = num_frames * size**2 / (16 * 32**2)
    settings = ",".join(filter(None, [f"dataset=sight_{dial}", settings]))
    return {
        "group": group,
        "name": f"{dial}-{name}",
        "title": title,
        "dial": dial,
        "sees_order": group != FRAMES,
        "config": f"configs/{config}.py:{settings}",
        "overrides": {"num_epochs": epochs, **overrides, **WHOLE_CLIP.get((dial, name), {})},
        "minutes": PER_RUN + videos / 16 * epochs * milliseconds * pixels / 60_000,
    }


def records_of(dial):
    """The command that makes the records of a dial."""
    videos, _ = LONG.get(dial, (TRAIN, EPOCHS))
    counts = f"{videos} {VAL} {TEST[dial]}"
    make = f"vidjax.data.make_records sight_{dial} --motion_videos {counts} --short_side 0 --format png"
    return f"{make} --flow opencv_dis --out data/sight_{dial}"


def get_ladder():
    """The records and the rungs, dial by dial, see `vidjax.ladder.rungs`."""
    return {
        "title": "Sight: what each architecture sees, by dial",
        "records": {f"data/sight_{dial}": records_of(dial) for dial in SIGHT},
        "rungs": [rung(dial, *fields) for dial in SIGHT for fields in RUNGS] + [rung("gap", *LONG_TCN)],
    }
