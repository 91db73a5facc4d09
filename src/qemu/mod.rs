//! QEMU: its argument list as a function of values, and its monitor protocol.
