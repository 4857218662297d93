"""Trains a video classifier: the story, from records to result.json. Read this first.

    python -m vidjax.train --config configs/quickstart.py --workdir runs/quickstart [--config.batch_size=32]

Started again on the same work directory, it goes on where it stopped and ends with the same numbers as a run that was
never interrupted. Ctrl-C (or SIGTERM, or SIGUSR1) saves, then stops. Several processes train as one: see
`vidjax.training.distributed` and launch/slurm.sbatch.
"""

import functools
import logging
import math
import re
import sys
import time
from pathlib import Path

import flax
import jax
from absl import app, flags
from absl import logging as absl_logging
from ml_collections import ConfigDict, config_flags

import vidjax
from vidjax import checkpoint, evaluate, output_paths, plots, sharding, summary
from vidjax import config as configs
from vidjax.analysis import peak_flops
from vidjax.checkpoint import Checkpoints
from vidjax.data import clips, pipeline
from vidjax.evaluation import predictions, result_file
from vidjax.evaluation.outputs import make_eval_fn
from vidjax.inference import start_from
from vidjax.training import distributed, interrupts, metrics_log, profiling, splits, status, timing
from vidjax.training.setup import prepare

WATCHED = ("loss", "top1", "top5", "mAP", "rmse", "exact")  # of the validation splits


def train(config: ConfigDict, workdir: Path, profile_steps: tuple[int, int] | None = None) -> dict | None:
    """Trains, validates, checkpoints and evaluates; returns the content of result.json, None where it was interrupted.

    Args:
        profile_steps: the first and the last step of a trace in workdir/profile, see `profiling`; None for no trace.

    Raises:
        ValueError: for a config that cannot work, before anything is computed.
        FloatingPointError: where loss or gradient is not finite; names step, learning rate and last checkpoint.
        OSError: where a checkpoint cannot be written; says what there is to go on from.
    """
    clock = timing.Watch()
    with interrupts.Interrupt() as interrupt, status.answering(clock.status):
        return _train(config, workdir, profile_steps, interrupt, clock)


def _train(config: ConfigDict, workdir: Path, profile_steps, interrupt, clock: timing.Watch) -> dict | None:
    started = time.perf_counter()
    is_main = jax.process_index() == 0

    # ---------------------------------------------------------------------------------------------- data
    output_paths.check_writable(workdir, "--workdir")
    source, val_source, test_source, clip_arguments = splits.open_splits(config)
    labels = source.info.labels
    clips_per_epoch = len(source) * pipeline.chunking(config.clip)[1]
    total_steps = max(1, round(config.num_epochs * clips_per_epoch / config.batch_size))
    profiling.check_steps(profile_steps, total_steps)

    # ---------------------------------------------------------------------------------------------- model and optimizer
    blank = clips.blank_batch(source.info.inputs, configs.clip_of(config), config.batch_size)
    model, mesh, schedule, init, abstract, shardings, train_step = prepare(config, len(labels), blank, total_steps)
    num_params = sum(math.prod(x.shape) for x in jax.tree.leaves(abstract.params))

    if config.eval.batch_size % mesh.size:
        raise ValueError(f"eval.batch_size = {config.eval.batch_size} does not divide over {mesh.size} devices.")

    # ---------------------------------------------------------------------------------------------- state
    versions = {"vidjax": vidjax.__version__, "jax": jax.__version__, "flax": flax.__version__}
    configs.write(workdir, config, labels, source.info.inputs, **versions)
    checkpoints = Checkpoints(workdir / "checkpoints")
    checkpoint.check_space(workdir, abstract, checkpoints.steps(), total_steps, config.checkpoint_every)
    if checkpoints.partial and is_main:
        print(f"Not whole, and passed over: {', '.join(checkpoints.partial)}.", flush=True)
    if checkpoints.steps():
        state, position = checkpoints.restore(sharding.with_shardings(abstract, shardings))
        if is_main:
            print(f"Going on from the checkpoint of step {position['step']} in {workdir}.", flush=True)
    else:
        # Drawing the parameters is many small programs that run once: optimising them takes most of the start
        quickly = {"xla_backend_optimization_level": 0}
        make_state = functools.partial(init, config.seed, blank)
        state = jax.jit(make_state, out_shardings=shardings, compiler_options=quickly)()
        if config.init_from:
            of_model = {"model": model, "batch": blank, "spec": configs.spec_of(config), "labels": labels}
            state = start_from.start_from(config.init_from, state, inflation=config.inflation, **of_model)
        position = {"step": 0, "seconds": 0.0}
    start_step = position["step"]
    log = metrics_log.MetricsLog(workdir / "metrics.jsonl", start_step)

    # ---------------------------------------------------------------------------------------------- evaluation
    eval_fn = make_eval_fn(model, configs.spec_of(config), mesh, (shardings.params, shardings.model_state))

    def evaluated_on(state, records, num_views=1, num_crops=1):
        params = state.ema if config.ema_decay else state.params
        views = {"num_views": num_views, "num_crops": num_crops}
        return evaluate.evaluate(params, state.model_state, eval_fn, mesh, records, config, **views)

    # ---------------------------------------------------------------------------------------------- loop
    batches = pipeline.train_batches(
        source,
        clip_arguments,
        batch_size=config.batch_size,
        num_steps=total_steps,
        seed=config.seed,
        start_step=start_step,
        process=(jax.process_index(), jax.process_count()),
        num_threads=config.num_threads,
    )
    batches = sharding.prefetch(batches, mesh)
    bar = metrics_log.progress_bar(total_steps, start_step, config.model.name)
    at_peak = peak_flops.seconds_at_peak(config, blank, len(labels))
    clock.start(config.batch_size, clips_per_epoch, start_step, total_steps, at_peak)
    last_saved, unchecked = start_step, None
    for at_step in profiling.steps(start_step, total_steps, profile_steps, workdir / "profile"):
        batch = clock.next_batch(batches)
        state, measured = train_step(state, batch)
        clock.step_done(measured)
        bar.update()

        # The device is kept busy by looking at the step before, but where something is written, this one counts.
        last = at_step == total_steps
        logging = at_step % config.log_every == 0 or last
        validating = bool(val_source) and (at_step % config.eval_every == 0 or last)
        with clock.during(timing.COMPUTING):
            stopping = interrupt.asked(mesh)
            saving = at_step % config.checkpoint_every == 0 or last or stopping
            try:
                if unchecked:
                    metrics_log.check_finite(at_step - 1, unchecked, schedule, last_saved)
                if logging or validating or saving:
                    metrics_log.check_finite(at_step, measured, schedule, last_saved)
            except FloatingPointError:  # all processes find it
                checkpoints.close()
                raise
        unchecked = measured

        if logging or validating:
            line = {"step": at_step, "epoch": at_step * config.batch_size / clips_per_epoch}
            line |= {name: float(value) for name, value in measured.items()}
            line |= {"learning_rate": float(schedule(at_step - 1)), **clock.figures()}
            metrics_log.show(bar, line)
            if validating:
                with clock.during("evaluating"):
                    figures, _ = evaluated_on(state, val_source)
                line |= {f"val_{name}": figures[name] for name in WATCHED if name in figures}
            log.write(line)
            clock.logged(line)
        if saving:
            seconds = position["seconds"] + time.perf_counter() - started
            with clock.during("saving"):
                checkpoints.save(state, {"step": at_step, "seconds": seconds})
            last_saved = at_step
        if stopping:
            break
    bar.close()
    with clock.during("saving"):
        checkpoints.close()  # when all is written
    if last_saved < total_steps:
        if is_main:
            print(f"\nInterrupted: saved step {last_saved} of {total_steps}. The same command goes on from there.")
        return None

    # ---------------------------------------------------------------------------------------------- final figures
    interrupt.all_is_saved()
    views = {name: config.eval[name] for name in ("num_views", "num_crops")}
    with clock.during("evaluating"):
        result, outputs = evaluated_on(state, test_source, **views)
    result |= {
        "model": config.model.name,
        "num_params": num_params,
        "steps": total_steps,
        "checkpoint": total_steps,
        "seconds": position["seconds"] + time.perf_counter() - started,
        "clips_per_second": clock.clips_per_second(),
        "splits": list(config.test_splits),
        **config.eval,
    }
    if is_main:
        predictions.write(workdir, predictions.predictions_of(outputs, test_source, config))
        result = result_file.write(workdir / "result.json", result, labels, merge=True)
        plots.curves(log.lines(), workdir / "curves.png")
    return result


def parse_flags(arguments):
    """absl's parser, with an answer in plain words where --config.key=value names no key or has a wrong type."""
    try:
        return app.parse_flags_with_usage(arguments)
    except AttributeError as error:
        key = re.findall(r"\w+", str(error))[0]  # ml_collections' text is quoted several times over
        sys.exit(f"vidjax.train: the config has no key {key!r}; valid keys are\n{configs.describe_keys()}")
    except TypeError as error:
        sys.exit(f"vidjax.train: {error}")


def main(argv):
    status.ignore()
    absl_logging.set_verbosity(absl_logging.WARNING)  # Orbax tells every file that it opens
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # and each that found the disk full, after our own message
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments {argv[1:]}; settings are given as --config.key=value.")
    if flags.FLAGS.workdir is None and not flags.FLAGS.plan:
        sys.exit("vidjax.train: say where the run is to write, --workdir runs/NAME.")
    if "://" in (flags.FLAGS.workdir or ""):  # pathlib would take it for a directory gs: on this machine's disk
        sys.exit(f"vidjax.train: --workdir {flags.FLAGS.workdir} is no directory; name one on a disk that is mounted.")
    with distributed.started("vidjax.train"):
        if flags.FLAGS.plan:
            text, fits = summary.plan(flags.FLAGS.config)
            if jax.process_index() == 0:
                print(text)
            sys.exit(not fits)
        profile_steps = profiling.parse_steps(flags.FLAGS.profile_steps) if flags.FLAGS.profile_steps else None
        result = train(flags.FLAGS.config, Path(flags.FLAGS.workdir), profile_steps)
    if result is None:
        sys.exit(interrupts.INTERRUPTED)
    if jax.process_index() > 0:
        return
    shown = evaluate.shown(result, decimals=1)
    print("  ".join(f"{name} {text}" for name, text in shown.items() if not name.endswith("_clip")))
    print(f"Wrote result.json, metrics.jsonl, checkpoints/ and pictures (curves.png, ...) to {flags.FLAGS.workdir}")


if __name__ == "__main__":
    config_flags.DEFINE_config_file("config", help_string="a file of configs/, as in configs/quickstart.py")
    flags.DEFINE_string("workdir", None, "where the run writes; started again, it goes on from there")
    flags.DEFINE_bool("plan", False, "only compile the training step, and say what memory and messages it takes")
    flags.DEFINE_string("profile_steps", None, "first and last step of a trace in workdir/profile, as in 20:25")
    flags.mark_flag_as_required("config")
    app.run(main, flags_parser=parse_flags)
