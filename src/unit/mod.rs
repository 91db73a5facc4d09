//! The properties of a session's unit, as a function of values.
