"""Changes to the cut network: one step per file."""
