"""The web console at /console: pages that use the REST API from a browser, and need nothing from elsewhere.

The server only hands out the files of `static/`; what they show they read by the API, as the person who signed in.
"""

from app.console.pages import CONSOLE, Page

__all__ = ["CONSOLE", "Page"]
