import math

from vidjax.analysis import layer_table
from vidjax.analysis.receptive_rules import Field


def test_sizes_of_fields():
    assert layer_table.field_size(Field(8, -54, 54), 16) == "109"
    assert layer_table.field_size(Field(0, -3, 20), 16) == "all"
    assert layer_table.field_size(Field(0, 0, 9), 16) == "10"
    assert layer_table.field_size(Field(1, -math.inf, 0), 16) == "past"
    assert layer_table.field_size(Field(0, -math.inf, 15), 16) == "all"
    assert layer_table.field_size(Field(0, 0, 0), 1) == "1"
    assert layer_table.field_size(None, 16) == "none"
