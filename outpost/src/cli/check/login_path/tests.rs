use std::time::{Duration, SystemTime};

use gatepost_session::cookie::Candidates;
use gatepost_session::{CLOCK_SKEW_SECONDS, NumericDate, WindowError};
use http::StatusCode;

use super::answers::{check_clock, check_page, check_ping, check_script};
use super::browser::Reply;
use super::sign_in::{SignInStep, check_start};
use super::target::application_of;
use super::*;
use crate::dialect::{Askers, Dialect};
use crate::fixture::{application, snapshot};
use gatepost_base::Clock;

fn reply(status: u16, location: Option<&str>, body: &str) -> Reply {
    Reply {
        status: StatusCode::from_u16(status).expect("a status"),
        location: location.map(str::to_owned),
        challenge: None,
        date: None,
        cookies: Vec::new(),
        body: body.to_owned(),
    }
}

fn says<T: std::fmt::Debug>(case: &str, outcome: Result<T, CheckProblem>, expected: &str) {
    match outcome {
        Ok(_) => assert_eq!(expected, "", "{case}"),
        Err(CheckProblem(what)) => {
            assert!(
                !expected.is_empty() && what.contains(expected),
                "{case}: {what}"
            );
        }
    }
}

#[test]
fn a_url_belongs_to_an_application() {
    let snapshot = snapshot(&crate::fixture::KEYS);
    for (url, expected) in [
        ("https://app.example.com/x", ""),
        ("http://app.localhost:8080/", ""),
        ("https://any.example.org/", ""),
        ("http://app.example.com/", "`externalUrl` is https"),
        ("https://other.example.com/", "no application has the host"),
        (
            "https://any.example.net/",
            "for every host under example.org",
        ),
    ] {
        let url = Url::parse(url).expect("a URL");
        says(
            url.as_str(),
            application_of(&snapshot.applications, &url),
            expected,
        );
    }
}

#[test]
fn each_wrong_answer_names_what_to_mend() {
    let wiki = application("wiki");
    let json = |code: &str| format!("{{\"error\":\"{code}\"}}");
    for (status, body, expected) in [
        (204, String::new(), ""),
        (
            404,
            "404 page not found".into(),
            "does not lead to the outpost",
        ),
        (200, "<html>".into(), "higher priority"),
        (502, String::new(), "does not reach the outpost"),
    ] {
        says(
            expected,
            check_ping(&wiki, &Askers::default(), &reply(status, None, &body)),
            expected,
        );
    }
    for (status, body, expected) in [
        (401, json("unauthenticated"), ""),
        (401, json("proxy_misconfigured"), "trustedProxies"),
        (404, json("unknown_host"), "changes `Host`"),
        (404, json("not_found"), "the outpost itself answers"),
        (200, "<html>".into(), "not on this route"),
        (503, String::new(), "plugin refuses its settings"),
        (404, "404 page not found".into(), "no route here"),
    ] {
        says(
            expected,
            check_script(&wiki, &Askers::default(), &reply(status, None, &body)),
            expected,
        );
    }
    let at = Url::parse("https://app.example.com/x").expect("a URL");
    for (status, location, expected) in [
        (302, Some("/akprox/start?rd=%2Fx"), ""),
        (
            302,
            Some("http://app.example.com/akprox/start"),
            "X-Forwarded-Proto",
        ),
        (
            301,
            Some("https://www.example.com/x"),
            "another redirect comes first",
        ),
        (401, None, "error_page 401"),
        (200, None, "no redirect"),
    ] {
        says(
            expected,
            check_page(&wiki, &at, &reply(status, location, "")),
            expected,
        );
    }
}

#[test]
fn a_sign_in_that_begins_wrongly_says_what_differs() {
    let wiki = application("wiki");
    let at = Url::parse("https://app.example.com/akprox/start").expect("a URL");
    let to = |client: &str, redirect: &str| {
        format!("https://id.example.com/authorize?client_id={client}&redirect_uri={redirect}")
    };
    let right = to("gatepost", "https://app.example.com/akprox/callback");
    for (location, cookie, expected) in [
        (right.clone(), "__Secure-gatepost-flow-x=1; Secure", ""),
        (right.clone(), "other=1", "drops `Set-Cookie`"),
        (
            to("other", "https://app.example.com/akprox/callback"),
            "",
            "client_id",
        ),
        (
            to("gatepost", "https://old.example.com/callback"),
            "",
            "redirect_uri",
        ),
        // A pushed authorization request keeps the rest to itself (RFC 9126 §4).
        (
            "https://id.example.com/authorize?client_id=gatepost&request_uri=urn:x".to_owned(),
            "__Secure-gatepost-flow-x=1; Secure",
            "",
        ),
        (
            "https://id.example.com/authorize?client_id=other&request_uri=urn:x".to_owned(),
            "__Secure-gatepost-flow-x=1; Secure",
            "client_id",
        ),
    ] {
        let mut reply = reply(302, Some(&location), "");
        reply.cookies.push(cookie.to_owned());
        says(
            expected,
            check_start(&wiki, wiki.providers().first(), &at, &reply),
            expected,
        );
    }
    let page = reply(
        503,
        None,
        "<title>The sign-in service cannot be reached</title>",
    );
    says(
        "away",
        check_start(&wiki, wiki.providers().first(), &at, &page),
        "cannot be reached",
    );
}

#[test]
fn a_page_with_a_choice_leads_on_to_each_provider_at_its_own_address() {
    let either = application("either");
    let at = Url::parse("https://either.example.com/akprox/start?rd=%2F").expect("a URL");
    let page = "<title>Where would you like to sign in?</title>";
    // Asked in place, a page has the status of a refusal.
    for status in [200, 401] {
        let reply = reply(status, None, page);
        let begun = check_start(&either, either.providers().first(), &at, &reply);
        assert_eq!(begun, Ok(SignInStep::Choice), "{status}");
    }
    for (status, body, expected) in [
        (503, page, "no redirect"),
        (401, "{\"error\":\"unauthenticated\"}", "no redirect"),
    ] {
        let reply = reply(status, None, body);
        let begun = check_start(&either, either.providers().first(), &at, &reply);
        says(expected, begun, expected);
    }
    let wiki = application("wiki");
    let begun = check_start(
        &wiki,
        wiki.providers().first(),
        &at,
        &reply(200, None, page),
    );
    says("no choice", begun, "no redirect");

    for provider in either.providers().iter() {
        let name = &provider.settings().name;
        for (sent, expected) in [
            (format!("/{name}"), ""),
            (String::new(), "redirect_uri"),
            ("/wrong".to_owned(), "redirect_uri"),
        ] {
            let location = format!(
                "https://id.example.com/authorize?client_id=gatepost&\
                 redirect_uri=https://either.example.com/akprox/callback{sent}"
            );
            let mut reply = reply(302, Some(&location), "");
            reply
                .cookies
                .push("__Secure-gatepost-flow-x=1; Secure".to_owned());
            says(
                &location,
                check_start(&either, provider, &at, &reply),
                expected,
            );
        }
    }
}

/// Of an outpost's 401, nginx hands the challenge on, and no content; of a 403 nothing.
#[test]
fn what_nginx_leaves_of_a_refusal_says_what_is_wrong() {
    let wiki = application("wiki");
    let refused = |challenge: &str| Reply {
        challenge: Some(challenge.to_owned()),
        ..reply(401, None, "<html>401 Authorization Required")
    };
    for (challenge, expected) in [
        ("Gatepost realm=\"wiki\"", ""),
        ("Gatepost error=\"proxy_misconfigured\"", "`X-Original-URL`"),
    ] {
        let checked = check_script(&wiki, &Askers::default(), &refused(challenge));
        says(challenge, checked, expected);
    }
    let only_traefik = Askers::named(vec![Dialect::Traefik]);
    for (status, askers, expected) in [
        (403, &Askers::default(), "`auth_request off`"),
        (500, &Askers::default(), "compare that with `listen.http`"),
        (500, &only_traefik, "`askedBy` names (traefik)"),
    ] {
        let answer = reply(status, None, "<html>");
        says(expected, check_ping(&wiki, askers, &answer), expected);
    }
    let other = reply(404, None, "{\"error\":\"not_found\"}");
    let checked = check_script(&wiki, &only_traefik, &other);
    says("misspelt", checked, "Traefik's is /akprox/auth/traefik");
}

#[test]
fn the_outposts_own_host_is_no_application() {
    let at = Url::parse("https://auth.example.org/").expect("a URL");
    let away = reply(302, Some("/akprox/session"), "");
    let checked = check_page(&application("intranet"), &at, &away);
    says("own host", checked, "name a page of an application");
}

#[test]
fn a_route_that_leads_to_the_plugin_is_named_and_so_is_where_it_lacks() {
    let at = Url::parse("https://app.example.com/akprox/start").expect("a URL");
    // What the plugin answers with, now, and an older one.
    let bodies = [
        "<p><small>For the operator: Requests for /akprox have to be routed to the outpost, and this \
         one reached the application's router. Either no outpost is running, ",
        "Gatepost is not set up completely: requests for /akprox have to be routed to the outpost, \
         and this one reached the application's router.\n",
    ];
    for body in bodies {
        for (name, expected) in [("wiki", "at this host"), ("intranet", "`mode: domain`")] {
            let application = application(name);
            let reply = reply(503, None, body);
            says(
                name,
                check_ping(&application, &Askers::default(), &reply),
                expected,
            );
            says(
                name,
                check_start(&application, application.providers().first(), &at, &reply),
                expected,
            );
        }
    }
}

#[test]
fn a_plugin_that_does_not_know_an_ended_session_is_named() {
    let wiki = application("wiki");
    let plugins = |more: &str| {
        let body = format!("{{\"error\":\"unauthenticated\",{more}\"signIn\":\"/akprox/start\"}}");
        reply(401, None, &body)
    };
    assert!(plugins("").is_plugins());
    let outposts = r#"{"error":"unauthenticated","signIn":"https://a.example/akprox/start?rd=x"}"#;
    assert!(!reply(401, None, outposts).is_plugins());
    let known = plugins(r#""probe":"known","#);
    says("known", plugin_keys::check(&wiki, &known), "");
    for (case, unknown) in [
        ("other keys", plugins("")),
        ("let in", reply(200, None, "<html>")),
    ] {
        says(case, plugin_keys::check(&wiki, &unknown), "in a circle");
    }
}

/// Row A14: a plugin that admits users whom the outpost's rule refuses is named.
#[test]
fn the_plugins_rule_must_be_within_the_outposts() {
    let rule = |text: &str| {
        reply(
            401,
            None,
            &format!("{{\"probe\":\"known\",\"require\":\"{text}\"}}"),
        )
    };
    let in_folder = |text: &str, own: &str| {
        let body = format!(
            "{{\"probe\":\"known\",\"require\":\"{text}\",\"settings\":\"stateDir\",\
             \"narrowedTo\":\"{own}\"}}"
        );
        reply(401, None, &body)
    };
    let wiki = application("wiki");
    let admins = application("admins");
    for (application, answer, expected) in [
        (&wiki, rule(""), ""),
        (&wiki, rule("any=group:staff"), ""),
        (&admins, rule("any=group:admins"), ""),
        (&admins, rule("any=group:admins&all=group:staff"), ""),
        (&admins, rule(""), "admits every user who is signed in"),
        (&admins, rule("any=group:staff"), "`any=group:admins`"),
        (&admins, rule("any=colour:blue"), "one version of both"),
        // From the outpost's folder it is the same, whatever the router narrows.
        (&admins, in_folder("any=group:admins", ""), ""),
        (&admins, in_folder("any=group:admins", "any=user:alice"), ""),
        (
            &admins,
            in_folder("any=group:admins", "any=colour:blue"),
            "one version of both",
        ),
        (&admins, in_folder("any=group:staff", ""), "another outpost"),
        (&wiki, in_folder("any=group:staff", ""), "another outpost"),
        // An older one does not say.
        (&admins, reply(401, None, "{\"probe\":\"known\"}"), ""),
    ] {
        says(
            &answer.body,
            plugin_keys::compare_rules(application, &answer),
            expected,
        );
    }
}

/// Row A14: by a list of rules that a plugin lacks, or a path that it alone opens, requests pass that
/// the outpost refuses.
#[test]
fn the_plugins_rules_must_be_the_outposts_and_its_public_paths_among_them() {
    let policies = |of_wiki: &str| {
        let config = format!(
            "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers: [{{name: main, issuer: 'https://id.example.com', clientId: g}}]
applications:
  - {{name: wiki, externalUrl: 'https://wiki.example.com', {of_wiki}}}
"
        );
        let config = crate::config::Config::parse(&config, []).expect("right");
        crate::runtime::Snapshot::new(&config, &Clock::system(), None).expect("built")
    };
    let own = policies(
        "public: [/static/*, GET=/hook], rules: [{paths: [/x], deny: true}, {name: admins, paths: \
         [/admin/*], require: {groups: [admins]}}]",
    );
    let own = own.applications.iter().next().expect("one");
    let answer = |plugins: &str, more: &str| {
        let plugins = policies(plugins);
        let plugins = plugins.applications.iter().next().expect("one").policy();
        let body = format!(
            "{{\"probe\":\"known\",\"rules\":\"{}\",\"public\":\"{}\"{more}}}",
            plugins.fingerprints_of_rules(),
            plugins.fingerprints_of_paths(),
        );
        reply(401, None, &body)
    };
    let in_folder = r#","settings":"stateDir","narrowedTo":"""#;
    let same = "rules: [{paths: [/x], deny: true}, {paths: [/admin/*], require: {groups: admins}}]";
    let short = "rules: [{paths: [/x], deny: true}]";
    let wide = "rules: [{paths: [/x], deny: true}, {paths: [/admin/*], signedIn: true}]";
    let long = format!("{}, {{signedIn: true}}]", same.trim_end_matches(']'));
    for (plugins, more, expected) in [
        (same.to_owned(), "", ""),
        (same.to_owned(), in_folder, ""),
        (format!("{same}, public: [GET=/hook]"), "", ""),
        (
            format!("{same}, public: [/hook]"),
            "",
            "`public` or `allowPreflight` of `wiki`",
        ),
        (
            format!("{same}, allowPreflight: true"),
            "",
            "opens what is not open",
        ),
        // A narrower pattern than the folder's.
        (format!("{same}, public: [/static/x]"), in_folder, ""),
        (
            String::from("require: {groups: [admins]}"),
            "",
            "no rule 1 (0 rules",
        ),
        (short.to_owned(), "", "no rule admins"),
        (wide.to_owned(), "", "another rule admins"),
        (wide.to_owned(), in_folder, "another outpost has written it"),
        (long, "", "a rule 3, which the outpost does not have"),
    ] {
        let compared = plugin_keys::compare_lists(own, &answer(&plugins, more));
        says(&plugins, compared, expected);
    }
    // An older one does not say.
    let older = reply(401, None, "{\"probe\":\"known\"}");
    says(
        "older",
        plugin_keys::compare_lists(own, &older),
        "Replace it",
    );
    let wiki = application("wiki");
    says("older", plugin_keys::compare_lists(&wiki, &older), "");
}

#[test]
fn a_plugin_that_does_not_read_the_list_of_revoked_sessions_is_named() {
    let mut snapshot = snapshot(&crate::fixture::KEYS);
    let said = |snapshot: &Snapshot, field: &str| {
        let body = format!("{{\"probe\":\"known\"{field}}}");
        plugin_keys::compare_revoked(snapshot, &reply(401, None, &body))
    };
    for (writes, field, expected) in [
        (false, r#","revokedFile":"""#, Ok(None)),
        (
            false,
            r#","revokedFile":"unread""#,
            Err("cannot read the list"),
        ),
        (true, r#","revokedFile":"unread""#, Err("restart Traefik")),
        (true, r#","revokedFile":"read""#, Ok(None)),
        (
            true,
            r#","revokedFile":"""#,
            Ok(Some("has no `revokedFile`")),
        ),
        (true, "", Ok(Some("older version"))),
        (false, "", Ok(None)),
        (
            true,
            r#","revokedFile":"read","settings":"stateDir""#,
            Ok(None),
        ),
        (
            true,
            r#","revokedFile":"unread","settings":"stateDir""#,
            Err("the folder's owner"),
        ),
    ] {
        snapshot.revoked_file = writes.then(|| "/run/gatepost/revoked".into());
        match (said(&snapshot, field), expected) {
            (Ok(found), Ok(expected)) => {
                let is_as_expected = match expected {
                    Some(part) => found.is_some_and(|found| found.contains(part)),
                    None => found.is_none(),
                };
                assert!(is_as_expected, "{writes} {field}: {found:?}");
            }
            (Err(CheckProblem(found)), Err(part)) => assert!(found.contains(part), "{found}"),
            (found, _) => panic!("{writes} {field}: {found:?}"),
        }
    }
}

#[test]
fn the_plugins_headers_for_tokens_must_be_the_outposts() {
    let config = "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers: [{name: main, issuer: 'https://id.example.com', clientId: g}]
applications:
  - {name: board, externalUrl: 'https://board.example.com',
     upstreamTokens: {accessToken: authorization, idToken: x-id-token}}
";
    let config = crate::config::Config::parse(config, []).expect("right");
    let snapshot = crate::runtime::Snapshot::new(&config, &Clock::system(), None).expect("built");
    let board = snapshot.applications.iter().next().expect("one");
    let answer = |more: &str| reply(401, None, &format!("{{\"probe\":\"known\"{more}}}"));
    let wiki = application("wiki");
    for (application, more, expected) in [
        (board, r#","upstreamTokens":"Authorization,X-Id-Token""#, ""),
        (board, "", "write the outpost's there too"),
        (
            board,
            r#","upstreamTokens":"X-Id-Token""#,
            "are `X-Id-Token` at the plugin",
        ),
        (&wiki, "", ""),
        (
            &wiki,
            r#","upstreamTokens":"X-Id-Token""#,
            "and none at the outpost",
        ),
    ] {
        let answer = answer(more);
        let compared = plugin_keys::compare_token_headers(application, &answer);
        says(&answer.body, compared.map(|()| String::new()), expected);
    }
}

#[test]
fn the_session_that_a_plugin_is_shown_opens_nothing() {
    let wiki = application("wiki");
    let line = plugin_keys::cookie(&wiki).expect("a session");
    let candidates = Candidates::find([line.as_bytes()], &wiki.cookie().name);
    let session = wiki.authenticate(&candidates, |_| true).expect("authentic");
    let years_slow = NumericDate::from_seconds(
        Clock::system().now().as_seconds() - plugin_keys::LONG_AGO_SECONDS / 2,
    );
    for now in [Clock::system().now(), years_slow] {
        let outcome = session.current(now, CLOCK_SKEW_SECONDS);
        assert_eq!(outcome.err(), Some(WindowError::Ended));
    }
}

#[test]
fn a_clock_that_is_off_is_named() {
    let mut reply = reply(204, None, "");
    for (seconds, expected) in [(0, ""), (20, ""), (600, "NTP")] {
        reply.date = Some(SystemTime::now() - Duration::from_secs(seconds));
        says("clock", check_clock("the provider", &reply), expected);
    }
}
