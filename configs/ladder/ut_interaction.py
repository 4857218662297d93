"""The ladder on UT-Interaction: 6 actions, two sets of 60 videos, one of ten sequences left out at a time.

    python -m vidjax.ladder configs/ladder/ut_interaction.py --workdir runs/ladder_ut

Put the videos and their labels.csv, or a link to them, in data/ut_interaction_videos. The features of frozen networks
are stored first: AlexNet's of 16 frames and of 18 flow stacks, I3D's of five steps of 48 frames. Two rungs are trained
end to end, on the first fold only. Recipes and the best rung are chosen on set 1.
"""

VIDEOS = "data/ut_interaction_videos/labels.csv"
I3D, FRAMES, FLOW = "ut_interaction_i3d", "ut_interaction_alexnet", "ut_interaction_alexnet_flow"
BASELINE, BLIND, TIME = "Baseline", "AlexNet's frames, blind to order", "AlexNet's frames over time"
SPACETIME, STREAMS, WHOLE = "I3D's clips", "Two streams", "End to end, on one fold"
SETS = ("set1", "set2")
FIRST_FOLD = "sequence_1"  # tests this sequence only
FLOW_NETWORK = "runs/ut_alexnet_flow"  # AlexNet with cross-modality weights, not trained further


def svm(group, name, title, features, pool, classifier="svm", order=False):
    """A classifier on stored features, pooled over time."""
    described = {"group": group, "name": name, "title": title, "sees_order": order, "folds": SETS}
    return {**described, "features": f"data/{features}", "pool": pool, "classifier": classifier}


def rung(group, name, title, config, features, settings="", order=True):
    """A rung trained on stored features, with three seeds."""
    config = ",".join(filter(None, [f"configs/{config}.py:dataset={features}", settings]))
    described = {"group": group, "name": name, "title": title, "sees_order": order, "folds": SETS}
    return {**described, "config": config, "seeds": 3}


def fused(name, title, fuses, fusion="scores"):
    """A rung that fuses separately trained streams."""
    described = {"group": STREAMS, "name": name, "title": title, "folds": SETS, "seeds": 3}
    return {**described, "fuses": fuses, "fusion": fusion}


def whole(name, title, config, order=True):
    """A rung trained end to end with one seed and tested on sequence 1 (6 videos)."""
    described = {"group": WHOLE, "name": name, "title": title, "sees_order": order, "folds": (FIRST_FOLD,)}
    return {**described, "config": config}


def features(out, network, size):
    """The command that stores the features of a frozen network."""
    return f"vidjax.features {network} --records data/ut_interaction --out data/{out} {size} --resize 224 224"


PUBLISHED = [
    # https://github.com/mauriciolp/inter-rel-net, README
    ("Interaction Relational Network, skeletons (Perez et al., 2021)", 98.3, 96.7, "the authors' repository"),
    ("Hierarchical LSTM, pretrained (Shu et al., 2021)", 98.3, None, "arXiv:1811.00270, by a summary"),
    ("Spatio-temporal phrases (Zhang et al., 2012)", 95.0, 90.0, "ECCV 2012; from memory, not read again"),
    ("Key-pose sequences (Vahdat et al., 2011)", 93.3, 90.0, "ICCV workshops 2011; from memory, not read again"),
    ("Poselet key-framing (Raptis and Sigal, 2013)", 93.3, None, "CVPR 2013; from memory, not read again"),
    ("Hough voting (Waltisberg et al., 2010)", 88.0, 77.0, "SDHA 2010; from memory, not read again"),
    ("Dynamic bag of words (Ryoo, 2011)", 85.0, None, "ICCV 2011; from memory, not read again"),
    ("Relationship match (Ryoo and Aggarwal, 2009)", 70.8, None, "ICCV 2009; from memory, not read again"),
]


def get_ladder():
    """The records and the rungs from bottom to top, see `vidjax.ladder.rungs`."""
    rungs = [
        svm(BASELINE, "size", "width, height and length of the clip alone", I3D, "size", "nearest"),
        *(
            svm(BLIND, f"{pool}_svm", f"{pool.replace('_', '-')} of frame features, SVM", FRAMES, pool)
            for pool in ("mean", "max", "min", "max_min")
        ),
        rung(BLIND, "mean", "mean of frame features", "frame_pool", FRAMES, order=False),
        rung(TIME, "rnn", "RNN", "frame_rnn", FRAMES, "cell=rnn"),
        rung(TIME, "lstm", "LSTM", "frame_rnn", FRAMES),
        rung(TIME, "gru", "GRU", "frame_rnn", FRAMES, "cell=gru"),
        rung(TIME, "stacked", "LSTM, two layers", "frame_rnn", FRAMES, "num_layers=2"),
        rung(TIME, "bidirectional", "LSTM, both ways", "frame_rnn", FRAMES, "bidirectional=true"),
        rung(TIME, "skip_lstm", "Skip LSTM", "skip_rnn", FRAMES),
        rung(TIME, "tcn", "causal TCN", "tcn", FRAMES),
        rung(TIME, "encoder_decoder", "encoder-decoder TCN", "tcn", FRAMES, "kind=encoder_decoder"),
        svm(SPACETIME, "i3d_mean_svm", "I3D, mean, SVM", I3D, "mean", order=True),
        svm(SPACETIME, "i3d_max_svm", "I3D, max, SVM", I3D, "max", order=True),
        rung(SPACETIME, "i3d", "I3D, linear classifier", "frame_pool", I3D),
        rung(SPACETIME, "i3d_lstm", "I3D + LSTM", "frame_rnn", I3D),
        rung(SPACETIME, "i3d_gru", "I3D + GRU", "frame_rnn", I3D, "cell=gru"),
        rung(SPACETIME, "i3d_tcn", "I3D + encoder-decoder TCN", "tcn", I3D, "kind=encoder_decoder"),
        rung(STREAMS, "flow", "AlexNet's stacks of flow", "frame_pool", FLOW),
        rung(STREAMS, "flow_lstm", "AlexNet's stacks of flow + LSTM", "frame_rnn", FLOW),
        fused("two_stream", "AlexNet's two streams, scores averaged", ["mean", "flow"]),
        fused("two_stream_svm", "AlexNet's two streams, SVM", ["mean", "flow"], "svm"),
        fused("two_stream_lstm", "AlexNet's two streams + LSTM, scores averaged", ["lstm", "flow_lstm"]),
        fused("two_stream_i3d", "I3D and AlexNet's stacks of flow, scores averaged", ["i3d", "flow"]),
        whole(
            "spatial_whole",
            "AlexNet on frames",
            "configs/two_stream.py:dataset=ut_interaction,size=full,stream=spatial",
            False,
        ),
        whole(
            "i3d_whole",
            "I3D, upper half trained",
            "configs/finetune_i3d.py:dataset=ut_interaction,size=full,part=upper",
        ),
    ]
    untrained = (
        "vidjax.train --config configs/two_stream.py:dataset=ut_interaction,size=full,fold=set1/0 "
        "--config.freeze=('backbone/.*',) --config.num_epochs=0.1 --config.schedule.warmup_steps=0 "
        f"--workdir {FLOW_NETWORK}"
    )
    return {
        "title": "UT-Interaction: 6 actions, one sequence of ten left out, 60 videos a set",
        "records": {
            "data/ut_interaction": f"vidjax.data.make_records {VIDEOS} --split_by sequence "
            "--folds configs/common/ut_interaction_folds.json --short_side 0 --flow opencv_dis "
            "--out data/ut_interaction",
            f"data/{I3D}": features(I3D, "--weights i3d_kinetics400_rgb", "--num_frames 48 --sampling segments"),
            f"data/{FRAMES}": features(FRAMES, "--weights alexnet_imagenet", "--num_frames 16 --sampling segments"),
            FLOW_NETWORK: untrained,
            f"data/{FLOW}": features(FLOW, f"--workdir {FLOW_NETWORK}", "--size 224"),
        },
        "folds": (*SETS, FIRST_FOLD),
        "choose_on": "set1",
        "published": [
            {"method": method, "set1": first, "set2": second, "source": source}
            for method, first, second, source in PUBLISHED
        ],
        "rungs": rungs,
    }
