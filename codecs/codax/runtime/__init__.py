"""Process settings of programs (allocator, compilation, cores), the traced platform, and progress."""
