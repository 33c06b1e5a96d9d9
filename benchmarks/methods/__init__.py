"""Every allocator, method and step alone, on one network."""
