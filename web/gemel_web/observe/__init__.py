"""What an operator sees of an app: metrics, and traces for OpenTelemetry. Not in the wheel for tabs."""

from .observer import Observer

__all__ = ["Observer"]
