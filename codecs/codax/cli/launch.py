"""Entry point of the `codax` command. It imports nothing else first, because the process may restart."""

from codax.runtime.allocator import use_huge_pages
from codax.runtime.program import program


def main() -> None:
    """Sets up the process and runs the command line."""
    use_huge_pages()
    with program():
        from codax.cli.main import main as run

        run()


if __name__ == "__main__":
    main()
