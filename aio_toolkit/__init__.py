"""aio_toolkit: recipes and parts for the All-In-One (AIO) audio transformer."""

__version__ = "0.1.0"
