//! Who can sign in at the demo provider.

use std::fs;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::layout;

/// A user that the demo provider knows. `testdata/provider/config.example.json` says the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// Name at sign-in; also the `preferred_username` claim.
    pub login: &'static str,
    /// Password at sign-in.
    pub password: &'static str,
}

/// In the groups `staff` and `admins`.
pub const ALICE: User = User {
    login: "alice",
    password: "wonderland",
};

/// Only in the group `staff`.
pub const BOB: User = User {
    login: "bob",
    password: "builder",
};

/// Returns the provider's configuration, which contains the users.
pub(crate) fn example_config() -> Result<Value> {
    let path = layout::root().join("testdata/provider/config.example.json");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_knows_the_users() {
        let config = example_config().unwrap();
        for user in [ALICE, BOB] {
            let known = &config["users"][user.login];
            assert_eq!(known["password"], user.password, "{}", user.login);
        }
    }
}
