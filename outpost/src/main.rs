//! outpost.
fn main() {}
