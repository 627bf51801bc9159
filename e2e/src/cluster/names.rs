//! The cluster's DNS, for nginx, which reads no hosts file: the names of Services, and nothing else.

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

use anyhow::{Context as _, Result};

/// Where the server listens.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// TYPE A, CLASS IN (RFC 1035 §3.2).
const A_IN: [u8; 4] = [0, 1, 0, 1];

/// The length of a message's header.
const HEADER: usize = 12;

/// In the place of a name: the one that follows the header.
const SAME_NAME: [u8; 2] = [0xc0, 12];

/// A Service: its namespace, its name, and the address that its name has.
pub(super) type Named = (&'static str, &'static str, Ipv4Addr);

/// Answers questions about these Services until this program ends.
pub(super) fn serve(services: &'static [Named]) -> Result<()> {
    let socket = UdpSocket::bind((SERVER, 53)).context("listen for DNS")?;
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = buffer
                .get(..length)
                .and_then(|message| answer(services, message))
            {
                // A client that is gone needs none.
                let _ = socket.send_to(&answer, client);
            }
        }
    });
    Ok(())
}

/// A response, with authority (RFC 1035 §4.1.1).
const RESPONSE: u8 = 0x84;

/// Returns the answer to a message with one question (RFC 1035 §4.1).
fn answer(services: &[Named], message: &[u8]) -> Option<Vec<u8>> {
    let (name, rest) = name(message.get(HEADER..)?)?;
    let kind: &[u8] = rest.get(..4)?;
    let question = message.get(HEADER..message.len() - rest.len() + 4)?;
    let found = services.iter().find_map(|(namespace, service, address)| {
        (name == format!("{service}.{namespace}.svc.cluster.local")).then_some(address)
    });
    let address = found.filter(|_| kind == A_IN);
    // No such name, where there is none; no record, where it has none of this type.
    let code = if found.is_some() { 0 } else { 3 };
    let mut answer = message.get(..2)?.to_vec();
    answer.extend([
        RESPONSE,
        code,
        0,
        1,
        0,
        u8::from(address.is_some()),
        0,
        0,
        0,
        0,
    ]);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a question for a record of this type.
    fn question(name: &str, kind: u8) -> Vec<u8> {
        let mut message = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            message.push(u8::try_from(label.len()).expect("short"));
            message.extend(label.as_bytes());
        }
        message.extend([0, 0, kind, 0, 1]);
        message
    }

    #[test]
    fn a_service_has_one_address_and_other_names_have_none() {
        const A: u8 = 1;
        const AAAA: u8 = 28;
        let services = [("default", "wiki", Ipv4Addr::new(10, 77, 0, 2))];
        let (known, unknown) = ("WIKI.default.svc.cluster.local", "wiki.default.svc");
        for (name, kind, code, records) in [
            (known, A, 0, 1),
            (known, AAAA, 0, 0),
            (unknown, A, 3, 0),
            (unknown, AAAA, 3, 0),
        ] {
            let question = question(name, kind);
            let answer = answer(&services, &question).expect("an answer");
            let header = [7, 9, RESPONSE, code, 0, 1, 0, records, 0, 0, 0, 0];
            assert_eq!(answer.get(..HEADER), Some(&header[..]), "{name} {kind}");
            let (body, asked) = (&answer[HEADER..], &question[HEADER..]);
            assert!(body.starts_with(asked), "{name} {kind}");
            assert_eq!(body.ends_with(&[0, 4, 10, 77, 0, 2]), records == 1);
            assert_eq!(body.len() == asked.len(), records == 0, "{name} {kind}");
        }
        let whole = question(known, A);
        for length in 0..whole.len() {
            assert!(answer(&services, &whole[..length]).is_none(), "{length}");
        }
    }
}
