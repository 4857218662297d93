from vidjax.bench import device_profile
from vidjax.bench.models import Case


def test_the_largest_operations_of_a_step():
    result = device_profile.bench_profile(Case("small_cnn", {"width": 0.25}, "2x32x32"), "float32", 2)
    assert result["ms"] > 0 and 0 < len(result["kinds"]) <= device_profile.SHOWN
    shares = list(result["largest"].values())
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1.01
