//! The OpenID Foundation's plans for relying parties of the code flow, module by module: basic,
//! configuration, refresh tokens, and what of the comprehensive plan is of this flow. Each case has
//! the name of its module (without `oidcc-client-test-`); `docs/security.md` has those that cannot
//! occur too. Cases that start with `+` are ours.

use serde_json::{Map, Value, json};

use crate::provider::{Script, Signature, ecdsa_key, key, rsa_key};
use crate::world::{World, now};

const START: &str = "https://app.example.com/akprox/start";
const SESSION: &str = "https://app.example.com/akprox/session";

/// A change to the provider's behaviour.
type Setting = fn(&mut Script);

/// Starts an outpost with a provider that has this change from the start.
async fn world(setting: Setting) -> World {
    let world = World::without_provider("").await;
    setting(&mut world.provider.script());
    world.find_provider().await;
    world
}

fn members(value: &mut Value) -> &mut Map<String, Value> {
    value.as_object_mut().expect("an object")
}

/// Removes the claim, which is not the same as null.
fn without(claim: &'static str) -> Box<dyn Fn(&mut Value) + Send> {
    Box::new(move |claims| {
        members(claims).remove(claim);
    })
}

fn with(claim: &'static str, value: Value) -> Box<dyn Fn(&mut Value) + Send> {
    Box::new(move |claims| claims[claim] = value.clone())
}

fn nameless(keys: &mut Value) {
    for key in keys["keys"].as_array_mut().expect("keys") {
        members(key).remove("kid");
    }
}

#[tokio::test]
async fn responses_that_the_plans_refuse_sign_no_user_in() {
    let cases: &[(&str, Setting)] = &[
        ("invalid-iss", |s| {
            s.claims = with("iss", json!("https://elsewhere.example"));
        }),
        ("missing-sub", |s| s.claims = without("sub")),
        ("missing-aud", |s| s.claims = without("aud")),
        ("invalid-aud", |s| s.claims = with("aud", json!("another"))),
        ("missing-iat", |s| s.claims = without("iat")),
        ("nonce-invalid", |s| {
            s.claims = with("nonce", json!("another"))
        }),
        ("idtoken-sig-none", |s| s.signature = Signature::Missing),
        ("invalid-sig-rs256", |s| {
            s.signature = Signature::DamagedRsa;
            s.keys = Box::new(|keys| keys["keys"] = json!([rsa_key()]));
        }),
        ("invalid-sig-es256", |s| {
            s.signature = Signature::DamagedEcdsa;
            s.keys = Box::new(|keys| keys["keys"] = json!([ecdsa_key()]));
        }),
        ("invalid-sig-hs256", |s| {
            s.signature = Signature::ClientSecret
        }),
        ("userinfo-invalid-sub", |s| {
            s.userinfo = json!({"sub": "mallory-id", "groups": ["admins"]});
        }),
        ("invalid-athash", |s| {
            s.claims = with("at_hash", json!("eHh4"))
        }),
        ("+ a damaged signature by EdDSA", |s| {
            s.signature = Signature::Damaged
        }),
        ("+ RS256 with a key for ES256", |s| {
            s.signature = Signature::Rsa;
            s.keys = Box::new(|keys| keys["keys"] = json!([ecdsa_key()]));
        }),
        ("+ a key that is for encryption", |s| {
            s.keys = Box::new(|keys| {
                let own = keys["keys"][0].clone();
                keys["keys"][0]["use"] = json!("enc");
                // A set without any key that verifies is a fault of another kind.
                let mut another = own;
                another["kid"] = json!("another");
                keys["keys"].as_array_mut().expect("keys").push(another);
            });
        }),
        ("+ an algorithm that discovery does not name", |s| {
            s.signature = Signature::Rsa;
            s.keys = Box::new(|keys| keys["keys"] = json!([rsa_key()]));
            s.discovery = with("id_token_signing_alg_values_supported", json!(["ES256"]));
        }),
        ("+ missing-exp", |s| s.claims = without("exp")),
        ("+ expired", |s| {
            s.claims = with("exp", json!(now() - 1));
        }),
        ("+ missing-nonce", |s| s.claims = without("nonce")),
        ("+ missing-iss", |s| s.claims = without("iss")),
        ("+ aud is a list without us", |s| {
            s.claims = with("aud", json!(["another", "a third"]));
        }),
        ("+ aud is a list with us and one that is not trusted", |s| {
            s.claims = with("aud", json!(["gatepost", "another"]));
        }),
        ("+ azp is another", |s| {
            s.claims = with("azp", json!("another"));
        }),
        ("+ sub is empty in userinfo", |s| {
            s.userinfo = json!({"groups": ["admins"]})
        }),
    ];
    for (module, setting) in cases {
        let world = world(*setting).await;
        let mut browser = world.browser();
        let reply = browser.sign_in(START).await;
        assert_eq!(reply.status.as_u16(), 502, "{module}: {reply:#?}");
        assert!(!reply.sets_session(), "{module}: {reply:#?}");
        browser.fetch(SESSION).await.expect(401);
        assert_eq!(world.provider.script().exchanges, 1, "{module}");
    }
}

#[tokio::test]
async fn what_the_plans_have_accepted_signs_in() {
    let cases: &[(&str, Setting)] = &[
        ("(none): the basic test", |_| ()),
        ("idtoken-sig-rs256", |s| {
            s.signature = Signature::Rsa;
            s.keys = Box::new(|keys| keys["keys"] = json!([rsa_key()]));
        }),
        ("+ ES256", |s| {
            s.signature = Signature::Ecdsa;
            s.keys = Box::new(|keys| keys["keys"] = json!([ecdsa_key()]));
        }),
        ("kid-absent-single-jwks", |s| {
            s.header = without("kid");
            s.keys = Box::new(nameless);
        }),
        ("+ kid absent, several keys and one that fits", |s| {
            s.signature = Signature::Rsa;
            s.header = without("kid");
            s.keys = Box::new(|keys| {
                keys["keys"] = json!([key(1, "a"), rsa_key()]);
                nameless(keys);
            });
        }),
        // The module allows either: trying all keys, or a refusal.
        ("kid-absent-multiple-jwks", |s| {
            s.header = without("kid");
            s.keys = Box::new(|keys| {
                keys["keys"] = json!([key(2, "b"), key(1, "a")]);
                nameless(keys);
            });
        }),
        ("+ aud is a list with us and another, and azp is us", |s| {
            s.claims = Box::new(|claims| {
                claims["aud"] = json!(["gatepost", "another"]);
                claims["azp"] = json!("gatepost");
            });
        }),
        ("ignores-unparseable-key-in-jwks", |s| {
            s.keys = Box::new(|keys| {
                let list = keys["keys"].as_array_mut().expect("keys");
                list.insert(
                    0,
                    json!({"kty": "AKP", "alg": "ML-DSA-1", "kid": "x", "pub": "AA"}),
                );
                list.push(json!({"kty": "made up", "kid": "y"}));
                list.push(json!({"kty": "RSA", "kid": "z"}));
            });
        }),
        ("client-secret-basic", |s| s.secret_in_form = false),
        ("client-secret-post, named alone", |s| {
            s.secret_in_form = true;
            s.discovery = with(
                "token_endpoint_auth_methods_supported",
                json!(["client_secret_post"]),
            );
        }),
        // The provider takes the access token in no other way.
        ("userinfo-bearer-header", |s| s.claims = without("groups")),
        ("+ missing-athash, which this flow allows", |s| {
            s.claims = without("at_hash")
        }),
        ("+ aud is a list of us", |s| {
            s.claims = with("aud", json!(["gatepost"]))
        }),
        ("+ azp is us", |s| s.claims = with("azp", json!("gatepost"))),
    ];
    for (module, setting) in cases {
        let world = world(*setting).await;
        let mut browser = world.browser();
        let reply = browser.sign_in(START).await;
        assert_eq!(reply.status.as_u16(), 302, "{module}: {reply:#?}");
        let session = browser.fetch(SESSION).await.expect(200).body;
        assert!(session.contains("admins"), "{module}: {session}");
    }
}

#[tokio::test]
async fn claims_that_scopes_ask_for_are_taken_from_userinfo() {
    // scope-userinfo-claims
    let world = world(|s| {
        s.claims = Box::new(|claims| {
            for claim in ["name", "email", "email_verified", "preferred_username"] {
                members(claims).remove(claim);
            }
        });
        s.userinfo = json!({
            "sub": "alice-id", "groups": ["staff"], "preferred_username": "alice",
            "name": "Alice Liddell", "email": "alice@example.com", "email_verified": true,
        });
    })
    .await;
    let mut browser = world.browser();
    let begun = browser.load(START).await.expect(302);
    let asked = url::Url::parse(begun.location()).expect("a URL");
    let scope = asked.query_pairs().find(|(name, _)| name == "scope");
    let scope = scope.expect("scopes").1.into_owned();
    for wanted in ["openid", "profile", "email"] {
        assert!(
            scope.split(' ').any(|own| own == wanted),
            "{wanted}: {scope}"
        );
    }
    browser.sign_in(START).await.expect(302);
    let session = browser.fetch(SESSION).await.expect(200).body;
    for claim in ["Alice Liddell", "alice@example.com", "staff"] {
        assert!(session.contains(claim), "{claim}: {session}");
    }
}

#[tokio::test]
async fn keys_that_rotate_are_looked_up_again() {
    let rotate: &[(&str, bool)] = &[
        ("signing-key-rotation", false),
        ("signing-key-rotation-just-before-signing", true),
    ];
    for (module, while_signing_in) in rotate {
        let world = world(|_| ()).await;
        let mut browser = world.browser();
        if *while_signing_in {
            let callback = browser.begin(START).await;
            world.provider.script().key = (2, "key-2");
            let reply = browser.load(callback.as_str()).await.expect(302);
            assert!(reply.sets_session(), "{module}");
        } else {
            browser.sign_in(START).await.expect(302);
            world.provider.script().key = (2, "key-2");
            let reply = world.browser().sign_in(START).await.expect(302);
            assert!(reply.sets_session(), "{module}");
        }
        assert_eq!(world.provider.script().key_fetches, 2, "{module}");
    }
}

#[tokio::test]
async fn a_refreshed_id_token_is_verified_as_the_first_one() {
    // Whether the session goes on, and whether the claims of the token are used.
    let cases: &[(&str, Setting, bool, bool)] = &[
        ("refresh-token", |_| (), true, true),
        (
            "+ refresh-token without ID token",
            |s| s.token_response = without("id_token"),
            true,
            false,
        ),
        (
            "refresh-token-invalid-iss",
            |s| {
                add(s, |claims| {
                    claims["iss"] = json!("https://elsewhere.example")
                });
            },
            true,
            false,
        ),
        (
            "refresh-token-invalid-sub",
            |s| {
                add(s, |claims| claims["sub"] = json!("mallory-id"));
            },
            false,
            false,
        ),
        (
            "refresh-token-invalid-aud",
            |s| {
                add(s, |claims| claims["aud"] = json!("another"));
            },
            true,
            false,
        ),
        (
            "refresh-token-invalid-azp",
            |s| {
                add(s, |claims| claims["azp"] = json!("another"));
            },
            true,
            false,
        ),
        (
            "+ refresh-token with a damaged signature",
            |s| {
                add(s, |_| ());
                s.signature = Signature::Damaged;
            },
            true,
            false,
        ),
    ];
    for (module, setting, goes_on, counts) in cases {
        let world = world(|_| ()).await;
        let mut browser = world.browser();
        browser.sign_in(START).await.expect(302);
        {
            let mut script = world.provider.script();
            add(&mut script, |_| ());
            setting(&mut script);
        }
        world.wait(7 * 3_600);
        let reply = browser.load(START).await.expect(302);
        assert_eq!(world.provider.script().refreshes, 1, "{module}");
        assert_eq!(reply.sets_session(), *goes_on, "{module}: {reply:#?}");
        if *goes_on {
            let session = browser.fetch(SESSION).await.expect(200).body;
            assert_eq!(
                session.contains("Someone New"),
                *counts,
                "{module}: {session}"
            );
        }
    }
}

/// Changes the claims of the ID token, and the name in it.
fn add(script: &mut Script, change: fn(&mut Value)) {
    script.claims = Box::new(move |claims| {
        claims["name"] = json!("Someone New");
        change(claims);
    });
}
