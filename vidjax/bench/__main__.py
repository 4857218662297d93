"""The command.

python -m vidjax.bench pipeline [--out bench.json]
python -m vidjax.bench recurrent [--out bench.json]
python -m vidjax.bench stream [--frames 100000] [--out bench.json]
python -m vidjax.bench flow [--methods tvl1 opencv_tvl1] [--out bench.json]
python -m vidjax.bench two_stream [--out bench.json]
python -m vidjax.bench memory [--out bench.json]
python -m vidjax.bench step runs/i3d [--out bench.json]
python -m vidjax.bench predict VIDEO --workdir runs/i3d --exported exported/i3d_onnx ... [--out bench.json]
"""

import argparse
import json
import os
import platform
import re
import sys
from pathlib import Path

import jax

from vidjax.bench import flow, memory, pipeline, predict, recurrent, show, step, stream, two_stream
from vidjax.data import flow_images


def processor() -> str:
    """The name of the CPU, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def main():
    parser = argparse.ArgumentParser(
        prog="python -m vidjax.bench", description="Ratios in one run. Stop other work first: all cores are measured."
    )
    sections = parser.add_subparsers(dest="section", required=True)

    def section(name: str, help: str, rounds: int | None = None) -> argparse.ArgumentParser:
        of_section = sections.add_parser(name, help=help)
        if rounds:
            of_section.add_argument("--rounds", type=int, default=rounds, help="alternations")
        of_section.add_argument("--out", type=Path, help="a JSON file to write")
        return of_section

    of_pipeline = section("pipeline", "records -> batches, against a plain tf.data pipeline", 5)
    of_pipeline.add_argument("--clips", type=int, default=800, help="a round")
    of_pipeline.add_argument("--memory_clips", type=int, default=0, help="also watch the memory over so many clips")
    section("recurrent", "a scanned LSTM, against flax.linen.RNN and PyTorch's", 20)
    of_stream = section("stream", "time and memory along a stream of frames, and what skipping frames saves", 10)
    of_stream.add_argument("--frames", type=int, default=10000, help="of the stream")
    of_flow = section("flow", "optical flow, against OpenCV's", 5)
    methods = list(flow_images.METHODS)
    of_flow.add_argument(
        "--methods", nargs="+", choices=methods, default=methods, metavar="METHOD", help=", ".join(methods)
    )
    section("two_stream", "a training step on stored flow, against flow computed in the step", 5)
    section("memory", "of a training step on each of 8 simulated devices, by ways to save it")
    of_step = section("step", "a training step and a forward pass of a run: time and memory")
    of_step.add_argument("workdir", type=Path, help="of the run")
    of_predict = section("predict", "one clip at a time: exports, against the checkpoint that they are of", 5)
    of_predict.add_argument("video", metavar="VIDEO", help="whose middle clip is shown")
    of_predict.add_argument("--workdir", type=Path, required=True, help="of the run")
    of_predict.add_argument("--exported", type=Path, nargs="+", required=True, metavar="DIR", help="one of each format")
    args = parser.parse_args()
    if args.section == "memory":
        memory.simulate_devices()

    result = {"machine": {"processor": processor(), "cores": cores(), "backend": jax.default_backend()}}
    unit = "clips/s" if args.section in ("pipeline", "two_stream") else "ms"
    if args.section == "pipeline":
        result["pipeline"] = pipeline.bench_pipeline(args.rounds, args.clips)
        if args.memory_clips:
            result["memory"] = pipeline.bench_memory(args.memory_clips)
            print("resident MB:", *result["memory"]["resident_mb"])
    elif args.section == "recurrent":
        result["recurrent"] = recurrent.bench_recurrent(args.rounds)
    elif args.section == "stream":
        result["stream"] = stream.bench_stream(args.frames) | stream.bench_skipping(args.rounds)
    elif args.section == "two_stream":
        result["two_stream"] = two_stream.bench_two_stream(args.rounds)
    elif args.section == "memory":
        result["memory"] = memory.bench_memory()
    elif args.section in ("step", "predict"):
        try:
            if args.section == "step":
                result["step"] = step.bench_step(args.workdir)
            else:
                result["predict"] = predict.bench_predict(args.video, args.workdir, args.exported, args.rounds)
        except ValueError as error:
            sys.exit(f"vidjax.bench: {error}")
    else:
        result["flow"] = flow.bench_flow(args.rounds, args.methods)
    if args.section == "memory":
        memory.show(result["memory"])
    else:
        show(result[args.section], unit)
    if args.out:
        args.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
