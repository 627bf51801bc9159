#![allow(
    clippy::indexing_slicing,
    reason = "a member that is missing from a JSON value is null"
)]
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::{
    CLIENT_SECRET, ClientKey, Credentials, Program, ProgramToken, Provider, Registration, api, logs,
};
use crate::clients::{Answer, Client};
use crate::programs::Service;
use crate::programs::ports;
use crate::tools::{self, Tool as _};
use crate::users::{ALICE, BOB, User};

mod levels;

/// A Java program, on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(300);

/// The realm with a client scope `groups`, as the documentation's page on Keycloak makes it.
const WORK: &str = "work";

/// A realm as it is when it is new: without that scope.
const PLAIN: &str = "plain";

/// A client with a service account.
const ROBOT: &str = "robot";

/// The role that Alice has in every realm.
const ROLE: &str = "editor";

/// Keycloak with an embedded database, which keeps sessions over a restart.
#[derive(Debug)]
pub struct Keycloak {
    service: Service,
    origin: Url,
    /// For administration.
    client: Client,
    keys: AtomicU32,
    _data: TempDir,
}

impl Keycloak {
    /// Starts it with two realms.
    ///
    /// # Errors
    ///
    /// When it is not installed or does not start.
    pub fn start() -> Result<Self> {
        let home = tools::Keycloak.locate()?;
        let data = tempfile::Builder::new().prefix("gatepost-").tempdir()?;
        let (port, management) = (ports::free()?, ports::free()?);
        let mut command = home.server(data.path())?;
        command.args([
            "--http-enabled=true",
            "--http-host=127.0.0.1",
            &format!("--http-port={port}"),
            "--http-management-host=127.0.0.1",
            &format!("--http-management-port={management}"),
            "--hostname-strict=false",
        ]);
        let ready = Url::parse(&format!("http://127.0.0.1:{management}/health/ready"))?;
        let service = Service::new("keycloak", command, &logs("keycloak"))
            .starting_within(START_LIMIT)
            .answering(ready, StatusCode::OK);
        service.start()?;
        let keycloak = Self {
            service,
            origin: Url::parse(&format!("http://127.0.0.1:{port}"))?,
            client: Client::new()?,
            keys: AtomicU32::new(0),
            _data: data,
        };
        keycloak.create_realm(WORK)?;
        keycloak.create_groups_scope(WORK)?;
        keycloak.create_realm(PLAIN)?;
        Ok(keycloak)
    }

    fn create_realm(&self, realm: &str) -> Result<()> {
        let (both, one) = (json!(["/staff", "/admins"]), json!(["/staff"]));
        let representation = json!({
            "realm": realm,
            "enabled": true,
            "sslRequired": "none",
            // Each refresh token serves once.
            "revokeRefreshToken": true,
            "refreshTokenMaxReuse": 0,
            "groups": [{ "name": "staff" }, { "name": "admins" }],
            "roles": { "realm": [{ "name": ROLE }] },
            "users": [
                user_representation(&ALICE, &both, &json!([ROLE])),
                user_representation(&BOB, &one, &json!([])),
            ],
        });
        self.administrate(Method::POST, "", Some(&representation))?;
        Ok(())
    }

    fn create_groups_scope(&self, realm: &str) -> Result<()> {
        let scope = json!({
            "name": "groups",
            "protocol": "openid-connect",
            "attributes": { "include.in.token.scope": "true" },
            "protocolMappers": [groups_mapper()],
        });
        self.administrate(
            Method::POST,
            &format!("{realm}/client-scopes"),
            Some(&scope),
        )?;
        Ok(())
    }

    /// Adds an optional scope to a client. It is not part of the client's registration, where a
    /// list would replace all default scopes.
    fn add_optional_scope(&self, realm: &str, client: &str, name: &str) -> Result<()> {
        let scopes = self.administrate(Method::GET, &format!("{realm}/client-scopes"), None)?;
        let scopes = scopes.json()?;
        let scopes = scopes.as_array().context("a list of scopes")?;
        let scope = scopes.iter().find(|scope| scope["name"] == name);
        let scope = scope.and_then(|scope| scope["id"].as_str());
        let scope = scope.with_context(|| format!("a scope {name}"))?;
        let path = format!("{realm}/clients/{client}/optional-client-scopes/{scope}");
        self.administrate(Method::PUT, &path, None)?;
        Ok(())
    }

    /// Asks the administration's interface about realms; `path` begins with the name of one.
    fn administrate(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let url = self.origin.join(&format!("/admin/realms/{path}"))?;
        let request = self.client.bare(method, &url);
        api::send(request.bearer_auth(self.administrator_token()?), body)
    }

    /// Returns the representation that is alone in a list.
    fn only_one(&self, list: &str) -> Result<Value> {
        let found = self.administrate(Method::GET, list, None)?.json()?;
        match found.as_array().map(Vec::as_slice) {
            Some([one]) => Ok(one.clone()),
            _ => bail!("{list}: {found}"),
        }
    }

    /// Gets a token for one request: it is valid for a minute.
    fn administrator_token(&self) -> Result<String> {
        let path = "/realms/master/protocol/openid-connect/token";
        let (user, password) = tools::Keycloak::ADMINISTRATOR;
        let grant = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", user),
            ("password", password),
        ];
        let request = self.client.bare(Method::POST, &self.origin.join(path)?);
        let answer = api::send(request.form(&grant), None)?.json()?;
        let token = answer["access_token"].as_str();
        Ok(token.context("an access token")?.to_owned())
    }

    /// Creates a client with a service account, whose tokens are for these audiences.
    fn create_robot(&self, realm: &str, audiences: &[&str]) -> Result<()> {
        let mappers = audiences.iter().copied().map(audience_mapper);
        let client = json!({
            "clientId": ROBOT,
            "secret": CLIENT_SECRET,
            "publicClient": false,
            "standardFlowEnabled": false,
            "directAccessGrantsEnabled": true,
            "serviceAccountsEnabled": true,
            "protocolMappers": mappers.collect::<Vec<_>>(),
        });
        self.administrate(Method::POST, &format!("{realm}/clients"), Some(&client))?;
        Ok(())
    }

    /// Asks the token endpoint of an issuer in the name of that client.
    fn grant_to_robot(&self, issuer: &str, grant: &[(&str, &str)]) -> Result<Value> {
        let url = Url::parse(&format!("{issuer}/protocol/openid-connect/token"))?;
        let client = [("client_id", ROBOT), ("client_secret", CLIENT_SECRET)];
        let form = [grant, &client].concat();
        let request = self.client.bare(Method::POST, &url).form(&form);
        api::send(request, None)?.json()
    }

    fn change_signing_key_of(&self, realm: &str, priority: u32) -> Result<()> {
        const KEYS: &str = "org.keycloak.keys.KeyProvider";
        let list = format!("{realm}/components?type={KEYS}");
        let before = self.administrate(Method::GET, &list, None)?.json()?;
        let before = before.as_array().context("a list of keys")?;
        let signing = |key: &&Value| key["providerId"] == "rsa-generated";
        let old = before.iter().find(signing).context("a signing key")?;
        let new = json!({
            "name": format!("key of priority {priority}"),
            "providerId": "rsa-generated",
            "providerType": KEYS,
            "parentId": old["parentId"],
            "config": {
                "priority": [priority.to_string()],
                "enabled": ["true"],
                "active": ["true"],
                "algorithm": ["RS256"],
                "keySize": ["2048"],
            },
        });
        let components = format!("{realm}/components");
        self.administrate(Method::POST, &components, Some(&new))?;
        let old = old["id"].as_str().context("a key has an id")?;
        self.administrate(Method::DELETE, &format!("{components}/{old}"), None)?;
        Ok(())
    }
}

impl Provider for Keycloak {
    fn service(&self) -> &Service {
        &self.service
    }

    fn issuer(&self, registration: &Registration) -> String {
        let realm = realm(registration);
        // `Url` would add a slash to the origin alone.
        format!("{}realms/{realm}", self.origin)
    }

    fn register(&self, registration: &Registration) -> Result<Credentials> {
        let realm = realm(registration);
        let mut mappers = role_mappers();
        if !registration.groups_scope {
            mappers.push(groups_mapper());
        }
        if let Some(audience) = registration.further_audience {
            mappers.push(audience_mapper(audience));
        }
        let mut client = json!({
            "clientId": registration.client_id,
            "secret": CLIENT_SECRET,
            "publicClient": false,
            "standardFlowEnabled": registration.code_flow,
            "directAccessGrantsEnabled": false,
            "redirectUris": registration.redirect_uris(),
            "attributes": {
                "post.logout.redirect.uris": registration.post_logout_redirect_uris().join("##"),
                "backchannel.logout.url": registration.backchannel_logout_uri(),
                "backchannel.logout.session.required": "true",
                "pkce.code.challenge.method": "S256",
                "use.refresh.tokens": registration.refresh_tokens.to_string(),
            },
            "protocolMappers": mappers,
        });
        if registration.levels {
            let changes = json!({
                "attributes": { "acr.loa.map": json!({ "silver": "1", "gold": "2" }).to_string() },
                "authenticationFlowBindingOverrides": { "browser": self.create_levels(realm)? },
            });
            crate::settings::merge(&mut client, &changes);
        }
        if let Some(key) = &registration.client_key {
            let changes = json!({
                "clientAuthenticatorType": "client-jwt",
                "attributes": {
                    "use.jwks.string": "true",
                    "jwks.string": ClientKey::public_set(&[key]),
                    "require.pushed.authorization.requests": "true",
                },
            });
            crate::settings::merge(&mut client, &changes);
        }
        if registration.secret_jwt {
            client["clientAuthenticatorType"] = json!("client-secret-jwt");
        }
        let path = format!("{realm}/clients");
        let answer = self.administrate(Method::POST, &path, Some(&client))?;
        if registration.groups_scope {
            self.add_optional_scope(realm, api::created(&answer)?, "groups")?;
        }
        Ok(registration.credentials())
    }

    fn add_user(&self, user: &User) -> Result<()> {
        let user = user_representation(user, &json!(["/staff"]), &json!([]));
        self.administrate(Method::POST, &format!("{WORK}/users"), Some(&user))?;
        Ok(())
    }

    fn asks_something_of(&self, user: &User, something: bool) -> Result<()> {
        let list = format!("{WORK}/users?exact=true&username={}", user.login);
        let mut known = self.only_one(&list)?;
        known["requiredActions"] = match something {
            true => json!(["UPDATE_PASSWORD"]),
            false => json!([]),
        };
        let id = known["id"].as_str().context("a user has an id")?;
        let path = format!("{WORK}/users/{id}");
        self.administrate(Method::PUT, &path, Some(&known))?;
        Ok(())
    }

    fn change_client_keys(&self, client: &Registration, keys: &[&ClientKey]) -> Result<()> {
        let realm = realm(client);
        let list = format!("{realm}/clients?clientId={}", client.client_id);
        let mut known = self.only_one(&list)?;
        known["attributes"]["jwks.string"] = json!(ClientKey::public_set(keys));
        let id = known["id"].as_str().context("a client has an id")?;
        let path = format!("{realm}/clients/{id}");
        self.administrate(Method::PUT, &path, Some(&known))?;
        Ok(())
    }

    fn end_session(&self, browser: &Client) -> Result<()> {
        let path = format!("/realms/{WORK}/protocol/openid-connect/logout");
        let journey = browser.open(&self.origin.join(&path)?)?;
        browser.press(journey, "input[name=confirmLogout]")?;
        Ok(())
    }

    fn program_of_another_issuer(&self, audience: &str) -> Result<Option<ProgramToken>> {
        self.create_robot(PLAIN, &[audience])?;
        // Keycloak calls itself by the name at which it was asked.
        let mut public = self.origin.clone();
        public.set_host(Some("id.gatepost.test"))?;
        let issuer = format!("{public}realms/{PLAIN}");
        let answer = self.grant_to_robot(&issuer, &[("grant_type", "client_credentials")])?;
        let keys = format!("/realms/{PLAIN}/protocol/openid-connect/certs");
        Ok(Some(ProgramToken {
            issuer,
            keys: self.origin.join(&keys)?,
            token: token(&answer, "access_token")?,
        }))
    }

    fn program(&self, audiences: &[&str]) -> Result<Option<Program>> {
        self.create_robot(WORK, audiences)?;
        let issuer = format!("{}realms/{WORK}", self.origin);
        let own = self.grant_to_robot(&issuer, &[("grant_type", "client_credentials")])?;
        let users = self.grant_to_robot(
            &issuer,
            &[
                ("grant_type", "password"),
                ("scope", "openid"),
                ("username", ALICE.login),
                ("password", ALICE.password),
            ],
        )?;
        Ok(Some(Program {
            id: ROBOT,
            secret: CLIENT_SECRET,
            token: token(&own, "access_token")?,
            other_tokens: vec![
                ("ID token", token(&users, "id_token")?),
                ("refresh token", token(&users, "refresh_token")?),
            ],
        }))
    }

    fn public_client(&self, id: &str, server: &Url) -> Result<Option<Url>> {
        let client = json!({
            "clientId": id,
            "publicClient": true,
            "standardFlowEnabled": true,
            "directAccessGrantsEnabled": false,
            // At any port: Keycloak does as RFC 8252 §7.3 says.
            "redirectUris": ["http://127.0.0.1/callback"],
            "attributes": { "pkce.code.challenge.method": "S256" },
            // Keycloak knows no `resource` (RFC 8707).
            "protocolMappers": [audience_mapper(server.as_str())],
        });
        let path = format!("{WORK}/clients");
        let answer = self.administrate(Method::POST, &path, Some(&client))?;
        self.add_optional_scope(WORK, api::created(&answer)?, "groups")?;
        let path = format!("/realms/{WORK}/protocol/openid-connect/revoke");
        Ok(Some(self.origin.join(&path)?))
    }

    fn change_signing_key(&self) -> Result<()> {
        let change = self.keys.fetch_add(1, Ordering::Relaxed);
        // Those that Keycloak creates have the priority 100.
        let priority = 200 + change;
        self.change_signing_key_of(WORK, priority)
    }
}

fn user_representation(user: &User, groups: &Value, roles: &Value) -> Value {
    json!({
        "username": user.login,
        "email": format!("{}@example.com", user.login),
        "emailVerified": true,
        "enabled": true,
        "firstName": user.login,
        "lastName": "of the tests",
        "credentials": [{ "type": "password", "value": user.password }],
        "groups": groups,
        "realmRoles": roles,
    })
}

fn token(answer: &Value, kind: &str) -> Result<String> {
    let token = answer[kind].as_str();
    Ok(token.with_context(|| format!("no {kind}"))?.to_owned())
}

fn realm(registration: &Registration) -> &'static str {
    if registration.groups_scope {
        WORK
    } else {
        PLAIN
    }
}

fn mapper(name: &str, kind: &str, config: &Value) -> Value {
    let mut mapper = json!({
        "name": name,
        "protocol": "openid-connect",
        "protocolMapper": kind,
        "config": { "id.token.claim": "true", "access.token.claim": "true" },
    });
    crate::settings::merge(&mut mapper, &json!({ "config": config }));
    mapper
}

fn groups_mapper() -> Value {
    let config = json!({
        "claim.name": "groups",
        "full.path": "false",
        "userinfo.token.claim": "true",
    });
    mapper("groups", "oidc-group-membership-mapper", &config)
}

/// Puts roles into the ID token; as Keycloak comes, only the access token has them.
fn role_mappers() -> Vec<Value> {
    let roles = |claim: &str| json!({ "claim.name": claim, "jsonType.label": "String", "multivalued": "true" });
    vec![mapper(
        "realm roles",
        "oidc-usermodel-realm-role-mapper",
        &roles("realm_access.roles"),
    )]
}

fn audience_mapper(audience: &str) -> Value {
    let config = json!({ "included.custom.audience": audience });
    mapper(
        &format!("audience {audience}"),
        "oidc-audience-mapper",
        &config,
    )
}
