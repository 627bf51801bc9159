//! plugin.
fn main() {}
