//! Skip-path expressions, as authentik has them: paths that need no session.
//!
//! They are an operator's regular expressions, matched by an engine that takes linear time. They
//! never match a path that servers read in different ways, nor the query; and the policy, which
//! treats a matching path as any public path, checks the path once more.

use gatepost_policy::{Request, unambiguous_path};
use regex::{RegexSet, RegexSetBuilder};

use crate::origin::{ExternalUrl, HostPort};

/// The most memory that the compiled expressions of one application may take, in bytes.
const MAX_COMPILED_BYTES: usize = 4 << 20;

/// The part of a URL that the expressions are matched against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchedPart {
    /// The path.
    #[default]
    Path,
    /// Scheme, host and path, as authentik has it for a whole domain.
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
        let mut good: Vec<&str> = Vec::new();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match regex::Regex::new(line) {
                Ok(_) => good.push(line),
                Err(_) => problems.push(format!(
                    "skip_path_regex: `{line}` is no regular expression that can be used, so it \
                     lets nothing through"
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

    /// Returns whether an expression matches a request's path. A path that servers read in different
    /// ways never matches.
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
                let scheme = external.url().scheme();
                let text = format!("{scheme}://{host}{path}");
                self.expressions.is_match(&text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

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
            ("the second line", "^/a$\n\n ^/b$ ", "/b", true),
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
