"""What files and entries of archives may be: they are untrusted."""

__all__ = ["MAX_FILE_BYTES", "leads_outside"]

# 256 MiB: ten times the largest photograph; one file of this size fits any machine's memory
MAX_FILE_BYTES = 2**28


def leads_outside(name: str) -> bool:
    """Whether a path would leave the folder that an archive is unpacked into.

    Example:
        >>> leads_outside("a/b.png"), leads_outside("../b.png"), leads_outside("C:/b.png")
        (False, True, True)
    """
    steps = name.replace("\\", "/").split("/")
    return ".." in steps or steps[0] == "" or steps[0][1:2] == ":"
