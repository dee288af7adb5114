"""The language model of codes: predicts each frame from the previous ones, for entropy coding."""
