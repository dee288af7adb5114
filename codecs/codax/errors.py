"""The one exception that means "your input is wrong", caught at the top of every command and shown as one line."""


class CodaxError(Exception):
    """Bad input or environment. The message names the file or field and the reason; it is meant for the user."""


class ConfigError(CodaxError):
    """A configuration that cannot be built or trained; the message names the field."""
