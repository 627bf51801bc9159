//! The process itself.

/// Returns the number of the user who runs this process, where users have numbers.
#[cfg(unix)]
pub fn own_user() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

/// Returns `None`: users of this system have no numbers.
#[cfg(not(unix))]
pub fn own_user() -> Option<u32> {
    None
}
