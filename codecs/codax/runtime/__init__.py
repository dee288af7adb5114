"""What programs set up, the allocator, the compiler and cores; platforms that functions are traced for; progress."""
