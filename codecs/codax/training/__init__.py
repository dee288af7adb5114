"""Training: state, step, parallelism, loop, checkpoints and logging."""
