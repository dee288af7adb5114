"""codax: neural audio codecs in JAX."""

__version__ = "0.1.0"
__all__ = ["Codec", "Tokens", "load"]


def __getattr__(name: str):
    # Loaded on first use, so that `codax visqol` and the data tools start without importing JAX.
    if name in __all__:
        from codax.codec import codec, loading

        return getattr(loading if name == "load" else codec, name)
    raise AttributeError(f"module 'codax' has no attribute {name!r}")
