//! HTTP/1.1 byte for byte: for requests that client libraries would tidy up, and to see how an
//! answer arrives.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// How long a test waits for bytes. A safety net, not an expectation.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a port of 127.0.0.1.
#[derive(Debug)]
pub struct RawConnection {
    stream: BufReader<TcpStream>,
}

/// Status line and headers of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    /// Returns the first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(own, _): &&(String, String)| own.eq_ignore_ascii_case(name);
        let found = self.headers.iter().find(named);
        found.map(|(_, value)| value.as_str())
    }
}

/// A body, and whether it came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// What arrived.
    pub bytes: Vec<u8>,
    /// Whether that is all, by the answer's own account of it.
    pub complete: bool,
}

impl RawConnection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When no server listens.
    pub fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("connect to port {port}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// When the connection does not take them.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())?;
        Ok(())
    }

    /// Sends a request without a body.
    ///
    /// # Errors
    ///
    /// When the connection does not take it.
    pub fn request(&mut self, line: &str, headers: &[(&str, &str)]) -> Result<()> {
        let mut text = format!("{line} HTTP/1.1\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        self.send(text)
    }

    /// Reads the head of the next answer.
    ///
    /// # Errors
    ///
    /// When none comes.
    pub fn head(&mut self) -> Result<Head> {
        let status_line = self.line()?;
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .with_context(|| format!("{status_line:?} is no status line"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                return Ok(Head { status, headers });
            };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads the body that belongs to a head: by its chunks, its length, or to the end of the
    /// connection.
    ///
    /// # Errors
    ///
    /// When the connection stalls. One that breaks off makes an incomplete body.
    pub fn body(&mut self, head: &Head) -> Result<Body> {
        let mut bytes = Vec::new();
        let complete = if head.header("transfer-encoding").is_some() {
            loop {
                match self.chunk()? {
                    Some(chunk) if chunk.is_empty() => break true,
                    Some(chunk) => bytes.extend(chunk),
                    None => break false,
                }
            }
        } else if let Some(length) = head.header("content-length") {
            let length: u64 = length.parse()?;
            (&mut self.stream).take(length).read_to_end(&mut bytes)?;
            u64::try_from(bytes.len())? == length
        } else {
            self.stream.read_to_end(&mut bytes)?;
            true
        };
        Ok(Body { bytes, complete })
    }

    /// Reads one chunk of a chunked body: empty is the last one, `None` a connection that broke
    /// off.
    ///
    /// # Errors
    ///
    /// When the connection stalls or the data is not a chunk.
    pub fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        let Ok(line) = self.line() else {
            return Ok(None);
        };
        let size = line.split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size.trim(), 16)
            .with_context(|| format!("{line:?} is no size of a chunk"))?;
        let mut chunk = Vec::new();
        (&mut self.stream).take(size).read_to_end(&mut chunk)?;
        if u64::try_from(chunk.len())? != size {
            return Ok(None);
        }
        // The line's end after the data, or after the (absent) trailers.
        if self.line().is_err() {
            return Ok(None);
        }
        Ok(Some(chunk))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            bail!("the connection ended");
        }
        let line = String::from_utf8_lossy(&line);
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}
