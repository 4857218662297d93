"""Collectives between the devices of a mesh, counted in the text of a compiled program."""

import collections
import math
import re
from typing import NamedTuple

KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?[\w.-]+ = (?P<type>\(.*?\)|\S+) (?P<kind>[a-z-]+)\((?P<rest>.*)$")
CALLED = re.compile(r"(?:body|to_apply|calls|true_computation|false_computation)=%?([\w.-]+)")
BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
TIMES = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
ARRAY = re.compile(r"\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]")


class Traffic(NamedTuple):
    """The traffic of one kind of collective in a program.

    Attributes:
        count: number of executions.
        bytes: total size of the results on each device.
    """

    count: int
    bytes: int


def of_program(text: str) -> dict[str, Traffic]:
    """Counts the collectives of a compiled program by kind.

    A collective in a loop counts once per iteration, or once if the compiler does not know the number of iterations.
    Every branch of a conditional counts once.

    Args:
        text: HLO, from `jax.stages.Compiled.as_text`.
    """
    computations, entry = _computations(text)
    found = collections.defaultdict(lambda: Traffic(0, 0))

    def visit(name: str, times: int):
        for line in computations.get(name, ()):
            match = INSTRUCTION.match(line)
            if not match:
                continue
            kind = match["kind"].removesuffix("-start")
            if kind in KINDS:
                arrays = ARRAY.findall(match["type"])
                if kind != match["kind"] and kind != "all-reduce":
                    # Asynchronous collectives return operands, then results, then handles
                    arrays = [array for array in arrays if array[::2] != ("u32", "")]
                    arrays = arrays[len(arrays) // 2 :]
                before = found[kind]
                found[kind] = Traffic(before.count + times, before.bytes + times * sum(map(_bytes, arrays)))
                continue
            turns = TIMES.search(match["rest"]) if kind == "while" else None
            branches = BRANCHES.search(match["rest"])
            for called in [*CALLED.findall(match["rest"]), *re.findall(r"[\w.-]+", branches[1] if branches else "")]:
                visit(called, times * (int(turns[1]) if turns else 1))

    visit(entry, 1)
    return {kind: found[kind] for kind in KINDS if kind in found}


def _computations(text: str) -> tuple[dict[str, list[str]], str]:
    """Returns the lines of each computation by name, and the name of the entry computation."""
    computations, entry, lines = {}, "", []
    for line in text.splitlines():
        if match := re.match(r"^(ENTRY )?%?([\w.-]+) .*\{$", line):
            lines = computations[match[2]] = []
            entry = match[2] if match[1] else entry
        else:
            lines.append(line)
    return computations, entry


def _bytes(array: tuple[str, str, str]) -> int:
    kind, bits, shape = array
    itemsize = 1 if kind == "pred" else int(bits) / 8
    return int(itemsize * math.prod(int(n) for n in shape.split(",") if n))
