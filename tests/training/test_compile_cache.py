from pathlib import Path

import jax
import jax.numpy as jnp

from vidjax.training.compile_cache import compiled_once


def test_programs_are_kept_while_it_is_open(monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        with compiled_once():
            directory = Path(jax.config.jax_compilation_cache_dir)
            jax.jit(lambda x: x * 2 + 1)(jnp.ones(3))
            assert any(directory.iterdir())
        assert jax.config.jax_compilation_cache_dir is None and not directory.exists()
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_the_directory_of_the_user_is_kept(tmp_path):
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    try:
        with compiled_once():
            assert jax.config.jax_compilation_cache_dir == str(tmp_path)
        assert jax.config.jax_compilation_cache_dir == str(tmp_path)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
