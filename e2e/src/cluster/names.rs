//! The cluster's DNS, for nginx, which reads no hosts file: the names of Services, and nothing else.

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

use anyhow::{Context as _, Result};

use super::network::SERVICES;

/// Where the server listens.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// Of a record: that it has an IPv4 address, and that of the Internet.
const A_IN: [u8; 4] = [0, 1, 0, 1];

/// The length of a message's header.
const HEADER: usize = 12;

/// In the place of a name: the one that follows the header.
const SAME_NAME: [u8; 2] = [0xc0, 12];

/// Answers questions until this program ends.
pub(super) fn serve() -> Result<()> {
    let socket = UdpSocket::bind((SERVER, 53)).context("listen for DNS")?;
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = buffer.get(..length).and_then(answer) {
                // A client that is gone needs none.
                let _ = socket.send_to(&answer, client);
            }
        }
    });
    Ok(())
}

/// Returns the answer to a message with one question (RFC 1035, section 4.1).
fn answer(message: &[u8]) -> Option<Vec<u8>> {
    let (name, rest) = name(message.get(HEADER..)?)?;
    let kind: &[u8] = rest.get(..4)?;
    let question = message.get(HEADER..message.len() - rest.len() + 4)?;
    let found = SERVICES.iter().find_map(|(namespace, service, address)| {
        (name == format!("{service}.{namespace}.svc.cluster.local")).then_some(address)
    });
    let address = found.filter(|_| kind == A_IN);
    // No such name, where there is none; no record, where it has none of this type.
    let code = if found.is_some() { 0 } else { 3 };
    let mut answer = message.get(..2)?.to_vec();
    answer.extend([0x84, code, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    answer.extend(question);
    if let Some(address) = address {
        answer.extend(SAME_NAME);
        answer.extend(A_IN);
        // For a minute; four bytes.
        answer.extend([0, 0, 0, 60, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

/// Returns a name, and what follows it.
fn name(mut bytes: &[u8]) -> Option<(String, &[u8])> {
    let mut labels = Vec::new();
    loop {
        let (length, rest) = bytes.split_first()?;
        if *length == 0 {
            return Some((labels.join(".").to_lowercase(), rest));
        }
        let (label, rest) = rest.split_at_checked(usize::from(*length))?;
        labels.push(String::from_utf8_lossy(label).into_owned());
        bytes = rest;
    }
}
