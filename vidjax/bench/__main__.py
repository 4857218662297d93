"""The command `vidjax bench`.

python -m vidjax.bench device --out device.json [--minutes 9] [--quick]
python -m vidjax.bench models [--vs torch] [--networks i3d c3d] [--dtypes bfloat16] [--out bench.json]
python -m vidjax.bench pipeline [--records data/jpeg data/mp4] [--out bench.json]
python -m vidjax.bench recurrent [--out bench.json]
python -m vidjax.bench stream [--frames 100000] [--out bench.json]
python -m vidjax.bench flow [--methods tvl1 opencv_tvl1] [--out bench.json]
python -m vidjax.bench two_stream [--out bench.json]
python -m vidjax.bench memory [--out bench.json]
python -m vidjax.bench step runs/i3d [--out bench.json]
python -m vidjax.bench predict VIDEO --workdir runs/i3d --exported exported/i3d_onnx ... [--out bench.json]
"""

import argparse
import importlib
import json
import os
import platform
import re
import sys
from pathlib import Path

import jax

from vidjax.bench import show


def processor() -> str:
    """Returns the name of the CPU, or of its architecture if the system does not report a name."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def cores() -> int:
    """Returns the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def measure(module, args: argparse.Namespace) -> dict:
    """Runs the benchmark of a section and returns its results."""
    match args.section:
        case "device":
            return module.bench_device(args.out, args.minutes, args.quick)
        case "models":
            return module.bench_models(args.networks, args.dtypes, args.batch_size, args.rounds, bool(args.vs))
        case "pipeline" if args.records:
            return module.bench_records(args.records, args.rounds, args.clips)
        case "pipeline":
            memory = module.bench_memory(args.memory_clips) if args.memory_clips else {}
            return module.bench_pipeline(args.rounds, args.clips) | memory
        case "recurrent" | "two_stream":
            return getattr(module, f"bench_{args.section}")(args.rounds)
        case "stream":
            return module.bench_stream(args.frames) | module.bench_skipping(args.rounds)
        case "flow":
            return module.bench_flow(args.rounds, args.methods)
        case "memory":
            return module.bench_memory()
        case "step":
            return module.bench_step(args.workdir)
        case "predict":
            return module.bench_predict(args.video, args.workdir, args.exported, args.rounds)


def main():
    parser = argparse.ArgumentParser(
        prog="vidjax bench",
        description="Measures speed and memory on this machine. Stop other work first: benchmarks use all cores.",
    )
    sections = parser.add_subparsers(dest="section", required=True)

    def section(name: str, help: str, rounds: int | None = None) -> argparse.ArgumentParser:
        of_section = sections.add_parser(name, help=help)
        if rounds:
            of_section.add_argument(
                "--rounds", type=int, default=rounds, help="number of rounds; each measures both sides"
            )
        of_section.add_argument("--out", type=Path, help="JSON file for the results")
        return of_section

    of_device = section(
        "device", "everything about this device: correctness, speed, memory, profile; can be interrupted"
    )
    of_device.set_defaults(out=Path("device.json"))
    of_device.add_argument(
        "--minutes", type=float, default=0, help="start no item after this many minutes; 0: no limit"
    )
    of_device.add_argument("--quick", action="store_true", help="check the command itself, with tiny networks")
    of_models = section("models", "forward pass and training step of published networks, against PyTorch", 5)
    of_models.add_argument("--vs", choices=["torch"], help="compare with PyTorch: pip install torch torchvision")
    of_models.add_argument(
        "--networks", nargs="+", metavar="NAME", help="networks to measure (default: the 3-D ones, with 16 frames)"
    )
    of_models.add_argument(
        "--dtypes", nargs="+", choices=["float32", "bfloat16"], help="default: float32 on CPUs, else both"
    )
    of_models.add_argument("--batch_size", type=int, help="clips per batch (default: 2 on CPUs, else 32)")
    of_pipeline = section("pipeline", "records -> batches, against a plain tf.data pipeline", 5)
    of_pipeline.add_argument("--clips", type=int, default=800, help="clips per round")
    of_pipeline.add_argument(
        "--records",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="compare these datasets instead, per second of processor time",
    )
    of_pipeline.add_argument(
        "--memory_clips", type=int, default=0, help="also record the memory while reading this many clips"
    )
    section("recurrent", "a scanned LSTM, against flax.linen.RNN and PyTorch", 20)
    of_stream = section("stream", "time and memory along a stream of frames, and the speed-up of skipping frames", 10)
    of_stream.add_argument("--frames", type=int, default=10000, help="length of the stream")
    of_flow = section("flow", "optical flow, against OpenCV", 5)
    of_flow.add_argument("--methods", nargs="+", metavar="METHOD", help="methods (default: all)")
    section("two_stream", "training step on stored flow, against flow computed in the step", 5)
    section("memory", "memory per device of a training step on 8 simulated devices, for several ways to save memory")
    of_step = section("step", "time and memory of a training step and a forward pass of a run")
    of_step.add_argument("workdir", type=Path, help="directory of the run")
    of_predict = section("predict", "prediction of one clip: exports, against their checkpoint", 5)
    of_predict.add_argument("video", metavar="VIDEO", help="video whose middle clip is classified")
    of_predict.add_argument("--workdir", type=Path, required=True, help="directory of the run")
    of_predict.add_argument("--exported", type=Path, nargs="+", required=True, metavar="DIR", help="one per format")
    args = parser.parse_args()
    # Imports only the section's module: models needs nothing but JAX and PyTorch
    module = importlib.import_module(f"vidjax.bench.{args.section}")
    if args.section == "memory":
        module.simulate_devices()
    result = {"machine": {"processor": processor(), "cores": cores(), "backend": jax.default_backend()}}
    try:
        results = measure(module, args)
    except ValueError as error:
        sys.exit(f"vidjax.bench: {error}")
    if args.section == "device":  # has written its files
        print(f"\n{module.tables(results)}\nWrote {args.out} and {args.out.with_suffix('.md')}")
        return
    result[args.section] = results
    if args.section in ("memory", "models"):
        module.show(results)
    else:
        show(results, "clips/s" if args.section in ("pipeline", "two_stream") else "ms")
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
