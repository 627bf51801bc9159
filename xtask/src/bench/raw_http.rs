//! HTTP/1.1 by hand, for what a client library would hide: the time of a first answer, and
//! requests that are left waiting.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};

const LIMIT: Duration = Duration::from_secs(30);

/// The parts of an answer that the bench reads.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Everything that came.
    pub(crate) text: String,
}

/// Sends a request on a connection of its own, and leaves it at that.
pub(crate) fn send(port: u16, target: &str, headers: &[String]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let mut request = format!("GET {target} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        request.push_str("Host: localhost\r\n");
    }
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

/// Reads the answer to the end.
pub(crate) fn receive(mut stream: TcpStream) -> Result<Answer> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Answer {
        status: status.context("no status in the answer")?,
        text,
    })
}

/// Sends a request and reads its answer.
pub(crate) fn ask(port: u16, target: &str, headers: &[String]) -> Result<Answer> {
    receive(send(port, target, headers)?)
}
