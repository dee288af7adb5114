"""Where the `codax` command begins: before anything else is imported, as the program may start again."""

from codax.runtime.allocator import use_huge_pages
from codax.runtime.program import program


def main() -> None:
    """Sets the process up, and runs the command line."""
    use_huge_pages()
    with program():
        from codax.cli.main import main as run

        run()


if __name__ == "__main__":
    main()
