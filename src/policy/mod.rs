//! Decisions: who may start what, and what is due. Pure; the clock is an argument.
