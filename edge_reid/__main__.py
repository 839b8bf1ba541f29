"""`python -m edge_reid` is `edge-reid`."""

from edge_reid.cli.main import main

if __name__ == "__main__":
    main()
