"""Models for use without codax: programs as ONNX graphs and as StableHLO."""
