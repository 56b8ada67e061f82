"""A short play against a running server: what is remembered, found and forgotten.

`await play("http://127.0.0.1:8000", console=terminal())`
"""

from app.demo.play import play
from app.demo.show import terminal

__all__ = ["play", "terminal"]
