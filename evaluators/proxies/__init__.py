"""Cheap stand-ins for a full fine-tune: each says how good a pruned network would become."""
