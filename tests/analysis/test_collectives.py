from vidjax.analysis.collectives import Traffic, of_program

PROGRAM = """\
HloModule jit_step, is_scheduled=true, num_partitions=8

%add (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  %y = f32[] parameter(1)
  ROOT %sum = f32[] add(%x, %y)
}

%body (carry: (s32[], f32[4,8])) -> (s32[], f32[4,8]) {
  %carry = (s32[], f32[4,8]{1,0}) parameter(0)
  %part = f32[4,8]{1,0} get-tuple-element(%carry), index=1
  %reduced = f32[4,8]{1,0} all-reduce(%part), channel_id=2, replica_groups=[1,8]<=[8], to_apply=%add
  ROOT %next = (s32[], f32[4,8]{1,0}) tuple(%carry, %reduced)
}

%condition (carry: (s32[], f32[4,8])) -> pred[] {
  ROOT %less = pred[] constant(false)
}

%left (l: f32[8,16]) -> f32[8,16] {
  ROOT %moved = f32[8,16]{1,0} all-to-all(%l), channel_id=6, dimensions={0}
}

%right (r: f32[8,16]) -> f32[8,16] {
  ROOT %same = f32[8,16]{1,0} parameter(0)
}

ENTRY %main (a: f32[8,16], b: bf16[3]) -> f32[8,16] {
  %a = f32[8,16]{1,0} parameter(0)
  %b = bf16[3]{0} parameter(1)
  %two = (f32[8,16]{1,0}, bf16[3]{0}) all-reduce(%a, %b), channel_id=1, to_apply=%add
  %loop = (s32[], f32[4,8]{1,0}) while(%start), condition=%condition, body=%body, backend_config={"known_trip_count":{"n":"4"}}
  %whole = f32[64,16]{1,0} all-gather(%a), channel_id=3, dimensions={0}
  %begun = (f32[8,16]{1,0}, f32[64,16]{1,0}) all-gather-start(%a), channel_id=4, dimensions={0}
  %ended = f32[64,16]{1,0} all-gather-done(%begun)
  %sent = (f32[8,16]{1,0}, f32[8,16]{1,0}, u32[], u32[]) collective-permute-start(%a), channel_id=5
  %got = f32[8,16]{1,0} conditional(%which, %a, %a), branch_computations={%left, %right}
  ROOT %out = f32[8,16]{1,0} copy(%a)
}
"""  # noqa: E501


def test_collectives_are_counted_once_per_iteration_of_a_loop():
    assert of_program(PROGRAM) == {
        "all-reduce": Traffic(1 + 4, 4 * 8 * 16 + 2 * 3 + 4 * (4 * 4 * 8)),
        "all-gather": Traffic(2, 2 * 4 * 64 * 16),
        "all-to-all": Traffic(1, 4 * 8 * 16),
        "collective-permute": Traffic(1, 4 * 8 * 16),
    }


def test_a_program_for_one_device_has_none():
    assert of_program("ENTRY %main () -> f32[] {\n  ROOT %one = f32[] constant(1)\n}\n") == {}
