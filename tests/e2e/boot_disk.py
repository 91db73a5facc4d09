"""The smallest machine that boots: one sector, which turns the screen blue, writes to the first disk and says so.

As a disk, and as a CD (El Torito, no emulation), whose guest writes to the disk beside it.
"""

import struct

MARK = b"written by the guest"
SIZE = 4 << 20
# Where on the disk it writes, in sectors: far from what is there already.
PLACE = 4096
LOADED = 0x7C00
CD_SECTOR = 2048


def boot_sector():
    """16-bit code that runs at 0x7C00, with whatever the firmware left in the registers."""
    text = MARK + b", and kept\r\n\0"
    code = bytes.fromhex(
        "31c0 8ed8 8ec0 8ed0 bc007c fc"      # segments, stack
        "b80300 cd10"                        # text mode
        "b401 b90020 cd10"                   # no cursor
        "b80006 b71f 31c9 ba4f18 cd10"       # white on blue
        "be0000 b80043 b280 cd13"            # write a sector: its packet's address comes in below
        "7211"                               # not written: nothing is said
        "be0000"                             # the text's address
        "ac 84c0 7409 b40e bb1f00 cd10 ebf2" # say it
        "f4 ebfd"                            # for ever
    )
    packet = struct.pack("<BBHHHQ", 16, 0, 1, LOADED, 0, PLACE)
    packet_at, text_at = LOADED + len(code), LOADED + len(code) + len(packet)
    first = code.index(b"\xbe\0\0")
    second = code.index(b"\xbe\0\0", first + 1)
    code = bytearray(code)
    code[first + 1:first + 3] = struct.pack("<H", packet_at)
    code[second + 1:second + 3] = struct.pack("<H", text_at)
    sector = bytes(code) + packet + text
    return sector.ljust(510, b"\0") + b"\x55\xaa"


def flood():
    """A boot sector that writes all over the first disk, for ever."""
    packet_at = LOADED + 0x100
    code = bytes.fromhex("31c0 8ed8 8ec0 8ed0 bc007c fc") + b"\xbe" + struct.pack("<H", packet_at) + bytes.fromhex("b80043 b280 cd13")
    # The next 64 KiB.
    code += b"\x81\x06" + struct.pack("<HH", packet_at + 8, 128) + b"\x83\x16" + struct.pack("<HB", packet_at + 10, 0)
    code += b"\xeb" + struct.pack("b", -(len(code) - 10))
    packet = struct.pack("<BBHHHQ", 16, 0, 127, LOADED, 0, PLACE)
    return (code.ljust(0x100, b"\0") + packet).ljust(510, b"\0") + b"\x55\xaa"


def disk():
    return boot_sector().ljust(SIZE, b"\0")


def cd():
    both = lambda number: struct.pack("<I", number) + struct.pack(">I", number)
    volume = bytearray(b"\x01CD001\x01".ljust(CD_SECTOR, b"\0"))
    volume[80:88] = both(64)
    volume[128:132] = struct.pack("<H", CD_SECTOR) + struct.pack(">H", CD_SECTOR)
    record = b"\0CD001\x01EL TORITO SPECIFICATION".ljust(71, b"\0") + struct.pack("<I", 19)
    # The validation entry's words add up to zero.
    validation = struct.pack("<BBH24sHBB", 1, 0, 0, b"", 0x55AA, 0x55, 0xAA)
    validation = struct.pack("<BBH24sHBB", 1, 0, 0, b"", -sum(struct.unpack("<16H", validation)) + 0x55AA & 0xFFFF, 0x55, 0xAA)
    catalog = validation + struct.pack("<BBHBBHI", 0x88, 0, 0, 0, 0, 4, 20)
    sectors = {16: bytes(volume), 17: record, 18: b"\xffCD001\x01", 19: catalog, 20: boot_sector()}
    return b"".join(sectors.get(n, b"").ljust(CD_SECTOR, b"\0") for n in range(64))
