"""`python -m codax`: the command line."""

from codax.cli.launch import main

if __name__ == "__main__":
    main()
