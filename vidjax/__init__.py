"""Every classic way to classify a video, in JAX and Flax, on equal footing."""

__version__ = "0.1.0"
