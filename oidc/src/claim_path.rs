//! Where a claim is.

use std::fmt;

use serde_json::{Map, Value};

/// The path of a claim: the names of members, from the outermost.
///
/// Written with dots between the names, like `realm_access.roles`; `\.` is a dot of a name, as in
/// `resource_access.my\.client.roles`. A name that is a URL, as in `https://example.com/groups`, is
/// one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// Parses a path; `None` where a name is empty.
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains("://") {
            return Some(Self(vec![text.to_owned()]));
        }
        let mut names = vec![String::new()];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let name = names.last_mut()?;
            match c {
                '\\' => name.push(chars.next()?),
                '.' => names.push(String::new()),
                c => name.push(c),
            }
        }
        (!names.iter().any(String::is_empty)).then_some(Self(names))
    }

    /// Returns the path of a claim at the top.
    pub fn top(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// Returns whether it is the claim of this name at the top.
    pub(crate) fn is_top(&self, name: &str) -> bool {
        matches!(self.0.as_slice(), [only] if only == name)
    }

    /// Returns the name of a claim at the top; `None` for one inside another.
    pub(crate) fn top_name(&self) -> Option<&str> {
        match self.0.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Returns the value at the path; `None` if it is missing or null.
    pub(crate) fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let (first, rest) = self.0.split_first()?;
        let value = claims.get(first)?;
        rest.iter()
            .try_fold(value, |value, name| value.get(name))
            .filter(|value| !value.is_null())
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            if name.contains("://") {
                f.write_str(name)?;
            } else {
                f.write_str(&name.replace('\\', "\\\\").replace('.', "\\."))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_separate_names_unless_escaped_or_of_a_url() {
        for (text, names) in [
            ("groups", Some(&["groups"][..])),
            ("realm_access.roles", Some(&["realm_access", "roles"])),
            (
                r"resource_access.my\.client.roles",
                Some(&["resource_access", "my.client", "roles"]),
            ),
            (r"a\\b", Some(&[r"a\b"])),
            ("cognito:groups", Some(&["cognito:groups"])),
            (
                "https://x.example/groups",
                Some(&["https://x.example/groups"]),
            ),
            ("", None),
            ("a..b", None),
            (".a", None),
            ("a.", None),
            (r"a\", None),
        ] {
            let parsed = ClaimPath::parse(text);
            let expected = names.map(|names| names.iter().map(|n| (*n).to_owned()).collect());
            assert_eq!(parsed, expected.map(ClaimPath), "{text}");
            if let Some(path) = parsed {
                assert_eq!(path.to_string(), text);
            }
        }
    }
}
