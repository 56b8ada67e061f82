"""A new index in an old one's place while the service goes on: the same as `remembr-server reindex`.

    python scripts/reindex.py [INDEX] [--model NAME] [--rollback | --finish | --status]

Settings are the service's environment variables. See docs/reindex.md.
"""

from app.cli import app

if __name__ == "__main__":
    import sys

    app(args=["reindex", *sys.argv[1:]], prog_name="reindex.py")
