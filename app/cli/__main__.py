"""`python -m app.cli`: the command where it isn't installed as a program."""

from app.cli import main

main()
