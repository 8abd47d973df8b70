//! This repository's verbs.
fn main() {}
