"""DAC's encoder and decoder (arXiv 2306.06546, section 3.1): SoundStream's network with Snake and a tanh at the end.

The released models have weight normalisation and are not causal: `DACConfig` has the fields.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp

from codax.nets import soundstream
from codax.nets.snake import Snake

# Snake adds to the variance of every residual unit: at PyTorch's third of the usual variance the decoder starts near
# silence, at the usual variance it starts saturated, where tanh has no gradient.
DAC = soundstream.Variant(activation=lambda name: Snake(name=name), short=True, finish=jnp.tanh, initial_variance=1 / 3)
Encoder = functools.partial(soundstream.Encoder, variant=DAC)
make_decoder = functools.partial(soundstream.make_decoder, variant=DAC)
facts = soundstream.facts
