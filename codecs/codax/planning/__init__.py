"""Plans a training run for devices that are not present: compiles its step for them and reports what it needs."""
