//! Skip-path expressions, as authentik has them: paths that need no session.
//!
//! They are an operator's regular expressions in Go's syntax, which `re2` translates, matched by an
//! engine that takes linear time. They never match a path that servers read in different ways, nor
//! because of the query; and the policy, which decides on what they match as on any public path,
//! judges the path once more.

use gatepost_policy::{Request, unambiguous_path};
use regex::{RegexSet, RegexSetBuilder};

use crate::origin::{ExternalUrl, HostPort};

mod re2;

/// The most memory that the compiled expressions of one application may take, in bytes.
const MAX_COMPILED_BYTES: usize = 4 << 20;

/// The part of a URL that the expressions are matched against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchedPart {
    /// The path.
    #[default]
    Path,
    /// The whole address with its query, as authentik has it for a whole domain, and the same
    /// without its query and with its path decoded: an expression has to match both.
    Url,
}

/// The expressions of an application.
#[derive(Clone, Debug, Default)]
pub struct SkipPaths {
    expressions: RegexSet,
    matched: MatchedPart,
}

impl SkipPaths {
    /// Reads expressions, one a line. Those that cannot be used are left out and named in
    /// `problems`.
    pub fn parse(lines: &str, matched: MatchedPart, problems: &mut Vec<String>) -> Self {
        let mut good: Vec<String> = Vec::new();
        // A line is the expression as it stands, as in authentik. There, an empty line matches
        // everything, which no operator wants.
        let lines = lines.split('\n').map(|line| line.trim_end_matches('\r'));
        for line in lines.filter(|line| !line.trim().is_empty()) {
            let usable = re2::translate(line).map_err(|refused| refused.to_string());
            let usable = usable.and_then(|translated| match regex::Regex::new(&translated) {
                Ok(_) => Ok(translated),
                Err(_) => Err("it is too large".to_owned()),
            });
            match usable {
                Ok(translated) => good.push(translated),
                Err(reason) => problems.push(format!(
                    "skip_path_regex: `{line}` is no regular expression that can be used, so it \
                     lets nothing through: {reason}"
                )),
            }
        }
        let expressions = RegexSetBuilder::new(&good)
            .size_limit(MAX_COMPILED_BYTES)
            .build()
            .unwrap_or_else(|_| {
                problems.push("skip_path_regex: too large, so it lets nothing through".to_owned());
                RegexSet::empty()
            });
        Self {
            expressions,
            matched,
        }
    }

    /// Returns whether there is no expression.
    pub fn is_empty(&self) -> bool {
        self.expressions.is_empty()
    }

    /// Returns whether an expression matches a request's path. A path that servers read in
    /// different ways never matches.
    pub fn match_path_of(
        &self,
        external: &ExternalUrl,
        host: &HostPort,
        request: &impl Request,
    ) -> bool {
        if self.is_empty() {
            return false;
        }
        let Some(path) = unambiguous_path(&request.target()) else {
            return false;
        };
        match self.matched {
            MatchedPart::Path => self.expressions.is_match(&path),
            MatchedPart::Url => {
                let origin = format!("{}://{host}", external.url().scheme());
                let target = request.target();
                let Ok(target) = std::str::from_utf8(&target) else {
                    return false;
                };
                // The first is what authentik matches. Without the second, a client could open any
                // path by a query that looks like a public one.
                let sent = self.expressions.matches(&format!("{origin}{target}"));
                let path = self.expressions.matches(&format!("{origin}{path}"));
                sent.iter().any(|expression| path.matched(expression))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use gatepost_policy::ClientAddress;

    use super::*;

    struct Get(&'static str);

    impl Request for Get {
        fn method(&self) -> Cow<'_, [u8]> {
            b"GET".into()
        }

        fn target(&self) -> Cow<'_, [u8]> {
            self.0.as_bytes().into()
        }

        fn header(&self, _: &str) -> Option<Cow<'_, [u8]>> {
            None
        }

        fn client_address(&self) -> Option<ClientAddress> {
            None
        }
    }

    fn matches(lines: &str, matched: MatchedPart, target: &'static str) -> bool {
        let mut problems = Vec::new();
        let skip = SkipPaths::parse(lines, matched, &mut problems);
        let external = ExternalUrl::parse("https://auth.example.com").expect("a URL");
        let host = HostPort::parse("app.example.com").expect("a host");
        skip.match_path_of(&external, &host, &Get(target))
    }

    #[test]
    fn expressions_match_a_clear_path_and_nothing_else() {
        for (case, lines, target, expected) in [
            ("none", "", "/", false),
            ("anchored", "^/api/public$", "/api/public", true),
            ("anchored", "^/api/public$", "/api/public/x", false),
            ("unanchored, as in authentik", "/api/", "/v1/api/x", true),
            ("the second line", "^/a$\r\n\r\n \r\n^/b$\r\n", "/b", true),
            ("a space is a character", "^/a\n ^/b", "/b", false),
            ("Go's literal braces", "^/x{y}/", "/x{y}/", true),
            ("Go's ASCII digits", r"^/\d$", "/%D9%A3", false),
            ("an invalid line", "(\n^/b$", "/b", true),
            (
                "never the query",
                "/status$",
                "/private?path=/status",
                false,
            ),
            ("never the query", ".*x=1.*", "/private?x=1", false),
            ("decoded", "^/a b$", "/a%20b", true),
            ("a dot segment", ".*", "/public/../admin", false),
            ("an encoded one", "^/public/", "/public/%2e%2e/admin", false),
            ("an encoded slash", "^/public/", "/public/..%2fadmin", false),
            ("path parameters", "^/public/", "/public/..;/admin", false),
            ("an unknown target", ".*", "", false),
            (
                "no backtracking",
                "^(a+)+$",
                "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
                false,
            ),
        ] {
            assert_eq!(
                matches(lines, MatchedPart::Path, target),
                expected,
                "{case}: {target}"
            );
        }
    }

    #[test]
    fn for_a_domain_expressions_match_the_whole_address() {
        for (lines, target, expected) in [
            (r"^https://app\.example\.com/public", "/public/x", true),
            (r"^https://other\.example\.com/public", "/public/x", false),
            (r"/public", "/public", true),
            (r"/health$", "/health", true),
            (r"/health$", "/health?x=1", false),
            (r"/health(\?.*)?$", "/health?x=1", true),
            (r"/public", "/private?x=/public", false),
            (r"/a b$", "/a%20b", false),
            (r"^https://app\.example\.com/[^a]", "/%61dmin", false),
            (r"^https://app\.example\.com/[^a]", "/beta", true),
            // One expression for the address, another for its path, are not one for both.
            ("\\?x=/public$\n/private$", "/private?x=/public", false),
            (r"^/public", "/public", false),
            (r"\?x", "/public?x", false),
        ] {
            assert_eq!(
                matches(lines, MatchedPart::Url, target),
                expected,
                "{lines} {target}"
            );
        }
    }

    #[test]
    fn a_line_that_cannot_be_used_is_named() {
        let mut problems = Vec::new();
        SkipPaths::parse(
            "^/ok\n(unclosed\n(?=look)",
            MatchedPart::Path,
            &mut problems,
        );
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("`(unclosed`"), "{problems:?}");
    }
}
