"""The ladder on UCF101 (Soomro et al., 2012): 101 actions, official splits, each with 7 of 25 groups for testing.

    python -m vidjax.ladder configs/ladder/ucf101.py --workdir runs/ladder_ucf101

Put the videos in data/ucf101_videos, with a labels.csv of the columns path,label,group (v_Archery_g01_c01.avi belongs
to group 1). Not measured: the videos were not available. Published (Tran et al., 2015; Simonyan and Zisserman, 2014;
Carreira and Zisserman, 2017): ImageNet frame features and an SVM 68.8, C3D and an SVM 82.3, two streams 88.0,
two-stream I3D pretrained on ImageNet and Kinetics 98.0 (the first from memory, not verified).
"""

VIDEOS = "data/ucf101_videos/labels.csv"
FRAMES, I3D = "ucf101_alexnet", "ucf101_i3d"
BLIND, TIME, SPACETIME, STREAMS = "Blind to order", "Over frames", "Space and time", "Two streams"


def svm(group, name, title, features, pool, order=False):
    """An SVM on stored features, pooled over time."""
    described = {"group": group, "name": name, "title": title, "sees_order": order}
    return {**described, "features": f"data/{features}", "pool": pool}


def rung(group, name, title, config, dataset, settings="", order=True, **overrides):
    """A trained rung."""
    config = ",".join(filter(None, [f"configs/{config}.py:dataset={dataset}", settings]))
    described = {"group": group, "name": name, "title": title, "sees_order": order}
    return {**described, "config": config, "overrides": overrides}


def features(out, weights, num_frames):
    """The command that stores the features of a frozen network."""
    return (
        f"vidjax.features --weights {weights} --records data/ucf101 --out data/{out} --num_frames {num_frames} "
        "--sampling segments --resize 224 224"
    )


def get_ladder():
    """The records and the rungs from bottom to top, see `vidjax.ladder.rungs`."""
    ucf101, from_nothing = "ucf101", {"num_epochs": 45.0, "augment.flip": True}
    rungs = [
        *(
            svm(BLIND, f"{pool}_svm", f"{pool.replace('_', '-')} of AlexNet's frame features, SVM", FRAMES, pool)
            for pool in ("mean", "max", "min", "max_min")
        ),
        rung(BLIND, "mean", "mean of AlexNet's frame features", "frame_pool", FRAMES, order=False),
        rung(BLIND, "single_frame", "one frame", "fusion", ucf101, "fusion=single", order=False, **from_nothing),
        rung(TIME, "early", "early fusion", "fusion", ucf101, "fusion=early", **from_nothing),
        rung(TIME, "late", "late fusion", "fusion", ucf101, "fusion=late", **from_nothing),
        rung(TIME, "slow", "slow fusion", "fusion", ucf101, "fusion=slow", **from_nothing),
        rung(TIME, "rnn", "AlexNet + RNN", "frame_rnn", FRAMES, "cell=rnn"),
        rung(TIME, "lstm", "AlexNet + LSTM", "frame_rnn", FRAMES),
        rung(TIME, "gru", "AlexNet + GRU", "frame_rnn", FRAMES, "cell=gru"),
        rung(TIME, "stacked", "AlexNet + LSTM, two layers", "frame_rnn", FRAMES, "num_layers=2"),
        rung(TIME, "bidirectional", "AlexNet + LSTM, both ways", "frame_rnn", FRAMES, "bidirectional=true"),
        rung(TIME, "skip_lstm", "AlexNet + Skip LSTM", "skip_rnn", FRAMES),
        rung(TIME, "tcn", "AlexNet + causal TCN", "tcn", FRAMES),
        rung(TIME, "encoder_decoder", "AlexNet + ED-TCN", "tcn", FRAMES, "kind=encoder_decoder"),
        rung(SPACETIME, "conv_lstm", "ConvLSTM over pixels", "conv_lstm", ucf101, **from_nothing),
        rung(SPACETIME, "c3d", "C3D", "c3d", ucf101, **from_nothing),
        rung(SPACETIME, "r3d_18", "R3D-18", "resnet3d", ucf101, "network=r3d_18", **from_nothing),
        rung(SPACETIME, "mc3_18", "MC3-18", "resnet3d", ucf101, "network=mc3_18", **from_nothing),
        rung(SPACETIME, "r2plus1d_18", "R(2+1)D-18", "resnet3d", ucf101, "network=r2plus1d_18", **from_nothing),
        rung(SPACETIME, "s3d", "S3D", "s3d", ucf101, **from_nothing),
        rung(SPACETIME, "i3d", "I3D", "i3d", ucf101, **from_nothing),
        svm(SPACETIME, "i3d_svm", "I3D of Kinetics, mean, SVM", I3D, "mean", order=True),
        rung(SPACETIME, "i3d_head", "I3D of Kinetics, linear classifier", "frame_pool", I3D),
        rung(SPACETIME, "i3d_lstm", "I3D of Kinetics + LSTM", "frame_rnn", I3D),
        rung(STREAMS, "spatial", "spatial stream", "two_stream", ucf101, "stream=spatial", order=False, **from_nothing),
        rung(STREAMS, "temporal", "temporal stream", "two_stream", ucf101, "stream=temporal", **from_nothing),
        rung(STREAMS, "i3d_rgb", "I3D on frames in a row", "two_stream_i3d", ucf101, "stream=rgb", **from_nothing),
        rung(STREAMS, "i3d_flow", "I3D on flow", "two_stream_i3d", ucf101, "stream=flow", **from_nothing),
    ]
    fused = {
        "fusions": ("average of one frame, early, late and slow", ["single_frame", "early", "late", "slow"], "scores"),
        "two_stream": ("two streams, scores averaged", ["spatial", "temporal"], "scores"),
        "two_stream_svm": ("two streams, SVM", ["spatial", "temporal"], "svm"),
        "two_stream_i3d": ("two-stream I3D, logits averaged", ["i3d_rgb", "i3d_flow"], "logits"),
    }
    for name, (title, fuses, fusion) in fused.items():
        group = TIME if name == "fusions" else STREAMS
        rungs.append({"group": group, "name": name, "title": title, "fuses": fuses, "fusion": fusion})
    return {
        "title": "UCF101: 101 actions, split 1",
        "records": {
            "data/ucf101": f"vidjax.data.make_records {VIDEOS} --split_by group "
            "--folds configs/common/ucf101_folds.json --short_side 128 --flow opencv_dis "
            "--out data/ucf101",
            f"data/{FRAMES}": features(FRAMES, "alexnet_imagenet", 16),
            f"data/{I3D}": features(I3D, "i3d_kinetics400_rgb", 48),
        },
        "folds": ("split1",),
        "rungs": rungs,
    }
