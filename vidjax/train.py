"""Trains a video classifier, from records to result.json. Read this first.

    python -m vidjax.train --config configs/quickstart.py --workdir runs/quickstart [--config.batch_size=32]

Run the same command again to continue an interrupted run: it ends with the same bits as one that was never interrupted.
Ctrl-C, SIGTERM and SIGUSR1 save a checkpoint, then stop. Several processes can train one model: see
`vidjax.training.distributed` and launch/slurm.sbatch.
"""

import functools
import math
import sys
import time
from pathlib import Path

import jax
from absl import app, flags
from ml_collections import ConfigDict, config_flags

from vidjax import config as configs
from vidjax import optimizer, output_paths, plots, sharding
from vidjax.best_checkpoint import BestCheckpoint
from vidjax.checkpoint import Checkpoints, check_space
from vidjax.data import clips, pipeline
from vidjax.evaluation import predictions, result_file
from vidjax.evaluation.evaluator import Evaluator
from vidjax.inference import restore
from vidjax.inference.start_from import start_from
from vidjax.training import command_line, distributed, interrupts, metrics_log, profiling, setup, status, timing
from vidjax.training.command_line import say
from vidjax.training.splits import open_splits

COMPILE_QUICKLY = {"xla_backend_optimization_level": 0}  # the initial state is many small programs that run once


def train(config: ConfigDict, workdir: Path, profile_steps: tuple[int, int] | None = None) -> dict | None:
    """Trains, validates, saves checkpoints, and evaluates the test splits.

    Args:
        profile_steps: first and last step of a profiler trace in workdir/profile; None for no trace.

    Returns:
        The content of result.json; None if the run was interrupted.

    Raises:
        ValueError: for a config that cannot work, before anything is computed.
        FloatingPointError: if the loss or the gradient is not finite; names step, learning rate and last checkpoint.
        OSError: if a checkpoint cannot be written; says which checkpoint the run can continue from.
    """
    clock = timing.Clock()
    with interrupts.Interrupt() as interrupt, status.answering(clock.status):
        started = time.perf_counter()

        # ------------------------------------------------------------------------------------------ data
        output_paths.check_writable(workdir, "--workdir")
        config = configs.resolved(config)
        train_records, val_records, test_records, clip_arguments, order = open_splits(config)
        labels, inputs = train_records.info.labels, train_records.info.inputs
        clips_per_epoch = len(train_records) * pipeline.chunking(config.clip)[1]
        total_steps = max(1, round(config.num_epochs * clips_per_epoch / config.batch_size))
        profiling.check_steps(profile_steps, total_steps)

        # ------------------------------------------------------------------------------------------ model and update
        mesh = sharding.make_mesh(**config.mesh)
        setup.check_batch_sizes(config, mesh)
        model = configs.model_from(config, len(labels))
        schedule = optimizer.make_schedule(**config.schedule, total_steps=total_steps)
        tx = optimizer.make_optimizer(schedule=schedule, **config.optimizer)
        blank = clips.blank_batch(inputs, configs.clip_of(config), config.batch_size)
        init = functools.partial(setup.make_init(config, model, tx), config.seed, blank)
        abstract_state = jax.eval_shape(init)
        shardings = sharding.state_shardings(mesh, abstract_state)
        update = setup.make_update(config, model, tx, mesh, shardings)

        # ------------------------------------------------------------------------------------------ state
        configs.write(workdir, config, labels, inputs)
        checkpoints = Checkpoints(workdir / "checkpoints")
        check_space(workdir, abstract_state, checkpoints.steps(), total_steps, config.checkpoint_every)
        if checkpoints.partial:
            say(f"Skipping incomplete checkpoints: {', '.join(checkpoints.partial)}.")
        if checkpoints.steps():
            state, position = checkpoints.restore(sharding.with_shardings(abstract_state, shardings))
            say(f"Continuing from the checkpoint of step {position['step']} in {workdir}.")
        else:
            state = jax.jit(init, out_shardings=shardings, compiler_options=COMPILE_QUICKLY)()
            if config.init_from:
                of_model = {"model": model, "batch": blank, "spec": restore.spec_of(config), "labels": labels}
                state = start_from(config.init_from, state, inflation=config.inflation, **of_model)
            position = {"step": 0, "seconds": 0.0}
        start_step = last_saved = position["step"]
        best = BestCheckpoint(checkpoints, config.keep_best)

        # ------------------------------------------------------------------------------------------ loop
        evaluator = Evaluator(model, config, mesh, (shardings.params, shardings.model_state))
        log = metrics_log.MetricsLog(workdir / "metrics.jsonl", start_step)
        bar = metrics_log.progress_bar(total_steps, start_step, config.model.name)
        batches = pipeline.train_batches(
            train_records,
            clip_arguments,
            batch_size=config.batch_size,
            num_steps=total_steps,
            seed=config.seed,
            order=order,
            start_step=start_step,
            process=(jax.process_index(), jax.process_count()),
            num_threads=config.num_threads,
        )
        batches = sharding.prefetch(batches, mesh)
        clock.start(config.batch_size, clips_per_epoch, start_step, total_steps)
        for step in profiling.steps(start_step, total_steps, profile_steps, workdir / "profile"):
            batch = clock.next_batch(batches)
            state, train_metrics = update(state, batch)
            clock.step_done(train_metrics)
            bar.update()
            with clock.during(timing.COMPUTING):
                stopping = interrupt.asked(mesh)
            last = step == total_steps
            logging_now = step % config.log_every == 0 or last
            validating = bool(val_records) and (step % config.eval_every == 0 or last)
            saving = step % config.checkpoint_every == 0 or last or stopping

            if logging_now or validating or saving:
                with clock.during(timing.COMPUTING):
                    train_metrics = {name: float(value) for name, value in train_metrics.items()}
                if failure := metrics_log.not_finite(step, train_metrics, schedule, last_saved):
                    checkpoints.close()
                    raise FloatingPointError(failure)
            if logging_now or validating:
                line = {"step": step, "epoch": step * config.batch_size / clips_per_epoch, **train_metrics}
                line |= {"learning_rate": float(schedule(step - 1)), **clock.metrics()}
                metrics_log.show(bar, line)
                if validating:
                    with clock.during("evaluating"):
                        evaluated = state.ema or state.params, state.model_state
                        val_metrics, _ = evaluator(*evaluated, val_records)
                        evaluator.draw(*evaluated, val_records, workdir)
                    names = [name for name in configs.VALIDATION_METRICS if name in val_metrics]
                    line |= {f"val_{name}": val_metrics[name] for name in names}
                    with clock.during("saving"):
                        best.offer(state, line)
                log.write(line)
                clock.logged(line)
            if saving:
                seconds = position["seconds"] + time.perf_counter() - started
                with clock.during("saving"):
                    checkpoints.save(state, {"step": step, "seconds": seconds})
                last_saved = step
            if stopping:
                break
        bar.close()
        with clock.during("saving"):
            checkpoints.close()  # waits until all is written
        if last_saved < total_steps:
            say(f"\nInterrupted at step {last_saved} of {total_steps}, which is saved. Run the same command again.")
            return None

        # ------------------------------------------------------------------------------------------ result
        interrupt.all_is_saved()
        views = {name: config.eval[name] for name in ("num_views", "num_crops")}
        params, model_state, chosen = best.choose(state, sharding.with_shardings(abstract_state, shardings))
        best.close()
        with clock.during("evaluating"):
            result, outputs = evaluator(params, model_state, test_records, **views)
            evaluator.draw(params, model_state, test_records, workdir)
        result |= {
            "model": config.model.name,
            "num_params": sum(math.prod(x.shape) for x in jax.tree.leaves(abstract_state.params)),
            "steps": total_steps,
            "checkpoint": chosen,
            "keep_best": config.keep_best,
            "seconds": position["seconds"] + time.perf_counter() - started,
            "clips_per_second": clock.clips_per_second(),
            "splits": list(config.test_splits),
            **config.eval,
        }
        if jax.process_index() == 0:
            predictions.write(workdir, predictions.predictions_of(outputs, test_records, config))
            result = result_file.write(workdir / "result.json", result, labels, merge=True)
            plots.curves(log.lines(), workdir / "curves.png")
        return result


def main(argv):
    command_line.quieten()
    workdir = command_line.check_workdir(argv, flags.FLAGS.workdir)
    with distributed.started("vidjax.train"):
        profile_steps = profiling.parse_steps(flags.FLAGS.profile_steps) if flags.FLAGS.profile_steps else None
        result = train(flags.FLAGS.config, workdir, profile_steps)
    if result is None:
        sys.exit(interrupts.INTERRUPTED)
    if jax.process_index() == 0:
        shown = result_file.shown(result, decimals=1)
        print("  ".join(f"{name} {text}" for name, text in shown.items() if not name.endswith("_clip")))
        print(f"Wrote result.json, metrics.jsonl, checkpoints/ and pictures (curves.png, ...) to {workdir}")


if __name__ == "__main__":
    config_flags.DEFINE_config_file("config", help_string="a file of configs/, such as configs/quickstart.py")
    flags.DEFINE_string("workdir", None, "directory of the run; an existing run continues")
    flags.DEFINE_string("profile_steps", None, "first and last step of a trace in workdir/profile, such as 20:25")
    flags.mark_flag_as_required("config")
    app.run(main, flags_parser=command_line.parse_flags)
