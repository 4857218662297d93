"""Compiles programs once for several runs in one process."""

import contextlib
import tempfile

import jax
from jax.experimental.compilation_cache import compilation_cache


@contextlib.contextmanager
def compiled_once():
    """A context that keeps compiled programs, so that runs of equal shapes, such as folds, share them."""
    if jax.config.jax_compilation_cache_dir:  # the user has one
        yield
        return
    with tempfile.TemporaryDirectory() as directory:
        compilation_cache.reset_cache()  # it is opened once, at the first compilation
        jax.config.update("jax_compilation_cache_dir", directory)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        try:
            yield
        finally:
            jax.config.update("jax_compilation_cache_dir", None)
            compilation_cache.reset_cache()
