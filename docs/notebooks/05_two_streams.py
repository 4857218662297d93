# %% [markdown]
# # 5 · Two streams: what moves, and how
#
# Simonyan and Zisserman (2014) split the problem: one network looks at a frame and sees *what* is there, another looks
# at optical flow and sees *how* it moves. We first look at optical flow itself, then train both streams and fuse them.
#
# **Before you run it:** `pip install -e .` in the root of the repository. The photograph comes with scikit-learn, the
# videos are rendered.

# %%
from functools import partial

import jax
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

from vidjax import flow, losses, models, optimizer, step
from vidjax.data.synthetic import coloured, motion
from vidjax.flow import flowviz

plt.rcParams["figure.dpi"] = 80

# %% tags=["parameters"]
TRAIN, TEST = 320, 120  # videos
STEPS = 160  # training steps of each stream
METHODS = ("lucas_kanade", "horn_schunck", "farneback")  # and "tvl1", which takes longer

# %% [markdown]
# ## Optical flow, when we know the answer
#
# We cut two windows from a photograph, the second one a little further to the left and up. So everything in it moves by
# 3 pixels to the right and 2 down. Flow is this displacement (u, v) for each pixel. In a picture of flow, the hue is
# the direction and the saturation is the length: right is red, down is yellow, left is light blue, up is violet.

# %%
photo = load_sample_image("china.jpg")
first, second = photo[100:228, 250:378], photo[98:226, 247:375]
pair = np.stack([first, second])
truth = np.broadcast_to(np.float32([3, 2]), (128, 128, 2))

flows, errors = {"truth": truth}, {}
for method in METHODS:
    flows[method] = np.asarray(jax.jit(partial(flow.of_video, method=method))(pair))[0]
    inside = np.s_[12:-12, 12:-12]  # what leaves the picture has no flow to find
    errors[method] = np.linalg.norm(flows[method][inside] - truth[inside], axis=-1).mean()

y, x = np.mgrid[-1:1:65j, -1:1:65j]
wheel = flowviz.to_colours(np.where((np.hypot(x, y) <= 1)[..., None], np.stack([x, y], -1), 0))
figure, axes = plt.subplots(1, 3 + len(flows), figsize=(11, 2.1), layout="constrained")
for axis, image, title in zip(axes, (first, second, wheel), ("first", "second", "directions"), strict=False):
    axis.imshow(image)
    axis.set_title(title, fontsize=9)
for axis, (name, field) in zip(axes[3:], flows.items(), strict=True):
    axis.imshow(flowviz.to_colours(field, 5))
    axis.set_title(name + (f"\n{errors[name]:.2f} px off" if name in errors else ""), fontsize=9)
for axis in axes:
    axis.axis("off")
plt.show()

# %% [markdown]
# **Look at** the sky. It has almost no texture to follow, so Farneback's method finds no motion there. Lucas and
# Kanade's method finds even the motion of the sky, but only because both windows have the
# same noise. In a real video, every frame has new noise, and no method could do this. Horn and Schunck's method is
# wrong in patches where the texture repeats or is almost absent. A single number, the error in pixels, hides where a
# method fails.
#
# ## Flow of four motions

# %%
figure, axes = plt.subplots(2, 4, figsize=(8, 4.2), layout="constrained")
of_pair = jax.jit(partial(flow.of_video, method="farneback"))
for (above, below), name in zip(axes.T, motion.DRAWN, strict=True):
    clip = motion.clip(motion.CLASSES.index(name), 5)
    above.imshow(clip[12])
    below.imshow(flowviz.to_colours(np.asarray(of_pair(clip[12:15:2]))[0]))
    above.set_title(name, fontsize=9)
    above.axis("off")
    below.axis("off")
plt.show()

# %% [markdown]
# A translation has one colour. A growing shape has all colours, because the flow points outwards in all directions; for
# a rotation, the same colours are turned by 90 degrees. What does not move is white. The colour and texture of the
# shape are gone: flow does not show *what* moves.
#
# ## Videos that need both streams
#
# In the *coloured* dataset a label is a colour and a direction, such as "red left": four colours times two directions.
# The colours are equally bright, so flow cannot tell them apart; a single frame shows the colour, but not the
# direction.

# %%
figure, axes = plt.subplots(2, 8, figsize=(11, 3), layout="constrained")
for (above, below), label in zip(axes.T, range(8), strict=True):
    clip = coloured.clip(label, 40 + label)
    above.imshow(clip[12])
    below.imshow(flowviz.to_colours(np.asarray(of_pair(clip[12:15:2]))[0]))
    above.set_title(coloured.CLASSES[label], fontsize=9)
    above.axis("off")
    below.axis("off")
plt.show()

# %% [markdown]
# The spatial stream gets the middle frame. The temporal stream gets a stack of five flow fields: ten channels, u and v
# of each. To save time, everything is then halved in size, to 32x32.

# %%
FIELDS = 5


@jax.jit
def fields_of(clips):
    """Flow of (B, T, 64, 64, 3), as levels 0..255 like stored flow: (B, T - 1, 32, 32, 2)."""
    levels = flow.to_levels(flow.of_video(clips, "farneback"))
    batch, fields, height, width, _ = levels.shape
    return levels.reshape(batch, fields, height // 2, 2, width // 2, 2, 2).mean((3, 5))


def render(count, first):
    """Middle frames, uint8 (count, 1, 32, 32, 3), flow, uint8 (count, FIELDS, 32, 32, 2), and the classes."""
    classes = np.arange(count, dtype=np.int32) % 8
    clips = [coloured.clip(c, first + i) for i, c in enumerate(classes)]
    frames = np.stack([clip[12:13, ::2, ::2] for clip in clips])
    parts = [np.stack([clip[4 : 4 + 3 * (FIELDS + 1) : 3] for clip in clips[i : i + 40]]) for i in range(0, count, 40)]
    fields = np.concatenate([np.asarray(fields_of(part)) for part in parts])
    return {"frames": frames, "flow": np.round(fields).astype(np.uint8)}, classes


train_inputs, train_labels = render(TRAIN, 0)
test_inputs, test_labels = render(TEST, 10**6)
print({name: x.shape for name, x in train_inputs.items()})

# %%
STREAMS = {
    "frames": (
        models.make_model("frame_pool", 8, backbone={"name": "small_cnn"}, dropout=0.0),
        {"mean": [127.5] * 3, "std": [127.5] * 3},
    ),
    "flow": (
        models.make_model("stacked_flow", 8, backbone={"name": "small_cnn"}, num_fields=FIELDS),
        flow.NORMALISED,
    ),
}


def batch_of(x, labels):
    return {"video": x, "target": labels, "weight": np.ones(len(labels), np.float32)}


def fit(stream):
    """The loop of notebook 7."""
    model, spec = STREAMS[stream]
    x = train_inputs[stream]
    schedule = optimizer.make_schedule(learning_rate=2e-3, total_steps=STEPS, warmup_steps=STEPS // 10)
    tx = optimizer.make_optimizer("adamw", schedule, weight_decay=0.01, clip_norm=1.0)
    settings = {"model": model, "spec": spec, "tx": tx}
    update = jax.jit(partial(step.train_step, loss_fn=losses.softmax_cross_entropy, **settings))
    state = jax.jit(partial(step.init_state, **settings))(0, batch_of(x[:32], train_labels[:32]))
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        chosen = rng.choice(TRAIN, 32, replace=False)
        state, _ = update(state, batch_of(x[chosen], train_labels[chosen]))
    evaluate = jax.jit(partial(step.eval_step, model=model, spec=spec))
    logits = [
        evaluate(state.params, state.model_state, {"video": test_inputs[stream][i : i + 40]})
        for i in range(0, TEST, 40)
    ]
    return jax.nn.softmax(np.concatenate(logits))


scores = {stream: np.asarray(fit(stream)) for stream in STREAMS}
scores["averaged"] = (scores["frames"] + scores["flow"]) / 2
product = scores["frames"] * scores["flow"]
scores["multiplied"] = product / product.sum(1, keepdims=True)

# %% [markdown]
# ## Fusion
#
# The streams were trained independently. The simplest fusion averages their probabilities. Another one multiplies them,
# which is the same as adding the logits.

# %%
names = coloured.CLASSES
figure, axes = plt.subplots(1, 4, figsize=(11, 3.3), layout="constrained")
for axis, (stream, of_stream) in zip(axes, scores.items(), strict=True):
    answers = of_stream.argmax(1)
    counts = np.zeros((8, 8), int)
    np.add.at(counts, (test_labels, answers), 1)
    axis.imshow(counts, cmap="Blues")
    axis.set_title(f"{stream}: {100 * (answers == test_labels).mean():.1f} %")
    axis.set_xticks(range(8), names, rotation=90, fontsize=8)
    axis.set_yticks(range(8), names if axis is axes[0] else [], fontsize=8)
    colours, ways = answers // 2 == test_labels // 2, answers % 2 == test_labels % 2
    print(f"{stream:10} right {100 * (answers == test_labels).mean():5.1f} %, "
          f"colour {100 * colours.mean():5.1f} %, direction {100 * ways.mean():5.1f} %")  # fmt: skip
axes[0].set_ylabel("true")
axes[1].set_xlabel("predicted")
plt.show()

# %% [markdown]
# **Look at** the first two matrices. The spatial stream recognises every colour, but only guesses the direction: 120
# coin tosses have a standard deviation of 4.6 points. The temporal stream recognises every direction, but only guesses
# the colour. Each has exactly what the other lacks.
#
# Now the two fusions: averaging classifies 82 % correctly, multiplying all. Why? The spatial stream has memorised its
# training videos, directions included, and is *confident* about directions that it cannot know. In an average, the more
# confident stream wins. In a product, each stream has a veto: if the temporal stream gives "right" a probability of
# almost zero, no confidence of the spatial stream can change this.

# %%
i = int(np.flatnonzero(test_labels == names.index("red left"))[0])
figure, axes = plt.subplots(1, 4, figsize=(11, 2.4), sharey=True, layout="constrained")
for axis, (stream, of_stream) in zip(axes, scores.items(), strict=True):
    axis.barh(names, of_stream[i])
    axis.set_title(f"'red left', {stream}", fontsize=9)
    axis.set_xlim(0, 1)
    axis.tick_params(labelsize=8)
plt.show()

# %% [markdown]
# In this clip, the spatial stream happens to be correct. The temporal stream spreads its probability over the four
# colours, as it should, and excludes every class that moves to the right.
#
# With video files: `vidjax make-records coloured --short_side 0 --flow opencv_dis --out data/coloured`, then two runs
# of `vidjax train --config configs/two_stream.py:dataset=coloured,stream=spatial` (and `temporal`), then `vidjax
# evaluate --workdir runs/rgb runs/flow`. `vidjax flow video.mp4 --method tvl1 --out flow.mp4` draws the flow of your
# own video.
#
# ## Exercises
#
# 1. Stop the training of the spatial stream earlier (40 steps), or give it twice as many videos. What happens to its
#    predictions of the direction, and to the averaged fusion?
# 2. Give the temporal stream one field instead of five (`FIELDS = 1`), or double the distance between the frames. What
#    happens when a shape moves farther than the flow method can follow?
