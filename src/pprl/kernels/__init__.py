"""Compiled loops: arrays in, an output array filled, nothing else.

Every kernel is serial and releases the GIL, so that the caller decides about
threads; none has an eager signature, because Arrow hands over read-only
buffers. Nothing here imports another part of pprl.
"""
