"""A CD that boots at once into something: GRUB's own rescue CD with another menu.

The menu file is replaced by one that fits into the same sector, and the files to boot lie behind all
that was there, found by their sectors instead of by a file system.
"""

from pathlib import Path

RESCUE = "usr/lib/grub-rescue/grub-rescue-cdrom.iso"
MENU = b"#\n# Sample GRUB configuration file"
SECTOR = 2048
# GRUB reads ahead, not always to the end of the CD.
GAP = 1 << 18


def write_cd(iso, files, root="/"):
    """`files`: GRUB's command, the content, further words. The first line of the menu boots the first."""
    cd = even(Path(root, RESCUE).read_bytes())
    start = cd.index(MENU)
    end = cd.index(b"\0", start)
    lines, place, contents = [], len(cd), b""
    for command, content, words in files:
        content = even(content)
        # GRUB counts in blocks of 512 bytes.
        lines.append(f"{command} ($root){place // 512}+{len(content) // 512} {words}\n")
        place += len(content)
        contents += content
    menu = "".join([*lines, "boot\n"]).encode()
    assert len(menu) <= end - start, "the menu does not fit"
    Path(iso).write_bytes(cd[:start] + menu.ljust(end - start, b"\n") + cd[end:] + contents + bytes(GAP))


def even(data):
    return data + bytes(-len(data) % SECTOR)
