//! Seals data that leaves the process, so that a client, an operator or a copy of the store can
//! neither read nor change it.
//!
//! XChaCha20-Poly1305 with a random nonce, which is long enough to be drawn at random for as many
//! messages as a key will ever see. What a message is for is authenticated with it, so that one
//! cannot be moved to another's place.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use gatepost_session::{KeyId, KeyRing, Purpose};

const NONCE_BYTES: usize = 24;

/// The keys that a ring derives for one purpose: the first seals, all open.
#[derive(Clone)]
pub struct SealingKeys(Vec<(KeyId, XChaCha20Poly1305)>);

impl SealingKeys {
    /// Returns the keys of `ring` for `purpose`.
    pub fn new(ring: &KeyRing, purpose: Purpose) -> Self {
        let cipher = |bytes: &[u8; 32]| XChaCha20Poly1305::new(&Key::from(*bytes));
        Self(
            ring.derive(purpose)
                .iter()
                .map(|key| (key.id().clone(), cipher(key.expose_bytes())))
                .collect(),
        )
    }

    /// Seals as text, for a cookie or a header. `None` when the operating system has no
    /// randomness.
    pub fn seal_text(&self, context: &str, plaintext: &[u8]) -> Option<String> {
        let (id, sealed) = self.seal_with_first(context, plaintext)?;
        Some(format!("{id}.{}", URL_SAFE_NO_PAD.encode(sealed)))
    }

    /// Opens what [`SealingKeys::seal_text`] made for the same context with a key of this ring.
    pub fn open_text(&self, context: &str, text: &str) -> Option<Vec<u8>> {
        // A key id may have dots, base64url has none.
        let (id, sealed) = text.rsplit_once('.')?;
        self.open_with(id, context, &URL_SAFE_NO_PAD.decode(sealed).ok()?)
    }

    /// Seals as bytes. `None` when the operating system has no randomness.
    pub fn seal(&self, context: &str, plaintext: &[u8]) -> Option<Vec<u8>> {
        let (id, sealed) = self.seal_with_first(context, plaintext)?;
        let mut bytes = vec![u8::try_from(id.as_str().len()).ok()?];
        bytes.extend_from_slice(id.as_str().as_bytes());
        bytes.extend_from_slice(&sealed);
        Some(bytes)
    }

    /// Opens what [`SealingKeys::seal`] made for the same context with a key of this ring.
    pub fn open(&self, context: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        let (length, rest) = bytes.split_first()?;
        let (id, sealed) = rest.split_at_checked(usize::from(*length))?;
        self.open_with(std::str::from_utf8(id).ok()?, context, sealed)
    }

    /// Seals as bytes with each key, so that any of them opens it: for what has to outlive changes of
    /// the ring in either direction. `None` when the operating system has no randomness.
    pub fn seal_with_all(&self, context: &str, plaintext: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for (id, cipher) in &self.0 {
            let sealed = seal_with(cipher, context, plaintext)?;
            bytes.push(u8::try_from(id.as_str().len()).ok()?);
            bytes.extend_from_slice(id.as_str().as_bytes());
            bytes.extend(u32::try_from(sealed.len()).ok()?.to_be_bytes());
            bytes.extend(sealed);
        }
        Some(bytes)
    }

    /// Opens what [`SealingKeys::seal_with_all`] made for the same context with a ring that has a key
    /// in common with this one.
    pub fn open_with_any(&self, context: &str, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut copies = copies(bytes)?.into_iter();
        copies.find_map(|(id, sealed)| self.open_with(id, context, sealed))
    }

    /// Returns whether each key of this ring, and no other, sealed these bytes. Others should be
    /// sealed again while a key that sealed them is still known.
    pub fn are_sealers_of(&self, bytes: &[u8]) -> bool {
        let sealers = copies(bytes);
        let sealers = sealers.iter().flatten().map(|(id, _)| *id);
        sealers.eq(self.0.iter().map(|(id, _)| id.as_str()))
    }

    fn seal_with_first(&self, context: &str, plaintext: &[u8]) -> Option<(&KeyId, Vec<u8>)> {
        let (id, cipher) = self.0.first()?;
        Some((id, seal_with(cipher, context, plaintext)?))
    }

    fn open_with(&self, id: &str, context: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (_, cipher) = self.0.iter().find(|(own, _)| own.as_str() == id)?;
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: ciphertext,
            aad: context.as_bytes(),
        };
        cipher.decrypt(&XNonce::from(*nonce), payload).ok()
    }
}

/// Seals with one key: the nonce, and what it seals.
fn seal_with(cipher: &XChaCha20Poly1305, context: &str, plaintext: &[u8]) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).ok()?;
    let payload = Payload {
        msg: plaintext,
        aad: context.as_bytes(),
    };
    let ciphertext = cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
    let mut sealed = nonce.to_vec();
    sealed.extend_from_slice(&ciphertext);
    Some(sealed)
}

/// Returns the copies that each key sealed, by the key's id.
fn copies(mut bytes: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    let mut copies = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let (id, rest) = rest.split_at_checked(usize::from(*length))?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (sealed, rest) = rest.split_at_checked(length)?;
        copies.push((std::str::from_utf8(id).ok()?, sealed));
        bytes = rest;
    }
    Some(copies)
}

impl std::fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKeys(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(entries: &[&str]) -> SealingKeys {
        let ring = KeyRing::from_entries(entries.iter().copied()).expect("a ring");
        SealingKeys::new(&ring, Purpose::Store)
    }

    #[test]
    fn only_the_same_context_and_a_key_of_the_ring_open_what_was_sealed() {
        let [a, b] = [
            "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=",
            "b:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTI=",
        ];
        let sealed = keys(&[a]).seal("one", b"secret").expect("sealed");
        let text = keys(&[a]).seal_text("one", b"secret").expect("sealed");
        for (case, ring, context, opens) in [
            ("itself", keys(&[a]), "one", true),
            ("after a rotation", keys(&[b, a]), "one", true),
            ("another context", keys(&[a]), "two", false),
            ("a retired key", keys(&[b]), "one", false),
        ] {
            let expected = opens.then(|| b"secret".to_vec());
            assert_eq!(ring.open(context, &sealed), expected, "{case}");
            assert_eq!(ring.open_text(context, &text), expected, "{case}, text");
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(keys(&[a]).open("one", &changed), None, "byte {at}");
            assert_eq!(keys(&[a]).open("one", &sealed[..at]), None, "{at} bytes");
        }
    }

    #[test]
    fn what_all_keys_sealed_each_of_them_opens() {
        let [a, b, c] = [
            "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=",
            "b:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTI=",
            "c:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTM=",
        ];
        let sealed = keys(&[b, a])
            .seal_with_all("one", b"secret")
            .expect("sealed");
        for (ring, opens, are_sealers) in [
            (keys(&[b, a]), true, true),
            (keys(&[a, b]), true, false),
            (keys(&[a]), true, false),
            (keys(&[b]), true, false),
            (keys(&[c, a]), true, false),
            (keys(&[c]), false, false),
        ] {
            let expected = opens.then(|| b"secret".to_vec());
            assert_eq!(ring.open_with_any("one", &sealed), expected);
            assert_eq!(ring.open_with_any("two", &sealed), None);
            assert_eq!(ring.are_sealers_of(&sealed), are_sealers);
            assert!(!ring.are_sealers_of(&[]));
        }
        for at in 0..sealed.len() {
            let cut = sealed.get(..at).expect("a part");
            assert!(!keys(&[b, a]).are_sealers_of(cut), "{at} bytes");
        }
    }
}
