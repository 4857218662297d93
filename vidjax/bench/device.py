"""All that has to be known about a device: whether it computes correctly, how fast, in how much memory, and why.

    python -m vidjax.bench device --out device.json [--minutes 9] [--quick]

The items run in order of importance. After each one the results so far are written to FILE.json and, as tables, to
FILE.md, so that the command can be stopped at any time. Run it again to continue. It needs JAX, Flax, optax, einops,
NumPy and tqdm; PyTorch with torchvision, and OpenCV, are compared with where they are installed.
"""

import contextlib
import functools
import importlib.util
import json
import platform
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax

import vidjax
from vidjax import flow, sharding
from vidjax.bench import alternate, device_checks, device_profile, models, recurrent, summary
from vidjax.bench.models import CASES, Case

FIRST = ("i3d", "r2plus1d_18", "c3d")  # the networks that are timed before the others
MEMORY_LIMIT, LARGEST_BATCH = 40 << 30, 64
FLOW_SIZES = ((256, 256), (436, 1024))
FLOW_PAIRS = 16
PEERS = {"farneback": "opencv_farneback", "tvl1": "opencv_tvl1"}
WAYS = {  # ways to save memory in a training step: arguments of the network, and of the step
    "plain": ({}, {}),
    "remat": ({"remat": True}, {}),
    "accumulate 4": ({}, {"num_parts": 4}),
    "FSDP": ({}, {}),
}


class Scale(NamedTuple):
    """How much is measured.

    Attributes:
        networks, methods: networks of `MODELS` and methods of optical flow to check.
        network: the network whose training and export are checked.
        size: frame size for the checks.
        cases: networks to time, by name.
        dtypes: their dtypes.
        batch_size: largest batch; rounds: alternations of a timing.
        flow_sizes: frame sizes for the timing of optical flow; lstm: sizes for that of an LSTM.
        way_case, way_batch: the training step whose memory is measured.
    """

    networks: Sequence[str] = device_checks.NETWORKS
    methods: Sequence[str] = tuple(flow.METHODS)
    network: str = "r2plus1d_18"
    size: int = device_checks.SIZE
    cases: dict[str, Case] = CASES
    dtypes: Sequence[str] = ("bfloat16", "float32")
    batch_size: int = LARGEST_BATCH
    rounds: int = 5
    flow_sizes: Sequence[tuple[int, int]] = FLOW_SIZES
    lstm: recurrent.Sizes = recurrent.Sizes()
    way_case: str = "i3d_64"
    way_batch: int = 16


QUICK = Scale(
    networks=("small_cnn", "forecaster"),
    methods=("lucas_kanade",),
    network="small_cnn",
    size=32,
    cases={"resnet18": Case("resnet18", {"width": 0.0625}, "2x32x32")},
    dtypes=("float32",),
    batch_size=4,
    rounds=1,
    flow_sizes=((32, 32),),
    lstm=recurrent.Sizes(2, 4, 8, 8),
    way_case="resnet18",
    way_batch=4,
)


# ----------------------------------------------------------------------------------------------------------- the items


def items_of(scale: Scale) -> dict[str, Callable[[], dict]]:
    """Returns name -> function for all that is checked and measured, in order of importance."""
    items = {
        f"right: {name}": functools.partial(device_checks.check_network, name, size=scale.size)
        for name in scale.networks
    }
    for method in scale.methods:
        items[f"right: flow {method}"] = functools.partial(device_checks.check_flow, method, scale.size)
    items["right: training repeated"] = functools.partial(device_checks.check_repeats, scale.network, size=scale.size)
    names = [name for name in FIRST if name in scale.cases] or list(scale.cases)
    fast = lambda name, dtype: functools.partial(time_network, name, dtype, scale)  # noqa: E731
    items |= {f"fast: {name} {scale.dtypes[0]}": fast(name, scale.dtypes[0]) for name in names}
    items["fast: LSTM"] = functools.partial(recurrent.bench_recurrent, scale.rounds, scale.lstm)
    for size in scale.flow_sizes:
        items[f"fast: flow {size[0]}x{size[1]}"] = functools.partial(time_flow, size, scale)
    case, batch = scale.cases[scale.way_case], scale.way_batch
    items[f"memory: {scale.way_case}"] = functools.partial(measure_ways, case, scale.dtypes[0], batch, scale.rounds)
    items["right: export"] = functools.partial(device_checks.check_export, scale.network, size=scale.size)
    for name in names[:2]:
        profile = functools.partial(device_profile.bench_profile, scale.cases[name], scale.dtypes[0])
        items[f"profile: {name}"] = functools.partial(profile, min(16, scale.batch_size))
    others = [(name, dtype) for dtype in scale.dtypes for name in scale.cases]
    return items | {
        f"fast: {name} {dtype}": fast(name, dtype) for name, dtype in others if f"fast: {name} {dtype}" not in items
    }


def time_network(name: str, dtype: str, scale: Scale) -> dict:
    """Returns `models.bench_case` with PyTorch, where it is installed and has the network."""
    has_torch = all(importlib.util.find_spec(package) for package in ("torch", "torchvision"))
    torch_name = name if has_torch and scale.cases[name] is CASES.get(name) else None
    return models.bench_case(scale.cases[name], dtype, scale.batch_size, scale.rounds, torch_name, MEMORY_LIMIT)


def time_flow(size: tuple[int, int], scale: Scale) -> dict:
    """Returns milliseconds of each method for 16 pairs, and of OpenCV's methods on all CPU cores if it is installed."""
    frames = device_checks.moving_texture(FLOW_PAIRS + 1, *size)
    first, second = jnp.asarray(frames[:-1]), jnp.asarray(frames[1:])
    contestants = {
        name: lambda method=flow.METHODS[name]: jax.block_until_ready(method(first, second)) for name in scale.methods
    }
    if importlib.util.find_spec("cv2"):
        from vidjax.flow import opencv

        pair = frames[:-1].astype(np.uint8), frames[1:].astype(np.uint8)
        for name in filter(None, map(PEERS.get, scale.methods)):
            contestants[name] = lambda method=opencv.METHODS[name]: method(*pair)
    times = alternate(contestants, scale.rounds)
    return {f"{name} ms": summary(values)["median"] for name, values in times.items()}


def measure_ways(case: Case, dtype: str, batch_size: int, rounds: int) -> dict:
    """Returns MiB and milliseconds of a training step, for several ways to save memory."""
    sizes, steps = {}, {}
    for way, (of_network, of_step) in WAYS.items():
        setting = models.setting_of(case, dtype, batch_size, **of_network)
        if way == "FSDP":
            mesh = sharding.make_mesh(fsdp=jax.device_count())
            state = jax.device_put(setting.state, sharding.state_shardings(mesh, setting.state))
            setting = setting._replace(state=state, batch=sharding.put_batch(setting.batch, mesh))
        compiled = setting.compile_training(**of_step)
        sizes[way], states = round(models.memory_of(compiled) / 2**20), [setting.state]

        def run(compiled=compiled, states=states, batch=setting.batch):
            states[0], train_metrics = compiled(states[0], batch)
            jax.block_until_ready(train_metrics)

        steps[way] = run
    times = alternate(steps, rounds)
    return {way: {"MiB": sizes[way], "ms": round(float(np.median(times[way])), 1)} for way in WAYS}


# ---------------------------------------------------------------------------------------------------------- the command


def machine() -> dict:
    """Returns what identifies the results: the device and the versions of the libraries."""
    versions = {"vidjax": vidjax.__version__, "jax": jax.__version__, "flax": flax.__version__}
    versions |= {"optax": optax.__version__, "python": platform.python_version()}
    return {"device": jax.devices()[0].device_kind, "count": jax.device_count(), **versions}


def bench_device(out: Path, minutes: float, quick: bool = False, say: Callable[[str], None] = print) -> dict:
    """Runs the items that `out` does not hold yet, and writes it and its tables after each one.

    Args:
        minutes: no item starts after this time; 0 for no limit.
        quick: checks the command itself, with tiny networks.

    Returns:
        `machine`, `items` (results by name; `seconds` is the time of an item, `error` what it failed with) and
        `skipped`.

    Raises:
        ValueError: if `out` holds the results of another device or other versions.
    """
    started, content = time.perf_counter(), {"machine": machine(), "quick": quick, "items": {}, "skipped": []}
    if out.exists():
        before = json.loads(out.read_text())
        differing = [key for key in ("machine", "quick") if before.get(key) != content[key]]
        if differing:
            raise ValueError(
                f"{out} holds results of {before.get('machine')} (quick: {before.get('quick')}), but this is "
                f"{content['machine']} (quick: {quick}): give another --out, or remove it."
            )
        content["items"] = {name: x for name, x in before["items"].items() if "error" not in x}
    items = items_of(QUICK if quick else Scale())
    content["skipped"] = [name for name in items if name not in content["items"]]
    with stopped_by_signals():
        for name in list(content["skipped"]):
            if minutes and time.perf_counter() - started > 60 * minutes:
                say(f"{minutes:g} minutes are over. Run it again to continue with {', '.join(content['skipped'])}.")
                break
            say(f"{name} ...")
            began = time.perf_counter()
            try:
                result = items[name]()
            except KeyboardInterrupt:
                say(f"stopped in {name!r}; {out} holds the items before it. Run it again to continue.")
                break
            except Exception as error:  # of any library: the other items still count
                result = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300]}"}
            content["items"][name] = {**result, "seconds": round(time.perf_counter() - began, 1)}
            content["skipped"].remove(name)
            write(out, content)
            say(f"    {text_of(content['items'][name])}")
    write(out, content)
    return content


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Turns SIGTERM into a KeyboardInterrupt."""

    def stop(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def write(out: Path, content: dict):
    """Writes the JSON file and the tables beside it."""
    partial = out.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(out)
    out.with_suffix(".md").write_text(tables(content))


def tables(content: dict) -> str:
    """Returns the results as Markdown."""
    about = content["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about.items() if name not in ("device", "count"))
    lines = [f"# {about['count']} x {about['device']}", "", f"{versions}{'; --quick' if content['quick'] else ''}"]
    speeds = {name: x for name, x in content["items"].items() if "training" in x}
    if speeds:
        lines += ["", "| network | pass | batch | clips/s | against PyTorch | peak | MiB | compile s |"]
        lines += ["|---|---|---|---|---|---|---|---|"]
    for name, result in speeds.items():
        for kind in models.PASSES:
            x = result[kind]
            ratios = ", ".join(f"{ratio['median']:.2f} x {who}" for who, ratio in x["ratio"].items()) or "not measured"
            row = [name.removeprefix("fast: "), kind, x["batch"], f"{x['clips/s']['vidjax']['median']:.1f}", ratios]
            row += [f"{100 * x['share of peak']:.0f} %", x["MiB"].get("vidjax", ""), x["compile s"]["vidjax"]]
            lines.append(f"| {' | '.join(map(str, row))} |")
    lines += ["", "| item | result | seconds |", "|---|---|---|"]
    for name, result in content["items"].items():
        if name not in speeds:
            lines.append(f"| {name} | {text_of(result)} | {result['seconds']} |")
    if content["skipped"]:
        lines += ["", f"Not measured: {', '.join(content['skipped'])}."]
    return "\n".join(lines) + "\n"


def text_of(result: dict) -> str:
    """Returns a result in one line."""
    if "error" in result:
        return f"failed: {result['error']}"
    if "training" in result:
        return "; ".join(
            f"{kind} {result[kind]['clips/s']['vidjax']['median']:.1f} clips/s"
            + "".join(f", {ratio['median']:.2f} x {who}" for who, ratio in result[kind]["ratio"].items())
            for kind in models.PASSES
        )
    return "; ".join(f"{key} {_short(value)}" for key, value in result.items() if key != "seconds")


def _short(value) -> str:
    if isinstance(value, dict):
        if "median" in value:
            return f"{value['median']:.2f}"
        return ", ".join(f"{key} {_short(x)}" for key, x in value.items())
    return f"{value:.2g}" if isinstance(value, float) and abs(value) < 1 else f"{value}"
