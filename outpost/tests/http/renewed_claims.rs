//! What a renewal makes of the claims: no more than a sign-in with the same answers would, and nothing
//! that the provider has called unverified.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::forward_auth::{Asked, signed_in};
use crate::provider::{CLIENT_ID, CLIENT_SECRET, Provider};
use crate::world::{KEY_A, World};

const HOST: &str = "app.example.com";
const START: &str = "https://app.example.com/akprox/start";

/// An outpost whose users' names are their addresses.
async fn named_by_address() -> World {
    let provider = Provider::start().await;
    let issuer = &provider.issuer;
    let yaml = format!(
        "
keys: ['{KEY_A}']
trustedProxies: [127.0.0.1]
providers:
  - {{name: main, issuer: '{issuer}', clientId: {CLIENT_ID}, clientSecret: '{CLIENT_SECRET}',
     usernameClaim: email}}
session: {{refreshAfter: 60s}}
applications:
  - {{name: app, externalUrl: 'https://{HOST}', headers: {{set: {{X-Verified: email_verified}}}},
     rules: [{{paths: ['/admin/*'], require: {{emailDomains: [corp.example], users: [root@corp.example]}}}}]}}
"
    );
    let world = World::configured(provider, &yaml);
    world.find_provider().await;
    world
}

/// Has the ID token say these claims, and nothing else of the user.
fn says(world: &World, claims: Value) {
    world.provider.script().claims = Box::new(move |own| {
        let all = own.as_object_mut().expect("an object");
        for name in ["preferred_username", "name", "email", "email_verified"] {
            all.remove(name);
        }
        all.extend(claims.as_object().expect("an object").clone());
    });
}

async fn renew(world: &World, browser: &mut Browser<'_>) {
    let before = world.provider.script().refreshes;
    world.wait(11 * 60);
    assert!(browser.load(START).await.expect(302).sets_session());
    assert_eq!(world.provider.script().refreshes, before + 1);
}

/// Returns the name, the address and the word on it that the application gets, and whether the user
/// gets to what the owner of an address alone may see.
async fn shown(world: &World, browser: &Browser<'_>) -> ([Option<String>; 3], bool) {
    let asked = Asked::load(HOST, "/x").by(browser);
    let reply = asked.ask(world, "auth/traefik").await.expect(200);
    let names = ["x-auth-username", "x-forwarded-email", "x-verified"];
    let headers = names.map(|name| reply.header(name).map(str::to_owned));
    let admin = Asked::load(HOST, "/admin/x").by(browser);
    let admin = admin.ask(world, "auth/traefik").await;
    (headers, admin.status == 200)
}

#[tokio::test]
async fn an_unverified_address_does_not_come_back_with_a_renewal() {
    const ROOT: &str = "root@corp.example";
    let nothing = |flag: &str| ([None, None, Some(flag.to_owned())], false);
    let without_groups = json!({"email": ROOT});
    let with_groups = json!({"email": ROOT, "groups": ["staff"]});
    let other = json!({"email": "boss@corp.example", "groups": ["staff"]});
    for (case, renewed, fails) in [
        ("userinfo fails", &without_groups, true),
        ("the ID token has all else", &with_groups, false),
        ("both", &with_groups, true),
        ("another address", &other, true),
    ] {
        let world = named_by_address().await;
        says(&world, without_groups.clone());
        let userinfo = json!({
            "sub": "alice-id", "email": ROOT, "email_verified": false, "groups": ["staff"],
        });
        world.provider.script().userinfo = userinfo;
        let mut browser = signed_in(&world, HOST).await;
        assert_eq!(shown(&world, &browser).await, nothing("false"), "{case}");
        says(&world, renewed.clone());
        let failure: Option<crate::provider::Raw> = Some((503, &[], ""));
        world.provider.script().userinfo_answer = failure.filter(|_| fails);
        for _ in 0..2 {
            renew(&world, &mut browser).await;
            assert_eq!(shown(&world, &browser).await, nothing("false"), "{case}");
        }
        // Who has shown since that the address is theirs has it again.
        let mut verified = renewed.clone();
        verified["email_verified"] = json!(true);
        says(&world, verified);
        renew(&world, &mut browser).await;
        let address = renewed["email"].as_str().map(str::to_owned);
        let all = [address.clone(), address, Some("true".into())];
        assert_eq!(shown(&world, &browser).await, (all, true), "{case}");
    }
}

#[tokio::test]
async fn a_verified_address_stays_while_userinfo_fails_and_another_is_not_verified_by_it() {
    const ALICE: &str = "alice@corp.example";
    let world = named_by_address().await;
    says(&world, json!({"email": ALICE}));
    world.provider.script().userinfo = json!({
        "sub": "alice-id", "email": ALICE, "email_verified": true, "groups": ["staff"],
    });
    let mut browser = signed_in(&world, HOST).await;
    let all = |address: &str| [address, address, "true"].map(|text| Some(text.to_owned()));
    assert_eq!(shown(&world, &browser).await.0, all(ALICE));
    world.provider.script().userinfo_answer = Some((503, &[], ""));
    renew(&world, &mut browser).await;
    assert_eq!(shown(&world, &browser).await.0, all(ALICE));
    // Nor is it in the next renewal, in which the ID token says all that a sign-in needs.
    for claims in [
        json!({"email": "root@corp.example"}),
        json!({"email": "root@corp.example", "groups": ["staff"]}),
    ] {
        says(&world, claims);
        renew(&world, &mut browser).await;
        let (headers, is_admin) = shown(&world, &browser).await;
        assert_eq!(headers[..2], [None, None]);
        assert_ne!(headers[2].as_deref(), Some("true"));
        assert!(!is_admin);
    }
    // The name does not stay where the provider takes the word on its address back.
    says(&world, json!({"email": ALICE}));
    world.provider.script().userinfo_answer = None;
    renew(&world, &mut browser).await;
    assert_eq!(shown(&world, &browser).await.0, all(ALICE));
    world.provider.script().userinfo_answer = Some((503, &[], ""));
    says(&world, json!({"email": ALICE, "email_verified": false}));
    renew(&world, &mut browser).await;
    assert_eq!(shown(&world, &browser).await.0[..2], [None, None]);
}

#[tokio::test]
async fn a_provider_that_never_says_what_is_verified_changes_addresses() {
    let world = named_by_address().await;
    says(&world, json!({"email": "a@corp.example"}));
    let mut browser = signed_in(&world, HOST).await;
    let both = |address: &str| [Some(address.to_owned()), Some(address.to_owned()), None];
    assert_eq!(shown(&world, &browser).await.0, both("a@corp.example"));
    world.provider.script().userinfo_answer = Some((503, &[], ""));
    says(&world, json!({"email": "b@corp.example"}));
    renew(&world, &mut browser).await;
    assert_eq!(shown(&world, &browser).await.0, both("b@corp.example"));
}

/// What the provider says of the user has to be valid for the session to count as confirmed.
#[tokio::test]
async fn a_refreshed_id_token_that_is_invalid_confirms_nothing() {
    const SETTINGS: &str = "session: {refreshAfter: 60s, grace: 1h}";
    // A replica asks again about such a session after ten seconds only.
    let world = World::with(SETTINGS).await;
    let second = world.replica_with(SETTINGS).await;
    let third = world.replica_with(SETTINGS).await;
    let mut browser = signed_in(&world, HOST).await;
    world.provider.script().claims = Box::new(|claims| claims["aud"] = json!("another"));
    world.provider.script().userinfo = json!({"sub": "alice-id", "groups": []});
    let groups = async |browser: &Browser<'_>, at: &World| {
        let asked = Asked::load(HOST, "/x").by(browser);
        let reply = asked.ask(at, "auth/traefik").await.expect(200);
        reply.header("x-auth-groups").map(str::to_owned)
    };
    world.wait(11 * 60);
    assert!(browser.load(START).await.expect(302).sets_session());
    assert_eq!(
        groups(&browser, &world).await.as_deref(),
        Some("staff|admins")
    );
    // The provider takes the refresh token that came last, and no other.
    world.wait(20 * 60);
    let mut browser = browser.at(&second);
    assert!(browser.load(START).await.expect(302).sets_session());
    assert_eq!(world.provider.script().refreshes, 2);
    world.wait(31 * 60);
    browser.load(START).await.expect(503);
    let asked = Asked::load(HOST, "/x").by(&browser);
    assert!(!asked.ask(&second, "auth/traefik").await.status.is_success());
    // It has not ended.
    world.provider.script().claims = Box::new(|_| ());
    let mut browser = browser.at(&third);
    assert!(browser.load(START).await.expect(302).sets_session());
    assert_eq!(groups(&browser, &third).await, None);
}

/// Applications read such a header as a list, so one text that looks like two is none of them.
#[tokio::test]
async fn a_claim_of_one_text_is_not_shown_as_a_list() {
    let more = "applications:
  - {name: app, externalUrl: 'https://app.example.com',
     headers: {set: {X-Role: role, X-Phone: phone_number}}}";
    let world = World::with(more).await;
    for (role, shown) in [
        (json!(["user", "admin"]), Some("user|admin")),
        (json!(["user", "x|admin"]), Some("user")),
        (json!("user"), Some("user")),
        (json!("user|admin"), None),
    ] {
        let number = json!("1|2");
        says(&world, json!({"role": role, "phone_number": number}));
        let browser = signed_in(&world, HOST).await;
        let asked = Asked::load(HOST, "/x").by(&browser);
        let reply = asked.ask(&world, "auth/traefik").await.expect(200);
        assert_eq!(reply.header("x-role"), shown, "{role}");
        assert_eq!(reply.header("x-phone"), None, "{role}");
    }
}
