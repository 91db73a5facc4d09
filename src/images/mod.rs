//! Machine images: what they are, how they are fetched and examined.
