//! The ways in which proxies ask, and which of them are in use.

/// How a proxy asks, and which responses it understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Traefik's `forwardAuth`: `X-Forwarded-{Method,Proto,Host,Uri}`; any response but 2xx reaches
    /// the browser unchanged.
    Traefik,
    /// Caddy's `forward_auth`: like Traefik, but headers that the response lacks stay as the
    /// client sent them.
    Caddy,
    /// Envoy's `ext_authz` over HTTP: the request itself with the endpoint's path in front.
    Envoy,
    /// nginx's `auth_request`: `X-Original-URL` and `X-Original-Method`; understands 2xx,
    /// 401 and 403, and fails at the rest.
    Nginx,
}

impl Dialect {
    pub(crate) const ALL: [Self; 4] = [Self::Traefik, Self::Caddy, Self::Envoy, Self::Nginx];

    /// Returns the dialect of a proxy by the word for it in the configuration.
    pub fn of_word(word: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|dialect| dialect.word() == Some(word))
    }

    /// Returns the word for its proxy in the configuration.
    fn word(self) -> Option<&'static str> {
        self.name().strip_prefix("auth/")
    }

    /// Returns the name of its endpoint in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Traefik => "auth/traefik",
            Self::Caddy => "auth/caddy",
            Self::Envoy => "auth/envoy",
            Self::Nginx => "auth/nginx",
        }
    }
}

/// The dialects of the proxies that ask, as far as the operator names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Askers {
    named: Option<Vec<Dialect>>,
}

impl Askers {
    /// Returns the dialects that an operator names.
    pub fn named(dialects: Vec<Dialect>) -> Self {
        Self {
            named: Some(dialects),
        }
    }

    /// Returns the operator's words for those that are named, if any are, with commas between.
    pub(crate) fn words(&self) -> Option<String> {
        let named = self.named.as_ref()?.iter();
        let words: Vec<&str> = named.filter_map(|own| own.word()).collect();
        Some(words.join(", "))
    }

    /// Returns whether questions in this dialect are answered: in each, where none is named.
    pub(crate) fn include(&self, dialect: Dialect) -> bool {
        self.named
            .as_ref()
            .is_none_or(|named| named.contains(&dialect))
    }

    /// Returns whether the operator names this dialect.
    pub(crate) fn name(&self, dialect: Dialect) -> bool {
        self.named.is_some() && self.include(dialect)
    }
}
