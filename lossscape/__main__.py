"""`python -m lossscape`, as torchrun starts it."""

from lossscape.cli import main

main()
