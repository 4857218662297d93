"""Time and memory along a stream of frames, and the speed-up of skipping frames."""

import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from vidjax import step
from vidjax.bench import alternate, compare, summary
from vidjax.inference import stream
from vidjax.models import make_model
from vidjax.models.skip_rnn import next_sum

SMALL = {"backbone": {"name": "resnet18", "width": 0.125}}
STREAMED = {
    "lstm": ("frame_rnn", SMALL),
    "causal tcn": ("tcn", SMALL),
    "r2plus1d_18": ("r2plus1d_18", {"width": 0.125, "causal": True}),
}
SKIPPING = {"backbone": {"name": "resnet18"}}  # arguments of the Skip LSTM


def bench_stream(num_frames: int, size: int = 48) -> dict:
    """Returns milliseconds per frame and live memory (kB, all arrays of the process) along a stream of 48x48 frames.

    Times cover the first and the last tenth of the stream of each network, in steps of `stream.frames_a_step` frames,
    without the first steps, which compile.
    """
    result, spec = {}, {"mean": [127.5] * 3, "std": [127.5] * 3}
    for name, (model_name, arguments) in STREAMED.items():
        model = make_model(model_name, 8, **arguments)
        piece = stream.frames_a_step(model)
        frames = jnp.asarray(np.random.default_rng(0).integers(0, 256, (1, piece, size, size, 3), np.uint8))
        params, model_state = step.init_variables(0, {"video": frames}, model=model, spec=spec)
        state, advance = stream.init_stream(params, model_state, model=model, spec=spec)
        for _ in range(3):
            state, outputs = advance(state, frames)
        times, memory, num_steps = [], [], max(10, num_frames // piece)
        for _ in tqdm(range(num_steps), name, unit="step"):
            started = time.perf_counter()
            state, outputs = advance(state, frames)
            outputs.block_until_ready()
            times.append(1e3 * (time.perf_counter() - started) / piece)
            if len(times) % max(1, num_steps // 100) == 0:
                memory.append(sum(x.nbytes for x in jax.live_arrays()) / 1e3)
        tenth = max(1, len(times) // 10)
        result[f"{name}, first tenth"] = summary(times[:tenth])
        result[f"{name}, last tenth"] = summary(times[-tenth:])
        result[f"{name}, live kB"] = summary(memory)
    return result


def bench_skipping(rounds: int, num_frames: int = 12, size: int = 112, every: int = 4) -> dict:
    """Returns milliseconds per frame of a Skip LSTM on a full ResNet-18 that uses all frames, or one in `every`.

    The update probability is fixed and does not depend on the frame. The result also has the number of used frames.
    """
    model, spec = make_model("skip_rnn", 8, **SKIPPING), {"mean": [127.5] * 3, "std": [127.5] * 3}
    frames = jnp.asarray(np.random.default_rng(0).integers(0, 256, (1, 1, size, size, 3), np.uint8))
    params, model_state = step.init_variables(0, {"video": frames}, model=model, spec=spec)
    gate = params["skip_lstm"]["step"]["update_probability"]

    def stream_with(probability: float):
        logit = jnp.full_like(gate["bias"], np.log(probability / (1 - probability)))
        chosen = {"kernel": jnp.zeros_like(gate["kernel"]), "bias": logit}
        layer = params["skip_lstm"] | {"step": params["skip_lstm"]["step"] | {"update_probability": chosen}}
        return stream.init_stream(params | {"skip_lstm": layer}, model_state, model=model, spec=spec)

    def run_through(state, advance):
        for _ in range(num_frames):
            state, outputs = advance(state, frames)
        outputs.block_until_ready()

    def count_used(state, advance) -> int:
        used = 0
        for _ in range(num_frames):
            used += not state or bool(next_sum(state["carry"]["skip_lstm"]["state"])[0, 0] >= 0.5)
            state, _ = advance(state, frames)
        return used

    streams = {
        "all": stream_with(0.999),
        f"one of {every}": stream_with(0.5 / every + 1e-3),
    }  # used from 1/2 up
    times = alternate({name: functools.partial(run_through, *of) for name, of in streams.items()}, rounds)
    times = {name: [x / num_frames for x in values] for name, values in times.items()}
    result = {f"skip lstm, uses {name}": summary(values) for name, values in times.items()}
    result["skip lstm, all / skipping"] = compare(*times.values())
    return result | {f"frames used, {name}": count_used(*of) for name, of in streams.items()}
