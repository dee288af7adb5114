"""Language model of codes: predicts the next frame from those before it, for entropy coding."""
