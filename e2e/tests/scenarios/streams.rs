//! Responses and connections that last.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use gatepost_e2e::{Application, Client, Stack, forge};
use reqwest::blocking::RequestBuilder;
use reqwest::{Method, StatusCode};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{ClientHandshake, HandshakeError, Message, WebSocket};

use crate::shared;

/// Returns the shared stack with the `Cookie` header of a user who is signed in at this application.
fn signed_in(name: &str) -> Result<(Arc<Stack>, String)> {
    let stack = shared()?;
    let app = stack.application(name)?;
    let cookie = forge::valid(&stack.keys().ring()?, app.name())?;
    let header = format!("{}={cookie}", app.cookie_name().as_str());
    Ok((stack, header))
}

fn get(app: &Application, path: &str, cookie: &str) -> Result<RequestBuilder> {
    let request = Client::new()?.fetch(Method::GET, &app.url(path));
    Ok(request.header("Cookie", cookie))
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn response_that_the_app_breaks_off_reaches_the_client_broken_off() -> Result<()> {
    let (stack, cookie) = signed_in("stream")?;
    let app = stack.application("stream")?;
    let mut answer = get(app, "/upstream/abort", &cookie)?.send()?;
    assert_eq!(answer.status(), StatusCode::OK);
    let mut body = Vec::new();
    let end = answer.read_to_end(&mut body);
    assert_eq!(String::from_utf8_lossy(&body), "the first half\n");
    assert!(end.is_err(), "half a response looks whole");

    // Whatever state that left the plugin in, the next request is not affected.
    let answer = get(app, "/", &cookie)?.send()?;
    assert_eq!(answer.status(), StatusCode::OK);
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn events_arrive_one_by_one() -> Result<()> {
    let (stack, cookie) = signed_in("stream")?;
    // The second event is an hour away: were the response buffered, the first would never come.
    let path = "/upstream/events?count=2&pause_ms=3600000";
    let answer = get(stack.application("stream")?, path, &cookie)?.send()?;
    let mut first = String::new();
    BufReader::new(answer).read_line(&mut first)?;
    assert_eq!(first, "data: 0\n");
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn large_body_passes_whole() -> Result<()> {
    let (stack, cookie) = signed_in("stream")?;
    let body = vec![b'x'; 20_000_000];
    let upload = stack.application("stream")?.url("/upstream/upload");
    let request = Client::new()?
        .fetch(Method::POST, &upload)
        .header("Cookie", &cookie)
        .body(body);
    assert_eq!(request.send()?.text()?, "20000000\n");
    Ok(())
}

/// Opens a WebSocket as a browser does. The system's resolver may not know `app.localhost`.
fn open_socket(app: &Application, cookie: Option<&str>) -> Result<WebSocket<TcpStream>> {
    let url = app.url("/upstream/socket");
    let port = url.port().context("a port")?;
    let url = url.as_str().replacen("http", "ws", 1);
    let mut request = url.into_client_request()?;
    if let Some(cookie) = cookie {
        request.headers_mut().insert("Cookie", cookie.parse()?);
    }
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let (socket, _) = tungstenite::client(request, stream)?;
    Ok(socket)
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn websocket_opens_with_a_session() -> Result<()> {
    let (stack, cookie) = signed_in("socket")?;
    let app = stack.application("socket")?;
    let mut socket = open_socket(app, Some(&cookie))?;
    for text in ["one", "two"] {
        socket.send(Message::text(text))?;
        assert_eq!(socket.read()?, Message::text(text));
    }
    let requests = app.requests();
    assert_eq!(requests[0].header("x-auth-username"), Some("alice"));
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn websocket_without_session_gets_401_and_no_redirect() -> Result<()> {
    let stack = shared()?;
    let app = stack.application("no-socket")?;
    let error = open_socket(app, None).err().context("it opened")?;
    // The handshake's error as the library wraps it.
    match error.downcast::<HandshakeError<ClientHandshake<TcpStream>>>()? {
        HandshakeError::Failure(tungstenite::Error::Http(answer)) => {
            assert_eq!(answer.status(), 401);
        }
        other => panic!("{other}"),
    }
    assert_eq!(app.requests(), [], "nothing reached the app");
    Ok(())
}
