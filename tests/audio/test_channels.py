"""Maps of channels: by hand, exact both ways, and equal channels in any group."""

import numpy as np
import pytest
from codax.audio.channels import MODES, ChannelMap, channel_map, equal_channels, still_equal
from codax.errors import CodaxError
from signals import noise


def test_modes_by_hand():
    stereo = np.float32([[1.0, 0.5], [-0.25, 0.75]])
    mid_side, mix = channel_map("mid-side", 2, 1, [stereo]), channel_map("mix", 2, 1, [stereo])
    np.testing.assert_array_equal(mid_side.forward(stereo), [[0.75, 0.25], [0.25, -0.5]])
    np.testing.assert_array_equal(mid_side.backward(mid_side.forward(stereo)), stereo)
    np.testing.assert_array_equal(mix.forward(stereo), [[0.75], [0.25]])
    assert (mid_side.streams, mid_side.restored, mix.streams, mix.restored) == (2, 2, 1, 1)
    assert mix.forward(stereo).dtype == mid_side.forward(stereo).dtype == np.float32
    largest = np.full((1, 2), np.finfo(np.float32).max)
    assert np.isfinite(mix.forward(largest)).all() and np.isfinite(mid_side.forward(largest)).all()
    for mode in MODES:
        assert channel_map(mode, 1, 1, [stereo[:, :1]]) == ChannelMap(1)
    assert channel_map("mid-side", 2, 1, [stereo[:, [0, 0]]]) == ChannelMap(2, shared=(0, 0))


@pytest.mark.parametrize(
    ("columns", "group", "shared", "kept"),
    [
        ("aa", 1, (0, 0), "a"),
        ("ab", 1, (), "ab"),
        ("abacb", 1, (0, 1, 0, 2, 1), "abc"),
        ("aa", 2, (), "aa"),
        ("abab", 2, (0, 0, 0, 0), "ab"),
        ("abba", 2, (), "abba"),
        ("aab", 2, (), "aab"),
        ("aaa", 2, (0, 0, 0), "aa"),  # the last channel fills an incomplete group
        ("aaaab", 2, (0, 0, 0, 0, 1), "aab"),
    ],
)
def test_equal_channels_are_kept_once(columns, group, shared, kept):
    signals = dict(zip("abc", noise(3, 50), strict=True))
    audio = np.stack([signals[name] for name in columns], axis=1)
    mapped = channel_map("each", len(columns), group, [audio[:20], audio[20:]])
    assert mapped == ChannelMap(len(columns), group, shared=shared)
    assert mapped.coded == len(kept) and mapped.streams == -(-len(kept) // group)
    expected = np.stack([signals[name] for name in kept], axis=1)
    np.testing.assert_array_equal(mapped.forward(audio[None])[0], expected)
    np.testing.assert_array_equal(mapped.backward(mapped.forward(audio)), audio)


def test_equality_is_that_of_every_bit_and_needs_every_block():
    audio = np.repeat(noise(30, 1), 3, axis=1)
    assert equal_channels([audio[:10], audio[10:]], 3) == [0, 0, 0]
    last = audio.copy()
    last[-1, 1] += np.float32(1e-7)
    assert equal_channels([audio, last], 3) == [0, 1, 0]
    assert still_equal([0, 1, 0], audio) == [0, 1, 0]
    assert equal_channels([np.float32([[0.0, -0.0]])], 2) == [0, 1]

    def blocks():
        yield noise(5, 2)
        raise AssertionError("channels that differ need no further block")

    assert equal_channels(blocks(), 2) == [0, 1]
    assert channel_map("each", 2, 1) == ChannelMap(2)  # without samples no channels count as equal


@pytest.mark.parametrize(
    ("mapped", "expected"),
    [
        (ChannelMap(1), ""),
        (ChannelMap(2, 2), ""),
        (ChannelMap(2), "2 channels x 6 kbps = 12 kbps"),
        (ChannelMap(3, 2), "3 channels in 2 streams: 2 x 6 kbps = 12 kbps"),
        (ChannelMap(2, shared=(0, 0)), "equal channels, coded once: 6 kbps"),
        (ChannelMap(3, shared=(0, 1, 0)), "equal channels, coded once: 2 x 6 kbps = 12 kbps"),
        (ChannelMap(2, mixed=True), "2 channels, mixed to one: 6 kbps"),
        (ChannelMap(2, mid_side=True), "mid and side: 2 x 6 kbps = 12 kbps"),
    ],
)
def test_the_sum_of_the_rates(mapped, expected):
    assert mapped.rates(6.0) == expected


@pytest.mark.parametrize(
    ("mode", "channels", "group", "reason"),
    [
        ("left", 2, 1, "channels: 'left' is not one of each, mix, mid-side"),
        ("mid-side", 2, 2, "channels: mid-side needs a model of one channel; this one codes 2 together"),
        ("mid-side", 6, 1, "in.wav: 6 channels cannot be coded as mid and side, which are of two"),
    ],
)
def test_impossible_modes(mode, channels, group, reason):
    with pytest.raises(CodaxError, match=reason):
        channel_map(mode, channels, group, name="in.wav")
