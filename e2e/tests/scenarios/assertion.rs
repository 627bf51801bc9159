//! Applications that verify assertions themselves, with libraries that know nothing of Gatepost.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::programs::asserted::{
    AssertedApp, Expected, JwtLibrary, assertion_in, forged_assertions, new_assertion_key,
};
use gatepost_e2e::users::{ALICE, BOB};
use gatepost_e2e::{Answer, Application, ApplicationSpec, Client, Shared, Stack, ports, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

const HEADER: &str = "X-Gatepost-Assertion";

/// A minute until a new key signs; the rest is for a busy machine.
const INTRODUCED: Duration = Duration::from_secs(150);

/// A window, and what is for a busy machine.
const ENDED: Duration = Duration::from_secs(60);

/// The applications that verify, each with another library.
const VERIFYING: [(JwtLibrary, &str); 3] = [
    (JwtLibrary::Jose, "jose"),
    (JwtLibrary::PyJwt, "pyjwt"),
    (JwtLibrary::Package, "package"),
];

/// Traefik with the plugin in front of applications that verify, and of `seen`, which shows what it
/// gets.
struct World {
    stack: Stack,
    keys: TempDir,
    ports: [u16; VERIFYING.len()],
    algorithm: &'static str,
}

impl World {
    /// Starts it. With `in_folder`, the plugin learns of the header from the outpost's folder, and
    /// otherwise from its own settings.
    fn start(algorithm: &'static str, in_folder: bool, session: &Value) -> Result<Self> {
        let keys = tempfile::tempdir()?;
        let file = keys.path().join("assertion.pem");
        new_assertion_key(&file, algorithm)?;
        let ports = [ports::free()?, ports::free()?, ports::free()?];
        let spec = |name: &str| {
            let own = ApplicationSpec::new(name)
                .set_in_outpost("public", &json!(["/public/*"]))
                .set_in_outpost("assertion", &json!({ "algorithm": algorithm }));
            match in_folder {
                true => own,
                false => own
                    .set_in_plugin("public", &json!(["/public/*"]))
                    .set_in_plugin(
                        "headers",
                        &json!({ "set": { HEADER: "gatepost_assertion" } }),
                    ),
            }
        };
        let mut builder =
            Stack::builder().outpost(&json!({ "assertionKeysFile": file, "session": session }));
        for ((_, name), port) in VERIFYING.into_iter().zip(ports) {
            builder = builder.application(spec(name).upstream_port(port));
        }
        builder = builder.application(spec("seen"));
        let stack = match in_folder {
            true => builder.state_dir().start()?,
            false => builder.start()?,
        };
        Ok(Self {
            stack,
            keys,
            ports,
            algorithm,
        })
    }

    fn jwks(&self) -> Result<Url> {
        Ok(self.stack.outpost_url().join("/akprox/jwks.json")?)
    }

    /// Starts the application of a library where the stack leads to it.
    fn start_app(&self, library: JwtLibrary) -> Result<(&Application, AssertedApp)> {
        let mut apps = VERIFYING.into_iter().zip(self.ports);
        let found = apps.find(|((own, _), _)| *own == library);
        let ((_, name), port) = found.context("an application with it")?;
        let app = self.stack.application(name)?;
        Ok((app, self.start_process(library, app, port)?))
    }

    /// Starts another process of an application, with this library.
    fn start_process(
        &self,
        library: JwtLibrary,
        app: &Application,
        port: u16,
    ) -> Result<AssertedApp> {
        let expected = Expected {
            jwks: self.jwks()?,
            issuer: app.url("/akprox").to_string(),
            audience: app.name().to_owned(),
            algorithm: self.algorithm,
        };
        AssertedApp::start(library, port, &expected, &self.keys.path().join("logs"))
    }

    fn published(&self) -> Result<usize> {
        let answer = Answer::read(Client::new()?.bare(Method::GET, &self.jwks()?).send()?)?;
        let keys: Value = answer.json()?;
        Ok(keys
            .pointer("/keys")
            .and_then(Value::as_array)
            .map_or(0, Vec::len))
    }
}

/// Returns the cookie of a browser's session at an application.
fn cookie(client: &Client, app: &Application) -> Result<String> {
    let cookie = client.cookie(&app.url("/"), app.cookie_name().as_str());
    cookie.context("a session")
}

fn signed_in(app: &Application) -> Result<String> {
    let client = Client::new()?;
    client.sign_in(&app.url("/"), &ALICE)?;
    cookie(&client, app)
}

/// Returns the world of the tests that change nothing in it: ES256 with the outpost's folder, or EdDSA
/// in the long form.
fn shared(algorithm: &'static str) -> Result<Arc<World>> {
    static IN_FOLDER: Shared<World> = Shared::new();
    static LONG_FORM: Shared<World> = Shared::new();
    let in_folder = algorithm == "ES256";
    let shared = if in_folder { &IN_FOLDER } else { &LONG_FORM };
    shared.get(|| World::start(algorithm, in_folder, &json!({ "window": "15m" })))
}

fn verifies(library: JwtLibrary, algorithm: &'static str) -> Result<()> {
    let world = shared(algorithm)?;
    let (app, direct) = world.start_app(library)?;
    let seen = world.stack.application("seen")?;
    for user in [ALICE, BOB] {
        let claims = Client::new()?
            .sign_in(&app.url("/"), &user)?
            .landed
            .json()?;
        assert_eq!(claims.get("preferred_username"), Some(&json!(user.login)));
        assert_eq!(claims.get("aud"), Some(&json!(app.name())));
        assert_eq!(claims.get("iss"), Some(&json!(app.url("/akprox").as_str())));
    }
    let own = signed_in(app)?;
    let (own, pair) = (
        assertion_in(&own)?,
        format!("{}={own}", app.cookie_name().as_str()),
    );
    assert_eq!(direct.ask(&own)?.0, StatusCode::OK);
    // Around the proxy: another application's, and what attackers make of it.
    let other = assertion_in(&signed_in(seen)?)?;
    let mut attacks = forged_assertions(&own, &world.jwks()?)?;
    assert!(attacks.len() >= 10, "{attacks:?}");
    attacks.push(("another application's".to_owned(), other.clone()));
    attacks.push(("none".to_owned(), String::new()));
    for (case, token) in &attacks {
        let (status, claims) = direct.ask(token)?;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{case}: {claims}");
    }
    // Through the proxy: none of them gets there, with a session, without, or on a public path.
    let client = Client::new()?;
    attacks.push(("alice's own, stolen".to_owned(), own));
    for (case, token) in &attacks {
        let ask = |path: &str, cookie: &str| {
            let request = client.fetch(Method::GET, &app.url(path));
            Answer::read(
                request
                    .header("Cookie", cookie)
                    .header(HEADER, token)
                    .send()?,
            )
        };
        let answer = ask("/", &pair)?;
        let named = answer.json()?;
        assert_eq!(
            named.get("preferred_username"),
            Some(&json!(ALICE.login)),
            "{case}"
        );
        for path in ["/", "/public/page"] {
            assert_eq!(ask(path, "x=y")?.status, StatusCode::UNAUTHORIZED, "{case}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn an_app_with_jose_knows_its_users_behind_the_plugin_with_a_folder() -> Result<()> {
    verifies(JwtLibrary::Jose, "ES256")
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn an_app_with_jose_verifies_eddsa() -> Result<()> {
    verifies(JwtLibrary::Jose, "EdDSA")
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn an_app_with_pyjwt_knows_its_users_behind_the_plugin_in_the_long_form() -> Result<()> {
    verifies(JwtLibrary::PyJwt, "EdDSA")
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn an_app_with_pyjwt_verifies_es256() -> Result<()> {
    verifies(JwtLibrary::PyJwt, "ES256")
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn an_app_with_the_package_verifies_es256() -> Result<()> {
    verifies(JwtLibrary::Package, "ES256")
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn an_app_with_the_package_verifies_eddsa() -> Result<()> {
    verifies(JwtLibrary::Package, "EdDSA")
}

/// Servers of the CGI family read each of these names as `HTTP_X_GATEPOST_ASSERTION`.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn no_spelling_of_the_header_comes_from_a_client() -> Result<()> {
    let world = World::start("ES256", true, &json!({ "window": "15m" }))?;
    let seen = world.stack.application("seen")?;
    let session = signed_in(seen)?;
    let own = assertion_in(&session)?;
    let pair = format!("{}={session}", seen.cookie_name().as_str());
    let client = Client::new()?;
    for separator in "!#$%&'*+.^_`|~-".chars() {
        for name in [
            format!("X{separator}Gatepost{separator}Assertion"),
            format!("x-gatepost{separator}assertion"),
        ] {
            for (path, cookie, expected) in [
                ("/", &*pair, &[own.as_str()][..]),
                ("/public/page", "x=y", &[][..]),
            ] {
                let request = client.page_load(Method::GET, &seen.url(path));
                let request = request.header("Cookie", cookie).header(&name, "stolen");
                assert_eq!(request.send()?.status(), StatusCode::OK, "{name} {path}");
                let requests = seen.requests();
                let last = requests.last().context("a request")?;
                let folded = |name: &str| {
                    let same = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
                    name.chars().map(same).collect::<String>()
                };
                let values: Vec<&str> = last
                    .headers
                    .iter()
                    .filter(|(name, _)| folded(name) == "x-gatepost-assertion")
                    .flat_map(|(_, values)| values.iter().map(String::as_str))
                    .collect();
                assert_eq!(values, expected, "{name} {path}");
            }
        }
    }
    Ok(())
}

/// A sign-out ends what the proxy lets through at once, and an assertion with its window.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn an_assertion_ends_with_its_window() -> Result<()> {
    let window = json!({ "window": "20s" });
    let world = World::start("ES256", true, &window)?;
    let (app, direct) = world.start_app(JwtLibrary::Jose)?;
    let client = Client::new()?;
    client.sign_in(&app.url("/"), &ALICE)?;
    let session = cookie(&client, app)?;
    let own = assertion_in(&session)?;
    let page = client.open(&app.url("/akprox/sign_out"))?.landed;
    client.confirm_sign_out(&page)?;
    let pair = format!("{}={session}", app.cookie_name().as_str());
    until("the proxy to refuse the session", ENDED, || {
        let request = Client::new()?.fetch(Method::GET, &app.url("/"));
        let answer = Answer::read(request.header("Cookie", &pair).send()?)?;
        // The app's own refusal has no such member.
        let refused = answer.status == StatusCode::UNAUTHORIZED;
        Ok((refused && answer.json()?.get("signIn").is_some()).then_some(()))
    })?;
    until("the assertion to end", ENDED, || {
        Ok((direct.ask(&own)?.0 == StatusCode::UNAUTHORIZED).then_some(()))
    })?;
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn keys_are_rotated_while_an_app_verifies() -> Result<()> {
    let world = World::start("ES256", true, &json!({ "window": "15m" }))?;
    let file = world.keys.path().join("assertion.pem");
    let old_key = fs::read_to_string(&file)?;
    let (app, jose) = world.start_app(JwtLibrary::Jose)?;
    let python = world.start_process(JwtLibrary::PyJwt, app, ports::free()?)?;
    let old = assertion_in(&signed_in(app)?)?;
    let key_of = |token: &str| token.split('.').next().map(str::to_owned);
    let accept = |token: &str| -> Result<()> {
        for own in [&jose, &python] {
            let (status, claims) = own.ask(token)?;
            assert_eq!(status, StatusCode::OK, "{claims}");
        }
        Ok(())
    };
    accept(&old)?;

    new_assertion_key(&file, "ES256")?;
    until("both keys to be published", INTRODUCED, || {
        Ok((world.published()? == 2).then_some(()))
    })?;
    // Published, and not yet in use.
    let between = assertion_in(&signed_in(app)?)?;
    assert_eq!(key_of(&between), key_of(&old));
    let new = until("the new key to sign", INTRODUCED, || {
        let token = assertion_in(&signed_in(app)?)?;
        Ok((key_of(&token) != key_of(&old)).then_some(token))
    })?;
    accept(&new)?;
    accept(&old)?;

    let both = fs::read_to_string(&file)?;
    fs::write(&file, both.replace(&old_key, ""))?;
    until("the old key to go", INTRODUCED, || {
        Ok((world.published()? == 1).then_some(()))
    })?;
    for library in [JwtLibrary::Jose, JwtLibrary::PyJwt] {
        let restarted = world.start_process(library, app, ports::free()?)?;
        assert_eq!(restarted.ask(&new)?.0, StatusCode::OK, "{library:?}");
        let (status, _) = restarted.ask(&old)?;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{library:?}");
    }
    Ok(())
}
