import math

from vidjax.analysis.receptive_rules import Factor, Field, Value, along, extent, input_value, join, see_all

VIDEO = input_value((2, 16, 8, 3), {1: "frames", 2: "height"})  # (B, T, H, C)


def test_an_element_of_the_input_sees_itself():
    assert VIDEO.fields == {"frames": Field(1, 0, 0), "height": Field(1, 0, 0)}
    assert (VIDEO.axis_of("frames"), VIDEO.axis_of("height"), VIDEO.axis_of("width")) == (1, 2, None)


def test_windows_along_an_axis_compose():
    pooled = along(VIDEO, 1, 8, stride=2, first=0, last=1)  # pairs
    assert pooled.axes[1] == (Factor(8, "frames"),)
    assert pooled.fields == {"frames": Field(2, 0, 1), "height": Field(1, 0, 0)}
    convolved = along(pooled, 1, 8, stride=1, first=-1, last=1)  # 3 with padding: three pairs
    assert convolved.fields["frames"] == Field(2, -2, 3)
    assert convolved.fields["frames"].size == 6


def test_a_reversed_axis_has_a_negative_step():
    backwards = along(VIDEO, 1, 16, stride=-1, first=15, last=15)
    assert backwards.fields["frames"] == Field(-1, 15, 15)
    past = along(backwards, 1, 16, stride=1, first=-2, last=0)  # the past of reversed frames is the future
    assert past.fields["frames"] == Field(-1, 15, 17)
    assert along(past, 1, 16, stride=-1, first=15, last=15).fields["frames"] == Field(1, 0, 2)


def test_an_axis_without_a_name_changes_no_field():
    assert along(VIDEO, 3, 1, stride=3, first=0, last=2).fields == VIDEO.fields


def test_all_of_an_axis():
    causal = along(VIDEO, 1, 16, stride=1, first=-2, last=0)
    assert extent(causal, "frames") == Field(0, -2, 15)
    whole = see_all(causal, [1])
    assert whole.fields == {"frames": Field(0, -2, 15), "height": Field(1, 0, 0)}
    assert whole.axes[1] == (Factor(16),) and whole.axes[2] == (Factor(8, "height"),)
    assert see_all(VIDEO, [0, 3]) == VIDEO


def test_a_window_sees_all_of_a_merged_axis():
    merged = Value(((Factor(2), Factor(16, "frames")), (Factor(3),)), {"frames": Field(1, 0, 0)})  # B * T
    assert along(merged, 0, 31, stride=1, first=0, last=1).fields["frames"] == Field(0, 0, 15)


def test_a_join_sees_what_either_array_sees():
    before = along(VIDEO, 1, 16, stride=1, first=-3, last=-1)
    after = along(VIDEO, 1, 16, stride=1, first=2, last=2)
    assert join([before, None, after]).fields["frames"] == Field(1, -3, 2)
    assert join([None, VIDEO]) == VIDEO and join([None, None]) is None and join([]) is None


def test_a_join_of_arrays_with_different_steps_sees_everything():
    slow = along(VIDEO, 1, 16, stride=2, first=0, last=0)
    assert join([VIDEO, slow]).fields["frames"] == Field(0, 0, 30)  # theoretical: 2 * 15 is beyond the input
    square = input_value((2, 8, 8, 3), {1: "frames", 2: "height"})
    turned = Value((square.axes[0], square.axes[2], square.axes[1], square.axes[3]), square.fields)
    assert join([square, turned]).fields == {"frames": Field(0, 0, 7), "height": Field(0, 0, 7)}


def test_the_size_counts_both_ends():
    sizes = {Field(1, 0, 0): 1, Field(8, -54, 54): 109, Field(1, -math.inf, 0): math.inf}
    assert {field: field.size for field in sizes} == sizes
