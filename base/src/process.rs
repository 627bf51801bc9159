//! The process itself.

/// Returns the number of the user who runs this process, where users have numbers.
#[cfg(unix)]
pub fn own_user() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

/// Returns the name of a user for a message: by the system's own file, and where that has none, the number
/// with a `#`, as `sudo -u` takes it.
pub fn user_name(user: u32) -> String {
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut lines = known.lines().map(|line| line.split(':'));
    let name = lines.find_map(|mut fields| {
        let name = fields.next()?;
        let number: u32 = fields.nth(1)?.parse().ok()?;
        (number == user).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("#{user}"))
}

/// Returns `None`: users of this system have no numbers.
#[cfg(not(unix))]
pub fn own_user() -> Option<u32> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_by_the_name_or_the_number() {
        assert_eq!(user_name(0), "root");
        assert_eq!(user_name(4_123_456), "#4123456");
    }
}
