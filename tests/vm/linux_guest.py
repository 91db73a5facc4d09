"""A Linux so small that it boots in seconds: the kernel and busybox of the virtual machine's own root.

Packed by hand into an archive in the kernel's format "newc", which is all its root file system.
"""

import gzip
import lzma
import re
import subprocess
from pathlib import Path

from rescue_cd import write_cd

# A disk to write to, and the power button.
DISK_AND_BUTTON = ["ata_piix", "sd_mod", "evdev", "button"]


def write_linux(root, init, iso, modules=DISK_AND_BUTTON):
    """Makes a CD that boots the kernel found in `root`, with these modules and the script `init` as first process."""
    kernel = next(Path(root, "boot").glob("vmlinuz-*"))
    words = "quiet mitigations=off console=tty0"
    packed = gzip.compress(archive(root, kernel.name.removeprefix("vmlinuz-"), init, modules), 1)
    write_cd(iso, [("linux", kernel.read_bytes(), words), ("initrd", packed, "")], root)


def archive(root, release, init, modules):
    entries = [entry(folder, 0o40755) for folder in ("bin", "dev", "proc", "sys", "modules")]
    for path in ["/bin/busybox", *libraries(root, "/bin/busybox")]:
        entries += [entry(str(folder), 0o40755) for folder in list(Path(path[1:]).parents)[-2::-1]]
        entries.append(entry(path[1:], 0o100755, Path(root, path[1:]).read_bytes()))
    for index, path in enumerate(loading_order(root, release, modules)):
        data = Path(root, path[1:]).read_bytes()
        entries.append(entry(f"modules/{index:02}.ko", 0o100644, lzma.decompress(data) if path.endswith(".xz") else data))
    entries.append(entry("init", 0o100755, Path(init).read_bytes()))
    entries.append(entry("TRAILER!!!", 0))
    return b"".join(entries)


def entry(name, mode, data=b""):
    """One file or folder of the archive."""
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return padded(head) + padded(data)


def padded(data):
    return data + bytes(-len(data) % 4)


def libraries(root, program):
    said = subprocess.run(["chroot", root, "ldd", program], text=True, capture_output=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", said)


def loading_order(root, release, modules):
    """The modules after what they need; what is built into the kernel is left out."""
    paths = []
    for name in modules:
        words = ["chroot", root, "/usr/sbin/modprobe", "-S", release, "--show-depends", "--ignore-install", name]
        said = subprocess.run(words, text=True, capture_output=True)
        assert said.returncode == 0, said.stderr
        paths += [line.split()[1] for line in said.stdout.splitlines() if line.startswith("insmod")]
    return list(dict.fromkeys(paths))
