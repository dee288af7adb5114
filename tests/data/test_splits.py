"""Fixed hashes decide what is held out."""

from __future__ import annotations

from codax.data import splits


def test_the_hash_is_fixed_for_ever():
    # A change of these numbers would move test material into the training of published models.
    assert splits.unit_hash("en-hello") == 0.7357913625042702
    assert splits.unit_hash("en-hello", seed=1) != splits.unit_hash("en-hello")


def test_fractions_are_met():
    actual = [splits.split_of(str(i), validation=0.05, test=0.1) for i in range(20_000)]
    assert abs(actual.count("test") - 2000) < 150 and abs(actual.count("validation") - 1000) < 120


def test_small_sources_get_one_of_each():
    for count in range(2, 30):
        for seed in range(5):
            kinds = splits.hold_out([f"file{i}" for i in range(count)], fraction=0.02, seed=seed)
            assert {"train", "validation"} == set(kinds)
    assert splits.hold_out(["only"], fraction=0.9) == ["train"]
    assert set(splits.hold_out([str(i) for i in range(50)], fraction=0.0)) == {"train"}


def test_more_files_do_not_move_the_others():
    names = [f"file{i}" for i in range(200)]
    few = dict(zip(names[:100], splits.hold_out(names[:100], fraction=0.1), strict=True))
    many = dict(zip(names, splits.hold_out(names, fraction=0.1), strict=True))
    assert all(many[name] == kind for name, kind in few.items())
