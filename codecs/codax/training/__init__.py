"""Training: state, step, mapping over devices, loop, checkpoints and logging."""
