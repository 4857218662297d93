from vidjax import bench


def test_figures_of_rounds(capsys):
    assert bench.summary([3.0, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "runs": 3}
    compared = bench.compare(theirs=[2.0, 8.0, 6.0], ours=[1.0, 2.0, 4.0])
    assert compared == {"median": 3.0, "min": 1.5, "max": 4.0, "runs": 3}
    bench.show({"b / a": compared, "frames": 9}, "ms")
    shown, counted = capsys.readouterr().out.splitlines()
    assert shown.split() == ["b", "/", "a", "3.00", "x", "[1.50,", "4.00]", "in", "3", "runs"]
    assert counted.split() == ["frames", "9"]


def test_contestants_alternate_and_the_first_round_does_not_count():
    calls = []
    times = bench.alternate({name: lambda name=name: calls.append(name) for name in "ab"}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}
