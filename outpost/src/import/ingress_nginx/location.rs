//! Which requests a path of an Ingress is for: as nginx reads it, in Traefik's rules, and in the
//! patterns of Gatepost's rules.

use gatepost_policy::PublicPaths;
use regex::Regex;

use super::ingress::{HttpPath, Ingress, PathType};

/// A path of a host, with the Ingress that has it.
#[derive(Clone, Debug)]
pub(super) struct Location<'i> {
    pub(super) ingress: &'i Ingress,
    pub(super) path: &'i HttpPath,
    pub(super) reach: Reach,
    /// Which of the host's services is asked; `None` where the path is open.
    pub(super) gate: Option<usize>,
    /// The addresses that may ask; an empty list means all.
    pub(super) addresses: Vec<String>,
}

/// The requests of a location of nginx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// `location = "/a"`.
    Exact(String),
    /// `location = "/a"` and `location "/a/"`, as the controller writes a path of type `Prefix`.
    Element(String),
    /// `location "/a"`, which is for `/abc` too.
    Beginning(String),
    /// `location ~* "^/a"`, for every path of a host where one path is a regular expression.
    Regex(String),
}

impl Reach {
    pub(super) fn of(path: &HttpPath, host_has_regexes: bool) -> Self {
        let text = path.text().to_owned();
        match path.path_type {
            _ if host_has_regexes => Self::Regex(text),
            PathType::Exact => Self::Exact(text),
            PathType::Prefix if text != "/" => Self::Element(text),
            PathType::Prefix | PathType::ImplementationSpecific => Self::Beginning(text),
        }
    }

    /// Returns the order in which nginx chooses: the greatest is the first that is asked. Of regular
    /// expressions, the controller writes the longest first, which then is the first that matches.
    pub(super) fn rank(&self) -> (bool, usize, &str) {
        match self {
            Self::Exact(text) => (true, text.len(), text),
            Self::Element(text) => (false, text.len() + usize::from(!text.ends_with('/')), text),
            Self::Beginning(text) | Self::Regex(text) => (false, text.len(), text),
        }
    }

    /// Returns whether the path `/` may be one of it.
    pub(super) fn may_be_the_root(&self) -> bool {
        self.meets(&Self::Exact("/".to_owned()))
    }

    /// Returns whether some request may be for both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Regex(_), _) | (_, Self::Regex(_)) => true,
            (Self::Exact(own), Self::Exact(others)) => own == others,
            (Self::Exact(own), _) => other.has(own),
            (_, Self::Exact(others)) => self.has(others),
            _ => {
                let (own, others) = (self.beginning(), other.beginning());
                own.starts_with(&others) || others.starts_with(&own)
            }
        }
    }

    fn has(&self, path: &str) -> bool {
        let is_itself = matches!(self, Self::Element(text) if text == path);
        is_itself || path.starts_with(&self.beginning())
    }

    /// Returns what all of its paths begin with, but the path of an element itself.
    fn beginning(&self) -> String {
        match self {
            Self::Element(text) => format!("{}/", text.trim_end_matches('/')),
            Self::Exact(text) | Self::Beginning(text) | Self::Regex(text) => text.clone(),
        }
    }

    /// Returns Traefik's rule for it; `None` where it is every path.
    pub(super) fn rule(&self) -> Option<String> {
        match self {
            Self::Exact(text) => Some(format!("Path(`{text}`)")),
            Self::Element(text) => {
                let text = text.trim_end_matches('/');
                Some(format!("(Path(`{text}`) || PathPrefix(`{text}/`))"))
            }
            Self::Beginning(text) => Some(format!("PathPrefix(`{text}`)")),
            Self::Regex(text) => Some(format!("PathRegexp(`(?i)^{text}`)")),
        }
    }

    /// Returns the match of an HTTPRoute, and the priority that Traefik gives it.
    pub(super) fn path_match(&self) -> (&'static str, String, usize) {
        match self {
            Self::Exact(text) => ("Exact", text.clone(), 100_000),
            Self::Beginning(text) if text == "/" => ("PathPrefix", text.clone(), 1),
            Self::Element(text) => ("PathPrefix", text.clone(), 10_000 + text.len() * 100),
            Self::Beginning(text) => {
                let regex = format!("^{}", regex::escape(text));
                let priority = 10_000 + regex.len() * 100;
                ("RegularExpression", regex, priority)
            }
            Self::Regex(text) => {
                let regex = format!("(?i)^{text}");
                let priority = 10_000 + regex.len() * 100;
                ("RegularExpression", regex, priority)
            }
        }
    }

    /// Returns patterns of Gatepost's rules for it: not for less where it is protected, and not for
    /// more where it is open. `None` where there are no such patterns.
    pub(super) fn patterns(&self, is_open: bool) -> Option<Vec<String>> {
        let patterns = match self {
            Self::Exact(text) => vec![text.clone()],
            Self::Element(text) | Self::Beginning(text) if text.ends_with('/') => {
                vec![format!("{text}*")]
            }
            Self::Element(text) => vec![text.clone(), format!("{text}/*")],
            Self::Beginning(text) => vec![format!("{text}*"), format!("{text}*/*")],
            Self::Regex(text) => return plain(text, is_open)?.patterns(is_open),
        };
        let stars = |text: &str| text.contains('*');
        let has_own = matches!(self, Self::Exact(text) | Self::Element(text) | Self::Beginning(text) if stars(text));
        let is_valid = PublicPaths::parse(patterns.iter().map(String::as_str)).is_ok();
        (is_valid && !has_own).then_some(patterns)
    }
}

/// Returns what a regular expression is for, where it is a plain path with one of the usual ends.
fn plain(regex: &str, is_open: bool) -> Option<Reach> {
    let (rest, reach): (&str, fn(String) -> Reach) = if let Some(rest) = strip(
        regex,
        &["(/|$)(.*)", "(/|$).*", "(/|$)", "(/.*|$)", "($|/)(.*)"],
    ) {
        (rest, Reach::Element)
    } else if let Some(rest) = regex.strip_suffix('$') {
        (rest, Reach::Exact)
    } else {
        let rest = strip(regex, &["/?(.*)", "/?.*", "(/.*)?", "(.*)", ".*"]);
        // One character more than the beginning, for which a pattern has no word.
        let more = || strip(regex, &["(.+)", ".+"]).filter(|_| !is_open);
        (rest.or_else(more).unwrap_or(regex), Reach::Beginning)
    };
    let mut path = String::new();
    let mut characters = rest.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next()? {
                escaped @ ('.' | '-' | '/' | '_' | '+') => path.push(escaped),
                _ => return None,
            },
            // Any character: more than a pattern's.
            '.' if is_open => path.push('.'),
            c if c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '~') => path.push(c),
            _ => return None,
        }
    }
    if reach(String::new()) == Reach::Element(String::new()) {
        // `/(/|$)` is for `/` alone, and for what begins with `//`.
        return (path.len() > 1 && !path.ends_with('/')).then(|| reach(path));
    }
    path.starts_with('/').then(|| reach(path))
}

fn strip<'a>(text: &'a str, ends: &[&str]) -> Option<&'a str> {
    ends.iter().find_map(|end| text.strip_suffix(end))
}

/// Returns whether Traefik reads a regular expression, and as nginx does: without what RE2 lacks.
pub(super) fn is_readable(regex: &str) -> bool {
    // Written as in the rule, where it follows a flag and an anchor.
    if Regex::new(&format!("(?i)^{regex}")).is_err() {
        return false;
    }
    let mut characters = regex.chars().peekable();
    let mut after_quantifier = false;
    let mut in_class = false;
    while let Some(c) = characters.next() {
        let mut is_quantifier = false;
        match c {
            '\\' => {
                let known = |c: &char| c.is_ascii_punctuation() || "dDwWsSb".contains(*c);
                if !characters.next().is_some_and(|c| known(&c)) {
                    return false;
                }
            }
            '[' if in_class => return false,
            '[' => {
                in_class = true;
                if characters.peek() == Some(&'^') {
                    characters.next();
                }
            }
            ']' => in_class = false,
            '&' | '~' if in_class && characters.peek() == Some(&c) => return false,
            _ if in_class => {}
            '(' if characters.peek() == Some(&'?') => {
                characters.next();
                if characters.next() != Some(':') {
                    return false;
                }
            }
            '+' if after_quantifier => return false,
            '*' | '+' | '?' | '}' => is_quantifier = true,
            _ => {}
        }
        after_quantifier = is_quantifier;
    }
    true
}

/// Returns what a path becomes by `rewrite-target`: a regular expression and its replacement, as
/// Traefik reads them.
pub(super) fn rewrite(path: &str, target: &str) -> Option<(String, String)> {
    let mut replacement = String::new();
    let mut characters = target.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '$' => {
                let digit = characters.next().filter(char::is_ascii_digit)?;
                replacement.push_str(&format!("${{{digit}}}"));
            }
            c if c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~') => {
                replacement.push(c);
            }
            _ => return None,
        }
    }
    target
        .starts_with(['/', '$'])
        .then(|| (format!("(?i)^(?:{path}).*"), replacement))
}
