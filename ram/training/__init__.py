"""Training: Chainer's Trainer and what a run needs around it."""
