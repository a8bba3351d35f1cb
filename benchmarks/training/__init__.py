"""Samples per second of training: the loop of the usual PyTorch example against lossscape's."""
