//! `sameSite` and `partitioned`: whether cookies are for frames of other sites too.

use gatepost_policy::config::{Fields, Value};
use gatepost_signing::CrossSite;

use crate::application::ApplicationSettings;
use crate::device_bound::DeviceBound;
use crate::origin::ExternalUrl;

const PARTITIONED_DEVICE: &str = "needs `deviceBound: off`: a browser would bind one session, and \
                                  each site with a frame has a session of its own";

const PARTITIONED_LAX: &str =
    "needs `sameSite: none`: no frame of another site gets a cookie with `lax`";

/// The two keys of a section, as far as it has them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Frames {
    /// Whether `sameSite` is `none`.
    none: Option<bool>,
    partitioned: Option<bool>,
}

impl Frames {
    /// Reads the keys of `session`, or of an application.
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let is_strict = matches!(
            fields.value("sameSite"),
            Some(Value::String(text)) if text.trim().eq_ignore_ascii_case("strict")
        );
        let none = if is_strict {
            let message = "cannot be `strict`: a user who comes back from the provider, or by a link, \
                           would have no session; write `lax` or `none`";
            fields.problem("sameSite", message);
            None
        } else {
            fields.choice("sameSite", &[("lax", false), ("none", true)])
        };
        Self {
            none,
            partitioned: fields.flag("partitioned"),
        }
    }

    /// Returns what these keys of `session` mean to applications that the configuration does not name.
    /// Reports what cannot work.
    pub(super) fn of_unnamed(self, device_bound: DeviceBound, fields: &Fields<'_>) -> CrossSite {
        let none = self.none.unwrap_or(false);
        let partitioned = self.partitioned.unwrap_or(false);
        let problem = match (none, device_bound) {
            _ if !partitioned => None,
            (false, _) => Some(PARTITIONED_LAX),
            (true, DeviceBound::Off) => None,
            (true, _) => Some(PARTITIONED_DEVICE),
        };
        if let Some(problem) = problem {
            fields.problems().add("session.partitioned", problem);
        }
        cross_site(none, partitioned)
    }

    /// Returns what holds for an application at this URL that has the keys `own`, where these are
    /// the keys of `session`. Reports what cannot work.
    pub(super) fn of_application(
        self,
        own: Self,
        external: Option<&ExternalUrl>,
        fields: &Fields<'_>,
    ) -> CrossSite {
        let none = own.none.or(self.none).unwrap_or(false);
        let partitioned = match (own.partitioned, own.none) {
            (Some(own), _) => own,
            // It says of itself that no frame gets its cookies.
            (None, Some(false)) => false,
            (None, _) => self.partitioned.unwrap_or(false),
        };
        if partitioned && !none {
            fields.problem("partitioned", PARTITIONED_LAX);
        }
        if none && external.is_some_and(|external| !external.is_https()) {
            fields.problem(
                "sameSite",
                "`none` needs an `externalUrl` of https: browsers take such cookies with `Secure` \
                 alone; write `lax`",
            );
        }
        cross_site(none, partitioned)
    }
}

fn cross_site(none: bool, partitioned: bool) -> CrossSite {
    match (none, partitioned) {
        (false, _) => CrossSite::Withheld,
        (true, false) => CrossSite::Sent,
        (true, true) => CrossSite::Partitioned,
    }
}

/// Reports the applications whose partitioned sessions browsers would have to bind.
pub(super) fn report_devices(
    applications: &[ApplicationSettings],
    of_all: DeviceBound,
    fields: &Fields<'_>,
) {
    for (at, application) in applications.iter().enumerate() {
        let device_bound = application.device_bound.unwrap_or(of_all);
        if application.cross_site == CrossSite::Partitioned && device_bound != DeviceBound::Off {
            let path = format!("applications[{at}].partitioned");
            fields.problems().add(path, PARTITIONED_DEVICE);
        }
    }
}

#[cfg(test)]
mod tests {
    use gatepost_signing::CrossSite;

    use crate::config::{Config, ConfigError};

    fn read(session: &str, application: &str) -> Result<CrossSite, Vec<String>> {
        let url = match application.contains("externalUrl") {
            true => "",
            false => "externalUrl: 'https://wiki.example.com', ",
        };
        let yaml = format!(
            "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers: [{{name: main, issuer: 'https://id.example.com', clientId: g}}]
session: {{{session}}}
applications: [{{name: wiki, {url}{application}}}]
"
        );
        match Config::parse(&yaml, []) {
            Ok(config) => Ok(config.applications[0].cross_site),
            Err(ConfigError::Invalid(found)) => {
                Err(found.iter().map(ToString::to_string).collect())
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn an_application_s_own_keys_count_before_those_of_all() {
        for (session, application, expected) in [
            ("", "", CrossSite::Withheld),
            ("sameSite: none", "", CrossSite::Sent),
            ("", "sameSite: None", CrossSite::Sent),
            (
                "sameSite: none, partitioned: true",
                "",
                CrossSite::Partitioned,
            ),
            (
                "sameSite: none, partitioned: true",
                "sameSite: lax",
                CrossSite::Withheld,
            ),
            (
                "sameSite: none, partitioned: true",
                "partitioned: false",
                CrossSite::Sent,
            ),
            (
                "sameSite: none",
                "partitioned: true",
                CrossSite::Partitioned,
            ),
            (
                "sameSite: lax",
                "sameSite: none, partitioned: true",
                CrossSite::Partitioned,
            ),
        ] {
            let found = read(session, application);
            assert_eq!(found, Ok(expected), "{session} / {application}");
        }
    }

    #[test]
    fn what_cannot_work_is_named() {
        for (session, application, expected) in [
            (
                "sameSite: strict",
                "",
                "session.sameSite: cannot be `strict`: a user who comes back from the provider, or by \
                 a link, would have no session; write `lax` or `none`",
            ),
            (
                "",
                "sameSite: any",
                "applications[0].sameSite: `any` is not one of lax, none",
            ),
            (
                "",
                "partitioned: true",
                "applications[0].partitioned: needs `sameSite: none`: no frame of another site gets a \
                 cookie with `lax`",
            ),
            (
                "sameSite: none",
                "externalUrl: 'http://wiki.example.com'",
                "applications[0].sameSite: `none` needs an `externalUrl` of https: browsers take such \
                 cookies with `Secure` alone; write `lax`",
            ),
            (
                "sameSite: none, deviceBound: prefer",
                "partitioned: true",
                "applications[0].partitioned: needs `deviceBound: off`: a browser would bind one \
                 session, and each site with a frame has a session of its own",
            ),
        ] {
            let found = read(session, application);
            let expected = vec![expected.to_owned()];
            assert_eq!(found, Err(expected), "{session} / {application}");
        }
    }
}
