"""How many channels of each group stay: one allocator per file."""
