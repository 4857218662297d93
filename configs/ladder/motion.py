"""The ladder on the synthetic motion dataset, where only frame order distinguishes a class from its partner.

    python -m vidjax.ladder configs/ladder/motion.py --workdir runs/ladder_motion

All rungs train on the same 6,400 videos, each for as many epochs as it needs; networks have an eighth of the published
channels. Order-blind rungs can recognise the pair of a class, but must guess between the two. The transformers were run
outside the ladder so far: docs/transformers.md.
"""

RECORDS = "data/motion_large"
INCEPTION = "network=inception_v1"
# late fusion sees two frames: close enough to tell a turn from its reverse, at four places of the video
TWO_FRAMES = {"clip.num_frames": 5, "eval.num_views": 4}
FRAMES, TIME, SPACETIME, STREAMS = "Blind to order", "Over frames", "Space and time", "Two streams"
TOKENS = "Transformers"


def rung(group, name, title, config, epochs, settings="", seeds=1, order=True, **overrides):
    """A trained rung: a file of configs/ with its settings, the number of epochs, and other overrides."""
    config = ",".join(filter(None, [f"configs/{config}.py:dataset=motion_large", settings]))
    overrides = {"num_epochs": epochs, **overrides}
    described = {"group": group, "name": name, "title": title, "sees_order": order, "seeds": seeds}
    return {**described, "config": config, "overrides": overrides}


def svm(pool):
    """An SVM on pooled frame features of the rung `mean`."""
    title = f"{pool.replace('_', '-')} of frame features, SVM"
    return {
        "group": FRAMES,
        "name": f"{pool}_svm",
        "title": title,
        "sees_order": False,
        "features": "mean",
        "pool": pool,
    }


def fused(group, name, title, fuses, fusion="scores", seeds=1):
    """A rung that fuses others: averages their scores or logits, or trains an SVM on them."""
    return {"group": group, "name": name, "title": title, "fuses": fuses, "fusion": fusion, "seeds": seeds}


def get_ladder():
    """The records and the rungs from bottom to top, see `vidjax.ladder.rungs`."""
    rungs = [
        rung(FRAMES, "single_frame", "one frame", "fusion", 2.0, "fusion=single", order=False),
        rung(FRAMES, "resnet18", "ResNet-18, logits averaged", "frame_cnn", 2.0, "network=resnet18", order=False),
        rung(FRAMES, "inception_v1", "Inception-v1, logits averaged", "frame_cnn", 1.0, INCEPTION, order=False),
        rung(FRAMES, "mean", "mean of frame features", "frame_pool", 1.0, "pool=mean", seeds=3, order=False),
        rung(FRAMES, "max", "max of frame features", "frame_pool", 1.0, "pool=max", order=False),
        rung(FRAMES, "min", "min of frame features", "frame_pool", 1.0, "pool=min", order=False),
        rung(FRAMES, "max_min", "max-min of frame features", "frame_pool", 1.0, "pool=max_min", order=False),
        *(svm(pool) for pool in ("mean", "max", "min", "max_min")),
        rung(TIME, "early", "early fusion", "fusion", 3.0, "fusion=early"),
        rung(TIME, "late", "late fusion", "fusion", 8.0, "fusion=late", **TWO_FRAMES),
        rung(TIME, "slow", "slow fusion", "fusion", 3.0, "fusion=slow", seeds=3),
        fused(TIME, "fusions", "average of one frame, early, late and slow", ["single_frame", "early", "late", "slow"]),
        rung(TIME, "rnn", "CNN + RNN", "frame_rnn", 10.0, "cell=rnn", **{"schedule.learning_rate": 1e-3}),
        rung(TIME, "lstm", "CNN + LSTM", "frame_rnn", 5.0, "cell=lstm", seeds=3),
        rung(TIME, "gru", "CNN + GRU", "frame_rnn", 5.0, "cell=gru"),
        rung(TIME, "stacked", "CNN + LSTM, two layers", "frame_rnn", 5.0, "num_layers=2"),
        rung(TIME, "bidirectional", "CNN + LSTM, both ways", "frame_rnn", 8.0, "bidirectional=true"),
        rung(TIME, "skip_lstm", "CNN + Skip LSTM", "skip_rnn", 5.0, "cost=3e-3"),
        rung(TIME, "tcn", "CNN + causal TCN", "tcn", 5.0, seeds=3),
        rung(TIME, "encoder_decoder", "CNN + encoder-decoder TCN", "tcn", 8.0, "kind=encoder_decoder"),
        rung(SPACETIME, "conv_lstm", "ConvLSTM over pixels", "conv_lstm", 5.0),
        rung(SPACETIME, "conv_lstm_maps", "ConvLSTM over maps", "conv_lstm", 4.0, "backbone=resnet18"),
        rung(SPACETIME, "c3d", "C3D", "c3d", 3.0),
        rung(SPACETIME, "r3d_18", "R3D-18", "resnet3d", 1.0, "network=r3d_18"),
        rung(SPACETIME, "mc3_18", "MC3-18", "resnet3d", 1.0, "network=mc3_18"),
        rung(SPACETIME, "r2plus1d_18", "R(2+1)D-18", "resnet3d", 1.5, "network=r2plus1d_18", seeds=3),
        rung(SPACETIME, "s3d", "S3D", "s3d", 4.0),
        rung(SPACETIME, "i3d", "I3D", "i3d", 2.0),
        rung(
            SPACETIME, "r3d_18_inflated", "R3D-18, inflated", "resnet3d", 3.0, "network=r3d_18", init_from="{resnet18}"
        ),
        rung(
            SPACETIME, "mc3_18_inflated", "MC3-18, inflated", "resnet3d", 3.0, "network=mc3_18", init_from="{resnet18}"
        ),
        rung(
            SPACETIME,
            "r2plus1d_18_inflated",
            "R(2+1)D-18, inflated",
            "resnet3d",
            6.0,
            "network=r2plus1d_18",
            init_from="{resnet18}",
        ),
        rung(SPACETIME, "s3d_inflated", "S3D, inflated", "s3d", 4.0, init_from="{inception_v1}"),
        rung(SPACETIME, "i3d_inflated", "I3D, inflated", "i3d", 5.0, init_from="{inception_v1}"),
        # TSM was still improving after its two epochs
        rung(SPACETIME, "tsm", "TSM on ResNet-18", "tsm_x3d_slowfast", 2.0, "network=tsm"),
        rung(SPACETIME, "tsm_online", "TSM on ResNet-18, online", "tsm_x3d_slowfast", 2.0, "network=tsm_online"),
        rung(SPACETIME, "x3d", "X3D", "tsm_x3d_slowfast", 3.0, "network=x3d"),
        rung(SPACETIME, "slowonly", "SlowOnly-50", "tsm_x3d_slowfast", 3.0, "network=slowonly"),
        rung(SPACETIME, "slowfast", "SlowFast-50", "tsm_x3d_slowfast", 3.0, "network=slowfast"),
        rung(SPACETIME, "clip_lstm", "R3D-18 on clips + LSTM", "clip_rnn", 1.0),
        rung(TOKENS, "vit", "ViT, mean over frames", "video_transformer", 2.0, "network=vit", order=False),
        rung(TOKENS, "timesformer", "TimeSformer, divided", "video_transformer", 6.0, "network=timesformer"),
        rung(TOKENS, "vivit", "ViViT", "video_transformer", 3.0, "network=vivit"),
        rung(TOKENS, "videomae", "ViT of VideoMAE", "video_transformer", 3.0, "network=videomae"),
        rung(TOKENS, "video_swin", "Video Swin", "video_transformer", 4.0, "network=video_swin"),
        rung(TOKENS, "mvit", "MViTv2", "video_transformer", 3.0, "network=mvit"),
        rung(STREAMS, "spatial", "spatial stream", "two_stream", 2.0, "stream=spatial", seeds=3, order=False),
        rung(STREAMS, "temporal", "temporal stream", "two_stream", 1.5, "stream=temporal", seeds=3),
        fused(STREAMS, "two_stream", "two streams, scores averaged", ["spatial", "temporal"], seeds=3),
        fused(STREAMS, "two_stream_svm", "two streams, SVM", ["spatial", "temporal"], "svm"),
        rung(STREAMS, "two_stream_3d", "two streams, joined by a 3-D convolution", "two_stream_3d", 1.5),
        rung(STREAMS, "two_stream_lstm", "two streams + LSTM", "two_stream_rnn", 1.5),
        rung(STREAMS, "i3d_rgb", "I3D on frames in a row", "two_stream_i3d", 1.5, "stream=rgb"),
        rung(STREAMS, "i3d_flow", "I3D on flow", "two_stream_i3d", 2.5, "stream=flow"),
        fused(STREAMS, "two_stream_i3d", "two-stream I3D, logits averaged", ["i3d_rgb", "i3d_flow"], "logits"),
    ]
    return {
        "title": "Motion: 8 classes in 4 pairs that are each other's reverse, 480 test videos",
        "records": {
            RECORDS: "vidjax.data.make_records motion --motion_videos 6400 160 480 --short_side 0 --flow opencv_dis "
            f"--out {RECORDS}"
        },
        "rungs": rungs,
    }
