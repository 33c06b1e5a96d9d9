"""Which channels stay: one method per file."""
