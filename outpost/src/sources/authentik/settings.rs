//! The environment of an outpost of authentik's.

use std::net::SocketAddr;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::config::{Config, ConfigError};
use crate::trusted_proxies::TrustedProxies;
pub use error::SettingsError;
use error::kept;
use gatepost_base::Secret;

mod error;
mod unknown;

/// The peers whose forwarded headers authentik's outposts trust by default: those on this machine
/// or in a private network, as containers are to each other.
const TRUSTED: &[&str] = &[
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "fe80::/10",
    "::1/128",
];

/// The values of `AUTHENTIK_*`, and of `GATEPOST_*` besides.
#[derive(Clone, Debug)]
pub struct Settings {
    host: Url,
    browser_host: Option<Url>,
    token: Secret,
    bearer: HeaderValue,
    insecure: bool,
    http: Vec<SocketAddr>,
    https: Vec<SocketAddr>,
    metrics: Vec<SocketAddr>,
    trusted: Vec<String>,
    log_level: &'static str,
    redis: Option<RedisSettings>,
    gatepost: Vec<(String, String)>,
    unknown: Vec<String>,
}

const HOST: &str = "AUTHENTIK_HOST";
const BROWSER_HOST: &str = "AUTHENTIK_HOST_BROWSER";
const TOKEN: &str = "AUTHENTIK_TOKEN";
const PROXIES: &str = "AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS";

impl Settings {
    /// Reads the environment; `None` where it does not speak of authentik.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] for each variable that is wrong.
    pub fn read(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Option<Self>, SettingsError> {
        let environment = Environment(variables.into_iter().collect());
        let (host, token) = match (environment.get(HOST)?, environment.get(TOKEN)?) {
            (Some(host), Some(token)) => (host, token),
            (None, None) => return Ok(None),
            (Some(_), None) => {
                return Err(SettingsError::Missing {
                    missing: TOKEN,
                    given: HOST,
                });
            }
            (None, Some(_)) => {
                return Err(SettingsError::Missing {
                    missing: HOST,
                    given: TOKEN,
                });
            }
        };
        let browser_host = environment.get(BROWSER_HOST)?;
        let proxies = environment.get(PROXIES)?;
        let mut wrong = Vec::new();
        Self::checked(environment, &host, token, browser_host, proxies, &mut wrong)
            .map(Some)
            .ok_or(SettingsError::Several(wrong))
    }

    /// Checks the values; `None` where one is wrong.
    fn checked(
        environment: Environment,
        host: &str,
        token: String,
        browser_host: Option<String>,
        proxies: Option<String>,
        wrong: &mut Vec<SettingsError>,
    ) -> Option<Self> {
        let trusted = kept(trusted(proxies.as_deref()), wrong);
        let host = kept(base_url(HOST, host), wrong);
        let browser_host = browser_host.map(|url| base_url(BROWSER_HOST, &url));
        let browser_host = kept(browser_host.transpose(), wrong);
        let bearer = kept(bearer(&token), wrong);
        let insecure = kept(environment.flag("AUTHENTIK_INSECURE"), wrong);
        let mut listen = |name, port| kept(environment.addresses(name, port), wrong);
        let http = listen("AUTHENTIK_LISTEN__HTTP", 9000);
        let https = listen("AUTHENTIK_LISTEN__HTTPS", 9443);
        let metrics = listen("AUTHENTIK_LISTEN__METRICS", 9300);
        let redis = kept(RedisSettings::read(&environment), wrong);
        let log_level = kept(environment.get("AUTHENTIK_LOG_LEVEL"), wrong);
        Some(Self {
            host: host?,
            browser_host: browser_host?,
            bearer: bearer?,
            token: Secret::new(token),
            insecure: insecure?,
            http: http?,
            https: https?,
            metrics: metrics?,
            trusted: trusted?,
            redis: redis?,
            log_level: match log_level?.as_deref() {
                Some("trace" | "debug") => "debug",
                Some("warning" | "warn") => "warn",
                Some("error" | "fatal" | "panic") => "error",
                _ => "info",
            },
            unknown: unknown::unknown(&environment.0),
            gatepost: environment
                .0
                .into_iter()
                .filter(|(name, _)| crate::config::environment::is_read(name))
                .collect(),
        })
    }

    /// authentik's address, with a slash at its end.
    pub fn host(&self) -> &Url {
        &self.host
    }

    /// authentik's address as browsers know it, where that is another.
    pub fn browser_host(&self) -> Option<&Url> {
        self.browser_host.as_ref()
    }

    /// Returns whether the outpost accepts any certificate of authentik's.
    pub fn insecure(&self) -> bool {
        self.insecure
    }

    /// Returns a line for each variable that is nearly authentik's, and sets nothing.
    pub(super) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Returns the token as `Authorization` carries it.
    pub(super) fn bearer(&self) -> HeaderValue {
        self.bearer.clone()
    }

    /// Returns the configuration without authentik's applications. `GATEPOST_*` variables win over
    /// `AUTHENTIK_*` ones.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn base_config(&self) -> Result<Config, ConfigError> {
        let mut text = json!({
            "listen": {
                "http": self.http,
                "https": self.https,
                "metrics": self.metrics,
            },
            "log": {"level": self.log_level},
            "keys": [self.own_key()],
            "trustedProxies": self.trusted,
            // authentik sets how long a session lasts, and the outpost does not ask about it
            // meanwhile.
            "session": {"idle": "720h", "lifetime": "24h", "refreshAfter": "720h"},
        });
        // A container without a volume has no place for a file. A user who loses a session here is
        // signed in again by authentik, without noticing.
        let names_store = |(name, _): &(String, String)| name.starts_with("GATEPOST_STORE_");
        if let Some(text) = text.as_object_mut()
            && !self.gatepost.iter().any(names_store)
        {
            let store = match &self.redis {
                Some(redis) => redis.store(),
                None => json!({"kind": "memory"}),
            };
            text.insert("store".to_owned(), store);
        }
        let variables = self.gatepost.iter().cloned();
        Config::parse_without_applications(&text.to_string(), variables)
    }

    /// Returns the key of the outpost's own data: flows, and data at rest. All replicas have the
    /// same token, and a holder of the token can get the other keys from authentik anyway.
    fn own_key(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"gatepost authentik v1");
        hash.update(self.token.expose().as_bytes());
        format!("authentik:{}", STANDARD.encode(hash.finalize()))
    }
}

/// A Redis that authentik's own variables name, as its embedded outposts used it.
#[derive(Clone, Debug)]
struct RedisSettings {
    url: Secret,
    authorities: Option<String>,
}

impl RedisSettings {
    /// Reads the variables; `None` where they name no Redis.
    fn read(environment: &Environment) -> Result<Option<Self>, SettingsError> {
        let Some(host) = environment.get("AUTHENTIK_REDIS__HOST")? else {
            return Ok(None);
        };
        let wrong = |variable, accepted| Err(SettingsError::Wrong { variable, accepted });
        let tls = environment.flag("AUTHENTIK_REDIS__TLS")?;
        let required = "AUTHENTIK_REDIS__TLS_REQS";
        let lenient = environment.get(required)?.map(|text| text.to_lowercase());
        if tls && matches!(lenient.as_deref(), Some("none" | "false" | "optional")) {
            return wrong(
                required,
                "`required`: the outpost checks the certificate of Redis, by \
                 AUTHENTIK_REDIS__TLS_CA_CERT where that is set",
            );
        }
        let port = environment.get("AUTHENTIK_REDIS__PORT")?;
        let port = port.unwrap_or_else(|| "6379".to_owned());
        let database = environment.get("AUTHENTIK_REDIS__DB")?.unwrap_or_default();
        let user = environment.get("AUTHENTIK_REDIS__USERNAME")?;
        let password = environment.get("AUTHENTIK_REDIS__PASSWORD")?;
        let mut login =
            utf8_percent_encode(&user.unwrap_or_default(), NON_ALPHANUMERIC).to_string();
        if let Some(password) = password {
            login.push(':');
            login.extend(utf8_percent_encode(&password, NON_ALPHANUMERIC));
        }
        if !login.is_empty() {
            login.push('@');
        }
        let scheme = if tls { "rediss" } else { "redis" };
        let url = format!("{scheme}://{login}{host}:{port}/{database}");
        if gatepost_store::RedisUrl::parse(&url).is_err() {
            return wrong(
                "AUTHENTIK_REDIS__HOST",
                "a host name, with a number in AUTHENTIK_REDIS__PORT and AUTHENTIK_REDIS__DB",
            );
        }
        Ok(Some(Self {
            url: Secret::new(url),
            authorities: environment
                .get("AUTHENTIK_REDIS__TLS_CA_CERT")?
                .filter(|_| tls),
        }))
    }

    /// Returns the section `store` of a configuration.
    fn store(&self) -> Value {
        let mut store = json!({"kind": "redis", "url": self.url.expose()});
        if let (Some(store), Some(path)) = (store.as_object_mut(), &self.authorities) {
            store.insert("caFile".to_owned(), json!(path));
        }
        store
    }
}

struct Environment(Vec<(String, String)>);

impl Environment {
    /// Returns the value of a variable. `file://PATH` means the content of that file,
    /// `env://NAME?default` the value of that variable. An empty value counts as absent.
    fn get(&self, variable: &'static str) -> Result<Option<String>, SettingsError> {
        debug_assert!(unknown::is_known(variable), "{variable} sets something");
        let Some(text) = self.plain(variable) else {
            return Ok(None);
        };
        let value = if let Some(path) = text.strip_prefix("file://") {
            let text =
                std::fs::read_to_string(path).map_err(|error| SettingsError::Unreadable {
                    variable,
                    path: PathBuf::from(path),
                    reason: error.to_string(),
                })?;
            text.trim().to_owned()
        } else if let Some(reference) = text.strip_prefix("env://") {
            let (name, default) = reference.split_once('?').unwrap_or((reference, ""));
            self.plain(name).unwrap_or(default).to_owned()
        } else {
            text.to_owned()
        };
        Ok(Some(value).filter(|value| !value.is_empty()))
    }

    fn plain(&self, name: &str) -> Option<&str> {
        let (_, text) = self.0.iter().find(|(own, _)| own == name)?;
        Some(text.trim()).filter(|text| !text.is_empty())
    }

    fn flag(&self, variable: &'static str) -> Result<bool, SettingsError> {
        match self
            .get(variable)?
            .map(|text| text.to_lowercase())
            .as_deref()
        {
            None | Some("false" | "0" | "no") => Ok(false),
            Some("true" | "1" | "yes") => Ok(true),
            Some(_) => Err(SettingsError::Wrong {
                variable,
                accepted: "`true` or `false`",
            }),
        }
    }

    /// Returns the addresses to listen on, with commas between. `:9000` means every interface.
    fn addresses(
        &self,
        variable: &'static str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, SettingsError> {
        let Some(text) = self.get(variable)? else {
            return Ok(vec![SocketAddr::from(([0, 0, 0, 0], port))]);
        };
        let address = |text: &str| match text.strip_prefix(':') {
            Some(port) => format!("0.0.0.0:{port}").parse(),
            None => text.parse(),
        };
        let entries = text.split(',').map(str::trim);
        let addresses = entries.filter(|entry| !entry.is_empty()).map(address);
        let addresses: Vec<SocketAddr> = addresses.collect::<Result<_, _>>().unwrap_or_default();
        if addresses.is_empty() {
            return Err(SettingsError::Wrong {
                variable,
                accepted: "an address and a port, like `0.0.0.0:9000`, or a list of them with \
                           commas between",
            });
        }
        Ok(addresses)
    }
}

/// Returns the peers whose forwarded headers are trusted, by the list of the operator's.
fn trusted(list: Option<&str>) -> Result<Vec<String>, SettingsError> {
    let trusted: Vec<&str> = match list {
        Some(list) => list.split(',').map(str::trim).collect(),
        None => TRUSTED.to_vec(),
    };
    match TrustedProxies::parse(trusted.iter().copied()) {
        Ok(_) => Ok(trusted.into_iter().map(str::to_owned).collect()),
        Err(_) => Err(SettingsError::Wrong {
            variable: PROXIES,
            accepted: "networks or addresses with commas between, like `10.0.0.0/8`",
        }),
    }
}

fn base_url(variable: &'static str, text: &str) -> Result<Url, SettingsError> {
    let wrong = SettingsError::Wrong {
        variable,
        accepted: "authentik's http or https URL, like `https://authentik.example.com`",
    };
    let Ok(mut url) = Url::parse(text) else {
        return Err(wrong);
    };
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain {
        return Err(wrong);
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

fn bearer(token: &str) -> Result<HeaderValue, SettingsError> {
    let mut value =
        HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| SettingsError::Wrong {
            variable: TOKEN,
            accepted: "the token of an outpost, in one line",
        })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::{Askers, Dialect};
    use gatepost_store::StoreSettings;

    pub(super) fn read(pairs: &[(&str, &str)]) -> Result<Option<Settings>, SettingsError> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        Settings::read(pairs.iter().map(owned))
    }

    pub(super) const BASIC: [(&str, &str); 2] =
        [(HOST, "https://authentik.company"), (TOKEN, "t0ken")];

    #[test]
    fn the_defaults_are_those_of_authentiks_container() {
        let settings = read(&BASIC).expect("right").expect("authentik's");
        let config = settings.base_config().expect("a configuration");
        assert_eq!(config.listen.http.to_string(), "0.0.0.0:9000");
        assert_eq!(config.listen.metrics.to_string(), "0.0.0.0:9300");
        assert!(config.trusted_proxies.contains([172, 18, 0, 2].into()));
        assert!(!config.trusted_proxies.contains([8, 8, 8, 8].into()));
        assert!(config.applications.is_empty());
        assert_eq!(settings.host().as_str(), "https://authentik.company/");
    }

    #[test]
    fn the_variables_take_effect() {
        let mut pairs = BASIC.to_vec();
        pairs.extend([
            ("AUTHENTIK_LISTEN__HTTP", ":8000, [::1]:8001"),
            (
                "AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS",
                "10.1.0.0/16, 10.2.0.1",
            ),
            ("AUTHENTIK_INSECURE", "True"),
            ("AUTHENTIK_LOG_LEVEL", "warning"),
            ("GATEPOST_SESSION_WINDOW", "5m"),
            ("GATEPOST_ASKED_BY", "traefik,nginx"),
        ]);
        let settings = read(&pairs).expect("right").expect("authentik's");
        let config = settings.base_config().expect("a configuration");
        assert!(settings.insecure());
        assert_eq!(config.listen.http.to_string(), "0.0.0.0:8000, [::1]:8001");
        assert!(config.trusted_proxies.contains([10, 1, 2, 3].into()));
        assert!(!config.trusted_proxies.contains([127, 0, 0, 1].into()));
        assert_eq!(config.log.level, tracing::level_filters::LevelFilter::WARN);
        assert_eq!(config.session.window, 300);
        let askers = Askers::named(vec![Dialect::Traefik, Dialect::Nginx]);
        assert_eq!(config.askers, askers);
    }

    #[test]
    fn a_redis_of_authentiks_variables_is_the_store() {
        let store = |more: &[(&str, &str)]| {
            let mut pairs = BASIC.to_vec();
            pairs.extend(more);
            let settings = read(&pairs)?.expect("authentik's");
            assert!(!format!("{settings:?}").contains("s:cret"));
            Ok::<_, SettingsError>(settings.base_config().expect("a configuration").store)
        };
        let host = ("AUTHENTIK_REDIS__HOST", "redis");
        let login = [
            host,
            ("AUTHENTIK_REDIS__PORT", "6380"),
            ("AUTHENTIK_REDIS__USERNAME", "ak"),
            ("AUTHENTIK_REDIS__PASSWORD", "s:cret@/"),
            ("AUTHENTIK_REDIS__DB", "2"),
        ];
        for (more, expected) in [
            (&login[..1], "redis://redis:6379/"),
            (&login[..], "redis://ak:s%3Acret%40%2F@redis:6380/2"),
            (
                &[host, ("AUTHENTIK_REDIS__TLS", "true")],
                "rediss://redis:6379/",
            ),
        ] {
            let StoreSettings::Redis { url, .. } = store(more).expect(expected) else {
                panic!("{expected}: no Redis");
            };
            let expected = gatepost_store::RedisUrl::parse(expected).expect("a URL");
            assert!(url == expected);
        }
        let own = ("GATEPOST_STORE_KIND", "memory");
        let kept = store(&[host, own]).expect("right");
        assert!(matches!(kept, StoreSettings::Memory { .. }), "{kept:?}");
        let lenient = [
            host,
            ("AUTHENTIK_REDIS__TLS", "true"),
            ("AUTHENTIK_REDIS__TLS_REQS", "none"),
        ];
        let refused = store(&lenient).expect_err("it checks certificates");
        assert!(
            refused
                .to_string()
                .contains("TLS_REQS: expected `required`")
        );
    }

    #[test]
    fn a_value_may_come_from_a_file_or_another_variable() {
        let file = std::env::temp_dir().join(format!("gatepost-token-{}", std::process::id()));
        std::fs::write(&file, "from-file\n").expect("written");
        let path = format!("file://{}", file.display());
        let settings = read(&[
            (HOST, "env://ELSEWHERE?https://unused.company"),
            (TOKEN, &path),
            ("ELSEWHERE", "http://authentik-server:9000/base"),
        ]);
        std::fs::remove_file(&file).expect("removed");
        let settings = settings.expect("right").expect("authentik's");
        assert_eq!(
            settings.host().as_str(),
            "http://authentik-server:9000/base/"
        );
        assert_eq!(settings.bearer(), "Bearer from-file");
        let defaulted = read(&[(HOST, "env://NOWHERE?https://default.company"), BASIC[1]]);
        let defaulted = defaulted.expect("right").expect("authentik's");
        assert_eq!(defaulted.host().as_str(), "https://default.company/");
    }

    #[test]
    fn errors_name_the_mistake_and_no_secret() {
        assert!(read(&[]).expect("nothing wrong").is_none());
        for (pairs, expected) in [
            (
                vec![BASIC[0]],
                "AUTHENTIK_TOKEN: missing, although AUTHENTIK_HOST is set",
            ),
            (
                vec![BASIC[1]],
                "AUTHENTIK_HOST: missing, although AUTHENTIK_TOKEN is set",
            ),
            (
                vec![(HOST, "authentik.company"), BASIC[1]],
                "AUTHENTIK_HOST: expected authentik's http or https URL, like \
                 `https://authentik.example.com`",
            ),
            (
                vec![BASIC[0], (TOKEN, "file:///nonexistent")],
                "AUTHENTIK_TOKEN: cannot read /nonexistent: No such file or directory (os error 2)",
            ),
            (
                vec![BASIC[0], BASIC[1], ("AUTHENTIK_INSECURE", "maybe")],
                "AUTHENTIK_INSECURE: expected `true` or `false`",
            ),
            (
                vec![BASIC[0], BASIC[1], ("AUTHENTIK_LISTEN__HTTPS", "localhost")],
                "AUTHENTIK_LISTEN__HTTPS: expected an address and a port, like `0.0.0.0:9000`, or \
                 a list of them with commas between",
            ),
            // Each of several.
            (
                vec![
                    BASIC[0],
                    BASIC[1],
                    ("AUTHENTIK_INSECURE", "maybe"),
                    (PROXIES, "10.0.0.0/8,traefik"),
                ],
                "AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS: expected networks or addresses with commas \
                 between, like `10.0.0.0/8`\nAUTHENTIK_INSECURE: expected `true` or `false`",
            ),
        ] {
            assert_eq!(read(&pairs).expect_err(expected).to_string(), expected);
        }
        let settings = read(&BASIC).expect("right").expect("authentik's");
        assert!(!format!("{settings:?}").contains("t0ken"));
    }
}
