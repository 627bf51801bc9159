//! authentik's API, as far as an outpost asks it.

use std::time::Duration;

use gatepost_base::contained::Panicked;
use http::header::{ACCEPT, AUTHORIZATION, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::settings::Settings;
use crate::http_client::{HttpClient, HttpError, HttpOptions};
use crate::provider_client::ProviderClient;

/// The user agent by which authentik recognises an outpost.
pub(super) const AGENT: &str = concat!(
    "goauthentik.io/outpost/",
    env!("CARGO_PKG_VERSION"),
    ".gatepost"
);

/// How many entries of a list are requested per page.
const PAGE_SIZE: u32 = 100;

/// A list with more pages than this is a mistake.
const MAX_PAGES: u64 = 100;

/// How long after an answer authentik is asked again where it does not say.
const REFRESH: Duration = Duration::from_secs(300);

/// The least that it may say.
const MIN_REFRESH_SECONDS: u64 = 30;

/// The most that it may say: what is beyond a day would never be asked again.
const MAX_REFRESH_SECONDS: u64 = 24 * 3_600;

/// Why authentik's API does not provide the data that an outpost needs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// It does not answer.
    #[error("{url} (AUTHENTIK_HOST): {source}")]
    Unreachable {
        /// The requested address.
        url: String,
        /// Why not.
        source: HttpError,
    },
    /// It refuses the token.
    #[error("{url} answers {status}: is AUTHENTIK_TOKEN the token of an outpost?")]
    Refused {
        /// The requested address.
        url: String,
        /// The answer.
        status: StatusCode,
    },
    /// It answers with something else.
    #[error("{url} answers {status}: is AUTHENTIK_HOST authentik's address?")]
    Status {
        /// The requested address.
        url: String,
        /// The answer.
        status: StatusCode,
    },
    /// The response does not follow the API's schema.
    #[error("{url}: the answer cannot be read ({reason}): is AUTHENTIK_HOST authentik's address?")]
    Unreadable {
        /// The requested address.
        url: String,
        /// The problem.
        reason: String,
    },
    /// Reading the answer has panicked.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// The token belongs to no outpost.
    #[error("authentik has no outpost for AUTHENTIK_TOKEN")]
    NoOutpost,
    /// A list changed while it was read.
    #[error("{url}: the list changed while it was read")]
    Changed {
        /// The requested address.
        url: String,
    },
    /// A list does not end.
    #[error("{url}: the list does not end")]
    Endless {
        /// The requested address.
        url: String,
    },
}

/// Everything that authentik says to an outpost, as it says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// `Outpost` of the API's schema.
    pub(super) outpost: Value,
    /// `ProxyOutpostConfig`s of the API's schema.
    pub(super) providers: Vec<Value>,
    /// Those that the outpost still has and that the list lacks, as they were last: authentik lists
    /// a provider without an application nowhere.
    #[serde(default)]
    pub(super) absent: Vec<Value>,
}

impl Snapshot {
    /// Adds to this response the providers of the previous one that are no longer listed.
    pub(super) fn after(mut self, before: &Self) -> Self {
        let key = |provider: &Value| provider.get("pk").and_then(Value::as_i64);
        let own = self.outpost.get("providers").and_then(Value::as_array);
        let own: Vec<i64> = own
            .into_iter()
            .flatten()
            .filter_map(Value::as_i64)
            .collect();
        let listed: Vec<Option<i64>> = self.providers.iter().map(key).collect();
        let gone = |provider: &&Value| {
            let key = key(provider);
            key.is_some_and(|key| own.contains(&key)) && !listed.contains(&key)
        };
        let known = before.providers.iter().chain(&before.absent);
        self.absent = known.filter(gone).cloned().collect();
        self
    }

    /// Returns the outpost's id.
    pub(super) fn outpost_id(&self) -> Option<String> {
        Some(self.outpost.get("pk")?.as_str()?.to_owned())
    }

    /// Returns the interval at which to ask again.
    pub(super) fn refresh_interval(&self) -> Duration {
        let seconds = self
            .outpost
            .get("refresh_interval_s")
            .and_then(Value::as_u64);
        seconds
            .filter(|seconds| *seconds > 0)
            .map_or(REFRESH, |seconds| {
                Duration::from_secs(seconds.clamp(MIN_REFRESH_SECONDS, MAX_REFRESH_SECONDS))
            })
    }

    /// Returns a text of the outpost's `config`.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        let text = self.outpost.get("config")?.get(name)?.as_str()?;
        Some(text).filter(|text| !text.is_empty())
    }
}

#[derive(Deserialize)]
struct Page {
    pagination: Pagination,
    results: Vec<Value>,
}

#[derive(Deserialize)]
struct Pagination {
    /// 0 on the last page. A `number` in the schema, so it may have a fraction.
    next: f64,
    /// How many entries there are on all pages.
    #[serde(default)]
    count: Option<f64>,
}

/// authentik's API.
#[derive(Debug)]
pub(super) struct Api {
    base: Url,
    bearer: HeaderValue,
    http: ProviderClient,
    upgrading: reqwest::Client,
}

impl Api {
    pub(super) fn new(settings: &Settings) -> Result<Self, HttpError> {
        let options = HttpOptions {
            tls: settings.host().scheme() == "https",
            insecure: settings.insecure(),
            ..HttpOptions::default()
        };
        Ok(Self {
            base: settings.host().clone(),
            bearer: settings.bearer(),
            http: ProviderClient::with_options("authentik", &options)?,
            upgrading: HttpClient::upgrading(&options)?,
        })
    }

    /// Asks for everything.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, ApiError> {
        let outposts = self.list("outposts/instances/").await?;
        let outpost = outposts.into_iter().next().ok_or(ApiError::NoOutpost)?;
        let mut providers = self.list("outposts/proxy/").await?;
        // Sorted, so that a change of authentik's order alone changes nothing.
        providers.sort_by_key(|provider| provider.get("pk").and_then(Value::as_i64));
        Ok(Snapshot {
            outpost,
            providers,
            absent: Vec::new(),
        })
    }

    /// Begins a WebSocket to a path below authentik's address.
    pub(super) fn upgrade(&self, path: &str, key: &str) -> Option<reqwest::RequestBuilder> {
        let url = self.base.join(path).ok()?;
        Some(
            self.upgrading
                .get(url)
                .header(AUTHORIZATION, self.bearer.clone())
                .header(USER_AGENT, AGENT)
                .header(http::header::CONNECTION, "Upgrade")
                .header(http::header::UPGRADE, "websocket")
                .header(http::header::SEC_WEBSOCKET_VERSION, "13")
                .header(http::header::SEC_WEBSOCKET_KEY, key),
        )
    }

    /// Requests every entry of a list. A list that changes while its pages are read is an error: it
    /// may lack entries, whose hosts would then be served by another application.
    async fn list(&self, path: &str) -> Result<Vec<Value>, ApiError> {
        let mut all: Vec<Value> = Vec::new();
        let mut count = None;
        for page in 1..=MAX_PAGES {
            let query = format!("api/v3/{path}?page={page}&page_size={PAGE_SIZE}");
            let Page {
                pagination,
                results,
            } = self.get(&query).await?;
            let known = |entry: &Value| {
                let key = entry.get("pk").filter(|key| !key.is_null());
                key.is_some_and(|key| all.iter().any(|known| known.get("pk") == Some(key)))
            };
            let twice = results.iter().any(known);
            all.extend(results);
            let last = pagination.next < 1.0;
            let expected = *count.get_or_insert(pagination.count);
            let length = u32::try_from(all.len()).map(f64::from).ok();
            let short = last && expected.is_some() && length != expected;
            if twice || short || pagination.count != expected {
                let url = format!("{}api/v3/{path}", self.base);
                return Err(ApiError::Changed { url });
            }
            if last {
                return Ok(all);
            }
        }
        Err(ApiError::Endless {
            url: format!("{}api/v3/{path}", self.base),
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let url = format!("{}{path}", self.base);
        let unreadable = |reason: String| ApiError::Unreadable {
            url: url.clone(),
            reason,
        };
        let request = Request::get(&url)
            .header(AUTHORIZATION, self.bearer.clone())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|error| unreadable(error.to_string()))?;
        let response = self
            .http
            .send(request)
            .await
            .map_err(|source| ApiError::Unreachable {
                url: url.clone(),
                source: match source {
                    // The message has the address already.
                    HttpError::Request(error) => HttpError::Request(error.without_url()),
                    other => other,
                },
            })?;
        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(ApiError::Refused { url, status });
            }
            status => return Err(ApiError::Status { url, status }),
        }
        // The parser's message would quote the response, which contains secrets.
        serde_json::from_slice(response.body()).map_err(|error| {
            unreadable(format!(
                "at line {}, column {}",
                error.line(),
                error.column()
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_pause_is_what_authentik_says_within_reason() {
        for (said, expected) in [
            (json!(60), 60),
            (json!(1), 30),
            (json!(0), 300),
            (json!(-1), 300),
            (json!(u64::MAX), 86_400),
            (json!(null), 300),
        ] {
            let snapshot = Snapshot {
                outpost: json!({"refresh_interval_s": said}),
                providers: Vec::new(),
                absent: Vec::new(),
            };
            assert_eq!(snapshot.refresh_interval().as_secs(), expected, "{said}");
        }
    }
}
