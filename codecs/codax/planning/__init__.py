"""What a training run will need on devices that are not there: its step compiled for them, and the result read."""
