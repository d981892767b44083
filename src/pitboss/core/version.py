"""The version of the program, for everything below the package's own face."""

VERSION = "0.1.0"
