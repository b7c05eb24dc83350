"""`python -m iglue_plugins` is `iglue`."""

from iglue_plugins.cli import main

if __name__ == "__main__":
    main()
