"""`python -m allmlp`: the command line without an installed script."""

from allmlp.cli import main

main()
