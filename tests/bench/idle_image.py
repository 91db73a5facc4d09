"""A disk image whose guest says one line and halts, so that what is measured is not the guest."""

import struct

MIB = 1 << 20


def image(text="idle"):
    """One MiB: a boot sector and nothing else."""
    return sector(text.encode("ascii")).ljust(MIB, b"\0")


def sector(text):
    """512 bytes for a PC's BIOS, which puts them at 0x7c00 and jumps there."""
    code = bytearray(b"\x31\xc0\x8e\xd8\x8e\xd0\xbc\x00\x7c\xfc")  # xor ax,ax; mov ds,ax; mov ss,ax; mov sp,7c00h; cld
    code += b"\xea" + struct.pack("<HH", 0x7C00 + len(code) + 5, 0)  # jmp 0:here
    code += b"\xbe" + struct.pack("<H", 0x7C00 + len(code) + 3 + len(LOOP))  # mov si,text
    code += LOOP + text + b"\0"
    return bytes(code).ljust(510, b"\0") + b"\x55\xaa"


LOOP = (
    b"\xac\x84\xc0\x74\x06"  # next: lodsb; test al,al; jz halt
    b"\xb4\x0e\xcd\x10\xeb\xf5"  # mov ah,0eh; int 10h (BX is the BIOS's page 0); jmp next
    b"\xfb\xf4\xeb\xfd"  # halt: sti; hlt; jmp hlt
)
