"""What an operator sees of an app: metrics, and a page that plots them. Not in the wheel for tabs."""

from .observer import Observer

__all__ = ["Observer"]
