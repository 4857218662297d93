from vidjax.evaluation.fold_results import fold_places


def test_folds_are_in_the_order_of_their_numbers(tmp_path):
    names = ["seed_0/fold_2", "seed_0/fold_10", "seed_2/fold_0", "seed_10/fold_0"]
    for name in reversed(names):
        (tmp_path / name).mkdir(parents=True)
    assert fold_places(tmp_path) == [tmp_path / name for name in names]
    assert fold_places(tmp_path / names[0]) == []
