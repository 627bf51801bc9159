//! One configuration: the plugin has two keys, and the rest from the folder that the outpost writes.
//! Traefik never reloads here, as its files do not change.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::users::{ALICE, BOB};
use gatepost_e2e::{ApplicationSpec, Client, Stack, pass, ports, until};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::PATIENCE;
use crate::replicas::second_outpost;

/// Returns the status of the answer to a script with the cookies of this client.
fn status(stack: &Stack, client: &Client, path: &str) -> Result<StatusCode> {
    let url = stack.app().url(path);
    Ok(client.fetch(Method::GET, &url).send()?.status())
}

/// Waits until a client's requests are answered with this status, by every guest.
fn becomes(stack: &Stack, client: &Client, path: &str, expected: StatusCode) -> Result<()> {
    until(&format!("{path} to be {expected}"), PATIENCE, || {
        Ok((status(stack, client, path)? == expected).then_some(()))
    })?;
    // Every guest has looked at the folder by now.
    pass(Duration::from_secs(3));
    for _ in 0..5 {
        assert_eq!(status(stack, client, path)?, expected, "{path}");
    }
    Ok(())
}

/// Starts a stack whose outpost writes the folder, and signs a user in.
fn signed_in() -> Result<(Stack, Client)> {
    let stack = Stack::builder().state_dir().start()?;
    let client = Client::new()?;
    client.sign_in(&stack.app().url("/"), &ALICE)?;
    assert_eq!(status(&stack, &client, "/")?, StatusCode::OK);
    Ok((stack, client))
}

/// Waits until Traefik's log has a line of the plugin with this text.
fn is_logged(stack: &Stack, text: &str) -> Result<()> {
    until(&format!("the log to say {text}"), PATIENCE, || {
        Ok(stack.traefik().output().contains(text).then_some(()))
    })
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn two_keys_are_a_middleware_and_changes_need_no_reload() -> Result<()> {
    let app = ApplicationSpec::new("app").set_in_outpost("public", &json!(["/open/*"]));
    let stack = Stack::builder().application(app).state_dir().start()?;
    let client = Client::new()?;
    assert_eq!(status(&stack, &client, "/")?, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&stack, &client, "/open/x")?, StatusCode::OK);
    let journey = client.sign_in(&stack.app().url("/"), &ALICE)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    let seen = stack.app().requests();
    let user = seen.last().and_then(|seen| seen.header("x-auth-username"));
    assert_eq!(user, Some("alice"));

    // Other rules.
    stack.change_outpost(|config| {
        config["applications"][0]["require"] = json!({ "users": ["bob"] });
        config["applications"][0]["public"] = json!([]);
    })?;
    becomes(&stack, &client, "/", StatusCode::FORBIDDEN)?;
    assert_eq!(
        status(&stack, &Client::new()?, "/open/x")?,
        StatusCode::UNAUTHORIZED
    );
    stack.change_outpost(|config| {
        config["applications"][0]["require"] = json!({ "users": ["alice"] });
    })?;
    becomes(&stack, &client, "/", StatusCode::OK)?;

    // Other keys: the old one verifies until it is retired, and the new one signs when every guest
    // has it.
    stack.keys().rotate("b")?;
    pass(Duration::from_secs(20));
    assert_eq!(status(&stack, &client, "/")?, StatusCode::OK);
    let later = Client::new()?;
    later.sign_in(&stack.app().url("/"), &ALICE)?;
    assert_eq!(status(&stack, &later, "/")?, StatusCode::OK);
    stack.keys().retire_oldest()?;
    becomes(&stack, &client, "/", StatusCode::UNAUTHORIZED)?;
    assert_eq!(status(&stack, &later, "/")?, StatusCode::OK);
    Ok(())
}

/// Row B9: with the folder as it should not be, no request reaches the application.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_folder_that_is_damaged_or_gone_serves_nothing() -> Result<()> {
    let (stack, client) = signed_in()?;
    // It would write the files again.
    stack.outpost().stop();
    let file = stack.state_dir().join("application-app.json");
    let whole = fs::read_to_string(&file)?;
    let other_version = whole.replace("\"format\":\"1\"", "\"format\":\"2\"");
    let anothers = whole.replace("\"application\":\"app\"", "\"application\":\"other\"");
    assert!(other_version != whole && anothers != whole, "{whole}");
    for content in [
        whole.get(..whole.len() / 2).context("half")?,
        "",
        "{}",
        &other_version,
        &anothers,
    ] {
        fs::write(&file, content)?;
        becomes(&stack, &client, "/", StatusCode::SERVICE_UNAVAILABLE)?;
        fs::write(&file, &whole)?;
        becomes(&stack, &client, "/", StatusCode::OK)?;
    }
    is_logged(
        &stack,
        "stateDir: application-app.json: format: another format",
    )?;
    let away = stack.folder().join("away");
    fs::create_dir(&away)?;
    for entry in fs::read_dir(stack.state_dir())? {
        let entry = entry?;
        fs::rename(entry.path(), away.join(entry.file_name()))?;
    }
    becomes(&stack, &client, "/", StatusCode::SERVICE_UNAVAILABLE)?;
    // And as soon as the outpost is back, it is served again.
    stack.outpost().start()?;
    becomes(&stack, &client, "/", StatusCode::OK)
}

/// Row B9: an application that is no longer configured, and names that are paths.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn an_application_that_is_removed_is_closed_and_the_other_is_not() -> Result<()> {
    let stack = Stack::builder()
        .application(ApplicationSpec::new("app"))
        .application(ApplicationSpec::new("other"))
        .state_dir()
        .start()?;
    let client = Client::new()?;
    client.sign_in(&stack.app().url("/"), &ALICE)?;
    let other = stack.application("other")?.url("/");
    let guest = Client::new()?;
    guest.sign_in(&other, &BOB)?;
    stack.change_outpost(|config| {
        if let Some(all) = config["applications"].as_array_mut() {
            all.retain(|application| application["name"] != "app");
        }
    })?;
    becomes(&stack, &client, "/", StatusCode::SERVICE_UNAVAILABLE)?;
    assert!(!stack.state_dir().join("application-app.json").exists());
    assert_eq!(
        guest.fetch(Method::GET, &other).send()?.status(),
        StatusCode::OK
    );
    Ok(())
}

/// Row B9: plugins that read a folder which the outpost no longer writes would serve the rules of that
/// day for ever.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_folder_that_the_outpost_leaves_serves_nothing_until_it_is_back() -> Result<()> {
    let (stack, client) = signed_in()?;
    let folder = json!(stack.state_dir());
    stack.change_outpost(|config| {
        if let Some(keys) = config.as_object_mut() {
            keys.remove("stateDir");
        }
    })?;
    becomes(&stack, &client, "/", StatusCode::SERVICE_UNAVAILABLE)?;
    assert!(!stack.state_dir().join("gatepost-state").exists());
    stack.change_outpost(|config| config["stateDir"] = folder)?;
    becomes(&stack, &client, "/", StatusCode::OK)
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_session_that_ends_is_refused_by_the_list_in_the_folder() -> Result<()> {
    let (stack, client) = signed_in()?;
    let page = stack.app().url("/");
    let name = stack.app().cookie_name();
    let cookie = client.cookie(&page, name.as_str()).context("a session")?;
    let stolen = Client::new()?;
    stolen.add_cookie(&page, &format!("{}={cookie}", name.as_str()));
    assert_eq!(status(&stack, &stolen, "/")?, StatusCode::OK);
    let sign_out = client.open(&stack.app().url("/akprox/sign_out"))?;
    client.confirm_sign_out(&sign_out.landed)?;
    becomes(&stack, &stolen, "/", StatusCode::UNAUTHORIZED)
}

/// Row B9: what a router writes besides narrows, and what would widen closes it.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_router_narrows_and_never_widens() -> Result<()> {
    let narrowed = json!({ "groups": "admins" });
    let app = ApplicationSpec::new("app")
        .set_in_outpost("public", &json!(["/open/*"]))
        .set_in_plugin("require", &narrowed)
        .set_in_plugin("public", &json!("/open/a"));
    let stack = Stack::builder().application(app).state_dir().start()?;
    is_logged(
        &stack,
        "`require` and `public` narrow what the outpost says",
    )?;
    let nobody = Client::new()?;
    assert_eq!(status(&stack, &nobody, "/open/a")?, StatusCode::OK);
    assert_eq!(
        status(&stack, &nobody, "/open/b")?,
        StatusCode::UNAUTHORIZED
    );
    let (alice, bob) = (Client::new()?, Client::new()?);
    alice.sign_in(&stack.app().url("/"), &ALICE)?;
    assert_eq!(
        status(&stack, &alice, "/")?,
        StatusCode::OK,
        "staff and admins"
    );
    let journey = bob.sign_in(&stack.app().url("/"), &BOB)?;
    assert_eq!(journey.landed.status, StatusCode::FORBIDDEN, "{journey}");
    // What the outpost no longer opens closes the router that opened it.
    stack.change_outpost(|config| config["applications"][0]["public"] = json!([]))?;
    becomes(&stack, &alice, "/", StatusCode::SERVICE_UNAVAILABLE)?;
    is_logged(
        &stack,
        "middleware.public: not all of it is public at the outpost",
    )
}

/// Row B9: two outposts, of which one would take away what the other has written.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_second_outpost_leaves_the_folder_alone_and_says_so() -> Result<()> {
    let stack = Stack::builder().state_dir().start()?;
    let free = [ports::free()?, ports::free()?];
    let second = second_outpost(&stack, free, |config| {
        config["applications"][0]["name"] = json!("foreign");
        config["store"] = json!({ "kind": "memory" });
    })?;
    until("the second to say so", PATIENCE, || {
        let said = second.output();
        let said = said.contains("another outpost writes it")
            && said.contains("`application-foreign.json` would be another");
        Ok(said.then_some(()))
    })?;
    let names = fs::read_dir(stack.state_dir())?;
    let names: Vec<String> = names
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    assert!(
        names.contains(&"application-app.json".to_owned()),
        "{names:?}"
    );
    assert!(
        !names.contains(&"application-foreign.json".to_owned()),
        "{names:?}"
    );
    Ok(())
}

/// What the outpost takes for a proxy's address is no client's at the plugin either.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn the_plugin_learns_of_the_outposts_proxies() -> Result<()> {
    let rule = json!([{ "paths": ["/hook"], "networks": ["127.0.0.2"], "public": true }]);
    let app = ApplicationSpec::new("app")
        .set_in_outpost("rules", &rule)
        .set_in_plugin("trustedProxies", &json!(["127.0.0.1"]));
    let stack = Stack::builder().application(app).state_dir().start()?;
    let client = Client::from_address([127, 0, 0, 2].into())?;
    for (proxies, expected) in [
        (json!(["127.0.0.1"]), StatusCode::OK),
        (json!(["127.0.0.0/8"]), StatusCode::UNAUTHORIZED),
    ] {
        stack.change_outpost(|config| config["trustedProxies"] = proxies)?;
        becomes(&stack, &client, "/hook", expected)?;
    }
    Ok(())
}
