//! The host in figures: load, memory, CPUs, addresses.
