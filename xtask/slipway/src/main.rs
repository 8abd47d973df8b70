//! The stand-alone binary.
fn main() {}
