"""The trainers: their settings, what a training step sees, their objectives, and the training loop."""
