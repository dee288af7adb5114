"""Models of other projects: reading them into codax's folders, and writing folders that they read."""
