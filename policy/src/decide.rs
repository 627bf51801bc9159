//! The decision.

use core::fmt;

use gatepost_session::{Claims, Current, OpenError, WindowError};

use crate::authorization::AuthorizationSchemes;
use crate::public::PublicPaths;
use crate::request::{Request, is_preflight};
use crate::require::{Require, Ruling};

/// An application's rules.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The paths that need no session.
    pub public: PublicPaths,
    /// The rule for signed-in users.
    pub require: Require,
    /// Whether CORS preflights pass without a session: browsers send them without cookies.
    pub allow_preflight: bool,
    /// The credentials that are accepted in place of a session.
    pub machine_clients: AuthorizationSchemes,
}

/// The decision on a request.
///
/// There is no default, and only the variants that carry a [`Permit`] let anything reach the
/// upstream.
#[derive(Debug)]
#[must_use]
pub enum Decision<'s> {
    /// It goes upstream.
    Allow(Permit<'s>),
    /// It may go upstream, and a page load should renew the session first, or
    /// [beside](Permit::can_renew_beside).
    Renew(Permit<'s>),
    /// Its sender has to sign in.
    SignIn(Unauthenticated),
    /// Its sender is signed in and may not pass.
    Deny(Denial<'s>),
    /// The cookie does not contain enough to decide: the proxy has to ask the outpost.
    Defer(Deferral),
    /// It is refused to every client: `CONNECT` asks for a tunnel (RFC 9110 §9.3.6), and requests
    /// in a tunnel would not be decided on.
    MethodNotAllowed,
}

impl Decision<'_> {
    /// Returns the verdict's name, as [`VERDICT_HEADER`](crate::VERDICT_HEADER) carries it.
    pub fn verdict(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Renew(_) => "renew",
            Self::SignIn(_) => "sign-in",
            Self::Deny(_) => "deny",
            Self::Defer(_) => "defer",
            Self::MethodNotAllowed => "method-not-allowed",
        }
    }
}

/// Permission for one request to go upstream. Only [`Policy::decide`] grants it.
#[derive(Debug)]
pub struct Permit<'s> {
    identity: Option<Current<'s>>,
}

impl<'s> Permit<'s> {
    /// Returns the claims of the sender's session; `None` when the request passes without an
    /// identity.
    pub fn identity(&self) -> Option<&'s Claims> {
        self.identity.map(|session| session.claims())
    }

    /// Returns whether a session whose renewal is due may go on while its browser renews it, since
    /// its window is far from its end. One that is bound to a device is renewed by a proof: where a
    /// renewal of it is due, the browser has to go to the provider.
    pub fn can_renew_beside(&self) -> bool {
        self.identity
            .is_some_and(|session| !session.claims().bound && !session.is_near_its_end())
    }
}

/// The refusal of a signed-in user.
#[derive(Debug)]
pub struct Denial<'s> {
    session: Current<'s>,
    lacks_device: bool,
}

impl<'s> Denial<'s> {
    /// Returns the claims of the refused user.
    pub fn identity(&self) -> &'s Claims {
        self.session.claims()
    }

    /// Returns whether the user is refused only because the session is not bound to a device.
    pub fn lacks_device(&self) -> bool {
        self.lacks_device
    }
}

/// Why a request has no session in force. For logs: the client must not learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unauthenticated {
    /// It carries no session cookie.
    NoCookie,
    /// It carries a session cookie that is not authentic.
    Invalid(OpenError),
    /// It carries a session cookie whose window has ended or not begun.
    Window(WindowError),
    /// Its session was ended before its window.
    Revoked,
}

impl fmt::Display for Unauthenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCookie => f.write_str("no session cookie"),
            Self::Invalid(error) => write!(f, "session cookie refused: {error}"),
            Self::Window(error) => write!(f, "session cookie not in force: {error}"),
            Self::Revoked => f.write_str("session revoked"),
        }
    }
}

/// Why only the outpost can decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deferral {
    /// The rule depends on groups that the cookie leaves out.
    MoreGroups,
    /// There is no session, and credentials in `Authorization` have to be checked.
    Authorization,
}

impl Policy {
    /// Decides on a request, with the session in force that it carries or the reason why it carries
    /// none.
    ///
    /// A public path is open to every client: a signed-in user whom the rule admits is named to the
    /// application there too, and every other request passes without an identity.
    ///
    /// A session in force decides alone: `Authorization` is looked at only where there is no
    /// session, so that a request never has two senders.
    pub fn decide<'s>(
        &self,
        request: &impl Request,
        session: Result<Current<'s>, Unauthenticated>,
    ) -> Decision<'s> {
        self.decide_with_extra_rule(request, session, None)
    }

    /// Decides as [`Self::decide`] does, with another rule that must hold too: the rule of the
    /// proxy that asked. The extra rule cannot admit a user whom this policy refuses.
    pub fn decide_with_extra_rule<'s>(
        &self,
        request: &impl Request,
        session: Result<Current<'s>, Unauthenticated>,
        extra_rule: Option<&Require>,
    ) -> Decision<'s> {
        if *request.method() == *b"CONNECT" {
            return Decision::MethodNotAllowed;
        }
        let ruled = match session {
            Ok(session) => match self.rule_with(extra_rule, session, false) {
                Ruling::Holds if session.renewal_due() => Decision::Renew(Permit {
                    identity: Some(session),
                }),
                Ruling::Holds => {
                    return Decision::Allow(Permit {
                        identity: Some(session),
                    });
                }
                Ruling::Fails => Decision::Deny(Denial {
                    session,
                    lacks_device: self.rule_with(extra_rule, session, true) != Ruling::Fails,
                }),
                Ruling::Undecidable => Decision::Defer(Deferral::MoreGroups),
            },
            Err(reason) => Decision::SignIn(reason),
        };
        if !self.needs_no_session(request) {
            return match ruled {
                Decision::SignIn(_) if self.machine_clients.scheme_of(request).is_some() => {
                    Decision::Defer(Deferral::Authorization)
                }
                ruled => ruled,
            };
        }
        match ruled {
            Decision::Allow(permit) | Decision::Renew(permit) => Decision::Allow(permit),
            Decision::SignIn(_) | Decision::Deny(_) | Decision::Defer(_) => {
                Decision::Allow(Permit { identity: None })
            }
            Decision::MethodNotAllowed => ruled,
        }
    }

    /// Returns the result of both rules for a session, or what it would be if the session were bound
    /// to a device.
    fn rule_with(
        &self,
        extra_rule: Option<&Require>,
        session: Current<'_>,
        as_if_bound: bool,
    ) -> Ruling {
        let claims = session.claims();
        let bound = as_if_bound || claims.bound;
        self.require.rule_with(extra_rule, claims, bound)
    }

    /// Returns whether this request needs no session: its path is public, or it is a preflight that
    /// may pass.
    pub fn needs_no_session(&self, request: &impl Request) -> bool {
        (!self.public.is_empty() && self.public.contains(&request.method(), &request.target()))
            || (self.allow_preflight && is_preflight(request))
    }
}

#[cfg(test)]
pub(crate) mod double {
    use super::*;
    use gatepost_session::{
        Audience, Authentic, KeyRing, NumericDate, SessionId, TextList, Verifier,
    };
    use gatepost_signing::Signer;
    use std::string::ToString;

    /// The instant at which [`claims`] are in force.
    pub(crate) const NOW: NumericDate = NumericDate::from_seconds(1_800_000_000);

    /// Returns a person whose session is in force at [`NOW`] and not due for renewal.
    pub(crate) fn claims(email: &str) -> Claims {
        Claims {
            iss: "https://id.example.com".into(),
            sub: "1234".into(),
            aud: "wiki".into(),
            sid: SessionId::from_random([7; 24]),
            iat: NOW,
            exp: NOW.plus_seconds(900),
            rnw: NOW.plus_seconds(600),
            nbf: None,
            preferred_username: Some("alice".into()),
            name: None,
            email: Some(email.into()),
            email_verified: None,
            groups: TextList::default(),
            grp_more: false,
            acr: None,
            amr: TextList::default(),
            auth_time: None,
            bound: false,
            ext: Default::default(),
        }
    }

    /// Returns the same claims as a verifier hands them out: there is no other way to a session.
    pub(crate) fn authentic(claims: &Claims) -> Authentic {
        let ring = KeyRing::parse("k:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=").expect("ring");
        let token = Signer::new(&ring).sign(claims).expect("token");
        let audience = Audience::new(&claims.aud.to_string()).expect("audience");
        Verifier::new(&ring, audience)
            .authenticate(token.as_bytes())
            .expect("authentic")
    }

    /// Hands a permit with that identity to `f`.
    pub(crate) fn permit<R>(claims: &Claims, f: impl FnOnce(&Permit<'_>) -> R) -> R {
        let authentic = authentic(claims);
        let session = authentic.current(NOW, 0).expect("in force");
        f(&Permit {
            identity: Some(session),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::double::{NOW, authentic, claims};
    use super::*;
    use crate::authorization::Scheme;
    use crate::header_name::HeaderName;
    use crate::request::double::Sent;
    use std::format;
    use std::string::String;

    #[test]
    fn each_combination_of_session_rule_and_path_has_its_decision() {
        let staff = || Claims {
            groups: ["staff"].into(),
            ..claims("a@example.com")
        };
        let policy = Policy {
            public: PublicPaths::parse(["/public/*"]).expect("patterns"),
            require: Require::any_group([String::from("staff")]),
            allow_preflight: true,
            machine_clients: AuthorizationSchemes::default(),
        };
        let preflight = Sent::new("OPTIONS", "/x")
            .with("Origin", "https://a.example")
            .with("Access-Control-Request-Method", "PUT");
        let half_a_preflight = Sent::new("OPTIONS", "/x").with("Origin", "https://a.example");
        let at = |target: &str| Sent::new("GET", target);
        let outsider = || Some(claims("a@example.com"));
        let due = || {
            Some(Claims {
                rnw: NOW,
                ..staff()
            })
        };
        let reduced = || {
            Some(Claims {
                grp_more: true,
                ..claims("a@example.com")
            })
        };

        let cases = [
            ("admitted", Some(staff()), at("/x"), "allow", Some("alice")),
            (
                "admitted, public",
                Some(staff()),
                at("/public/x"),
                "allow",
                Some("alice"),
            ),
            ("renewal due", due(), at("/x"), "renew", Some("alice")),
            (
                "renewal due, public",
                due(),
                at("/public/x"),
                "allow",
                Some("alice"),
            ),
            ("outsider", outsider(), at("/x"), "deny", None),
            (
                "outsider, public",
                outsider(),
                at("/public/x"),
                "allow",
                None,
            ),
            ("groups left out", reduced(), at("/x"), "defer", None),
            (
                "groups left out, public",
                reduced(),
                at("/public/x"),
                "allow",
                None,
            ),
            ("no session", None, at("/x"), "sign-in", None),
            ("no session, public", None, at("/public/x"), "allow", None),
            (
                "no session, nearly public",
                None,
                at("/public/../x"),
                "sign-in",
                None,
            ),
            (
                "no session, preflight",
                None,
                preflight.clone(),
                "allow",
                None,
            ),
            (
                "admitted, tunnel",
                Some(staff()),
                Sent::new("CONNECT", "/x"),
                "method-not-allowed",
                None,
            ),
            (
                "no session, tunnel, public",
                None,
                Sent::new("CONNECT", "/public/x"),
                "method-not-allowed",
                None,
            ),
            (
                "no session, bare OPTIONS",
                None,
                half_a_preflight,
                "sign-in",
                None,
            ),
        ];
        for (case, session, request, verdict, user) in cases {
            let authentic = session.as_ref().map(authentic);
            let current = authentic
                .as_ref()
                .map(|a| a.current(NOW, 0).map_err(Unauthenticated::Window))
                .unwrap_or(Err(Unauthenticated::NoCookie));
            let decision = policy.decide(&request, current);
            assert_eq!(decision.verdict(), verdict, "{case}");
            if let Decision::Allow(permit) | Decision::Renew(permit) = decision {
                let name = permit
                    .identity()
                    .and_then(|c| c.preferred_username.as_deref());
                assert_eq!(name, user, "{case}");
            }
        }

        let strict = Policy {
            allow_preflight: false,
            ..policy
        };
        let decision = strict.decide(&preflight, Err(Unauthenticated::NoCookie));
        assert_eq!(format!("{decision:?}"), "SignIn(NoCookie)");
    }

    #[test]
    fn a_session_without_a_device_is_refused_where_the_rule_asks_for_one() {
        let staff = || Require::any_group([String::from("staff")]);
        let none = || None;
        let device = || Some(Require::default().with_device());
        let session = |groups: &[&str], bound| Claims {
            groups: groups.iter().copied().collect(),
            bound,
            ..claims("a@example.com")
        };
        let public = "/public/x";
        for (case, own, extra, claims, target, verdict, lacks_device) in [
            (
                "bound",
                staff().with_device(),
                none(),
                session(&["staff"], true),
                "/x",
                "allow",
                false,
            ),
            (
                "unbound",
                staff().with_device(),
                none(),
                session(&["staff"], false),
                "/x",
                "deny",
                true,
            ),
            (
                "unbound, by the proxy's rule",
                staff(),
                device(),
                session(&["staff"], false),
                "/x",
                "deny",
                true,
            ),
            (
                "unbound outsider",
                staff().with_device(),
                none(),
                session(&[], false),
                "/x",
                "deny",
                false,
            ),
            (
                "bound outsider",
                staff().with_device(),
                none(),
                session(&[], true),
                "/x",
                "deny",
                false,
            ),
            (
                "unbound, not asked",
                staff(),
                none(),
                session(&["staff"], false),
                "/x",
                "allow",
                false,
            ),
            (
                "unbound, public",
                staff().with_device(),
                none(),
                session(&["staff"], false),
                public,
                "allow",
                false,
            ),
        ] {
            let policy = Policy {
                public: PublicPaths::parse(["/public/*"]).expect("patterns"),
                require: own,
                ..Policy::default()
            };
            let authentic = authentic(&claims);
            let current = authentic.current(NOW, 0).map_err(Unauthenticated::Window);
            let request = Sent::new("GET", target);
            let decision = policy.decide_with_extra_rule(&request, current, extra.as_ref());
            assert_eq!(decision.verdict(), verdict, "{case}");
            match decision {
                Decision::Deny(denial) => assert_eq!(denial.lacks_device(), lacks_device, "{case}"),
                Decision::Allow(permit) if target == public => {
                    assert!(permit.identity().is_none(), "{case}");
                }
                _ => {}
            }
        }
    }

    #[test]
    fn api_keys_are_told_from_tokens_by_their_beginning() {
        let bearer = |token: &str| Sent::new("GET", "/").with("Authorization", token);
        let in_header = || Sent::new("GET", "/").with("X-Api-Key", "anything");
        for (case, machines, request, expected) in [
            (
                "a key",
                "apiKey",
                bearer("Bearer gp_x"),
                Some(Scheme::ApiKey),
            ),
            (
                "two blanks",
                "apiKey",
                bearer("bearer  gp_x"),
                Some(Scheme::ApiKey),
            ),
            ("a token", "apiKey", bearer("Bearer x"), None),
            ("a password", "apiKey", bearer("Basic gp_x"), None),
            ("its own scheme", "apiKey", bearer("apiKey gp_x"), None),
            (
                "no keys",
                "bearer",
                bearer("Bearer gp_x"),
                Some(Scheme::Bearer),
            ),
            ("a header", "apiKey", in_header(), Some(Scheme::ApiKey)),
        ] {
            let machines = AuthorizationSchemes::parse([machines]).expect("schemes");
            let machines = match machines.api_key {
                true => machines.with_api_key_header(HeaderName::new("X-Api-Key").expect("a name")),
                false => machines,
            };
            assert_eq!(machines.scheme_of(&request), expected, "{case}");
        }
        let none = AuthorizationSchemes::parse(["apiKey"]).expect("schemes");
        assert_eq!(none.scheme_of(&in_header()), None, "no header is named");
    }

    #[test]
    fn allowed_credentials_count_where_there_is_no_session() {
        let policy = |machines: &[&str]| Policy {
            public: PublicPaths::parse(["/public/*"]).expect("patterns"),
            require: Require::any_group([String::from("staff")]),
            allow_preflight: true,
            machine_clients: AuthorizationSchemes::parse(machines.iter().copied())
                .expect("schemes"),
        };
        let at = |target: &str, credentials: &str| {
            Sent::new("GET", target).with("Authorization", credentials)
        };
        let staff = Claims {
            groups: ["staff"].into(),
            ..claims("a@example.com")
        };
        let outsider = claims("a@example.com");
        let cases = [
            ("allowed", None, at("/x", "Bearer a.b.c"), "defer"),
            ("lower case", None, at("/x", "bearer a.b.c"), "defer"),
            ("nothing after it", None, at("/x", "Bearer"), "defer"),
            ("another scheme", None, at("/x", "Basic YTpi"), "sign-in"),
            ("a longer word", None, at("/x", "Bearers a"), "sign-in"),
            ("none", None, Sent::new("GET", "/x"), "sign-in"),
            ("public", None, at("/public/x", "Bearer a"), "allow"),
            ("a session", Some(&staff), at("/x", "Bearer a"), "allow"),
            (
                "an outsider's",
                Some(&outsider),
                at("/x", "Bearer a"),
                "deny",
            ),
        ];
        for (case, session, request, verdict) in cases {
            let authentic = session.map(authentic);
            let current = || match &authentic {
                Some(session) => session.current(NOW, 0).map_err(Unauthenticated::Window),
                None => Err(Unauthenticated::NoCookie),
            };
            let decision = policy(&["bearer"]).decide(&request, current());
            assert_eq!(decision.verdict(), verdict, "{case}");
            // Where no scheme is allowed, no credentials count.
            let verdict = verdict.replace("defer", "sign-in");
            let decision = policy(&[]).decide(&request, current());
            assert_eq!(decision.verdict(), verdict, "{case}, without machines");
        }
    }
}
