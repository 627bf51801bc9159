//! Which annotations Traefik's provider reads: what its program says, and the list by which the import
//! goes.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Result;
use gatepost_e2e::layout;
use gatepost_e2e::tools::{self, Tool as _};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[Test {
    name: "imported::annotations::traefik_reads_those_of_the_list",
    run: |_| read_by_traefik(),
}];

const PREFIX: &[u8] = b"nginx.ingress.kubernetes.io/";

fn read_by_traefik() -> Result<()> {
    let program = fs::read(tools::Traefik.locate()?)?;
    // The provider's fields are tagged with the names: `annotation:"nginx.ingress.kubernetes.io/…"`.
    let mut read = BTreeSet::new();
    let mut parts = program.split(|byte| *byte == b'"').peekable();
    while let Some(part) = parts.next() {
        let next = parts.peek().and_then(|next| next.strip_prefix(PREFIX));
        if let (true, Some(name)) = (part.ends_with(b"annotation:"), next) {
            read.insert(String::from_utf8_lossy(name).into_owned());
        }
    }
    let list = layout::root().join("testdata/ingress-nginx/read-by-traefik.txt");
    let list = fs::read_to_string(list)?;
    assert_eq!(read, list.lines().map(str::to_owned).collect());
    Ok(())
}
