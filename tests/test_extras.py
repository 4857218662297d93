import numpy as np
import pytest

from vidjax import extras


def test_an_installed_module_is_imported():
    assert extras.needs("numpy", "none") is np


def test_a_missing_module_is_named_with_its_extra():
    with pytest.raises(ValueError, match=r"needs not_there, which is not installed: pip install -e '\.\[onnx\]'"):
        extras.needs("not_there.inner", "onnx")
