//! A double of what Hydra asks its operator for: pages that sign users in and out.

#![allow(
    clippy::indexing_slicing,
    reason = "a member that is missing from a JSON value is null"
)]

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::get;
use serde_json::{Value, json};
use url::Url;

use crate::doubles::{Server, listen_on};
use crate::users::{ALICE, BOB, User};

/// The application, until it is dropped.
#[derive(Debug)]
pub(super) struct LoginApplication {
    _server: Server,
}

impl LoginApplication {
    /// Listens on this port of 127.0.0.1 and answers to the administration of a Hydra.
    pub(super) fn start(port: u16, admin: Url) -> Result<Self> {
        let router = Router::new()
            .route("/login", get(show_login).post(log_in))
            .route("/consent", get(consent))
            .route("/logout", get(log_out))
            .with_state(Hydra { admin });
        let server = Server::start("hydra-login", || listen_on(port), router)?;
        Ok(Self { _server: server })
    }
}

type Fields = BTreeMap<String, String>;

/// Why no answer can be given. A test sees it in the page.
struct Failure(anyhow::Error);

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self(error)
    }
}

impl axum::response::IntoResponse for Failure {
    fn into_response(self) -> Response {
        (StatusCode::BAD_GATEWAY, format!("{:#}", self.0)).into_response()
    }
}

/// The administration of Hydra, which holds what a browser is in the middle of.
#[derive(Clone, Debug)]
struct Hydra {
    admin: Url,
}

impl Hydra {
    async fn request(&self, kind: &str, challenge: &str) -> Result<Value> {
        let url = self.url(
            &format!("admin/oauth2/auth/requests/{kind}"),
            kind,
            challenge,
        )?;
        let answer = reqwest::get(url).await?.error_for_status()?;
        Ok(serde_json::from_str(&answer.text().await?)?)
    }

    /// Accepts a request: the browser goes on to Hydra.
    async fn accept(&self, kind: &str, challenge: &str, body: &Value) -> Result<Redirect> {
        let path = format!("admin/oauth2/auth/requests/{kind}/accept");
        let request = reqwest::Client::new()
            .put(self.url(&path, kind, challenge)?)
            .header("Content-Type", "application/json")
            .body(body.to_string());
        let answer = request.send().await?.error_for_status()?;
        let answer: Value = serde_json::from_str(&answer.text().await?)?;
        let next = answer["redirect_to"].as_str().context("a redirect")?;
        Ok(Redirect::to(next))
    }

    fn url(&self, path: &str, kind: &str, challenge: &str) -> Result<Url> {
        let mut url = self.admin.join(path)?;
        let name = format!("{kind}_challenge");
        url.query_pairs_mut().append_pair(&name, challenge);
        Ok(url)
    }
}

fn field<'f>(fields: &'f Fields, name: &str) -> Result<&'f str> {
    let value = fields.get(name).map(String::as_str);
    value.with_context(|| format!("a field {name}"))
}

async fn show_login(
    State(hydra): State<Hydra>,
    Query(query): Query<Fields>,
) -> Result<Response, Failure> {
    let challenge = field(&query, "login_challenge")?;
    let request = hydra.request("login", challenge).await?;
    if request["skip"] == true {
        let accepted = json!({ "subject": request["subject"] });
        return Ok(hydra
            .accept("login", challenge, &accepted)
            .await?
            .into_response());
    }
    // Challenges are base64url.
    let page = format!(
        r#"<!doctype html><form method="post" action="login">
        <input type="hidden" name="login_challenge" value="{challenge}">
        <input name="username"><input type="password" name="password"></form>"#
    );
    Ok(Html(page).into_response())
}

async fn log_in(State(hydra): State<Hydra>, Form(form): Form<Fields>) -> Result<Redirect, Failure> {
    let (login, password) = (field(&form, "username")?, field(&form, "password")?);
    let known = |user: &&User| user.login == login && user.password == password;
    let user = [ALICE, BOB].iter().find(known).copied();
    let user = user.context("the name or the password is wrong")?;
    let accepted = json!({ "subject": user.login, "remember": true, "remember_for": 3600 });
    let challenge = field(&form, "login_challenge")?;
    Ok(hydra.accept("login", challenge, &accepted).await?)
}

/// Consents to everything, and says who the user is.
async fn consent(
    State(hydra): State<Hydra>,
    Query(query): Query<Fields>,
) -> Result<Redirect, Failure> {
    let challenge = field(&query, "consent_challenge")?;
    let request = hydra.request("consent", challenge).await?;
    let login = request["subject"].as_str().unwrap_or_default();
    let groups = if login == ALICE.login {
        json!(["staff", "admins"])
    } else {
        json!(["staff"])
    };
    let accepted = json!({
        "grant_scope": request["requested_scope"],
        "remember": true,
        "remember_for": 3600,
        "session": { "id_token": {
            "preferred_username": login,
            "email": format!("{login}@example.com"),
            "email_verified": true,
            "groups": groups,
        } },
    });
    Ok(hydra.accept("consent", challenge, &accepted).await?)
}

async fn log_out(
    State(hydra): State<Hydra>,
    Query(query): Query<Fields>,
) -> Result<Redirect, Failure> {
    let challenge = field(&query, "logout_challenge")?;
    Ok(hydra.accept("logout", challenge, &json!({})).await?)
}
