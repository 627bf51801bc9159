//! HTTP/2 frame by frame, over plain TCP with prior knowledge (RFC 9113 §3.3): for requests that
//! client libraries refuse to make.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// How long a test waits for the response to a request that a proxy may keep open.
const PATIENCE: Duration = Duration::from_secs(10);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Sends one request, whose stream stays open, with bytes of a body, and waits until its answer
/// has begun or the server has refused it.
///
/// # Errors
///
/// When no server listens on the port of 127.0.0.1.
pub fn request(port: u16, fields: &[(&str, &str)], body: &[u8]) -> Result<()> {
    exchange(port, fields, body, None)
}

/// Sends one whole request with a body and, if there are any, trailers behind it (RFC 9113 §8.1), and
/// waits as [`request`] does.
///
/// # Errors
///
/// As [`request`].
pub fn request_with_trailers(
    port: u16,
    fields: &[(&str, &str)],
    body: &[u8],
    trailers: &[(&str, &str)],
) -> Result<()> {
    exchange(port, fields, body, Some(trailers))
}

fn exchange(
    port: u16,
    fields: &[(&str, &str)],
    body: &[u8],
    trailers: Option<&[(&str, &str)]>,
) -> Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .with_context(|| format!("connect to port {port}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])?)?;
    stream.write_all(&frame(HEADERS, END_HEADERS, 1, &block(fields)?)?)?;
    let ends = trailers.is_some_and(<[_]>::is_empty);
    let flags = if ends { END_STREAM } else { 0 };
    stream.write_all(&frame(DATA, flags, 1, body)?)?;
    if let Some(trailers @ [_, ..]) = trailers {
        let flags = END_HEADERS | END_STREAM;
        stream.write_all(&frame(HEADERS, flags, 1, &block(trailers)?)?)?;
    }
    loop {
        let mut head = [0; 9];
        match stream.read_exact(&mut head) {
            Ok(()) => {}
            // Refused with the connection, or not answered while the stream is open.
            Err(error) if error.kind() != ErrorKind::InvalidInput => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let [l2, l1, l0, kind, flags, _, _, _, id] = head;
        let mut payload = vec![0; usize::from(l2) << 16 | usize::from(l1) << 8 | usize::from(l0)];
        stream.read_exact(&mut payload)?;
        match kind {
            SETTINGS if flags & ACK == 0 => stream.write_all(&frame(SETTINGS, ACK, 0, &[])?)?,
            HEADERS | RST_STREAM if id == 1 => return Ok(()),
            GOAWAY => return Ok(()),
            _ => {}
        }
    }
}

/// Encodes fields as literals that are not indexed, with names that are not either (RFC 7541 §6.2.2).
fn block(fields: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.extend(length(text.len())?);
            block.extend_from_slice(text.as_bytes());
        }
    }
    Ok(block)
}

/// Encodes a length in seven bits, and in more bytes where it does not fit (RFC 7541 §5.1).
fn length(length: usize) -> Result<Vec<u8>> {
    let Some(mut rest) = length.checked_sub(127) else {
        return Ok(vec![u8::try_from(length)?]);
    };
    let mut bytes = vec![127];
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128)? | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest)?);
    Ok(bytes)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(payload.len())?;
    let [0, l2, l1, l0] = length.to_be_bytes() else {
        bail!("a frame of {length} bytes");
    };
    let mut frame = vec![l2, l1, l0, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    Ok(frame)
}
