"""Training step of the temporal stream: flow stored in the records, against flow computed in the step."""

import functools

import jax
import numpy as np

from vidjax import flow, losses, optimizer, step
from vidjax.bench import alternate, compare, summary
from vidjax.data import flow_images
from vidjax.data.synthetic import motion
from vidjax.models import make_model

BATCH, NUM_FIELDS = 16, 10
STORED = {"farneback": "opencv_farneback", "tvl1": "opencv_tvl1"}  # ours -> the method of `make_records --flow`
NETWORK = {"backbone": {"name": "resnet18", "width": 0.125}}  # like configs/two_stream.py


def drawn_batches(size: int) -> dict[str, dict]:
    """Returns a batch of synthetic motion per way: with stored `flow`, or with one more frame to compute it from."""
    frames = np.stack([motion.clip(i % 8, i, num_frames=NUM_FIELDS + 1, size=size) for i in range(BATCH)])
    common = {"target": np.arange(BATCH) % 8, "weight": np.ones(BATCH, np.float32)}
    batches = {}
    for ours, stored in STORED.items():
        grey = [[flow_images.to_grey(frame) for frame in clip] for clip in frames]
        fields = [[flow_images.between(*pair, stored) for pair in zip(clip, clip[1:], strict=False)] for clip in grey]
        batches[f"stored, {stored}"] = {"flow": np.array(fields), **common}  # (B, T, H, W, 2)
        batches[f"computed, {ours}"] = {"video": frames, **common}  # (B, T + 1, H, W, 3)
    return batches


def bench_two_stream(rounds: int, size: int = 48) -> dict:
    """Returns clips per second of the step, without reading records, and the difference between the logits.

    The difference is the largest one, in percent of the largest logit, for a randomly initialised network. It
    comes from the 8 bits of stored flow and from the implementation of the method.
    """
    batches = jax.device_put(drawn_batches(size))
    model = make_model("stacked_flow", 8, num_fields=NUM_FIELDS, **NETWORK)
    tx = optimizer.make_optimizer("sgd", optimizer.make_schedule("constant", learning_rate=0.0, total_steps=1))
    init = functools.partial(step.init_state, 0, model=model, spec=flow.NORMALISED, tx=tx)
    state = jax.jit(init)(next(batch for batch in batches.values() if "flow" in batch))
    contestants, logits = {}, {}
    for name, batch in batches.items():
        spec = {**flow.NORMALISED, "flow": "" if "flow" in batch else name.removeprefix("computed, ")}
        arguments = {"model": model, "spec": spec}
        train = jax.jit(functools.partial(step.train_step, tx=tx, loss_fn=losses.softmax_cross_entropy, **arguments))
        contestants[name] = lambda train=train, batch=batch: jax.block_until_ready(train(state, batch))
        evaluate = jax.jit(functools.partial(step.eval_step, **arguments))
        logits[name] = np.asarray(evaluate(state.params, state.model_state, batch))
    times = alternate(contestants, rounds)
    result = {name: summary([1e3 * BATCH / x for x in values]) for name, values in times.items()}
    for ours, theirs in STORED.items():
        computed, stored = f"computed, {ours}", f"stored, {theirs}"
        result[f"{stored} / {computed}"] = compare(times[computed], times[stored])
        apart = np.abs(logits[computed] - logits[stored]).max() / np.abs(logits[stored]).max()
        result[f"logits apart, {ours}, %"] = round(100 * float(apart), 2)
    return result
