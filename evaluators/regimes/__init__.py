"""What happens to the dense network inside the training loop before an ordinary method reads it."""
