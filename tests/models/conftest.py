"""What tests of several networks share."""

import jax
import pytest


@pytest.fixture
def float64():
    """Computes in float64 within the test."""
    with jax.enable_x64(True):
        yield
