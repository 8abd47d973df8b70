//! links: short links for a company.
fn main() {}
