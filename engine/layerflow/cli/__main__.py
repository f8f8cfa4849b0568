"""`python -m layerflow.cli`, for those who know which Python has the engine."""

from layerflow.cli import main

main()
