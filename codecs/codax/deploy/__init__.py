"""Export of codecs for use without codax, as ONNX graphs and as StableHLO programs."""
