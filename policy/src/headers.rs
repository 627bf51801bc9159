//! The request headers that carry the identity upstream.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use gatepost_scan::visible_without;
use gatepost_session::{Claims, StandardText, TextList};

use self::shapes::Shapes;
use self::spelling::same_folded;
use crate::decide::{Permit, Policy};
use crate::header_name::HeaderName;

mod by_name;
mod other_systems;
mod pattern;
mod shapes;
mod spelling;

/// Carries the plugin's verdict to the routers behind it. A client's is removed.
pub const VERDICT_HEADER: &str = "X-Gatepost-Verdict";

/// The value of [`VERDICT_HEADER`] for a request to the outpost itself, on which nothing is
/// decided.
pub const OUTPOST_VERDICT: &str = "outpost";

/// Carries the plugin's own rule to the outpost, where the outpost decides in its place: see
/// [`Require::to_text`](crate::Require::to_text). A client's is removed.
pub const RULE_HEADER: &str = "X-Gatepost-Require";

/// Carries the word by which the plugin vouches for [`RULE_HEADER`] to the user's session: see
/// [`Demand::vouched_text`](crate::Demand::vouched_text). A client's is removed, and no client can make one.
pub const RULE_PROOF_HEADER: &str = "X-Gatepost-Require-Proof";

/// The claim of a session that has the assertion for its application. The outpost alone makes it: a
/// provider's claim of this name is never read.
pub const ASSERTION_CLAIM: &str = "gatepost_assertion";

/// Separates the groups in one header value.
const GROUP_SEPARATOR: u8 = b'|';

/// Separates them in the header of oauth2-proxy.
const COMMA: u8 = b',';

/// Returns how the names of whole families begin that no client may send, in lower case, for a proxy that
/// removes headers by the beginning of their names.
pub fn owned_prefixes() -> impl Iterator<Item = &'static str> {
    other_systems::PREFIXES.into_iter()
}

/// Returns regular expressions of the names that only proxies say, in spellings in which none does, for a
/// pattern that begins with a name and does not tell letters' case.
pub fn alias_patterns() -> impl Iterator<Item = &'static str> {
    other_systems::PROXIES_ALIASES.into_iter()
}

/// A set of headers that some family of applications already reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// `X-Auth-Username`, `X-Auth-Groups`, `X-Forwarded-Email`, `X-Forwarded-Preferred-Username`,
    /// `X-Forwarded-User` and `X-Forwarded-Groups`.
    #[default]
    Gatepost,
    /// The `X-authentik-*` headers.
    Authentik,
    /// Only the headers that are set one by one.
    None,
}

/// Where a header's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// A standard claim that is one text.
    Standard(StandardText),
    /// Another claim that is one text.
    Claim(Box<str>),
    /// The groups, with this ASCII character between them.
    Groups(u8),
    /// The same for every user.
    Constant(Box<str>),
    /// No value: clients may not send the header, and Gatepost does not set it.
    Nothing,
}

impl Source {
    fn claim(name: &str) -> Self {
        if name == "groups" {
            return Self::Groups(GROUP_SEPARATOR);
        }
        match StandardText::named(name) {
            Some(claim) => Self::Standard(claim),
            None => Self::Claim(name.into()),
        }
    }

    fn constant(text: &str) -> Self {
        if fits_header(text) {
            Self::Constant(text.into())
        } else {
            Self::Nothing
        }
    }

    fn value<'v>(&'v self, claims: &'v Claims) -> Option<Cow<'v, str>> {
        match self {
            Self::Standard(claim) => fitting(claims.standard_text(*claim)),
            Self::Claim(name) => fitting(claims.ext.get(name)),
            Self::Constant(value) => Some(Cow::Borrowed(&**value)),
            Self::Groups(separator) => joined(&claims.groups, *separator).map(Cow::Owned),
            Self::Nothing => None,
        }
    }
}

/// Returns a value that fits a header.
fn fitting(value: Option<&str>) -> Option<Cow<'_, str>> {
    value.filter(|value| fits_header(value)).map(Cow::Borrowed)
}

/// Returns the groups as one text with the separator between them, or `None` without any.
///
/// A group whose name holds the separator would read as two, so it is left out: that can only take
/// rights away.
fn joined(groups: &TextList, separator: u8) -> Option<String> {
    let joined = if groups.is_visible_without(separator) {
        groups.join(separator)
    } else {
        let fitting = groups.iter().filter(|group| fits_without(group, separator));
        fitting.collect::<TextList>().join(separator)
    };
    (!joined.is_empty()).then_some(joined)
}

/// Returns whether a value reaches every upstream as it is: no control characters or line
/// separators, no blanks at the ends for a parser to drop, not empty. Other text goes out as UTF-8.
fn fits_header(value: &str) -> bool {
    // No value with a NUL fits anyway.
    fits_without(value, b'\0')
}

/// Returns whether a value fits a header and does not have this ASCII character.
fn fits_without(value: &str, unwanted: u8) -> bool {
    // Nearly all values are of this kind, which needs no look at characters.
    let visible = visible_without(value.as_bytes(), unwanted);
    !value.is_empty() && (visible || fits_with_any_character(value, unwanted))
}

fn fits_with_any_character(value: &str, unwanted: u8) -> bool {
    let separates = |c| matches!(c, '\u{2028}' | '\u{2029}') || c == char::from(unwanted);
    value.trim() == value && !value.chars().any(|c| c.is_control() || separates(c))
}

/// What an operator decides about identity headers.
#[derive(Clone, Debug, Default)]
pub struct HeaderSettings {
    /// A set of headers that some family of applications already reads.
    pub preset: Preset,
    /// The application's name, for the presets that send it.
    pub application: String,
    /// Further headers, each with the claim that it carries. They replace those of the preset.
    pub claims: Vec<(HeaderName, String)>,
    /// Further headers with the same text for every user. They replace those above. A text that
    /// would not reach every upstream as it is leaves the header without a value.
    pub constants: Vec<(HeaderName, String)>,
    /// Headers that another system sets before this one, or that the application takes from its
    /// clients: they pass unchanged, unless these settings set them.
    pub pass_through: Vec<HeaderName>,
    /// The header in which clients send API keys. No application gets it.
    pub api_key: Option<HeaderName>,
}

impl HeaderSettings {
    /// Returns a preset for the application of that name, and nothing else.
    pub fn of(preset: Preset, application: &str) -> Self {
        Self {
            preset,
            application: application.into(),
            ..Self::default()
        }
    }

    fn into_entries(self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut put = |name, source| {
            entries.retain(|entry| entry.name != name);
            entries.push(Entry { name, source });
        };
        for (name, value) in preset_entries(self.preset) {
            if let Ok(name) = HeaderName::new(name) {
                put(name, value.source(&self.application));
            }
        }
        for (name, claim) in self.claims {
            put(name, Source::claim(&claim));
        }
        for (name, text) in self.constants {
            put(name, Source::constant(&text));
        }
        entries
    }
}

/// The request headers that are Gatepost's, and their values.
///
/// A header that these rules may set is theirs even where there is no value for it: a client's
/// header of that name never reaches the upstream. Nor does a header by which other systems of this
/// kind name the user or the path ([`other_systems`]), since the application may have been set up for
/// one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRules {
    entries: Vec<Entry>,
    /// Whether no client may say another method than that of its request.
    guards_methods: bool,
    /// Names of other systems that pass unchanged all the same.
    pass_through: Vec<HeaderName>,
    /// The header that carries credentials for the outpost.
    api_key: Option<HeaderName>,
    shapes: Shapes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: HeaderName,
    source: Source,
}

impl HeaderRules {
    /// Makes the rules of these settings.
    pub fn new(mut settings: HeaderSettings) -> Self {
        let pass_through = core::mem::take(&mut settings.pass_through);
        let api_key = settings.api_key.take();
        let entries = settings.into_entries();
        let names = entries.iter().map(|entry| entry.name.as_str());
        let names = names.chain(api_key.iter().map(HeaderName::as_str));
        let shapes = names.fold(other_systems::SHAPES, Shapes::and);
        Self {
            entries,
            guards_methods: false,
            pass_through,
            api_key,
            shapes,
        }
    }

    /// Returns these rules for an application with this policy: where it asks for methods (or another
    /// decider's may, which is not known), no client
    /// says another one to the application than the one that was decided on.
    #[must_use]
    pub fn guarding(mut self, policy: &Policy, others_may_ask: bool) -> Self {
        self.guards_methods = others_may_ask || policy.asks_for_methods();
        self
    }

    /// Reserves further headers: no client's reaches the application, and these rules set none. For
    /// values that only the outpost has.
    #[must_use]
    pub fn reserving(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        for name in names {
            if !self.sets(name.as_str().as_bytes()) {
                self.shapes = self.shapes.and(name.as_str());
                let source = Source::Nothing;
                self.entries.push(Entry { name, source });
            }
        }
        self
    }

    /// Returns whether a client may not send a header of this name, in whatever spelling: it is one
    /// of these rules', one of Gatepost's own such as [`VERDICT_HEADER`], or one by which another
    /// system names the user, the path or, where that counts, the method.
    ///
    /// Upstreams that hand headers on as environment variables (RFC 3875 §4.1.18) read every
    /// character but letters and digits as `_`, so `X_Auth.Username` arrives as `X-Auth-Username`.
    /// Names are therefore compared without case and with all such characters alike. Those that only
    /// proxies say (`X-Forwarded-Prefix`) are a client's in every spelling but the proxies' own.
    pub fn owns(&self, name: &[u8]) -> bool {
        let own = self.shapes.may_be(name)
            && (self.sets(name)
                || self.spells_api_key(name)
                || other_systems::is_name(name, self.guards_methods));
        ((own || other_systems::has_prefix(name)) && !self.passes(name))
            || other_systems::is_alias_of_proxies(name)
    }

    fn spells_api_key(&self, name: &[u8]) -> bool {
        let own = self.api_key.as_ref();
        own.is_some_and(|own| same_folded(name, own.as_str()))
    }

    /// Returns whether this is the header in which a client sends an API key, in its own spelling: the
    /// only one that goes on to the outpost. [`Self::owns`] has it in every spelling, since no
    /// application gets it.
    pub fn carries_api_key(&self, name: &[u8]) -> bool {
        let own = self.api_key.as_ref();
        own.is_some_and(|own| own.as_str().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Returns the header in which clients send API keys.
    pub fn api_key(&self) -> Option<&HeaderName> {
        self.api_key.as_ref()
    }

    /// Returns whether a header of this name passes unchanged though another system means something by
    /// it: in the spelling of `headers.keep` alone, which the proxy in front overwrites. That proxy
    /// leaves a client's `Remote.User` beside its own `Remote-User`.
    fn passes(&self, name: &[u8]) -> bool {
        let mut names = self.pass_through.iter();
        let passes = names.any(|own| name.eq_ignore_ascii_case(own.as_str().as_bytes()));
        passes && !self.sets(name) && !self.spells_api_key(name)
    }

    /// Returns whether these rules may set the header of this name.
    pub fn sets(&self, name: &[u8]) -> bool {
        let mut names = self.names();
        names.any(|own| same_folded(name, own.as_str()))
    }

    /// Returns the usual names by which other systems name the user, the path or the method, for a
    /// proxy that cannot ask [`Self::owns`] and has to remove them: without those that these rules set
    /// or pass through. And the header that carries API keys.
    pub fn withheld(&self) -> impl Iterator<Item = &str> {
        let others = other_systems::USUAL.into_iter();
        let own = self.api_key.iter().map(HeaderName::as_str);
        others
            .chain(other_systems::METHOD_OVERRIDES)
            .filter(|name| self.owns(name.as_bytes()) && !self.sets(name.as_bytes()))
            .filter(|name| !self.spells_api_key(name.as_bytes()))
            .chain(own)
    }

    /// Returns all known names of headers that a proxy has to remove which takes no pattern and removes
    /// none of a client by itself: [`Self::owned_by_name`], and what only proxies say.
    pub fn removed_by_name(&self) -> impl Iterator<Item = String> {
        let forwarded = by_name::FORWARDED.map(String::from).into_iter();
        let forwarded = forwarded.filter(|name| !self.passes(name.as_bytes()));
        self.each_once(self.owned_names().chain(forwarded))
    }

    /// Returns the known names of [`Self::owns`] that these rules do not set, for Traefik, whose entry
    /// points remove what only proxies say: [`Self::withheld`], and the members of whole families.
    pub fn owned_by_name(&self) -> impl Iterator<Item = String> {
        self.each_once(self.owned_names())
    }

    fn owned_names(&self) -> impl Iterator<Item = String> {
        let canonical =
            |name: &str| HeaderName::new(name).map_or_else(|_| name.to_string(), String::from);
        let others = other_systems::names(self.guards_methods).map(canonical);
        let others = others.chain(by_name::MEMBERS.map(String::from));
        let others = others.filter(|name| self.owns(name.as_bytes()));
        self.withheld().map(String::from).chain(others)
    }

    /// Returns each name once, without those that these rules set.
    fn each_once(&self, names: impl Iterator<Item = String>) -> impl Iterator<Item = String> {
        let mut all: Vec<String> = Vec::new();
        for name in names {
            let is_new = !all.iter().any(|own| own.eq_ignore_ascii_case(&name));
            let is_api_key = self.carries_api_key(name.as_bytes());
            let is_spelled = !is_api_key && self.spells_api_key(name.as_bytes());
            if is_new && !self.sets(name.as_bytes()) && !is_spelled {
                all.push(name);
            }
        }
        all.into_iter()
    }

    /// Returns the names of the headers that may be set, in a stable order.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.entries.iter().map(|entry| &entry.name)
    }

    /// Returns the claims of a provider that the rules read, for the outpost, which fills a session
    /// with them: without [`ASSERTION_CLAIM`].
    pub fn claims(&self) -> impl Iterator<Item = &str> {
        let named = self.entries.iter().filter_map(|entry| match &entry.source {
            Source::Standard(claim) => Some(claim.name()),
            Source::Claim(name) => Some(&**name),
            _ => None,
        });
        named.filter(|claim| *claim != ASSERTION_CLAIM)
    }

    /// Returns the headers to set on a request that may pass; none when it passes without an
    /// identity.
    pub fn render<'r>(
        &'r self,
        permit: &Permit<'r>,
    ) -> impl Iterator<Item = (&'r HeaderName, Cow<'r, str>)> {
        let identity = permit.identity();
        self.entries.iter().filter_map(move |entry| {
            identity.and_then(|claims| Some((&entry.name, entry.source.value(claims)?)))
        })
    }

    /// Returns a `Connection` value without the names of Gatepost's headers, in whatever spelling;
    /// `None` when it names none of them.
    ///
    /// A proxy deletes what is named there (RFC 9110 §7.6.1), so a client could have the identity
    /// dropped behind the plugin.
    pub fn cleaned_connection(&self, value: &[u8]) -> Option<Vec<u8>> {
        let options = || value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        if !options().any(|option| self.owns(option)) {
            return None;
        }
        let kept: Vec<&[u8]> = options().filter(|option| !self.owns(option)).collect();
        Some(kept.join(&b", "[..]))
    }
}

/// The value of a preset's header.
#[derive(Clone, Copy)]
enum PresetValue {
    Claim(&'static str),
    Groups(u8),
    Constant(&'static str),
    Application,
    Nothing,
}

impl PresetValue {
    fn source(self, application: &str) -> Source {
        match self {
            Self::Claim(name) => Source::claim(name),
            Self::Groups(separator) => Source::Groups(separator),
            Self::Constant(text) => Source::Constant(text.into()),
            Self::Application => Source::Constant(application.into()),
            Self::Nothing => Source::Nothing,
        }
    }
}

fn preset_entries(preset: Preset) -> &'static [(&'static str, PresetValue)] {
    use PresetValue::{Application, Claim, Constant, Groups, Nothing};
    match preset {
        Preset::Gatepost => &[
            ("X-Auth-Username", Claim("preferred_username")),
            ("X-Auth-Groups", Groups(GROUP_SEPARATOR)),
            ("X-Forwarded-Email", Claim("email")),
            (
                "X-Forwarded-Preferred-Username",
                Claim("preferred_username"),
            ),
            ("X-Forwarded-User", Claim("sub")),
            ("X-Forwarded-Groups", Groups(COMMA)),
        ],
        Preset::Authentik => &[
            ("X-Authentik-Username", Claim("preferred_username")),
            ("X-Authentik-Groups", Groups(GROUP_SEPARATOR)),
            ("X-Authentik-Entitlements", Claim("entitlements")),
            ("X-Authentik-Email", Claim("email")),
            ("X-Authentik-Name", Claim("name")),
            ("X-Authentik-Uid", Claim("sub")),
            ("X-Authentik-Jwt", Nothing),
            ("X-Authentik-Meta-Jwks", Nothing),
            ("X-Authentik-Meta-Outpost", Constant("gatepost")),
            ("X-Authentik-Meta-Provider", Nothing),
            ("X-Authentik-Meta-App", Application),
            (
                "X-Authentik-Meta-Version",
                Constant(concat!("gatepost/", env!("CARGO_PKG_VERSION"))),
            ),
        ],
        Preset::None => &[],
    }
}

#[cfg(test)]
mod tests;
