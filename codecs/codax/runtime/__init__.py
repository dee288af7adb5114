"""What programs set up: the allocator, platforms, the compilation cache, cores and progress."""
